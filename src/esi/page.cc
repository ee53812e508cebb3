#include "esi/page.h"

#include <algorithm>
#include <utility>

#include "esi/expression.h"

namespace verge::esi {

struct Page::Piece {
  const Node& node;
  std::string content;  // expanded text, or of the fragment
  State state = State::kDone;
  bool asked_alternative = false;
  Pieces attempt, except;
  bool has_except = false;
};

Page::Page(Payload text, const Variables::Request& request, Fetch fetch, Told told, uint64_t& held)
    : text_(std::move(text)),
      variables_(request),
      fetch_(std::move(fetch)),
      told_(std::move(told)),
      document_(Document::parse(text_.view())),
      held_(held) {}

Page::~Page() { held_ -= waiting_bytes_; }

void Page::start() {
  busy_ = true;  // what comes at once waits until all is asked for
  arrange(document_.nodes(), pieces_);
  busy_ = false;
  advance();
}

void Page::arrange(const Nodes& nodes, Pieces& pieces) {
  for (const Node& node : nodes) {
    if (node.kind == Node::Kind::kChoose) {
      const auto chosen =
          std::ranges::find_if(node.whens, [&](const When& when) { return holds(when.test, variables_); });
      arrange(chosen == node.whens.end() ? node.otherwise : chosen->then, pieces);
      continue;
    }
    pieces.push_back(std::make_unique<Piece>(node));
    Piece& piece = *pieces.back();
    if (node.kind == Node::Kind::kExpandedText) piece.content = expanded(node.text, variables_, Escaping::kHtml);
    if (node.kind == Node::Kind::kTry) arrange(node.attempt, piece.attempt);
    if (node.kind == Node::Kind::kInclude) ask(piece, expanded(node.source, variables_, Escaping::kUrl));
  }
}

void Page::ask(Piece& piece, const std::string& reference) {
  piece.state = State::kPending;
  if (++fragments_ > kFragmentsMax) {
    failed_reference_ = reference;
    piece.state = piece.node.may_fail ? State::kDone : State::kFailed;
    return;
  }
  fetch_(reference, [this, alive = std::weak_ptr(alive_), at = &piece, reference](std::optional<std::string> content) {
    if (!alive.expired()) take(*at, reference, std::move(content));
  });
}

void Page::take(Piece& piece, const std::string& reference, std::optional<std::string> content) {
  // What goes out at once does not wait.
  const bool is_next = next_ < pieces_.size() && pieces_[next_].get() == &piece;
  if (content && (is_next || waiting_bytes_ + content->size() <= kWaitingBytesMax)) {
    waiting_bytes_ += content->size();
    held_ += content->size();
    piece.content = std::move(*content);
    piece.state = State::kDone;
  } else if (!piece.node.alternative.empty() && !std::exchange(piece.asked_alternative, true)) {
    ask(piece, expanded(piece.node.alternative, variables_, Escaping::kUrl));
  } else {
    failed_reference_ = reference;
    piece.state = piece.node.may_fail ? State::kDone : State::kFailed;
  }
  advance();
}

Page::State Page::state_of(const Pieces& pieces) {
  State state = State::kDone;
  for (const std::unique_ptr<Piece>& piece : pieces) {
    const State its = state_of(*piece);
    if (its == State::kFailed) return its;
    if (its == State::kPending) state = its;
  }
  return state;
}

Page::State Page::state_of(Piece& piece) {
  if (piece.node.kind != Node::Kind::kTry) return piece.state;
  if (!piece.has_except) {
    const State attempt = state_of(piece.attempt);
    if (attempt != State::kFailed) return attempt;
    piece.has_except = true;
    arrange(piece.node.except, piece.except);
  }
  return state_of(piece.except);
}

void Page::put_out(std::string_view text) {
  if (!text.empty()) told_.output(text);
}

void Page::put_out(Piece& piece) {
  switch (piece.node.kind) {
    case Node::Kind::kText:
      return put_out(piece.node.text);
    case Node::Kind::kExpandedText:
      return put_out(piece.content);
    case Node::Kind::kInclude:
      put_out(piece.content);
      waiting_bytes_ -= piece.content.size();
      held_ -= piece.content.size();
      std::string().swap(piece.content);
      return;
    case Node::Kind::kTry:
      for (const std::unique_ptr<Piece>& inner : piece.has_except ? piece.except : piece.attempt) put_out(*inner);
      return;
    case Node::Kind::kChoose:
      return;  // arranged as what was chosen
  }
}

void Page::advance() {
  if (std::exchange(busy_, true)) return;
  const std::weak_ptr<Page*> alive = alive_;
  while (next_ < pieces_.size()) {
    Piece& piece = *pieces_[next_];
    const State state = state_of(piece);
    if (state == State::kPending) {
      busy_ = false;
      return;
    }
    if (state == State::kFailed) return told_.failed(failed_reference_);
    ++next_;
    put_out(piece);
    if (alive.expired()) return;
  }
  told_.finished();
}

}  // namespace verge::esi

#include "workers/realm_html.h"

#include <algorithm>
#include <array>
#include <utility>

#include <fmt/format.h>

namespace verge::workers {
namespace {

constexpr std::size_t kTokenBytesMax = 1u << 20;
constexpr std::size_t kOpenMax = 10'000;
constexpr std::size_t kTypesMax = 1000;          // names of children that are told apart
constexpr std::size_t kOutputBytes = 64u << 10;  // beyond it the output is to be taken

constexpr std::array<std::string_view, 18> kVoid = {"area",  "base",  "basefont", "bgsound", "br",    "col",
                                                    "embed", "frame", "hr",       "img",     "input", "keygen",
                                                    "link",  "meta",  "param",    "source",  "track", "wbr"};
constexpr std::array<std::string_view, 8> kRawText = {"style",    "xmp",      "iframe",   "noembed",
                                                      "noframes", "noscript", "textarea", "title"};
// In these, elements of SVG and MathML have HTML inside.
constexpr std::array<std::string_view, 9> kIntegration = {
    "foreignobject", "desc", "title", "annotation-xml", "mi", "mo", "mn", "ms", "mtext"};
// Whose start tags end a paragraph.
constexpr std::array<std::string_view, 46> kEndsParagraph = {
    "li",       "dt",      "dd",         "td",         "th",     "tr",      "tbody",  "thead", "tfoot", "plaintext",

    "address",  "article", "aside",      "blockquote", "center", "details", "dialog", "dir",   "div",   "dl",
    "fieldset", "figure",  "figcaption", "footer",     "form",   "h1",      "h2",     "h3",    "h4",    "h5",
    "h6",       "header",  "hgroup",     "hr",         "main",   "menu",    "nav",    "ol",    "p",     "pre",
    "search",   "section", "summary",    "table",      "ul",     "listing"};

template <std::size_t kSize>
bool is_one_of(std::string_view name, const std::array<std::string_view, kSize>& names) {
  return std::ranges::find(names, name) != names.end();
}

bool is_letter(char c) { return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z'); }
bool is_space(char c) { return c == ' ' || c == '\t' || c == '\n' || c == '\r' || c == '\f'; }
bool ends_name(char c) { return is_space(c) || c == '/' || c == '>'; }

std::string lower(std::string_view text) {
  std::string out(text);
  for (char& c : out) {
    if (c >= 'A' && c <= 'Z') c = static_cast<char>(c + 32);
  }
  return out;
}

bool begins_like(std::string_view text, std::string_view wanted) {
  return equals_ignoring_case(text.substr(0, wanted.size()), wanted.substr(0, text.size()));
}

// How many bytes at the end are the beginning of a character that goes on.
std::size_t unfinished_bytes(std::string_view text) {
  for (std::size_t back = 1; back <= std::min<std::size_t>(3, text.size()); ++back) {
    const auto byte = static_cast<unsigned char>(text[text.size() - back]);
    if (byte < 0x80) return 0;
    if (byte < 0xC0) continue;
    const std::size_t length = byte >= 0xF0 ? 4 : byte >= 0xE0 ? 3 : 2;
    return length > back ? back : 0;
  }
  return 0;
}

bool is_ended_by(std::string_view open, std::string_view next) {
  const auto either = [](std::string_view name, std::string_view one, std::string_view other) {
    return name == one || name == other;
  };
  if (open == "p") return is_one_of(next, kEndsParagraph);
  if (open == "li") return next == "li";
  if (either(open, "dt", "dd")) return either(next, "dt", "dd");
  if (open == "option") return either(next, "option", "optgroup");
  if (open == "optgroup") return next == "optgroup";
  const bool begins_part = next == "tbody" || next == "thead" || next == "tfoot";
  if (either(open, "td", "th")) return either(next, "td", "th") || next == "tr" || begins_part;
  if (open == "tr") return next == "tr" || begins_part;
  if (open == "tbody" || open == "thead" || open == "tfoot") return begins_part;
  return false;
}

}  // namespace

std::string HtmlRewriter::escaped(std::string_view text) {
  std::string out;
  out.reserve(text.size());
  for (const char c : text) {
    if (c == '&') {
      out.append("&amp;");
    } else if (c == '<') {
      out.append("&lt;");
    } else if (c == '>') {
      out.append("&gt;");
    } else {
      out.push_back(c);
    }
  }
  return out;
}

uint32_t HtmlRewriter::Open::count_type(const std::string& child) {
  if (types.size() >= kTypesMax && !types.contains(child)) return 1;
  return ++types[child];
}

// --- Handlers

std::optional<std::string> HtmlRewriter::add(std::string_view selector, uint32_t handler, uint8_t wants) {
  if (auto problem = selectors_.add(selector, handler)) return problem;
  wants_.resize(std::max<std::size_t>(wants_.size(), handler + 1));
  wants_[handler] = wants;
  active_text_.resize(wants_.size());
  active_comments_.resize(wants_.size());
  return std::nullopt;
}

void HtmlRewriter::add_document(uint32_t handler, uint8_t wants) {
  wants_.resize(std::max<std::size_t>(wants_.size(), handler + 1));
  wants_[handler] = wants;
  active_text_.resize(wants_.size());
  active_comments_.resize(wants_.size());
  if ((wants & kText) != 0) active_text_[handler] = 1;
  if ((wants & kComments) != 0) active_comments_[handler] = 1;
}

// Who sees a token of the kind here: fills handlers_.
bool HtmlRewriter::gather(uint8_t wants) {
  handlers_.clear();
  if (dropping_ > 0) return false;
  for (uint32_t handler = 0; handler < wants_.size(); ++handler) {
    const bool sees = wants == kText       ? active_text_[handler] > 0
                      : wants == kComments ? active_comments_[handler] > 0
                                           : (wants_[handler] & wants) != 0;
    if (sees) handlers_.push_back(handler);
  }
  return !handlers_.empty();
}

// --- Input

void HtmlRewriter::write(std::string_view bytes) {
  input_.erase(0, std::exchange(at_, 0));
  input_.append(bytes);
}

void HtmlRewriter::finish() { finished_ = true; }

std::size_t HtmlRewriter::memory_bytes() const {
  return input_.capacity() + output_.capacity() + open_.capacity() * sizeof(Open) + open_.size() * 64;
}

void HtmlRewriter::fail(std::string_view problem) { problem_ = problem; }

HtmlRewriter::Token HtmlRewriter::next() {
  commit();
  while (problem_.empty()) {
    if (output_.size() >= kOutputBytes) return Token::kOutput;
    if (const std::optional<Token> token = step()) return *token;
  }
  return Token::kFailed;
}

// Takes one thing from the input; gives what the caller is to know of it.
std::optional<HtmlRewriter::Token> HtmlRewriter::step() {
  const std::string_view text = rest();
  if (raw_ != Raw::kNone && !text.empty()) return take_raw();
  if (text.empty()) {
    if (!finished_) return Token::kNeedsInput;
    if (ended_) return Token::kOver;
    if (in_text_) return take_text(0);
    while (!open_.empty()) close_top();
    ended_ = true;
    handlers_.clear();
    return begin_token(Token::kEnd, {}, {});
  }
  if (text[0] != '<') return take_text(std::min(text.find('<'), text.size()));
  const Markup markup = markup_of(text);
  if (markup.kind == Markup::Kind::kIncomplete) {
    if (finished_) return take_text(text.size());
    if (text.size() > kTokenBytesMax) fail("a tag or a comment is longer than 1 MB");
    return problem_.empty() ? std::optional(Token::kNeedsInput) : std::nullopt;
  }
  if (markup.kind == Markup::Kind::kText) return take_text(std::min(text.find('<', 1), text.size()));
  if (in_text_) return take_text(0);
  switch (markup.kind) {
    case Markup::Kind::kStart:
      return take_start(markup);
    case Markup::Kind::kEnd:
      return take_end(markup);
    case Markup::Kind::kComment:
      return take_simple(Token::kComment, kComments, markup);
    case Markup::Kind::kDoctype:
      return take_simple(Token::kDoctype, kDoctypes, markup);
    default:
      emit(text.substr(0, markup.length));
      at_ += markup.length;
      return std::nullopt;
  }
}

// `length` bytes of text; none: the text node is over.
std::optional<HtmlRewriter::Token> HtmlRewriter::take_text(std::size_t length) {
  const bool sees = gather(kText);
  std::string_view piece = rest().substr(0, length);
  if (sees && length > 0 && !finished_ && at_ + length == input_.size()) {
    piece.remove_suffix(unfinished_bytes(piece));
    if (piece.empty()) return Token::kNeedsInput;
  }
  in_text_ = sees && length > 0;
  if (!sees) {
    emit(piece);
    at_ += piece.size();
    return std::nullopt;
  }
  const Token token = begin_token(Token::kTextPiece, piece, piece);
  at_ += piece.size();
  is_last_ = length == 0;
  return token;
}

// In an element whose content is not markup.
std::optional<HtmlRewriter::Token> HtmlRewriter::take_raw() {
  const std::string_view text = rest();
  bool found = false;
  const std::size_t length = raw_ == Raw::kPlain    ? text.size()
                             : raw_ == Raw::kScript ? script_end(text, found)
                                                    : raw_end(text, found);
  if (length > 0) return take_text(length);
  if (!found) return Token::kNeedsInput;
  raw_ = Raw::kNone;
  return std::nullopt;
}

// Where the end tag begins, if it is found; else how much is surely before it.
std::size_t HtmlRewriter::raw_end(std::string_view text, bool& found) {
  for (std::size_t at = 0; (at = text.find('<', at)) != std::string_view::npos; ++at) {
    const std::string_view tag = text.substr(at);
    const std::string wanted = "</" + raw_name_;
    if (!begins_like(tag, wanted)) continue;
    if (tag.size() <= wanted.size()) {
      if (!finished_) return at;
    } else if (ends_name(tag[wanted.size()])) {
      found = true;
      return at;
    }
  }
  return text.size();
}

// The same of a script, in which <!-- <script> hides an end tag (13.2.5.4 and what follows).
std::size_t HtmlRewriter::script_end(std::string_view text, bool& found) {
  std::size_t at = 0;
  while (at < text.size()) {
    const std::string_view here = text.substr(at);
    if (here[0] != '<' && here[0] != '-') {
      ++at;
      continue;
    }
    // What it may be, and what it needs to be known.
    const std::string_view wanted = here[0] == '-'                  ? "-->"
                                    : begins_like(here, "</script") ? "</script"
                                    : begins_like(here, "<script")  ? "<script"
                                    : begins_like(here, "<!--")     ? "<!--"
                                                                    : "";
    const bool is_tag = wanted.ends_with('t');
    if (wanted.empty() || !begins_like(here, wanted)) {
      ++at;
      continue;
    }
    if (here.size() < wanted.size() + (is_tag ? 1 : 0)) {
      if (!finished_) return at;
      ++at;
      continue;
    }
    const bool is_whole = !is_tag || ends_name(here[wanted.size()]);
    if (wanted == "<!--") {
      if (script_comment_ == 0) script_comment_ = 1;
      at += 2;  // its dashes may be those of the end
      continue;
    }
    if (wanted == "-->") {
      script_comment_ = 0;
    } else if (is_whole && wanted == "<script") {
      if (script_comment_ == 1) script_comment_ = 2;
    } else if (is_whole && script_comment_ == 2) {
      script_comment_ = 1;
    } else if (is_whole) {
      found = true;
      return at;
    }
    at += 1;
  }
  return text.size();
}

// --- Markup

// What begins with "<".
HtmlRewriter::Markup HtmlRewriter::markup_of(std::string_view text) {
  if (text.size() < 2) return {};
  if (is_letter(text[1])) {
    attributes_.clear();
    return tag_of(text, 1, &attributes_, &closes_itself_);
  }
  if (text[1] == '!') return declaration_of(text);
  const bool is_end = text[1] == '/';
  if (is_end && text.size() < 3) return {};
  if (is_end && is_letter(text[2])) {
    Markup markup = tag_of(text, 2, nullptr, nullptr);
    if (markup.kind == Markup::Kind::kStart) markup.kind = Markup::Kind::kEnd;
    return markup;
  }
  if (is_end && text[2] == '>') return {Markup::Kind::kOther, 3, {}};
  if (!is_end && text[1] != '?') return {Markup::Kind::kText, 1, {}};
  const std::size_t end = text.find('>');
  if (end == std::string_view::npos) return {};
  const std::size_t from = is_end ? 2 : 1;
  return {Markup::Kind::kComment, end + 1, text.substr(from, end - from)};
}

HtmlRewriter::Markup HtmlRewriter::declaration_of(std::string_view text) const {
  if (begins_like(text, "<!--")) {
    if (text.size() < 4) return {};
    if (begins_like(text.substr(4), ">") && text.size() > 4) return {Markup::Kind::kComment, 5, {}};
    if (begins_like(text.substr(4), "->") && text.size() > 5) return {Markup::Kind::kComment, 6, {}};
    for (std::size_t at = 4; (at = text.find("--", at)) != std::string_view::npos; ++at) {
      const std::string_view end = text.substr(at + 2);
      if (end.starts_with('>')) return {Markup::Kind::kComment, at + 3, text.substr(4, at - 4)};
      if (end.starts_with("!>")) return {Markup::Kind::kComment, at + 4, text.substr(4, at - 4)};
    }
    return {};
  }
  const bool may_be_data = in_foreign() && text.substr(0, 9) == std::string_view("<![CDATA[").substr(0, text.size());
  if (may_be_data) {
    const std::size_t end = text.size() < 9 ? std::string_view::npos : text.find("]]>", 9);
    if (end == std::string_view::npos) return {};
    return {Markup::Kind::kOther, end + 3, {}};
  }
  const std::size_t end = text.find('>');
  if (end == std::string_view::npos) return {};
  if (begins_like(text, "<!doctype") && end >= 9) return {Markup::Kind::kDoctype, end + 1, text.substr(9, end - 9)};
  return {Markup::Kind::kComment, end + 1, text.substr(2, end - 2)};
}

// A tag, whose name begins at `name_at`; its attributes, and whether it ends in "/>", where they are asked for.
HtmlRewriter::Markup HtmlRewriter::tag_of(std::string_view text, std::size_t name_at,
                                          std::vector<Attribute>* attributes, bool* closes) {
  std::size_t at = name_at;
  while (at < text.size() && !ends_name(text[at])) ++at;
  const std::string_view name = text.substr(name_at, at - name_at);
  bool slash = false;
  while (true) {
    while (at < text.size() && (is_space(text[at]) || text[at] == '/')) slash = text[at++] == '/';
    if (at >= text.size()) return {};
    if (text[at] == '>') {
      if (closes != nullptr) *closes = slash;
      return {Markup::Kind::kStart, at + 1, name};
    }
    slash = false;
    const std::size_t from = at;
    if (text[at] == '=') ++at;  // part of the name where it begins it
    while (at < text.size() && !ends_name(text[at]) && text[at] != '=') ++at;
    Attribute attribute;
    attribute.its.name = text.substr(from, at - from);
    std::size_t end = at;
    while (at < text.size() && is_space(text[at])) ++at;
    if (at < text.size() && text[at] == '=') {
      ++at;
      while (at < text.size() && is_space(text[at])) ++at;
      if (at >= text.size()) return {};
      const char quote = text[at];
      if (quote == '"' || quote == '\'') {
        const std::size_t close = text.find(quote, at + 1);
        if (close == std::string_view::npos) return {};
        attribute.its.value = text.substr(at + 1, close - at - 1);
        at = close + 1;
      } else {
        const std::size_t value = at;
        while (at < text.size() && !is_space(text[at]) && text[at] != '>') ++at;
        attribute.its.value = text.substr(value, at - value);
      }
      end = at;
    }
    if (at >= text.size()) return {};
    attribute.raw = text.substr(from, end - from);
    if (attributes != nullptr) attributes->push_back(std::move(attribute));
  }
}

bool HtmlRewriter::in_foreign() const {
  return !open_.empty() && open_.back().is_foreign && !is_one_of(open_.back().name, kIntegration);
}

// --- Tokens

HtmlRewriter::Token HtmlRewriter::begin_token(Token token, std::string_view raw, std::string_view text) {
  token_ = token;
  raw_token_ = raw;
  text_ = text;
  is_text_own_ = is_last_ = removed_ = tags_removed_ = has_inner_ = are_attributes_own_ = false;
  for (std::string* edit : {&before_, &after_, &prepend_, &append_, &replacement_, &inner_}) edit->clear();
  end_handlers_.clear();
  return token;
}

std::optional<HtmlRewriter::Token> HtmlRewriter::take_simple(Token token, uint8_t wants, const Markup& markup) {
  const std::string_view raw = rest().substr(0, markup.length);
  const bool sees = gather(wants);
  if (sees) begin_token(token, raw, markup.content);
  if (!sees) emit(raw);
  at_ += markup.length;
  return sees ? std::optional(token) : std::nullopt;
}

std::optional<HtmlRewriter::Token> HtmlRewriter::take_start(const Markup& markup) {
  if (open_.size() >= kOpenMax) {
    fail("more than 10,000 elements are open");
    return std::nullopt;
  }
  const std::string_view raw = rest().substr(0, markup.length);
  std::string name = lower(markup.content);
  const bool foreign = in_foreign();
  if (!foreign) close_implied(name);
  is_foreign_ = foreign || name == "svg" || name == "math";
  has_content_ = is_foreign_ ? !closes_itself_ : !is_one_of(name, kVoid);
  at_ += markup.length;
  Open& parent = open_.empty() ? root_ : open_.back();
  const uint32_t child = ++parent.children;
  const uint32_t of_type = selectors_.counts_types() ? parent.count_type(name) : 1;
  matched_.clear();
  places_ = {};
  handlers_.clear();
  if (dropping_ == 0) {
    views_.clear();
    for (const Attribute& attribute : attributes_) views_.push_back(attribute.its);
    selectors_.match({.name = name, .attributes = views_, .child = child, .of_type = of_type},
                     open_.empty() ? nullptr : &open_.back().places, places_, matched_);
    for (const uint32_t id : matched_) {
      if ((wants_[id] & kElements) != 0) handlers_.push_back(id);
    }
  }
  if (handlers_.empty()) {
    emit(raw);
    if (has_content_) open_element(std::move(name), Open());
    return std::nullopt;
  }
  begin_token(Token::kElement, raw, name);
  name_ = std::move(name);
  // The attributes were found in the input, which does not stay.
  const auto moved = [&](std::string_view view) {
    return view.empty() ? view : std::string_view(raw_token_).substr(view.data() - raw.data(), view.size());
  };
  for (Attribute& attribute : attributes_) {
    attribute.its = {moved(attribute.its.name), moved(attribute.its.value)};
    attribute.raw = moved(attribute.raw);
  }
  return Token::kElement;
}

std::optional<HtmlRewriter::Token> HtmlRewriter::take_end(const Markup& markup) {
  const std::string name = lower(markup.content);
  const auto found = std::ranges::find(open_.rbegin(), open_.rend(), name, &Open::name);
  const std::string_view raw = rest().substr(0, markup.length);
  if (found == open_.rend()) {  // of nothing that is open
    emit(raw);
    at_ += markup.length;
    return std::nullopt;
  }
  const auto depth = static_cast<std::size_t>(open_.rend() - found);
  while (open_.size() > depth) close_top();
  Open& its = open_.back();
  if (its.drops_content) {
    --dropping_;
    its.drops_content = false;
  }
  emit(its.append);
  its.append.clear();
  begin_token(Token::kEndTag, raw, name);
  at_ += markup.length;
  tags_removed_ = its.drops_tags;
  if (!its.renamed.empty()) set_text(its.renamed);
  handlers_ = dropping_ == 0 ? its.end_handlers : std::vector<uint32_t>();
  if (!handlers_.empty()) return Token::kEndTag;
  commit();
  return std::nullopt;
}

// Ends the innermost element, whose end tag is not there.
void HtmlRewriter::close_top() {
  Open& top = open_.back();
  if (top.drops_content) --dropping_;
  emit(top.append);
  emit(top.after);
  for (const uint32_t handler : top.text_handlers) --active_text_[handler];
  for (const uint32_t handler : top.comment_handlers) --active_comments_[handler];
  open_.pop_back();
}

void HtmlRewriter::close_implied(std::string_view name) {
  while (!open_.empty() && !open_.back().is_foreign && is_ended_by(open_.back().name, name)) close_top();
}

// --- Edits

std::vector<HtmlAttribute> HtmlRewriter::attributes() const {
  std::vector<HtmlAttribute> all;
  all.reserve(attributes_.size());
  for (const Attribute& attribute : attributes_) {
    all.push_back(attribute.is_own ? HtmlAttribute{attribute.own_name, attribute.own} : attribute.its);
  }
  return all;
}

std::optional<std::string_view> HtmlRewriter::attribute(std::string_view name) const {
  for (const Attribute& attribute : attributes_) {
    const std::string_view its = attribute.is_own ? attribute.own_name : attribute.its.name;
    if (equals_ignoring_case(its, name)) return attribute.is_own ? attribute.own : attribute.its.value;
  }
  return std::nullopt;
}

void HtmlRewriter::set_attribute(std::string_view name, std::string_view value) {
  are_attributes_own_ = true;
  const auto is_it = [&](const Attribute& attribute) {
    return equals_ignoring_case(attribute.is_own ? attribute.own_name : attribute.its.name, name);
  };
  auto found = std::ranges::find_if(attributes_, is_it);
  if (found == attributes_.end()) found = attributes_.emplace(attributes_.end());
  if (found->own_name.empty()) found->own_name = found->its.name.empty() ? lower(name) : std::string(found->its.name);
  found->own = value;
  found->is_own = true;
}

void HtmlRewriter::remove_attribute(std::string_view name) {
  are_attributes_own_ |=
      std::erase_if(attributes_, [&](const Attribute& attribute) {
        return equals_ignoring_case(attribute.is_own ? attribute.own_name : attribute.its.name, name);
      }) > 0;
}

HtmlRewriter::Doctype HtmlRewriter::doctype() const {
  Doctype all;
  std::string_view left = text_;
  const auto skip = [&] {
    while (!left.empty() && is_space(left[0])) left.remove_prefix(1);
  };
  const auto word = [&] {
    skip();
    std::size_t end = 0;
    while (end < left.size() && !is_space(left[end])) ++end;
    const std::string_view its = left.substr(0, end);
    left.remove_prefix(end);
    skip();
    return its;
  };
  const auto quoted = [&]() -> std::optional<std::string_view> {
    skip();
    if (left.empty() || (left[0] != '"' && left[0] != '\'')) return std::nullopt;
    const std::size_t end = left.find(left[0], 1);
    if (end == std::string_view::npos) return std::nullopt;
    const std::string_view its = left.substr(1, end - 1);
    left.remove_prefix(end + 1);
    return its;
  };
  if (const std::string_view name = word(); !name.empty()) all.name = name;
  const std::string_view kind = word();
  if (equals_ignoring_case(kind, "public")) all.public_id = quoted();
  if (all.public_id || equals_ignoring_case(kind, "system")) all.system_id = quoted();
  return all;
}

void HtmlRewriter::set_text(std::string_view text) {
  text_ = text;
  is_text_own_ = true;
}

void HtmlRewriter::insert(Place place, std::string_view markup) {
  if (!has_content_ && token_ == Token::kElement && place != Place::kBefore && place != Place::kAfter &&
      place != Place::kReplace) {
    return;
  }
  switch (place) {
    case Place::kBefore:
      before_.append(markup);
      break;
    case Place::kAfter:
      after_.insert(0, markup);
      break;
    case Place::kPrepend:
      prepend_.insert(0, markup);
      break;
    case Place::kAppend:
      append_.append(markup);
      break;
    case Place::kReplace:
      replacement_ = markup;
      removed_ = true;
      break;
    case Place::kInner:
      prepend_.clear();
      append_.clear();
      inner_ = markup;
      has_inner_ = true;
      break;
  }
}

void HtmlRewriter::remove() { removed_ = true; }
void HtmlRewriter::remove_tags() { tags_removed_ = true; }

// The token at hand goes to the output, as it was edited.
void HtmlRewriter::commit() {
  const std::optional<Token> token = std::exchange(token_, std::nullopt);
  if (!token) return;
  if (*token == Token::kElement) return commit_element();
  emit(before_);
  if (removed_) {
    emit(replacement_);
  } else if (*token == Token::kEndTag) {
    if (!tags_removed_) emit(is_text_own_ ? fmt::format("</{}>", text_) : raw_token_);
  } else if (is_text_own_ && *token == Token::kComment) {
    emit(fmt::format("<!--{}-->", text_));
  } else {
    emit(raw_token_);
  }
  emit(after_);
  if (*token == Token::kEndTag) close_top();
}

void HtmlRewriter::append_tag() {
  if (!is_text_own_ && !are_attributes_own_) return emit(raw_token_);
  std::string tag = "<";
  if (is_text_own_) {
    tag.append(text_);
  } else {
    std::size_t end = 1;
    while (!ends_name(raw_token_[end])) ++end;
    tag.append(raw_token_, 1, end - 1);
  }
  for (const Attribute& attribute : attributes_) {
    tag.push_back(' ');
    if (!attribute.is_own) {
      tag.append(attribute.raw);
      continue;
    }
    tag.append(attribute.own_name).append("=\"");
    for (const char c : attribute.own) {
      if (c == '"') {
        tag.append("&quot;");
      } else {
        tag.push_back(c);
      }
    }
    tag.push_back('"');
  }
  tag.append(closes_itself_ ? " />" : ">");
  emit(tag);
}

void HtmlRewriter::commit_element() {
  emit(before_);
  if (removed_) {
    emit(replacement_);
  } else if (!tags_removed_) {
    append_tag();
  }
  if (!has_content_) return emit(after_);
  if (!removed_) {
    emit(prepend_);
    if (has_inner_) emit(inner_);
  }
  Open open;
  open.drops_tags = removed_ || tags_removed_;
  open.drops_content = removed_ || has_inner_;
  open.after = after_;
  if (!removed_) {
    if (is_text_own_) open.renamed = text_;
    open.append = append_;
    open.end_handlers = end_handlers_;
  }
  open_element(std::move(name_), std::move(open));
}

// The content of the element that was begun last comes next.
void HtmlRewriter::open_element(std::string name, Open open) {
  open.is_foreign = is_foreign_;
  if (open.drops_content) {
    ++dropping_;
  } else if (dropping_ == 0) {
    for (const uint32_t handler : matched_) {
      if ((wants_[handler] & kText) != 0) open.text_handlers.push_back(handler), ++active_text_[handler];
      if ((wants_[handler] & kComments) != 0) open.comment_handlers.push_back(handler), ++active_comments_[handler];
    }
  }
  open.places = std::move(places_);
  if (!is_foreign_) {
    if (name == "script") {
      raw_ = Raw::kScript;
      script_comment_ = 0;
    } else if (name == "plaintext") {
      raw_ = Raw::kPlain;
    } else if (is_one_of(name, kRawText)) {
      raw_ = Raw::kText;
    }
    if (raw_ != Raw::kNone) raw_name_ = name;
  }
  open.name = std::move(name);
  open_.push_back(std::move(open));
}

}  // namespace verge::workers

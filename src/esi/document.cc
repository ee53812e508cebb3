#include "esi/document.h"

#include <algorithm>
#include <array>
#include <iterator>
#include <utility>

#include <fmt/format.h>

#include "esi/expression.h"

namespace verge::esi {
namespace {

constexpr std::string_view kCommentOpen = "<!--esi", kCommentClose = "-->";

bool is_blank(char c) { return c == ' ' || c == '\t' || c == '\r' || c == '\n'; }
bool is_name(char c) { return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '-' || c == '_' || c == ':'; }

// The five entities of XML; others stay as they are.
std::string without_entities(std::string_view text) {
  constexpr std::array<std::pair<std::string_view, char>, 5> kEntities = {
      {{"&amp;", '&'}, {"&lt;", '<'}, {"&gt;", '>'}, {"&quot;", '"'}, {"&apos;", '\''}}};
  std::string plain;
  plain.reserve(text.size());
  while (!text.empty()) {
    const auto entity = std::ranges::find_if(kEntities, [&](const auto& one) { return text.starts_with(one.first); });
    plain.push_back(entity == kEntities.end() ? text.front() : entity->second);
    text.remove_prefix(entity == kEntities.end() ? 1 : entity->first.size());
  }
  return plain;
}

class Parser {
 public:
  explicit Parser(std::string_view page) : page_(page) {}

  Nodes parse() {
    Nodes nodes;
    if (!parse_until(nodes, {}, 0)) {
      // From the fault on it is text.
      if (fault_at_ < page_.size()) nodes.push_back({.text = page_.substr(fault_at_)});
    }
    return nodes;
  }
  std::optional<Fault> take_fault() { return std::move(fault_); }

 private:
  // A start tag that was read.
  struct Tag {
    size_t at = 0;
    std::string_view name;  // behind "<esi:"
    std::vector<std::pair<std::string_view, std::string>> attributes;
    bool is_empty = false;  // "/>"

    [[nodiscard]] const std::string* find(std::string_view attribute) const {
      for (const auto& [key, value] : attributes) {
        if (key == attribute) return &value;
      }
      return nullptr;
    }
  };

  [[nodiscard]] std::string_view rest() const { return page_.substr(place_); }

  bool fail_at(size_t at, std::string what) {
    if (!fault_) {
      fault_ = Fault{.offset = at, .what = std::move(what)};
      fault_at_ = outermost_;
    }
    return false;
  }

  void add_text(Nodes& nodes, size_t from, size_t to) const {
    if (from == to) return;
    const std::string_view text = page_.substr(from, to - from);
    const bool has_variable = vars_ > 0 && text.find("$(") != std::string_view::npos;
    nodes.push_back({.kind = has_variable ? Node::Kind::kExpandedText : Node::Kind::kText, .text = text});
  }

  // Up to the end tag of `element`, which is taken; of the page where that is empty. False: fault.
  bool parse_until(Nodes& nodes, std::string_view element, size_t depth) {
    size_t text_from = place_;
    while (true) {
      const size_t next = page_.find_first_of(comments_ > 0 ? "<-" : "<", place_);
      if (next == std::string_view::npos) {
        if (!element.empty()) return fail_at(outermost_, fmt::format("<esi:{}> is not closed", element));
        add_text(nodes, text_from, page_.size());
        place_ = page_.size();
        return true;
      }
      place_ = next;
      if (depth == 0) outermost_ = next;
      const auto skip = [&](size_t size) {
        add_text(nodes, text_from, next);
        text_from = place_ = next + size;
      };
      if (comments_ > 0 && rest().starts_with(kCommentClose)) {
        skip(kCommentClose.size());
        --comments_;
      } else if (rest().starts_with(kCommentOpen)) {
        skip(kCommentOpen.size());
        ++comments_;
      } else if (rest().starts_with("<esi:")) {
        add_text(nodes, text_from, next);
        if (!parse_element(nodes, depth)) return false;
        text_from = place_;
      } else if (rest().starts_with("</esi:")) {
        add_text(nodes, text_from, next);
        return parse_end(element);
      } else {
        ++place_;
      }
    }
  }

  bool parse_end(std::string_view element) {
    const size_t at = place_;
    place_ += std::string_view("</esi:").size();
    const std::string_view name = take_name();
    skip_blanks();
    if (!rest().starts_with('>')) return fail_at(at, "an end tag without its \">\"");
    ++place_;
    if (element.empty()) return fail_at(at, fmt::format("</esi:{}> closes nothing", name));
    if (name != element) return fail_at(at, fmt::format("</esi:{}> where </esi:{}> is due", name, element));
    return true;
  }

  std::string_view take_name() {
    const size_t from = place_;
    while (place_ < page_.size() && is_name(page_[place_])) ++place_;
    return page_.substr(from, place_ - from);
  }
  void skip_blanks() {
    while (place_ < page_.size() && is_blank(page_[place_])) ++place_;
  }

  std::optional<Tag> parse_tag() {
    Tag tag{.at = place_};
    if (++elements_ > Document::kElementsMax) {
      fail_at(tag.at, fmt::format("more than {} elements", Document::kElementsMax));
      return std::nullopt;
    }
    place_ += std::string_view("<esi:").size();
    tag.name = take_name();
    while (true) {
      skip_blanks();
      if (rest().starts_with("/>")) {
        place_ += 2;
        tag.is_empty = true;
        return tag;
      }
      if (rest().starts_with('>')) {
        ++place_;
        return tag;
      }
      const std::string_view key = take_name();
      skip_blanks();
      if (key.empty() || !rest().starts_with('=')) {
        fail_at(tag.at, fmt::format("<esi:{}> is not closed, or an attribute has no value", tag.name));
        return std::nullopt;
      }
      ++place_;
      skip_blanks();
      const char quote = rest().empty() ? '\0' : rest().front();
      const size_t end = quote == '"' || quote == '\'' ? page_.find(quote, place_ + 1) : std::string_view::npos;
      if (end == std::string_view::npos || end - place_ > Document::kAttributeBytesMax) {
        fail_at(tag.at, fmt::format("the value of {} in <esi:{}> is not in quotes, or too long", key, tag.name));
        return std::nullopt;
      }
      tag.attributes.emplace_back(key, without_entities(page_.substr(place_ + 1, end - place_ - 1)));
      place_ = end + 1;
    }
  }

  bool parse_element(Nodes& nodes, size_t depth) {
    const std::optional<Tag> tag = parse_tag();
    if (!tag) return false;
    if (depth >= Document::kDepthMax) return fail_at(tag->at, fmt::format("more than {} deep", Document::kDepthMax));
    if (tag->name == "include") return parse_include(nodes, *tag);
    if (tag->name == "comment") return tag->is_empty || skip_to_end(*tag);
    if (tag->name == "remove") return tag->is_empty || skip_to_end(*tag);
    if (tag->name == "vars") {
      if (tag->is_empty) return true;
      Nodes inner;
      ++vars_;
      const bool done = parse_until(inner, "vars", depth + 1);
      --vars_;
      if (done) std::ranges::move(inner, std::back_inserter(nodes));
      return done;
    }
    if (tag->name == "try") return parse_try(nodes, *tag, depth);
    if (tag->name == "choose") return parse_choose(nodes, *tag, depth);
    return fail_at(tag->at, fmt::format("<esi:{}> is not known here", tag->name));
  }

  bool skip_to_end(const Tag& tag) {
    const std::string end = fmt::format("</esi:{}>", tag.name);
    const size_t at = page_.find(end, place_);
    if (at == std::string_view::npos) return fail_at(tag.at, fmt::format("<esi:{}> is not closed", tag.name));
    place_ = at + end.size();
    return true;
  }

  bool parse_include(Nodes& nodes, const Tag& tag) {
    const std::string* source = tag.find("src");
    if (source == nullptr || source->empty()) return fail_at(tag.at, "<esi:include> without src");
    Node node{.kind = Node::Kind::kInclude, .source = *source};
    if (const std::string* alternative = tag.find("alt")) node.alternative = *alternative;
    if (const std::string* on_error = tag.find("onerror")) {
      if (*on_error != "continue") return fail_at(tag.at, "onerror of <esi:include> can only be \"continue\"");
      node.may_fail = true;
    }
    for (const std::string* text : {&node.source, &node.alternative}) {
      if (!is_expandable(*text)) return fail_at(tag.at, "a variable in <esi:include> cannot be read");
    }
    if (!tag.is_empty && !skip_to_end(tag)) return false;
    nodes.push_back(std::move(node));
    return true;
  }

  // The parts of a try or a choose: what is between them is left out.
  template <class Take>
  bool parse_parts(const Tag& tag, size_t depth, Take take) {
    if (tag.is_empty) return fail_at(tag.at, fmt::format("<esi:{}/> is empty", tag.name));
    while (true) {
      const size_t next = page_.find('<', place_);
      if (next == std::string_view::npos) return fail_at(tag.at, fmt::format("<esi:{}> is not closed", tag.name));
      place_ = next;
      if (rest().starts_with("</esi:")) return parse_end(tag.name);
      if (!rest().starts_with("<esi:")) {
        ++place_;
        continue;
      }
      const std::optional<Tag> part = parse_tag();
      if (!part) return false;
      if (part->name == "comment") {
        if (!part->is_empty && !skip_to_end(*part)) return false;
        continue;
      }
      Nodes nodes;
      if (!part->is_empty && !parse_until(nodes, part->name, depth + 1)) return false;
      if (!take(*part, std::move(nodes))) return false;
    }
  }

  bool parse_try(Nodes& nodes, const Tag& tag, size_t depth) {
    Node node{.kind = Node::Kind::kTry};
    bool has_attempt = false, has_except = false;
    const bool done = parse_parts(tag, depth + 1, [&](const Tag& part, Nodes inner) {
      bool& has = part.name == "attempt" ? has_attempt : has_except;
      if ((part.name != "attempt" && part.name != "except") || std::exchange(has, true)) {
        return fail_at(part.at, fmt::format("<esi:{}> in <esi:try>, which has one attempt and one except", part.name));
      }
      (part.name == "attempt" ? node.attempt : node.except) = std::move(inner);
      return true;
    });
    if (!done) return false;
    if (!has_attempt || !has_except) return fail_at(tag.at, "<esi:try> without its attempt and its except");
    nodes.push_back(std::move(node));
    return true;
  }

  bool parse_choose(Nodes& nodes, const Tag& tag, size_t depth) {
    Node node{.kind = Node::Kind::kChoose};
    bool has_otherwise = false;
    const bool done = parse_parts(tag, depth + 1, [&](const Tag& part, Nodes inner) {
      if (part.name == "otherwise" && !std::exchange(has_otherwise, true)) {
        node.otherwise = std::move(inner);
        return true;
      }
      if (part.name != "when") return fail_at(part.at, fmt::format("<esi:{}> in <esi:choose>", part.name));
      const std::string* test = part.find("test");
      if (test == nullptr) return fail_at(part.at, "<esi:when> without test");
      if (!is_expression(*test)) return fail_at(part.at, fmt::format("the test {} cannot be read", *test));
      node.whens.push_back({.test = *test, .then = std::move(inner)});
      return true;
    });
    if (!done) return false;
    if (node.whens.empty()) return fail_at(tag.at, "<esi:choose> without a when");
    nodes.push_back(std::move(node));
    return true;
  }

  const std::string_view page_;
  size_t place_ = 0;
  size_t outermost_ = 0;  // where the element began that is not within another
  size_t elements_ = 0;
  size_t comments_ = 0;  // <!--esi that are open
  size_t vars_ = 0;
  size_t fault_at_ = 0;
  std::optional<Fault> fault_;
};

}  // namespace

Document Document::parse(std::string_view page) {
  Parser parser(page);
  Document document;
  document.nodes_ = parser.parse();
  document.fault_ = parser.take_fault();
  return document;
}

}  // namespace verge::esi

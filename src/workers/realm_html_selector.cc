#include "workers/realm_html_selector.h"

#include <algorithm>
#include <charconv>

#include <fmt/format.h>

namespace verge::workers {
namespace {

using Test = HtmlSelectors::Test;
using Compound = HtmlSelectors::Compound;

constexpr int kNestedMax = 8;  // :not() in :not()

char lower(char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c + 32) : c; }
bool is_space(char c) { return c == ' ' || c == '\t' || c == '\n' || c == '\r' || c == '\f'; }
bool is_name(char c) {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '-' || c == '_' ||
         static_cast<unsigned char>(c) >= 0x80;
}

class Parser {
 public:
  explicit Parser(std::string_view text) : text_(text) {}

  // All complex selectors of a list, one after the other.
  bool list(std::vector<std::vector<Compound>>& all) {
    do {
      std::vector<Compound> one;
      if (!complex(one)) return false;
      all.push_back(std::move(one));
    } while (eat(','));
    return at_ == text_.size();
  }
  [[nodiscard]] bool saw_types() const { return saw_types_; }
  [[nodiscard]] std::string problem() const {
    return fmt::format("'{}' is not a selector that is supported: see character {}", text_, at_ + 1);
  }

 private:
  [[nodiscard]] char here() const { return at_ < text_.size() ? text_[at_] : '\0'; }
  bool eat(char c) {
    if (here() != c || at_ >= text_.size()) return false;
    ++at_;
    return true;
  }
  bool skip_space() {
    const std::size_t from = at_;
    while (is_space(here())) ++at_;
    return at_ > from;
  }

  bool complex(std::vector<Compound>& all) {
    skip_space();
    while (true) {
      Compound compound;
      if (!tests(compound.tests, 0)) return false;
      all.push_back(std::move(compound));
      const bool spaced = skip_space();
      if (at_ == text_.size() || here() == ',') return true;
      const bool child = eat('>');
      if (!child && !spaced) return false;
      skip_space();
      all.back().is_last = false;
      all.back().next_is_child = child;
    }
  }

  bool tests(std::vector<Test>& all, int depth) {
    const std::size_t from = at_;
    if (eat('*')) {
      // Every element.
    } else if (is_name(here()) || here() == '\\') {
      Test test;
      if (!name(test.name)) return false;
      std::ranges::transform(test.name, test.name.begin(), lower);
      all.push_back(std::move(test));
    }
    while (at_ < text_.size()) {
      if (eat('.')) {
        if (!named(all, "class", Test::Operator::kWord)) return false;
      } else if (eat('#')) {
        if (!named(all, "id", Test::Operator::kEquals)) return false;
      } else if (eat('[')) {
        if (!attribute(all)) return false;
      } else if (eat(':')) {
        if (!pseudo(all, depth)) return false;
      } else {
        break;
      }
    }
    return at_ > from;
  }

  bool name(std::string& out) {
    while (at_ < text_.size()) {
      if (here() == '\\' && at_ + 1 < text_.size()) {
        ++at_;
      } else if (!is_name(here())) {
        break;
      }
      out.push_back(text_[at_++]);
    }
    return !out.empty();
  }

  bool named(std::vector<Test>& all, std::string attribute_name, Test::Operator comparison) {
    Test test;
    test.kind = Test::Kind::kAttribute;
    test.comparison = comparison;
    test.name = std::move(attribute_name);
    if (!name(test.value)) return false;
    all.push_back(std::move(test));
    return true;
  }

  bool attribute(std::vector<Test>& all) {
    Test test;
    test.kind = Test::Kind::kAttribute;
    skip_space();
    if (!name(test.name)) return false;
    skip_space();
    if (!eat(']')) {
      constexpr std::string_view kSigns = "~^$*|";
      constexpr Test::Operator kOperators[] = {Test::Operator::kWord, Test::Operator::kBegins, Test::Operator::kEnds,
                                               Test::Operator::kContains, Test::Operator::kDash};
      test.comparison = Test::Operator::kEquals;
      if (const std::size_t sign = kSigns.find(here()); at_ < text_.size() && sign != std::string_view::npos) {
        test.comparison = kOperators[sign];
        ++at_;
      }
      if (!eat('=')) return false;
      skip_space();
      if (!value(test.value)) return false;
      skip_space();
      if (lower(here()) == 'i' || lower(here()) == 's') test.ignores_case = lower(text_[at_++]) == 'i';
      skip_space();
      if (!eat(']')) return false;
    }
    all.push_back(std::move(test));
    return true;
  }

  bool value(std::string& out) {
    const char quote = here();
    if (quote != '"' && quote != '\'') return name(out);
    for (++at_; at_ < text_.size() && here() != quote; ++at_) {
      if (here() == '\\' && at_ + 1 < text_.size()) ++at_;
      out.push_back(text_[at_]);
    }
    return eat(quote);
  }

  bool pseudo(std::vector<Test>& all, int depth) {
    std::string word;
    if (!name(word)) return false;
    std::ranges::transform(word, word.begin(), lower);
    Test test;
    saw_types_ |= word.ends_with("of-type");
    test.kind = word.ends_with("of-type") ? Test::Kind::kNthOfType : Test::Kind::kNthChild;
    if (word == "first-child" || word == "first-of-type") {
      test.offset = 1;
    } else if (word == "nth-child" || word == "nth-of-type") {
      if (!eat('(') || !nth(test) || !eat(')')) return false;
    } else if (word == "not" && depth < kNestedMax) {
      test.kind = Test::Kind::kNot;
      if (!eat('(')) return false;
      do {
        skip_space();
        if (!tests(test.none_of.emplace_back(), depth + 1)) return false;
        skip_space();
      } while (eat(','));
      if (!eat(')')) return false;
    } else {
      return false;
    }
    all.push_back(std::move(test));
    return true;
  }

  // "2n+1", "-n + 3", "odd", "4"
  bool nth(Test& test) {
    const std::size_t end = text_.find(')', at_);
    if (end == std::string_view::npos) return false;
    std::string compact;
    for (const char c : text_.substr(at_, end - at_)) {
      if (!is_space(c)) compact.push_back(lower(c));
    }
    if (compact == "odd") compact = "2n+1";
    if (compact == "even") compact = "2n";
    const std::size_t n = compact.find('n');
    if (n != std::string::npos) {
      std::string step = compact.substr(0, n);
      if (step.empty() || step == "+" || step == "-") step += "1";
      if (!number(step, test.step)) return false;
    }
    const std::string offset = compact.substr(n == std::string::npos ? 0 : n + 1);
    if (!offset.empty() && !number(offset, test.offset)) return false;
    if (compact.empty()) return false;
    at_ = end;
    return true;
  }

  static bool number(std::string_view digits, int32_t& out) {
    if (digits.starts_with('+')) digits.remove_prefix(1);
    const auto [end, problem] = std::from_chars(digits.data(), digits.data() + digits.size(), out);
    return problem == std::errc() && end == digits.data() + digits.size() && out > -1'000'000 && out < 1'000'000;
  }

  std::string_view text_;
  std::size_t at_ = 0;
  bool saw_types_ = false;
};

bool equal(std::string_view one, std::string_view other, bool ignores_case) {
  return ignores_case ? equals_ignoring_case(one, other) : one == other;
}

bool has_word(std::string_view text, std::string_view word, bool ignores_case) {
  if (word.empty()) return false;
  for (std::size_t at = 0; at < text.size();) {
    while (at < text.size() && is_space(text[at])) ++at;
    std::size_t end = at;
    while (end < text.size() && !is_space(text[end])) ++end;
    if (equal(text.substr(at, end - at), word, ignores_case)) return true;
    at = end;
  }
  return false;
}

bool compares(const Test& test, std::string_view value) {
  const std::string_view wanted = test.value;
  switch (test.comparison) {
    case Test::Operator::kExists:
      return true;
    case Test::Operator::kEquals:
      return equal(value, wanted, test.ignores_case);
    case Test::Operator::kWord:
      return has_word(value, wanted, test.ignores_case);
    case Test::Operator::kBegins:
      return !wanted.empty() && equal(value.substr(0, wanted.size()), wanted, test.ignores_case);
    case Test::Operator::kEnds:
      return !wanted.empty() && value.size() >= wanted.size() &&
             equal(value.substr(value.size() - wanted.size()), wanted, test.ignores_case);
    case Test::Operator::kContains:
      for (std::size_t at = 0; !wanted.empty() && at + wanted.size() <= value.size(); ++at) {
        if (equal(value.substr(at, wanted.size()), wanted, test.ignores_case)) return true;
      }
      return false;
    case Test::Operator::kDash:
      return equal(value, wanted, test.ignores_case) ||
             (value.size() > wanted.size() && value[wanted.size()] == '-' &&
              equal(value.substr(0, wanted.size()), wanted, test.ignores_case));
  }
  return false;
}

bool is_nth(const Test& test, uint32_t number) {
  const int64_t distance = static_cast<int64_t>(number) - test.offset;
  if (test.step == 0) return distance == 0;
  return distance % test.step == 0 && distance / test.step >= 0;
}

bool holds(const Test& test, const HtmlElement& element);

bool hold(const std::vector<Test>& tests, const HtmlElement& element) {
  return std::ranges::all_of(tests, [&](const Test& test) { return holds(test, element); });
}

bool holds(const Test& test, const HtmlElement& element) {
  switch (test.kind) {
    case Test::Kind::kName:
      return element.name == test.name;
    case Test::Kind::kNthChild:
      return is_nth(test, element.child);
    case Test::Kind::kNthOfType:
      return is_nth(test, element.of_type);
    case Test::Kind::kNot:
      return std::ranges::none_of(test.none_of, [&](const std::vector<Test>& tests) { return hold(tests, element); });
    case Test::Kind::kAttribute:
      break;
  }
  for (const HtmlAttribute& attribute : element.attributes) {
    if (equals_ignoring_case(attribute.name, test.name)) return compares(test, attribute.value);  // the first counts
  }
  return false;
}

void add_once(std::vector<uint32_t>& places, uint32_t place) {
  if (std::ranges::find(places, place) == places.end()) places.push_back(place);
}

}  // namespace

bool equals_ignoring_case(std::string_view one, std::string_view other) {
  return std::ranges::equal(one, other, [](char a, char b) { return lower(a) == lower(b); });
}

std::optional<std::string> HtmlSelectors::add(std::string_view selector, uint32_t id) {
  Parser parser(selector);
  std::vector<std::vector<Compound>> all;
  if (!parser.list(all)) return parser.problem();
  counts_types_ |= parser.saw_types();
  for (std::vector<Compound>& one : all) {
    begins_.push_back(static_cast<uint32_t>(compounds_.size()));
    for (Compound& compound : one) {
      compound.id = id;
      compounds_.push_back(std::move(compound));
    }
  }
  return std::nullopt;
}

void HtmlSelectors::match(const HtmlElement& element, const Places* parent, Places& own,
                          std::vector<uint32_t>& ids) const {
  const auto look = [&](uint32_t place) {
    const Compound& compound = compounds_[place];
    if (!hold(compound.tests, element)) return;
    if (compound.is_last) {
      add_once(ids, compound.id);
    } else {
      add_once(compound.next_is_child ? own.children : own.descendants, place + 1);
    }
  };
  for (const uint32_t place : begins_) look(place);
  if (parent != nullptr) {
    for (const uint32_t place : parent->children) look(place);
    for (const uint32_t place : parent->descendants) look(place);
    for (const uint32_t place : parent->descendants) add_once(own.descendants, place);
  }
  std::ranges::sort(ids);
}

}  // namespace verge::workers

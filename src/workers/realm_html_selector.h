// CSS selectors over elements as they stream by: what an element's ancestors matched is kept as a set of places in the
// selectors, so that an element is looked at once, and nothing of its ancestors but that set.
//
// Selectors (Selectors Level 4, of which this is a part): *, E, .class, #id, [a], [a=v], ~=, ^=, $=, *=, |= with the
// flags i and s, :first-child, :nth-child(an+b), :first-of-type, :nth-of-type(an+b), :not(…), descendants, children
// (>), lists.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace verge::workers {

struct HtmlAttribute {
  std::string_view name;   // as written
  std::string_view value;  // character references are not resolved
};

// An element as selectors see it.
struct HtmlElement {
  std::string_view name;  // lower case
  std::span<const HtmlAttribute> attributes;
  uint32_t child = 1;    // its number among the children of its parent
  uint32_t of_type = 1;  // among those of its name
};

bool equals_ignoring_case(std::string_view one, std::string_view other);  // ASCII

class HtmlSelectors {
 public:
  // Why it is no selector; nothing where it is one. `id` is what match() gives.
  std::optional<std::string> add(std::string_view selector, uint32_t id);

  // Places that are to be looked at for children and for all descendants of an element.
  struct Places {
    std::vector<uint32_t> children;
    std::vector<uint32_t> descendants;
  };
  // The ids of the selectors that match, ascending; `own`: for the elements in this one. `parent` is null for roots.
  void match(const HtmlElement& element, const Places* parent, Places& own, std::vector<uint32_t>& ids) const;

  struct Test {
    enum class Kind : uint8_t { kName, kAttribute, kNthChild, kNthOfType, kNot };
    enum class Operator : uint8_t { kExists, kEquals, kWord, kBegins, kEnds, kContains, kDash };
    Kind kind = Kind::kName;
    Operator comparison = Operator::kExists;
    bool ignores_case = false;
    std::string name;
    std::string value;
    int32_t step = 0;
    int32_t offset = 0;
    std::vector<std::vector<Test>> none_of;
  };
  struct Compound {
    std::vector<Test> tests;
    bool is_last = true;
    bool next_is_child = false;  // else a descendant
    uint32_t id = 0;
  };

  // Whether HtmlElement::of_type is looked at.
  [[nodiscard]] bool counts_types() const { return counts_types_; }

 private:
  bool counts_types_ = false;
  std::vector<Compound> compounds_;  // those of one selector follow each other
  std::vector<uint32_t> begins_;
};

}  // namespace verge::workers

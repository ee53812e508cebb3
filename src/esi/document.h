// Document: a page in ESI 1.0 (https://www.w3.org/TR/esi-lang), as a tree of what is to be done with it.
//
// include (src, alt, onerror), try/attempt/except, choose/when/otherwise, vars, remove, comment and <!--esi … -->. What
// is not ESI is text, byte for byte. A page with a fault (an element that is not closed, an attribute that is missing,
// an expression that cannot be read) is text from that element on: visitors see a page, and fault() says what is wrong
// and where.
//
// Bounds: elements are 16 deep at most and 4,096 in all, attributes 4,096 bytes long; beyond is a fault.
//
// Views into the page, which outlives the document.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace verge::esi {

struct Node;
using Nodes = std::vector<Node>;

struct When {
  std::string test;
  Nodes then;
};

struct Node {
  enum class Kind : uint8_t {
    kText,          // `text`, as it is
    kExpandedText,  // `text`, in which variables are replaced
    kInclude,
    kTry,
    kChoose
  };
  Kind kind = Kind::kText;
  std::string_view text;

  // kInclude. Variables in them are not replaced yet.
  std::string source;
  std::string alternative;  // empty: none
  bool may_fail = false;    // onerror="continue"

  Nodes attempt, except;    // kTry
  std::vector<When> whens;  // kChoose: the first whose test holds
  Nodes otherwise;          // when none holds
};

struct Fault {
  size_t offset = 0;  // of the element, in the page
  std::string what;
};

class Document {
 public:
  static constexpr size_t kDepthMax = 16;
  static constexpr size_t kElementsMax = 4096;
  static constexpr size_t kAttributeBytesMax = 4096;

  static Document parse(std::string_view page);

  [[nodiscard]] const Nodes& nodes() const { return nodes_; }
  [[nodiscard]] const std::optional<Fault>& fault() const { return fault_; }

 private:
  Nodes nodes_;
  std::optional<Fault> fault_;
};

}  // namespace verge::esi

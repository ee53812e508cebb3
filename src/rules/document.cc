#include "rules/document.h"

#include <algorithm>
#include <limits>
#include <vector>

#include <simdjson.h>

#include "base/text.h"
#include "rules/json_value.h"

namespace verge::rules {
namespace {

using simdjson::dom::element;

// A parser that has grown beyond this is given up after its message.
constexpr size_t kKeptCapacity = 1U << 20;

}  // namespace

struct Document::Parsed {
  simdjson::dom::parser parser{kCapacityMax};
  element root;
  bool valid = false;
  std::vector<uint64_t> seen;  // by node: the walk in which it was found last
  uint64_t walk = 0;
  std::string text;

  static constexpr size_t kCapacityMax = std::numeric_limits<uint32_t>::max();

  struct Walk {
    const FieldTree& fields;
    std::span<Value> slots;
    std::vector<uint32_t>& found;
    Arena& arena;
  };

  // A text is a view of the parser's.
  Value value_of(const element& found, Arena& arena) {
    const bool is_scalar = !found.is_object() && !found.is_array();
    return is_scalar ? json_scalar(found) : json_value(found, arena, text);
  }

  void visit(const element& found, const Walk& walk_of, uint32_t index) {
    const FieldTree::Node& node = walk_of.fields.node(index);
    if (node.slot != FieldTree::kNone) {
      walk_of.slots[node.slot] = value_of(found, walk_of.arena);
      walk_of.found.push_back(node.slot);
    }
    if (node.member_count() > 0 && found.is_object()) {
      size_t missing = node.member_count();
      for (const auto& [name, value] : found.get_object().value_unsafe()) {
        const uint32_t child = node.member(name);
        if (child == FieldTree::kNone || seen[child] == walk) continue;
        seen[child] = walk;
        visit(value, walk_of, child);
        if (--missing == 0) break;
      }
    }
    if (node.element_count() > 0 && found.is_array()) {
      uint32_t at = 0;
      size_t missing = node.element_count();
      for (const element value : found.get_array().value_unsafe()) {
        const uint32_t child = node.element(at++);
        if (child == FieldTree::kNone) continue;
        visit(value, walk_of, child);
        if (--missing == 0) break;
      }
    }
  }
};

Document::Document() : parsed_(std::make_unique<Parsed>()) {}
Document::~Document() = default;
Document::Document(Document&&) noexcept = default;
Document& Document::operator=(Document&&) noexcept = default;

void Document::parse(const Payload& payload) {
  static_assert(Payload::kPadding >= simdjson::SIMDJSON_PADDING);
  Parsed& parsed = *parsed_;
  if (parsed.parser.capacity() > kKeptCapacity) parsed.parser = simdjson::dom::parser(Parsed::kCapacityMax);
  parsed.valid = false;
  if (payload.empty()) return;
  const std::string_view bytes = payload.view();
  parsed.valid = parsed.parser.parse(bytes.data(), bytes.size(), false).get(parsed.root) == simdjson::SUCCESS;
}

void Document::extract(const FieldTree& fields, std::span<Value> slots, std::vector<uint32_t>& found, Arena& arena) {
  Parsed& parsed = *parsed_;
  if (!parsed.valid || fields.empty()) return;
  if (parsed.seen.size() < fields.size()) parsed.seen.resize(fields.size());
  ++parsed.walk;
  parsed.visit(parsed.root, {fields, slots, found, arena}, 0);
}

void Document::append_members(std::string& out, std::span<const std::string_view> without) const {
  if (!parsed_->valid || !parsed_->root.is_object()) return;
  const char* separator = "";
  for (const auto& [name, value] : parsed_->root.get_object().value_unsafe()) {
    if (std::ranges::find(without, name) != without.end()) continue;
    out.append(separator);
    append_json_string(out, name);
    out.push_back(':');
    append_element(out, value);
    separator = ",";
  }
}

}  // namespace verge::rules

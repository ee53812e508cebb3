#include "rules/document.h"

#include <algorithm>
#include <limits>
#include <vector>

#include <simdjson.h>

#include "base/text.h"

namespace verge::rules {
namespace {

using simdjson::dom::element;
using simdjson::dom::element_type;

// A parser that has grown beyond this is given up after its message.
constexpr size_t kKeptCapacity = 1U << 20;

Value scalar(const element& found) {
  switch (found.type()) {
    case element_type::BOOL:
      return Value::boolean(found.get_bool().value_unsafe());
    case element_type::INT64:
      return Value::integer(found.get_int64().value_unsafe());
    case element_type::UINT64:
      return Value::number(static_cast<double>(found.get_uint64().value_unsafe()));
    case element_type::DOUBLE:
      return Value::number(found.get_double().value_unsafe());
    case element_type::STRING:
      return Value::text(found.get_string().value_unsafe());
    default:
      return {};
  }
}

// Recursion is bounded by the depth that simdjson accepts, 1024.
void append_element(std::string& out, const element& found) {
  const char* separator = "";
  switch (found.type()) {
    case element_type::OBJECT:
      out.push_back('{');
      for (const auto& [name, value] : found.get_object().value_unsafe()) {
        out.append(separator);
        append_json_string(out, name);
        out.push_back(':');
        append_element(out, value);
        separator = ",";
      }
      out.push_back('}');
      return;
    case element_type::ARRAY:
      out.push_back('[');
      for (const element value : found.get_array().value_unsafe()) {
        out.append(separator);
        append_element(out, value);
        separator = ",";
      }
      out.push_back(']');
      return;
    case element_type::UINT64:
      out.append(std::to_string(found.get_uint64().value_unsafe()));
      return;
    default:
      append_json(out, scalar(found));
      return;
  }
}

}  // namespace

struct Document::Parsed {
  simdjson::dom::parser parser{kCapacityMax};
  element root;
  bool valid = false;
  std::vector<uint64_t> seen;  // by node: the walk in which it was found last
  uint64_t walk = 0;
  std::string text;

  static constexpr size_t kCapacityMax = std::numeric_limits<uint32_t>::max();

  Value value_of(const element& found, Arena& arena) {
    if (!found.is_object() && !found.is_array()) return scalar(found);
    text.clear();
    append_element(text, found);
    return Value::json(arena.keep(text));
  }

  void visit(const element& found, const FieldTree& fields, uint32_t index, std::span<Value> slots, Arena& arena) {
    const FieldTree::Node& node = fields.node(index);
    if (node.slot != FieldTree::kNone) slots[node.slot] = value_of(found, arena);
    if (node.member_count() > 0 && found.is_object()) {
      size_t missing = node.member_count();
      for (const auto& [name, value] : found.get_object().value_unsafe()) {
        const uint32_t child = node.member(name);
        if (child == FieldTree::kNone || seen[child] == walk) continue;
        seen[child] = walk;
        visit(value, fields, child, slots, arena);
        if (--missing == 0) break;
      }
    }
    if (node.element_count() > 0 && found.is_array()) {
      uint32_t at = 0;
      size_t missing = node.element_count();
      for (const element value : found.get_array().value_unsafe()) {
        const uint32_t child = node.element(at++);
        if (child == FieldTree::kNone) continue;
        visit(value, fields, child, slots, arena);
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

void Document::extract(const FieldTree& fields, std::span<Value> slots, Arena& arena) {
  Parsed& parsed = *parsed_;
  if (!parsed.valid || fields.empty()) return;
  if (parsed.seen.size() < fields.size()) parsed.seen.resize(fields.size());
  ++parsed.walk;
  parsed.visit(parsed.root, fields, 0, slots, arena);
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

#include "rules/predicate_index.h"

#include <algorithm>

namespace verge::rules {
namespace {

Value value_of(const Literal& literal) {
  if (const auto* integer = std::get_if<int64_t>(&literal)) return Value::integer(*integer);
  if (const auto* number = std::get_if<double>(&literal)) return Value::number(*number);
  if (const auto* text = std::get_if<std::string>(&literal)) return Value::text(*text);
  return {};
}

}  // namespace

PredicateIndex::Field& PredicateIndex::field_of(uint32_t slot) {
  const auto [place, is_new] = places_.emplace(slot, fields_.size());
  if (is_new) fields_.push_back({.slot = slot, .by_value = {}, .from = {}, .up_to = {}, .between = {}});
  return fields_[place->second];
}

void PredicateIndex::add(uint32_t feed, const Predicate* predicate, uint32_t slot) {
  if (predicate == nullptr) {
    always_.push_back(feed);
    return;
  }
  Field& field = field_of(slot);
  for (const Literal& literal : predicate->equals) {
    std::string encoded;
    append_encoded(encoded, value_of(literal));
    std::vector<uint32_t>& feeds = field.by_value[encoded];
    if (feeds.empty() || feeds.back() != feed) feeds.push_back(feed);  // IN may name a value twice
  }
  if (!predicate->equals.empty()) return;
  const Bounds bounds{predicate->least.value_or(0), predicate->most.value_or(0), feed};
  if (!predicate->most) {
    field.from.push_back(bounds);
  } else if (!predicate->least) {
    field.up_to.push_back(bounds);
  } else {
    field.between.push_back(bounds);
  }
}

void PredicateIndex::build() {
  for (Field& field : fields_) {
    std::ranges::sort(field.from, {}, &Bounds::least);
    std::ranges::sort(field.up_to, std::ranges::greater{}, &Bounds::most);
    std::ranges::sort(field.between, {}, &Bounds::least);
  }
}

void PredicateIndex::candidates(std::span<const Value> slots, std::string& scratch,
                                std::vector<uint32_t>& feeds) const {
  feeds.insert(feeds.end(), always_.begin(), always_.end());
  for (const Field& field : fields_) {
    const Value& value = slots[field.slot];
    if (value.is_null()) continue;
    if (!field.by_value.empty()) {
      scratch.clear();
      append_encoded(scratch, value);
      const auto found = field.by_value.find(std::string_view(scratch));
      if (found != field.by_value.end()) feeds.insert(feeds.end(), found->second.begin(), found->second.end());
    }
    if (!value.is_numeric()) continue;
    const double number = value.as_double();
    for (const Bounds& bounds : field.from) {
      if (bounds.least > number) break;
      feeds.push_back(bounds.feed);
    }
    for (const Bounds& bounds : field.up_to) {
      if (bounds.most < number) break;
      feeds.push_back(bounds.feed);
    }
    for (const Bounds& bounds : field.between) {
      if (bounds.least > number) break;
      if (bounds.most >= number) feeds.push_back(bounds.feed);
    }
  }
}

}  // namespace verge::rules

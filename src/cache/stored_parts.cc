#include "cache/stored_parts.h"

#include <algorithm>
#include <vector>

#include "cache/validators.h"

namespace verge::cache {

std::optional<ContentRange> usable_range(const Answer& part) {
  const std::optional<ContentRange>& range = part.range();
  if (!range || !range->length || part.body()->state() != Body::State::kComplete) return std::nullopt;
  // A part whose body is not what its Content-Range says serves nobody.
  if (part.body()->size() != range->range.size()) return std::nullopt;
  return range;
}

std::string_view Completion::tag() const { return net::find_field(part().fields(), "etag").value_or(""); }

ByteRange Completion::united() const {
  return {before ? before->range()->range.first : gap.first, after ? after->range()->range.last : gap.last};
}

bool Completion::fits(std::span<const net::HttpField> fields) const {
  const std::optional<ContentRange> range = parse_content_range(net::find_field(fields, "content-range").value_or(""));
  return range && range->range == gap && range->length == length && can_be_combined(fields, part().fields());
}

std::optional<Completion> completion_of(std::span<const Store::AnswerPointer> parts,
                                        const std::optional<RangeSpec>& wanted) {
  const Answer* model = nullptr;  // the newest that can be used
  std::vector<Store::AnswerPointer> alike;
  for (const Store::AnswerPointer& part : parts) {
    const std::optional<ContentRange> range = usable_range(*part);
    if (!range || !can_be_combined(part->fields(), part->fields())) continue;
    if (model == nullptr) model = part.get();
    if (range->length == model->range()->length && can_be_combined(part->fields(), model->fields())) {
      alike.push_back(part);
    }
  }
  if (model == nullptr) return std::nullopt;
  Completion completion{.before = nullptr, .after = nullptr, .gap = {}, .length = model->range()->length.value_or(0)};
  const std::vector<ByteRange> ranges =
      satisfiable({wanted.value_or(RangeSpec{.first = 0, .last = std::nullopt})}, completion.length);
  if (ranges.empty()) return std::nullopt;
  completion.gap = ranges.front();
  // Of those that reach into the gap's beginning, or up to it, the one that reaches furthest; likewise of its end.
  for (const Store::AnswerPointer& part : alike) {
    const ByteRange held = part->range()->range;
    if (held.first <= completion.gap.first && held.last + 1 >= completion.gap.first) {
      completion.gap.first = held.last + 1;
      completion.before = part;
    }
  }
  for (const Store::AnswerPointer& part : alike) {
    const ByteRange held = part->range()->range;
    if (held.last >= completion.gap.last && held.first <= completion.gap.last + 1 && part != completion.before) {
      completion.gap.last = held.first - 1;
      completion.after = part;
    }
  }
  if (!completion.before && !completion.after) return std::nullopt;
  // All of it is there: then it is stale, and is asked for anew.
  if (completion.gap.first > completion.gap.last) return std::nullopt;
  // Another part within it: two gaps.
  return completion;
}

}  // namespace verge::cache

#include "cache/stored_parts.h"

#include <algorithm>
#include <vector>

#include "base/assert.h"
#include "cache/validators.h"

namespace verge::cache {

std::optional<ContentRange> usable_range(const Answer& part) {
  const std::optional<ContentRange>& range = part.range();
  if (!range || !range->length || part.body()->state() != Body::State::kComplete) return std::nullopt;
  // A part whose body is not what its Content-Range says serves nobody.
  if (part.body()->size() != range->range.size()) return std::nullopt;
  return range;
}

ByteRange range_of(const Answer& part) {
  const std::optional<ContentRange>& range = part.range();
  VERGE_ASSERT(range.has_value());
  return range->range;
}

std::string_view Completion::tag() const { return net::find_field(part().fields(), "etag").value_or(""); }

ByteRange Completion::united() const {
  return {before ? range_of(*before).first : gap.first, after ? range_of(*after).last : gap.last};
}

bool Completion::fits(std::span<const net::HttpField> fields) const {
  const std::optional<ContentRange> range = parse_content_range(net::find_field(fields, "content-range").value_or(""));
  return range && range->range == gap && range->length == length && can_be_combined(fields, part().fields());
}

std::optional<Completion> completion_of(std::span<const Store::AnswerPointer> parts,
                                        const std::optional<RangeSpec>& wanted) {
  const Answer* model = nullptr;  // the newest that can be used
  std::optional<uint64_t> length;
  std::vector<Store::AnswerPointer> alike;
  for (const Store::AnswerPointer& part : parts) {
    const std::optional<ContentRange> range = usable_range(*part);
    if (!range || !can_be_combined(part->fields(), part->fields())) continue;
    if (model == nullptr) {
      model = part.get();
      length = range->length;
    }
    if (range->length == length && can_be_combined(part->fields(), model->fields())) {
      alike.push_back(part);
    }
  }
  if (model == nullptr) return std::nullopt;
  Completion completion{.before = nullptr, .after = nullptr, .gap = {}, .length = length.value_or(0)};
  const std::vector<ByteRange> ranges =
      satisfiable({wanted.value_or(RangeSpec{.first = 0, .last = std::nullopt})}, completion.length);
  if (ranges.empty()) return std::nullopt;
  const ByteRange asked = ranges.front();
  // Of the parts that reach into what is asked for at its beginning, or up to it, the one that reaches furthest;
  // likewise at its end.
  const auto first_of = [](const Answer& part) { return range_of(part).first; };
  const auto last_of = [](const Answer& part) { return range_of(part).last; };
  for (const Store::AnswerPointer& part : alike) {
    const uint64_t first = first_of(*part), last = last_of(*part);
    const bool begins = first <= asked.first && last + 1 >= asked.first;
    const bool ends = last >= asked.last && first <= asked.last + 1;
    if (begins && (!completion.before || last > last_of(*completion.before))) completion.before = part;
    if (ends && (!completion.after || first < first_of(*completion.after))) completion.after = part;
  }
  if (!completion.before && !completion.after) return std::nullopt;
  const uint64_t gap_first = completion.before ? last_of(*completion.before) + 1 : asked.first;
  const uint64_t gap_end = completion.after ? first_of(*completion.after) : asked.last + 1;
  // All of it is there: then it is stale, and is asked for anew.
  if (gap_first >= gap_end) return std::nullopt;
  completion.gap = {gap_first, gap_end - 1};
  return completion;
}

}  // namespace verge::cache

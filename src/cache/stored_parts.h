// Stored parts of a URL's content: which of them answers a request for a range, and what is to be asked of the origin
// when they hold only some of what is wanted (RFC 9111 section 3.4).
//
// Parts are put together only where both have the same strong entity tag and say the same of the whole's length. What
// is missing is asked for with If-Range, so that the origin sends the whole where its content has changed: a part that
// is stale is validated by that.
//
// Pure.
#pragma once

#include <optional>
#include <span>

#include "cache/store.h"

namespace verge::cache {

// Of a part whose body is all there; nothing of one that cannot be used.
std::optional<ContentRange> usable_range(const Answer& part);

// What a part says that it has; the answer is one.
ByteRange range_of(const Answer& part);

// A gap between stored parts, or at an end of one.
struct Completion {
  Store::AnswerPointer before;  // ends where the gap begins; null: none does
  Store::AnswerPointer after;   // begins where it ends; likewise; one of both is there
  ByteRange gap;
  uint64_t length = 0;  // of the whole

  [[nodiscard]] const Answer& part() const { return before ? *before : *after; }
  [[nodiscard]] std::string_view tag() const;
  // What there is once the gap is filled.
  [[nodiscard]] ByteRange united() const;
  [[nodiscard]] bool is_whole() const { return united() == ByteRange{0, length - 1}; }
  // Whether an answer with status 206 and these fields is what was asked for.
  [[nodiscard]] bool fits(std::span<const net::HttpField> fields) const;
};

// For a request for the range that `wanted` asks for (nothing: for the whole) of what `parts` are parts of; those are
// the newest first. Nothing where they have none of it, or where more than one gap is left.
std::optional<Completion> completion_of(std::span<const Store::AnswerPointer> parts,
                                        const std::optional<RangeSpec>& wanted);

}  // namespace verge::cache

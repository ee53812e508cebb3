// The timestamps of a window of readings, and their code: exact, and nearly free where they are regular.
//
// Ticks are coded as the change of their step (delta of delta): a bit of some thousandths where there is none. Where
// the timestamps have no common layout that is known (series/timestamp.h), they are coded as text.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "base/bytes.h"
#include "base/error.h"
#include "series/timestamp.h"

namespace verge::series {

class TimeColumn {
 public:
  TimeColumn() = default;
  // As they were written. A letter of a timestamp is any byte but 0.
  static TimeColumn of(const std::vector<std::string>& texts);

  [[nodiscard]] size_t size() const { return is_text_ ? texts_.size() : ticks_.size(); }
  [[nodiscard]] std::string text(size_t index) const;
  // Microseconds on the series' own wall clock; 0 where the layout is unknown.
  [[nodiscard]] int64_t wall_us(size_t index) const;
  // Where the readings lie when one draws lines between them: their time where it rises, else their number.
  [[nodiscard]] std::vector<double> positions() const;

  void append_to(std::string& out) const;
  // `texts_bytes_max` bounds what text timestamps may decode to.
  static Result<TimeColumn> read(ByteReader& in, size_t count, size_t text_bytes_max);

 private:
  bool is_text_ = false;
  TimestampLayout layout_;
  std::vector<int64_t> ticks_;
  std::vector<std::string> texts_;
};

}  // namespace verge::series

// Timestamps as files write them, read into whole ticks and written back letter by letter.
//
//   2014-04-01 00:05:00      also with T, without seconds or without a time of day, with up to 9 digits of a fraction,
//                            and with Z or an offset such as +02:00 behind it
//   1396310700               any whole number: seconds, or by its size milli-, micro- or nanoseconds since 1970
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace verge::series {

// How a timestamp is written. Two with the same layout are as far apart as their ticks say.
struct TimestampLayout {
  enum class Kind : uint8_t { kInteger, kDate, kMinute, kSecond };

  Kind kind = Kind::kInteger;
  bool has_t = false;           // T, not a space, before the time of day
  uint8_t fraction_digits = 0;  // of kSecond
  std::string suffix;           // "", "Z" or "+02:00"

  bool operator==(const TimestampLayout&) const = default;
};

struct Timestamp {
  int64_t ticks =
      0;  // days, minutes, or 10^-fraction_digits seconds since 1970-01-01 in its own time zone; or the number
  TimestampLayout layout;
};

// Nothing where format_timestamp() would not give `text` again.
std::optional<Timestamp> parse_timestamp(std::string_view text);
std::string format_timestamp(int64_t ticks, const TimestampLayout& layout);

// Microseconds since 1970 by the timestamp's own wall clock: for the time of the day and the week.
int64_t wall_microseconds(const Timestamp& timestamp);

}  // namespace verge::series

// What the aggregate reduced() made of a window's readings, read back.
#pragma once

#include <cstdint>
#include <optional>
#include <string_view>
#include <vector>

namespace verge::rules {

struct RestoredSeries {
  struct Reading {
    int64_t time_us = 0;
    double value = 0;
    double error_bound = 0;  // 0: it is as it was
  };
  std::vector<Reading> readings;
};

// `record`: the bytes of the record, without base64. Nothing where they are not one that reduced() makes.
std::optional<RestoredSeries> restore_series(std::string_view record);

}  // namespace verge::rules

// What a plan's files say, whatever their format: records of keys and values that know their file and line.
//
// TOML (read by whoever owns its parser): tables [[node]], [[user]], [[workload]] and so on. CSV: a header of keys and
// a row a record, with a column `kind` or a kind for the whole file. GeoJSON: features with a point and properties,
// likewise.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "base/error.h"

namespace verge::planner {

using FieldValue = std::variant<double, bool, std::string, std::vector<std::string>>;

struct Field {
  std::string key;
  FieldValue value;
  size_t line = 0;
};

struct Record {
  std::string kind;
  std::string file;
  size_t line = 0;
  std::vector<Field> fields;
};

inline constexpr size_t kRecordsMax = 2'000'000;

// `file` is for messages, `kind` for records that do not say theirs. Errors: plan.csv, plan.geojson.
Result<std::vector<Record>> parse_csv_records(std::string_view text, const std::string& file, std::string_view kind);
Result<std::vector<Record>> parse_geojson_records(std::string_view text, const std::string& file,
                                                  std::string_view kind);

}  // namespace verge::planner

#include <algorithm>

#include <fmt/format.h>
#include <simdjson.h>

#include "base/text.h"
#include "planner/record.h"

namespace verge::planner {

namespace {

namespace json = simdjson::ondemand;

class Features {
 public:
  Features(std::string_view text, const std::string& file, std::string_view kind)
      : padded_(text), file_(file), kind_(kind) {}

  Result<std::vector<Record>> read() {
    json::document document;
    if (const auto problem = parser_.iterate(padded_).get(document); problem != simdjson::SUCCESS)
      return wrong(problem);
    json::object root;
    if (const auto problem = document.get_object().get(root); problem != simdjson::SUCCESS) return wrong(problem);
    json::array features;
    if (root.find_field_unordered("features").get_array().get(features) != simdjson::SUCCESS) {
      return fail("plan.geojson", fmt::format("{}:1: there is no array 'features'", file_),
                  "give a FeatureCollection of points");
    }
    std::vector<Record> records;
    for (auto item : features) {
      json::object feature;
      if (const auto problem = item.get_object().get(feature); problem != simdjson::SUCCESS) return wrong(problem);
      Record record{.kind = kind_, .file = file_, .line = line_of(feature), .fields = {}};
      Result<void> done = read_feature(feature, record);
      if (!done) return std::unexpected(done.error());
      if (records.size() == kRecordsMax) {
        return fail("plan.geojson", fmt::format("{}:{}: more than {} features", file_, record.line, kRecordsMax),
                    "split the file");
      }
      records.push_back(std::move(record));
    }
    return records;
  }

 private:
  std::unexpected<Error> wrong(simdjson::error_code problem) const {
    return fail("plan.geojson", fmt::format("{}:{}: {}", file_, line_, simdjson::error_message(problem)),
                "give a FeatureCollection of points, as RFC 7946 has it");
  }

  size_t line_of(json::object& object) {
    std::string_view raw;
    if (object.raw_json().get(raw) == simdjson::SUCCESS) {
      const char* const begin = padded_.data();
      // Features come in the order of the text: only what is between is counted.
      line_ += static_cast<size_t>(std::count(begin + counted_, raw.data(), '\n'));
      counted_ = static_cast<size_t>(raw.data() - begin);
      static_cast<void>(object.reset());
    }
    return line_;
  }

  Result<void> read_feature(json::object& feature, Record& record) {
    for (auto member : feature) {
      std::string_view key;
      if (const auto problem = member.unescaped_key().get(key); problem != simdjson::SUCCESS) return wrong(problem);
      json::value value;
      if (const auto problem = member.value().get(value); problem != simdjson::SUCCESS) return wrong(problem);
      if (key == "geometry") {
        if (Result<void> done = read_geometry(value, record); !done) return done;
      } else if (key == "properties") {
        if (Result<void> done = read_properties(value, record); !done) return done;
      }
    }
    if (record.kind.empty()) {
      return fail("plan.geojson", fmt::format("{}:{}: nothing says what the feature is", file_, record.line),
                  "add a property 'kind' (node, user, workload), or give the file to --nodes or --users");
    }
    return {};
  }

  Result<void> read_geometry(json::value& value, Record& record) {
    if (bool is_null = false; value.is_null().get(is_null) == simdjson::SUCCESS && is_null) return {};  // RFC 7946, 3.2
    json::array coordinates;
    if (value["coordinates"].get_array().get(coordinates) != simdjson::SUCCESS) {
      return fail("plan.geojson", fmt::format("{}:{}: a feature's geometry is no point", file_, record.line),
                  "write {\"type\":\"Point\",\"coordinates\":[longitude,latitude]}");
    }
    size_t count = 0;
    for (auto item : coordinates) {
      double number = 0;
      if (item.get_double().get(number) != simdjson::SUCCESS) {
        return fail("plan.geojson", fmt::format("{}:{}: a coordinate is no number", file_, record.line),
                    "write [longitude,latitude], in degrees");
      }
      if (count < 2) record.fields.push_back({count == 0 ? "lon" : "lat", number, record.line});
      ++count;
    }
    if (count >= 2) return {};
    return fail("plan.geojson", fmt::format("{}:{}: a point has {} coordinates", file_, record.line, count),
                "write [longitude,latitude], in degrees");
  }

  Result<void> read_properties(json::value& value, Record& record) {
    json::object properties;
    if (value.get_object().get(properties) != simdjson::SUCCESS) return {};  // null
    for (auto member : properties) {
      std::string_view key;
      if (const auto problem = member.unescaped_key().get(key); problem != simdjson::SUCCESS) return wrong(problem);
      const std::string name = lower(key);
      json::value content;
      if (const auto problem = member.value().get(content); problem != simdjson::SUCCESS) return wrong(problem);
      json::json_type type = json::json_type::null;
      if (const auto problem = content.type().get(type); problem != simdjson::SUCCESS) return wrong(problem);
      if (type == json::json_type::number) {
        double number = 0;
        if (const auto problem = content.get_double().get(number); problem != simdjson::SUCCESS) return wrong(problem);
        record.fields.push_back({name, number, record.line});
      } else if (type == json::json_type::string) {
        std::string_view text;
        if (const auto problem = content.get_string().get(text); problem != simdjson::SUCCESS) return wrong(problem);
        if (name == "kind") {
          record.kind = lower(text);
        } else {
          record.fields.push_back({name, std::string(text), record.line});
        }
      } else if (type == json::json_type::boolean) {
        bool yes = false;
        if (const auto problem = content.get_bool().get(yes); problem != simdjson::SUCCESS) return wrong(problem);
        record.fields.push_back({name, yes, record.line});
      } else if (type == json::json_type::array) {
        if (Result<void> done = read_list(name, content, record); !done) return done;
      } else if (type == json::json_type::object) {
        return fail("plan.geojson", fmt::format("{}:{}: '{}' is an object", file_, record.line, printable(name)),
                    "write a number, a string, true or false, or a list of strings");
      }
    }
    return {};
  }

  Result<void> read_list(const std::string& name, json::value& content, Record& record) {
    json::array items;
    if (const auto problem = content.get_array().get(items); problem != simdjson::SUCCESS) return wrong(problem);
    std::vector<std::string> list;
    for (auto item : items) {
      std::string_view text;
      if (item.get_string().get(text) != simdjson::SUCCESS) {
        return fail("plan.geojson",
                    fmt::format("{}:{}: '{}' holds something that is no string", file_, record.line, printable(name)),
                    "write [\"a\", \"b\"]");
      }
      list.emplace_back(text);
    }
    record.fields.push_back({name, std::move(list), record.line});
    return {};
  }

  simdjson::padded_string padded_;
  json::parser parser_;
  const std::string& file_;
  std::string kind_;
  size_t line_ = 1;
  size_t counted_ = 0;
};

}  // namespace

Result<std::vector<Record>> parse_geojson_records(std::string_view text, const std::string& file,
                                                  std::string_view kind) {
  return Features(text, file, kind).read();
}

}  // namespace verge::planner

#include "cli/plan_files.h"

#include <fmt/format.h>

#include "base/text.h"
#include "cli/plan_output.h"
#include "node/config_document.h"
#include "planner/places.h"

namespace verge::cli {

namespace {

using planner::FieldValue;
using planner::Record;

std::unexpected<Error> wrong(const std::string& file, uint32_t line, const std::string& what, std::string fix) {
  return fail("plan.toml", fmt::format("{}:{}: {}", file, line, what), std::move(fix));
}

Result<FieldValue> field_value(const node::Value& value, const std::string& file, const std::string& key) {
  if (const auto* text = std::get_if<std::string>(&value.content)) return FieldValue(*text);
  if (const auto* integer = std::get_if<int64_t>(&value.content)) return FieldValue(static_cast<double>(*integer));
  if (const auto* number = std::get_if<double>(&value.content)) return FieldValue(*number);
  if (const auto* yes = std::get_if<bool>(&value.content)) return FieldValue(*yes);
  if (const auto* array = std::get_if<node::Array>(&value.content)) {
    std::vector<std::string> list;
    for (const node::Value& item : *array) {
      const auto* text = std::get_if<std::string>(&item.content);
      if (text == nullptr) {
        return wrong(file, item.place.line, fmt::format("'{}' holds something that is no string", printable(key)),
                     "write [\"a\", \"b\"]");
      }
      list.push_back(*text);
    }
    return FieldValue(std::move(list));
  }
  return wrong(file, value.place.line, fmt::format("'{}' is of a kind that no key takes", printable(key)),
               "write a number, a string, true or false, or a list of strings");
}

Result<void> add_record(const node::Table& table, const node::Entry& entry, const node::Place& place,
                        const std::string& file, std::vector<Record>& records) {
  Record record{.kind = entry.key, .file = file, .line = place.line, .fields = {}};
  for (const node::Entry& member : table) {
    Result<FieldValue> value = field_value(member.value, file, member.key);
    if (!value) return std::unexpected(value.error());
    record.fields.push_back({member.key, std::move(*value), member.place.line});
  }
  if (records.size() >= planner::kRecordsMax) {
    return wrong(file, place.line, fmt::format("more than {} tables", planner::kRecordsMax), "split the file");
  }
  records.push_back(std::move(record));
  return {};
}

Result<std::vector<Record>> toml_records(std::string_view text, const std::string& file) {
  const auto document = node::parse_document(text, 0);
  if (!document) {
    const node::Fault& fault = document.error();
    return wrong(file, fault.place.line, fault.error.what, fault.error.fix);
  }
  std::vector<Record> records;
  for (const node::Entry& entry : *document) {
    Result<void> done;
    if (const auto* table = std::get_if<node::Table>(&entry.value.content)) {
      done = add_record(*table, entry, entry.place, file, records);
    } else if (const auto* array = std::get_if<node::Array>(&entry.value.content)) {
      for (const node::Value& item : *array) {
        const auto* each = std::get_if<node::Table>(&item.content);
        if (each == nullptr)
          return wrong(file, item.place.line, fmt::format("'{}' is no table", printable(entry.key)), "write [[node]]");
        done = add_record(*each, entry, item.place, file, records);
        if (!done) break;
      }
    } else {
      done = wrong(file, entry.place.line, fmt::format("'{}' stands outside a table", printable(entry.key)),
                   "write [[node]], [[user]] or [[workload]] before it");
    }
    if (!done) return std::unexpected(done.error());
  }
  return records;
}

std::vector<Record> built_in(const std::string& table, const std::string& kind) {
  std::vector<Record> records;
  for (const planner::Place& place : planner::known_places()) {
    const std::string_view name = planner::kind_name(place.kind);
    const bool is_asked =
        table == name || (table == "cities" && name == "city") || (table == "clouds" && name != "city");
    if (!is_asked) continue;
    Record record{.kind = kind, .file = "built-in " + table, .line = 1, .fields = {}};
    record.fields.push_back({"name", std::string(place.name), 1});
    record.fields.push_back({"lat", place.at.latitude, 1});
    record.fields.push_back({"lon", place.at.longitude, 1});
    if (kind == "user" && place.population_millions > 0)
      record.fields.push_back({"weight", place.population_millions, 1});
    if (kind == "node" && name != "city") record.fields.push_back({"tier", std::string("cloud"), 1});
    records.push_back(std::move(record));
  }
  return records;
}

Result<std::vector<Record>> records_of(const std::string& path, const std::string& kind) {
  if (!kind.empty()) {
    std::vector<Record> table = built_in(path, kind);
    if (!table.empty()) return table;
  }
  const Result<std::string> text = read_plan_file(path);
  if (!text && !kind.empty() && path.find_first_of("./") == std::string::npos) {
    return fail("plan.file",
                fmt::format("'{}' is neither a file that can be read nor a built-in table", printable(path)),
                "give a file, or one of the tables aws, gcp, azure, clouds and cities");
  }
  if (!text) return std::unexpected(text.error());
  const std::string name = lower(path);
  if (name.ends_with(".toml")) return toml_records(*text, path);
  if (name.ends_with(".csv")) return planner::parse_csv_records(*text, path, kind);
  if (name.ends_with(".geojson") || name.ends_with(".json")) return planner::parse_geojson_records(*text, path, kind);
  return fail("plan.format", fmt::format("{} is of no known format", path), "name it .toml, .csv, .geojson or .json");
}

}  // namespace

void add_plan_files(Command& command, PlanFiles& files, bool has_workloads) {
  command.add_option("PLAN", files.plans, "Files of nodes, users and workloads: TOML, CSV or GeoJSON");
  command.add_option("--nodes", files.nodes, "A file of nodes, or a built-in table: aws, gcp, azure, clouds, cities")
      ->type_name("FILE|TABLE");
  command.add_option("--users", files.users, "A file of users, or a built-in table: cities, weighted by population")
      ->type_name("FILE|TABLE");
  if (has_workloads) command.add_option("--workloads", files.workloads, "A file of workloads")->type_name("FILE");
}

Result<planner::PlanDocument> read_plan_files(const PlanFiles& files) {
  std::vector<Record> records;
  std::string source;
  const auto add = [&](const std::string& path, const std::string& kind) -> Result<void> {
    if (path.empty()) return {};
    source += fmt::format("{}{}", source.empty() ? "" : ", ", path);
    Result<std::vector<Record>> more = records_of(path, kind);
    if (!more) return std::unexpected(more.error());
    records.insert(records.end(), std::make_move_iterator(more->begin()), std::make_move_iterator(more->end()));
    return {};
  };
  Result<void> done;
  for (const std::string& path : files.plans) {
    if (done) done = add(path, "");
  }
  if (done) done = add(files.nodes, "node");
  if (done) done = add(files.users, "user");
  if (done) done = add(files.workloads, "workload");
  if (!done) return std::unexpected(done.error());
  Result<planner::PlanDocument> plan = planner::read_plan(records);
  // One file is named with its first line, as other messages name theirs.
  if (plan) plan->source = source.empty() || source.contains(", ") ? source : source + ":1";
  return plan;
}

}  // namespace verge::cli

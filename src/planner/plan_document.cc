#include "planner/plan_document.h"

#include <algorithm>
#include <cmath>
#include <functional>
#include <map>
#include <unordered_map>
#include <unordered_set>

#include <fmt/format.h>
#include <fmt/ranges.h>

#include "base/text.h"
#include "planner/places.h"

namespace verge::planner {

namespace {

std::unexpected<Error> wrong(std::string_view code, const Record& record, size_t line, const std::string& what,
                             std::string fix) {
  return fail(code, fmt::format("{}:{}: {}", record.file, line, what), std::move(fix));
}

Result<std::string> text_in(const Record& record, const Field& field) {
  if (const auto* text = std::get_if<std::string>(&field.value)) return *text;
  if (const auto* number = std::get_if<double>(&field.value)) return fmt::format("{:.15g}", *number);
  return wrong("plan.value", record, field.line, fmt::format("'{}' is no string", field.key), "write it in quotes");
}

Result<std::vector<std::string>> list_in(const Record& record, const Field& field) {
  if (const auto* list = std::get_if<std::vector<std::string>>(&field.value)) return *list;
  Result<std::string> text = text_in(record, field);
  if (!text) return std::unexpected(text.error());
  return std::vector<std::string>{*text};
}

Result<bool> yes_in(const Record& record, const Field& field) {
  if (const auto* yes = std::get_if<bool>(&field.value)) return *yes;
  return wrong("plan.value", record, field.line, fmt::format("'{}' is neither true nor false", field.key),
               "write true or false");
}

// How a kind of record is read: a function a key.
template <class T>
using Reader = std::function<Result<void>(const Record&, const Field&, T&)>;

template <class T>
Reader<T> number(double T::* member, double least, double most) {
  return [=](const Record& record, const Field& field, T& into) -> Result<void> {
    const Result<double> value = number_in(record, field, least, most);
    if (!value) return std::unexpected(value.error());
    into.*member = *value;
    return {};
  };
}

template <class T>
Reader<T> text(std::string T::* member) {
  return [=](const Record& record, const Field& field, T& into) -> Result<void> {
    Result<std::string> value = text_in(record, field);
    if (!value) return std::unexpected(value.error());
    into.*member = std::move(*value);
    return {};
  };
}

template <class T>
Reader<T> list(std::vector<std::string> T::* member) {
  return [=](const Record& record, const Field& field, T& into) -> Result<void> {
    Result<std::vector<std::string>> value = list_in(record, field);
    if (!value) return std::unexpected(value.error());
    into.*member = std::move(*value);
    return {};
  };
}

// lat and lon, or a known place.
struct Whereabouts {
  double latitude = std::nan("");
  double longitude = std::nan("");
  std::string place;
};

Result<bool> read_whereabouts(const Record& record, const Field& field, Whereabouts& where) {
  if (field.key == "lat" || field.key == "latitude" || field.key == "lon" || field.key == "longitude") {
    const bool is_latitude = field.key.starts_with("lat");
    const auto* value = std::get_if<double>(&field.value);
    const double most = is_latitude ? 90 : 180;
    if (value == nullptr || !(std::abs(*value) <= most)) {
      return wrong(
          "plan.coordinates", record, field.line,
          fmt::format("'{}' is {}", field.key, value == nullptr ? "no number" : fmt::format("{}", *value)),
          fmt::format("write degrees from -{0} to {0}; are latitude and longitude the right way round?", most));
    }
    (is_latitude ? where.latitude : where.longitude) = *value;
    return true;
  }
  if (field.key != "place") return false;
  Result<std::string> place = text_in(record, field);
  if (!place) return std::unexpected(place.error());
  where.place = std::move(*place);
  return true;
}

Result<Coordinates> settle(const Record& record, const Whereabouts& where, const std::string& name) {
  if (!std::isnan(where.latitude) && !std::isnan(where.longitude)) return Coordinates{where.latitude, where.longitude};
  if (std::isnan(where.latitude) != std::isnan(where.longitude)) {
    const char* const absent = std::isnan(where.latitude) ? "lat" : "lon";
    return wrong("plan.coordinates", record, record.line,
                 fmt::format("'{}' has no '{}', only half of where it is", printable(name), absent),
                 fmt::format("give {} as well, in degrees", absent));
  }
  const std::string& wanted = where.place.empty() ? name : where.place;
  if (const Place* const place = find_place(wanted); place != nullptr) return place->at;
  std::vector<std::string> known;
  for (const Place& place : known_places()) known.emplace_back(place.name);
  const std::string guess = nearest(wanted, known);
  return wrong("plan.coordinates", record, record.line, fmt::format("nobody knows where '{}' is", printable(wanted)),
               guess.empty() ? "give lat and lon, or place = a cloud region or large city"
                             : fmt::format("give lat and lon, or did you mean place = \"{}\"?", guess));
}

template <class T>
Result<T> read_record(const Record& record, const std::map<std::string, Reader<T>, std::less<>>& readers,
                      bool has_place) {
  T into{};
  into.origin = {record.file, record.line};
  Whereabouts where;
  for (const Field& field : record.fields) {
    if (has_place) {
      const Result<bool> was_place = read_whereabouts(record, field, where);
      if (!was_place) return std::unexpected(was_place.error());
      if (*was_place) continue;
    }
    const auto reader = readers.find(field.key);
    if (reader == readers.end()) {
      std::vector<std::string> known;
      for (const auto& [key, unused] : readers) known.push_back(key);
      const std::string guess = nearest(field.key, known);
      return wrong(
          "plan.unknown-key", record, field.line, fmt::format("a {} has no '{}'", record.kind, printable(field.key)),
          guess.empty() ? fmt::format("it has {}", fmt::join(known, ", ")) : fmt::format("did you mean '{}'?", guess));
    }
    if (Result<void> done = reader->second(record, field, into); !done) return std::unexpected(done.error());
    if constexpr (requires { into.keys; }) into.keys.lines.emplace_back(field.key, field.line);
  }
  if constexpr (requires { into.name; }) {
    if (into.name.empty()) into.name = where.place;
    if (into.name.empty()) {
      return wrong("plan.missing", record, record.line, fmt::format("a {} has no name", record.kind), "give it one");
    }
  }
  if constexpr (requires { into.at; }) {
    const Result<Coordinates> at = settle(record, where, into.name);
    if (!at) return std::unexpected(at.error());
    into.at = *at;
  }
  return into;
}

const std::map<std::string, Reader<PlanNode>, std::less<>>& node_readers() {
  static const std::map<std::string, Reader<PlanNode>, std::less<>> kReaders = {
      {"name", text(&PlanNode::name)},
      {"zone", text(&PlanNode::zone)},
      {"tier", text(&PlanNode::tier)},
      {"cpu", number(&PlanNode::cpu, 0, 1e9)},
      {"memory_gb", number(&PlanNode::memory_gb, 0, 1e9)},
      {"bandwidth_mbps", number(&PlanNode::bandwidth_mbps, 0, 1e9)},
      {"cost", number(&PlanNode::cost, 0, 1e12)},
      {"opening_cost", number(&PlanNode::opening_cost, 0, 1e12)},
      {"load", number(&PlanNode::load, 0, 1e6)},
      {"uptime", number(&PlanNode::uptime, 0, 100)},
      {"storage_cost", number(&PlanNode::storage_cost, 0, 1e12)},
  };
  return kReaders;
}

const std::map<std::string, Reader<PlanUser>, std::less<>>& user_readers() {
  static const std::map<std::string, Reader<PlanUser>, std::less<>> kReaders = {
      {"name", text(&PlanUser::name)},
      {"weight", number(&PlanUser::weight, 0, 1e12)},
  };
  return kReaders;
}

const std::map<std::string, Reader<PlanWorkload>, std::less<>>& workload_readers() {
  static const std::map<std::string, Reader<PlanWorkload>, std::less<>> kReaders = {
      {"name", text(&PlanWorkload::name)},
      {"cpu", number(&PlanWorkload::cpu, 0, 1e9)},
      {"memory_gb", number(&PlanWorkload::memory_gb, 0, 1e9)},
      {"bandwidth_mbps", number(&PlanWorkload::bandwidth_mbps, 0, 1e9)},
      {"latency_max_ms", number(&PlanWorkload::latency_max_ms, 0, 1e9)},
      {"uptime_min", number(&PlanWorkload::uptime_min, 0, 100)},
      {"move_cost", number(&PlanWorkload::move_cost, 0, 1e12)},
      {"apart_from", list(&PlanWorkload::apart_from)},
      {"users", list(&PlanWorkload::users)},
      {"data", list(&PlanWorkload::data)},
      {"current", list(&PlanWorkload::current)},
      {"replicas",
       [](const Record& record, const Field& field, PlanWorkload& into) -> Result<void> {
         const Result<double> value = number_in(record, field, 1, 1000);
         if (!value) return std::unexpected(value.error());
         if (*value != std::floor(*value)) {
           return wrong("plan.value", record, field.line, fmt::format("'replicas' is {}", *value),
                        "write a whole number");
         }
         into.replicas = static_cast<unsigned>(*value);
         return {};
       }},
      {"spread_over_zones",
       [](const Record& record, const Field& field, PlanWorkload& into) -> Result<void> {
         const Result<bool> value = yes_in(record, field);
         if (!value) return std::unexpected(value.error());
         into.spread_over_zones = *value;
         return {};
       }},
  };
  return kReaders;
}

const std::map<std::string, Reader<MeasuredRoundTrip>, std::less<>>& measured_readers() {
  static const std::map<std::string, Reader<MeasuredRoundTrip>, std::less<>> kReaders = {
      {"from", text(&MeasuredRoundTrip::from)},
      {"to", text(&MeasuredRoundTrip::to)},
      {"ms", number(&MeasuredRoundTrip::round_trip_ms, 0, 1e6)},
  };
  return kReaders;
}

template <class T>
Result<void> check_names(const std::vector<T>& things, std::string_view kind) {
  std::unordered_map<std::string_view, const T*> seen;
  for (const T& thing : things) {
    const auto [other, fresh] = seen.emplace(thing.name, &thing);
    if (fresh) continue;
    return fail("plan.name-twice",
                fmt::format("{}: {} '{}' is there already, at {}", thing.origin.text(), kind, printable(thing.name),
                            other->second->origin.text()),
                "give each a name of its own");
  }
  return {};
}

template <class T>
std::string spelling(const std::vector<T>& things, std::string_view name) {
  std::vector<std::string> known;
  for (const T& thing : things) {
    if (known.size() < 5000) known.push_back(thing.name);
  }
  const std::string guess = nearest(name, known);
  return guess.empty() ? "name one that is in the plan" : fmt::format("did you mean '{}'?", guess);
}

Result<void> check_references(const PlanDocument& plan) {
  const auto unknown_node = [&](const Origin& origin, const std::string& name) {
    return fail("plan.unknown-node", fmt::format("{}: there is no node '{}'", origin.text(), printable(name)),
                spelling(plan.nodes, name));
  };
  std::unordered_set<std::string_view> nodes;
  std::unordered_set<std::string_view> users;
  std::unordered_set<std::string_view> workloads;
  for (const PlanNode& node : plan.nodes) nodes.insert(node.name);
  for (const PlanUser& user : plan.users) users.insert(user.name);
  for (const PlanWorkload& workload : plan.workloads) workloads.insert(workload.name);
  for (const PlanWorkload& workload : plan.workloads) {
    const auto line_of = [&](std::string_view key) { return workload.keys.of(key, workload.origin); };
    for (const std::string& name : workload.data) {
      if (!nodes.contains(name)) return unknown_node(line_of("data"), name);
    }
    for (const std::string& name : workload.current) {
      if (!nodes.contains(name)) return unknown_node(line_of("current"), name);
    }
    for (const std::string& name : workload.users) {
      if (users.contains(name)) continue;
      return fail("plan.unknown-user",
                  fmt::format("{}: there is no user '{}'", line_of("users").text(), printable(name)),
                  spelling(plan.users, name));
    }
    for (const std::string& name : workload.apart_from) {
      if (name == workload.name) {
        return fail("plan.value",
                    fmt::format("{}: '{}' cannot be apart from itself", line_of("apart_from").text(), printable(name)),
                    "name other workloads; its own replicas are on different nodes in any case");
      }
      if (workloads.contains(name)) continue;
      return fail("plan.unknown-workload",
                  fmt::format("{}: there is no workload '{}'", line_of("apart_from").text(), printable(name)),
                  spelling(plan.workloads, name));
    }
  }
  for (const MeasuredRoundTrip& measured : plan.measurements) {
    const auto place_of = [&](const std::string& name) -> const Coordinates* {
      if (const auto node = plan.node_named(name)) return &plan.nodes[*node].at;
      if (const auto user = plan.user_named(name)) return &plan.users[*user].at;
      return nullptr;
    };
    const Coordinates* const from = place_of(measured.from);
    const Coordinates* const to = place_of(measured.to);
    if (from == nullptr || to == nullptr) {
      return unknown_node(measured.keys.of(from == nullptr ? "from" : "to", measured.origin),
                          from == nullptr ? measured.from : measured.to);
    }
    const double floor = round_trip_floor_ms(great_circle_km(*from, *to));
    if (measured.round_trip_ms >= floor) continue;
    return fail("plan.impossible",
                fmt::format("{}: {} ms from {} to {} is faster than light in glass, which needs {:.2f} ms",
                            measured.keys.of("ms", measured.origin).text(), measured.round_trip_ms,
                            printable(measured.from), printable(measured.to), floor),
                "correct the measurement, or where the two are");
  }
  return {};
}

}  // namespace

std::string Origin::text() const { return fmt::format("{}:{}", file, line); }

Origin KeyLines::of(std::string_view key, const Origin& record) const {
  const auto found = std::ranges::find(lines, key, &std::pair<std::string, size_t>::first);
  return found == lines.end() ? record : Origin{record.file, found->second};
}

Error PlanDocument::missing(std::string_view what, std::string fix) const {
  return {"plan.missing",
          source.empty() ? fmt::format("no plan was given, and there is no {}", what)
                         : fmt::format("{}: there is no {} in it", source, what),
          std::move(fix)};
}

std::optional<size_t> PlanDocument::node_named(std::string_view name) const {
  const auto found = std::ranges::find(nodes, name, &PlanNode::name);
  return found == nodes.end() ? std::nullopt : std::optional(static_cast<size_t>(found - nodes.begin()));
}

std::optional<size_t> PlanDocument::user_named(std::string_view name) const {
  const auto found = std::ranges::find(users, name, &PlanUser::name);
  return found == users.end() ? std::nullopt : std::optional(static_cast<size_t>(found - users.begin()));
}

Result<double> number_in(const Record& record, const Field& field, double least, double most) {
  const auto* value = std::get_if<double>(&field.value);
  if (value == nullptr) {
    return wrong("plan.value", record, field.line, fmt::format("'{}' is no number", field.key), "write a number");
  }
  if (!(*value >= least && *value <= most)) {
    return wrong("plan.value", record, field.line, fmt::format("'{}' is {}", field.key, *value),
                 fmt::format("it is between {} and {}", least, most));
  }
  return *value;
}

Result<PlanDocument> read_plan(std::span<const Record> records) {
  PlanDocument plan;
  const auto take = [](auto&& result, auto& into) -> Result<void> {
    if (!result) return std::unexpected(result.error());
    into.push_back(std::move(*result));
    return {};
  };
  for (const Record& record : records) {
    Result<void> done;
    if (record.kind == "node") {
      done = take(read_record<PlanNode>(record, node_readers(), true), plan.nodes);
      if (done && plan.nodes.back().zone.empty()) plan.nodes.back().zone = plan.nodes.back().name;
    } else if (record.kind == "user") {
      done = take(read_record<PlanUser>(record, user_readers(), true), plan.users);
    } else if (record.kind == "workload") {
      done = take(read_record<PlanWorkload>(record, workload_readers(), false), plan.workloads);
    } else if (record.kind == "measured") {
      done = take(read_record<MeasuredRoundTrip>(record, measured_readers(), false), plan.measurements);
    } else if (record.kind == "roi" || record.kind == "advise") {
      plan.others.push_back(record);
    } else {
      done = wrong("plan.kind", record, record.line, fmt::format("'{}' is no kind of record", printable(record.kind)),
                   "it is node, user, workload, measured, roi or advise");
    }
    if (!done) return std::unexpected(done.error());
  }
  if (Result<void> done = check_names(plan.nodes, "node"); !done) return std::unexpected(done.error());
  if (Result<void> done = check_names(plan.users, "user"); !done) return std::unexpected(done.error());
  if (Result<void> done = check_names(plan.workloads, "workload"); !done) return std::unexpected(done.error());
  if (Result<void> done = check_references(plan); !done) return std::unexpected(done.error());
  return plan;
}

}  // namespace verge::planner

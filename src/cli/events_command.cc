// verge events query, verge events tail: what a node holds, read from its data directory or asked of a running node.
#include <algorithm>
#include <charconv>
#include <chrono>
#include <cstdio>
#include <deque>
#include <iterator>
#include <span>
#include <thread>
#include <utility>

#include <fmt/format.h>
#include <fmt/ranges.h>
#include <simdjson.h>

#include "base/text.h"
#include "cli/admin_client.h"
#include "cli/command_line.h"
#include "cli/commands.h"
#include "cli/data_owner.h"
#include "cli/spool_access.h"
#include "model/topic.h"
#include "net/http_message.h"
#include "node/event_query.h"
#include "node/json_text.h"
#include "storage/file_system.h"

namespace verge::cli {
namespace {

constexpr auto kTailPeriod = std::chrono::milliseconds(200);

struct EventsOptions {
  SpoolAccess access;
  std::string admin;
  std::string topic = "#";
  std::string device;
  std::string kind;
  std::string stream;
  std::string after;
  uint64_t limit = 1000;
  bool json = false;
};

int print_failure(const Error& error) {
  fmt::print(stderr, "verge events: {}\n", error.line());
  return kFailure;
}

constexpr uint64_t kLimitMax = 1'000'000'000;
constexpr uint64_t kLimitOfARequest = 100'000;  // what a node allows

// For Option::check().
std::string no_word(std::string_view value, const std::vector<std::string>& words) {
  if (std::ranges::find(words, value) != words.end()) return {};
  const std::string near = nearest(value, words);
  const std::string what = fmt::format("'{}' is none of {}", value, fmt::join(words, ", "));
  return near.empty() ? what : fmt::format("{}; did you mean '{}'?", what, near);
}

std::string no_kind(const std::string& value) {
  std::vector<std::string> words;
  for (const EventKind kind : {EventKind::kMessage, EventKind::kSelection, EventKind::kAction}) {
    words.emplace_back(name_of(kind));
  }
  return no_word(value, words);
}

std::string no_stream(const std::string& value) {
  std::vector<std::string> words;
  for (const Priority stream : kPriorities) words.emplace_back(name_of(stream));
  return no_word(value, words);
}

std::string no_topic_filter(const std::string& value) {
  if (is_topic_filter(value)) return {};
  return fmt::format("'{}' is no topic filter; write one such as plant/+/oven or plant/#", value);
}

std::string no_position(const std::string& value) {
  if (node::EventPosition::parse(value)) return {};
  return fmt::format("'{}' is no position; copy one, such as normal:17", value);
}

std::string no_limit(const std::string& value, uint64_t least) {
  uint64_t limit = 0;
  const auto [end, problem] = std::from_chars(value.data(), value.data() + value.size(), limit);
  const bool is_number = problem == std::errc{} && end == value.data() + value.size();
  if (is_number && limit >= least && limit <= kLimitMax) return {};
  return fmt::format("'{}' is no number from {} to {}", value, least, kLimitMax);
}

// Of options that were checked.
node::EventQuery query_of(const EventsOptions& options) {
  node::EventQuery query;
  query.topic_filter = options.topic;
  query.device = options.device;
  query.limit = options.limit;
  if (!options.stream.empty()) query.stream = parse_priority(options.stream);
  for (const EventKind kind : {EventKind::kMessage, EventKind::kSelection, EventKind::kAction}) {
    if (options.kind == name_of(kind)) query.kind = kind;
  }
  if (!options.after.empty()) query.after = node::EventPosition::parse(options.after);
  return query;
}

// For people: time, stream, topic, payload.
std::string line_of(const node::FoundEvent& found, bool json, const DataOwner& owner) {
  if (json) {
    std::string lines;
    node::append_event_lines(lines, found, owner.id, owner.name);
    lines.pop_back();
    return lines;
  }
  std::string lines;
  const bool is_restored =
      node::restore_readings(found.event, [&](const EventView& reading, const node::RestoredReading&) {
        lines.append(lines.empty() ? "" : "\n").append(line_of({found.position, reading}, json, owner));
      });
  if (is_restored) return lines;
  const bool readable = is_utf8(found.event.payload);
  return fmt::format("{}  {:8}  {}  {}", format_utc(found.event.time), found.position.place(),
                     printable(found.event.topic),
                     readable ? printable(found.event.payload) : base64(found.event.payload));
}

// The same of an event that came as JSON, as event_json() writes it: the payload is its last member.
std::string readable_line(std::string_view json) {
  constexpr std::string_view kPayload = ",\"payload\":";
  simdjson::dom::parser parser;
  simdjson::dom::element event;
  if (node::parse_json(parser, json, event) != simdjson::SUCCESS) return printable(json);
  const auto text = [&](const char* name) {
    std::string_view value;
    return event[name].get(value) == simdjson::SUCCESS ? std::string(value) : std::string();
  };
  std::string payload = text("payload") + text("payload_base64");
  const size_t raw = json.find(kPayload);  // never inside a string, where quotes are escaped
  if (payload.empty() && raw != std::string_view::npos) {
    payload = json.substr(raw + kPayload.size(), json.size() - raw - kPayload.size() - 1);
  }
  return fmt::format("{}  {:8}  {}  {}", printable(text("time")), printable(text("stream")), printable(text("topic")),
                     printable(payload));
}

void say_where_to_go_on(const std::string& position) {
  if (!position.empty()) fmt::print(stderr, "there is more: go on with --after {}\n", position);
}

Result<void> check_directory(storage::FileSystem& file_system, const EventsOptions& options) {
  const Result<std::vector<std::string>> there = file_system.list(options.access.spool_directory());
  if (there) return {};
  if (there.error().code == "storage.permission") return std::unexpected(there.error());
  return fail("events.no-data", fmt::format("there is no node's data in {}", options.access.data_dir),
              "name its directory with --data-dir or ask a running node with --admin HOST:PORT");
}

// Where the data is, and the keys to it.
Result<std::unique_ptr<storage::KeyRing>> settle(EventsOptions& options) {
  const Result<storage::Keys> keys = settle_access(options.access);
  if (!keys) return std::unexpected(keys.error());
  auto ring = std::make_unique<storage::KeyRing>();
  if (const Result<void> taken = ring->replace(*keys); !taken) return std::unexpected(taken.error());
  return ring;
}

// A query may end before its limit, because it searched much: then it goes on from there.
int read_directory(EventsOptions& options) {
  const Result<std::unique_ptr<storage::KeyRing>> keys = settle(options);
  if (!keys) return print_failure(keys.error());
  storage::PosixFileSystem file_system(options.access.data_dir);
  const std::string spool = options.access.spool_directory();
  if (const Result<void> there = check_directory(file_system, options); !there) return print_failure(there.error());
  const DataOwner owner = owner_of(file_system, options.access.data_dir);
  node::EventQuery query = query_of(options);
  while (true) {
    size_t taken = 0;
    const Result<node::QueryEnd> end =
        node::query_events(file_system, spool, **keys, std::nullopt, query, [&](const node::FoundEvent& found) {
          fmt::print("{}\n", line_of(found, options.json, owner));
          ++taken;
          return node::Scan::kGoOn;
        });
    if (!end) return print_failure(end.error());
    const std::optional<node::EventPosition>& position = end->position;
    if (end->complete || !position) return kSuccess;
    query.limit -= taken;
    if (query.limit == 0) {
      say_where_to_go_on(position->text());
      return kSuccess;
    }
    query.after = position;
  }
}

std::string parameters_of(const EventsOptions& options, uint64_t limit, const std::string& after) {
  std::string parameters = fmt::format("/v1/events?limit={}", limit);
  const auto add = [&](std::string_view name, std::string_view value) {
    if (value.empty()) return;
    parameters.append("&").append(name).append("=").append(net::percent_encode(value));
  };
  add("topic", options.topic);
  add("device", options.device);
  add("kind", options.kind);
  add("stream", options.stream);
  add("after", after);
  return parameters;
}

// A node gives its events by the page.
int ask_node(const EventsOptions& options) {
  uint64_t left = options.limit;
  std::string after = options.after;
  do {
    const Result<AdminAnswer> answer =
        admin_get(options.admin, parameters_of(options, std::min(left, kLimitOfARequest), after));
    if (!answer) return print_failure(answer.error());
    if (answer->status != 200) {
      fmt::print(stderr, "verge events: {} answered {}: {}\n", options.admin, answer->status, answer->body);
      return kFailure;
    }
    std::string_view lines = answer->body;
    while (!lines.empty() && left > 0) {
      const size_t end = lines.find('\n');
      // Readings that were restored of one event have its position.
      const std::string_view its = lines.substr(0, lines.find(','));
      fmt::print("{}\n", options.json ? std::string(lines.substr(0, end)) : readable_line(lines.substr(0, end)));
      lines.remove_prefix(end == std::string_view::npos ? lines.size() : end + 1);
      if (lines.substr(0, lines.find(',')) != its) --left;
    }
    after = answer->next;
  } while (left > 0 && !after.empty());
  say_where_to_go_on(after);
  return kSuccess;
}

int run_query(EventsOptions& options) { return options.admin.empty() ? read_directory(options) : ask_node(options); }

struct TailLine {
  WallTime time;
  std::string text;
};

// The last `limit` of all streams together, in the order of their times.
void print_last(std::span<const TailLine> lines, size_t limit) {
  std::vector<std::pair<int64_t, size_t>> order;  // those of one stream stay in its order
  for (size_t i = 0; i < lines.size(); ++i) order.emplace_back(lines[i].time.microseconds, i);
  std::ranges::sort(order);
  for (size_t i = order.size() - std::min(limit, order.size()); i < order.size(); ++i) {
    fmt::print("{}\n", lines[order[i].second].text);
  }
}

// Each stream from its own position, so that nothing is missed while others grow.
int run_tail(EventsOptions& options) {
  const node::EventQuery query = query_of(options);
  const Result<std::unique_ptr<storage::KeyRing>> keys = settle(options);
  if (!keys) return print_failure(keys.error());
  storage::PosixFileSystem file_system(options.access.data_dir);
  const std::string spool = options.access.spool_directory();
  if (const Result<void> there = check_directory(file_system, options); !there) return print_failure(there.error());
  const DataOwner owner = owner_of(file_system, options.access.data_dir);
  std::array<std::optional<node::EventPosition>, spool::kStreams> seen;
  bool first = true;
  while (true) {
    std::vector<TailLine> last;
    for (const Priority stream : kPriorities) {
      if (query.stream && *query.stream != stream) continue;
      node::EventQuery one = query;
      one.stream = stream;
      one.after = seen[static_cast<size_t>(stream)];
      // The first look only finds where the end is, but for the last `limit` events.
      std::deque<TailLine> lines;
      one.limit = SIZE_MAX;
      const Result<node::QueryEnd> end =
          node::query_events(file_system, spool, **keys, std::nullopt, one, [&](const node::FoundEvent& found) {
            if (!first) {
              fmt::print("{}\n", line_of(found, options.json, owner));
              return node::Scan::kGoOn;
            }
            lines.push_back({found.event.time, line_of(found, options.json, owner)});
            if (lines.size() > options.limit) lines.pop_front();
            return node::Scan::kGoOn;
          });
      if (!end) return print_failure(end.error());
      std::ranges::move(lines, std::back_inserter(last));
      if (end->position) seen[static_cast<size_t>(stream)] = end->position;
    }
    print_last(last, options.limit);
    std::fflush(stdout);
    if (std::ferror(stdout) != 0) return kSuccess;
    first = false;
    std::this_thread::sleep_for(kTailPeriod);
  }
}

void add_options(Command& command, const std::shared_ptr<EventsOptions>& options, uint64_t limit_min) {
  add_access_options(command, options->access);
  command.add_option("--topic", options->topic, "Topic filter; # is all")->type_name("FILTER")->check(no_topic_filter);
  command.add_option("--device", options->device, "Only of this device")->type_name("NAME");
  command.add_option("--kind", options->kind, "message, selection or action")->type_name("KIND")->check(no_kind);
  command.add_option("--stream", options->stream, "critical, high, normal or low")
      ->type_name("PRIORITY")
      ->check(no_stream);
  command.add_option("--limit", options->limit, "At most so many that are there")
      ->type_name("N")
      ->check([limit_min](const std::string& value) { return no_limit(value, limit_min); });
  command.add_flag("--json", options->json, "One JSON object a line");
}

}  // namespace

void add_events(Command& app, Outcome& outcome) {
  Command* events = app.add_command("events", "Read what a node holds");
  events->group(kGroupNode);
  events->require_subcommand(1);
  set_examples(*events, "  verge events query --topic 'plant/#' --limit 20\n");
  Command* query = events->add_command("query", "Print events that are there, oldest first by stream");
  const auto query_options = std::make_shared<EventsOptions>();
  add_options(*query, query_options, 1);
  query->add_option("--admin", query_options->admin, "Ask the running node with this admin listener instead")
      ->type_name("HOST:PORT")
      ->check(no_address);
  query->add_option("--after", query_options->after, "Go on after this position")
      ->type_name("POSITION")
      ->check(no_position);
  set_examples(*query,
               "  verge events query --topic 'plant/+/10s' --limit 20\n"
               "  verge events query --admin 127.0.0.1:9180 --kind action\n");
  query->callback([&outcome, query_options] { outcome.run = [query_options] { return run_query(*query_options); }; });

  Command* tail = events->add_command("tail", "Print the last events, then new ones as they are written");
  const auto tail_options = std::make_shared<EventsOptions>();
  tail_options->limit = 10;
  add_options(*tail, tail_options, 0);
  set_examples(*tail, "  verge events tail --topic 'plant/#' --json\n");
  tail->callback([&outcome, tail_options] { outcome.run = [tail_options] { return run_tail(*tail_options); }; });
}

}  // namespace verge::cli

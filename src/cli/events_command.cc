// verge events query, verge events tail: what a node holds, read from its data directory or asked of a running node.
#include <chrono>
#include <cstdio>
#include <thread>

#include <fmt/format.h>
#include <simdjson.h>

#include "base/text.h"
#include "cli/admin_client.h"
#include "cli/command_line.h"
#include "cli/commands.h"
#include "model/topic.h"
#include "node/event_query.h"
#include "storage/file_system.h"

namespace verge::cli {
namespace {

constexpr auto kTailPeriod = std::chrono::milliseconds(200);

struct EventsOptions {
  std::string data_dir = "./verge-data";
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

Result<node::EventQuery> query_of(const EventsOptions& options) {
  node::EventQuery query;
  if (!is_topic_filter(options.topic)) {
    return fail("events.query", fmt::format("--topic {} is no topic filter", options.topic),
                "write one such as plant/+/oven");
  }
  query.topic_filter = options.topic;
  query.device = options.device;
  query.limit = options.limit;
  if (!options.stream.empty() && !(query.stream = parse_priority(options.stream))) {
    return fail("events.query", fmt::format("--stream {} is none", options.stream),
                "use critical, high, normal or low");
  }
  for (const EventKind kind : {EventKind::kMessage, EventKind::kSelection, EventKind::kAction}) {
    if (options.kind == name_of(kind)) query.kind = kind;
  }
  if (!options.kind.empty() && !query.kind) {
    return fail("events.query", fmt::format("--kind {} is none", options.kind), "use message, selection or action");
  }
  if (!options.after.empty() && !(query.after = node::EventPosition::parse(options.after))) {
    return fail("events.query", fmt::format("--after {} is no position", options.after), "copy one, such as normal:17");
  }
  return query;
}

// For people: time, stream, topic, payload.
std::string line_of(const node::FoundEvent& found, bool json, const NodeId& self) {
  if (json) return node::event_json(found, self, "this node");
  const bool readable = is_utf8(found.event.payload);
  return fmt::format("{}  {:8}  {}  {}", format_utc(found.event.time), name_of(found.position.stream),
                     found.event.topic, readable ? std::string(found.event.payload) : base64(found.event.payload));
}

// The same of an event that came as JSON, as event_json() writes it: the payload is its last member.
std::string readable_line(std::string_view json) {
  constexpr std::string_view kPayload = ",\"payload\":";
  simdjson::dom::parser parser;
  simdjson::dom::element event;
  if (parser.parse(json.data(), json.size()).get(event) != simdjson::SUCCESS) return std::string(json);
  const auto text = [&](const char* name) {
    std::string_view value;
    return event[name].get(value) == simdjson::SUCCESS ? std::string(value) : std::string();
  };
  std::string payload = text("payload") + text("payload_base64");
  const size_t raw = json.find(kPayload);  // never inside a string, where quotes are escaped
  if (payload.empty() && raw != std::string_view::npos) {
    payload = json.substr(raw + kPayload.size(), json.size() - raw - kPayload.size() - 1);
  }
  return fmt::format("{}  {:8}  {}  {}", text("time"), text("stream"), text("topic"), payload);
}

void say_where_to_go_on(const std::string& position) {
  if (!position.empty()) fmt::print(stderr, "there is more: go on with --after {}\n", position);
}

// The id of the node whose directory it is; zero when it has none yet.
NodeId node_of(storage::FileSystem& file_system, const std::string& data_dir) {
  const Result<std::string> text = file_system.read_file(data_dir + "/identity/node-id", 1024);
  return text ? NodeId::parse(trim(*text)).value_or(NodeId{}) : NodeId{};
}

Result<void> check_directory(storage::FileSystem& file_system, const EventsOptions& options) {
  if (file_system.list(options.data_dir + "/spool")) return {};
  return fail("events.no-data", fmt::format("there is no node's data in {}", options.data_dir),
              "name its directory with --data-dir or ask a running node with --admin HOST:PORT");
}

Result<node::QueryEnd> read_directory(const EventsOptions& options, const node::EventQuery& query) {
  storage::PosixFileSystem file_system;
  const std::string spool = options.data_dir + "/spool";
  if (const Result<void> there = check_directory(file_system, options); !there) return std::unexpected(there.error());
  const NodeId self = node_of(file_system, options.data_dir);
  return node::query_events(file_system, spool, std::nullopt, query, [&](const node::FoundEvent& found) {
    fmt::print("{}\n", line_of(found, options.json, self));
  });
}

std::string parameters_of(const EventsOptions& options, const std::string& after) {
  std::string parameters = fmt::format("/v1/events?limit={}", options.limit);
  const auto add = [&](std::string_view name, std::string_view value) {
    if (value.empty()) return;
    fmt::format_to(std::back_inserter(parameters), "&{}=", name);
    for (const char c : value) {
      const bool plain =
          (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '-' || c == '.';
      if (plain) {
        parameters.push_back(c);
      } else {
        fmt::format_to(std::back_inserter(parameters), "%{:02X}", static_cast<uint8_t>(c));
      }
    }
  };
  add("topic", options.topic);
  add("device", options.device);
  add("kind", options.kind);
  add("stream", options.stream);
  add("after", after);
  return parameters;
}

int ask_node(const EventsOptions& options) {
  const Result<AdminAnswer> answer = admin_get(options.admin, parameters_of(options, options.after));
  if (!answer) return print_failure(answer.error());
  if (answer->status != 200) {
    fmt::print(stderr, "verge events: {} answered {}: {}\n", options.admin, answer->status, answer->body);
    return kFailure;
  }
  std::string_view lines = answer->body;
  while (!lines.empty()) {
    const size_t end = lines.find('\n');
    fmt::print("{}\n", options.json ? std::string(lines.substr(0, end)) : readable_line(lines.substr(0, end)));
    lines.remove_prefix(end == std::string_view::npos ? lines.size() : end + 1);
  }
  say_where_to_go_on(answer->next);
  return kSuccess;
}

int run_query(const EventsOptions& options) {
  if (!options.admin.empty()) return ask_node(options);
  const Result<node::EventQuery> query = query_of(options);
  if (!query) return print_failure(query.error());
  const Result<node::QueryEnd> end = read_directory(options, *query);
  if (!end) return print_failure(end.error());
  say_where_to_go_on(end->complete ? "" : end->position->text());
  return kSuccess;
}

// Each stream from its own position, so that nothing is missed while others grow.
int run_tail(const EventsOptions& options) {
  Result<node::EventQuery> query = query_of(options);
  if (!query) return print_failure(query.error());
  storage::PosixFileSystem file_system;
  const std::string spool = options.data_dir + "/spool";
  if (const Result<void> there = check_directory(file_system, options); !there) return print_failure(there.error());
  const NodeId self = node_of(file_system, options.data_dir);
  std::array<std::optional<node::EventPosition>, spool::kStreams> seen;
  bool first = true;
  while (true) {
    for (const Priority stream : kPriorities) {
      if (query->stream && *query->stream != stream) continue;
      node::EventQuery one = *query;
      one.stream = stream;
      one.after = seen[static_cast<size_t>(stream)];
      // The first look only finds where the end is, but for the last `limit` events.
      std::vector<std::string> lines;
      one.limit = SIZE_MAX;
      const Result<node::QueryEnd> end =
          node::query_events(file_system, spool, std::nullopt, one, [&](const node::FoundEvent& found) {
            if (!first) return fmt::print("{}\n", line_of(found, options.json, self));
            lines.push_back(line_of(found, options.json, self));
            if (lines.size() > options.limit) lines.erase(lines.begin());
          });
      if (!end) return print_failure(end.error());
      for (const std::string& line : lines) fmt::print("{}\n", line);
      if (end->position) seen[static_cast<size_t>(stream)] = end->position;
    }
    std::fflush(stdout);
    if (std::ferror(stdout) != 0) return kSuccess;
    first = false;
    std::this_thread::sleep_for(kTailPeriod);
  }
}

void add_options(CLI::App& command, const std::shared_ptr<EventsOptions>& options) {
  command.add_option("--data-dir", options->data_dir, "The node's data directory; the node may be running")
      ->type_name("DIR");
  command.add_option("--topic", options->topic, "Topic filter; # is all")->type_name("FILTER");
  command.add_option("--device", options->device, "Only of this device")->type_name("NAME");
  command.add_option("--kind", options->kind, "message, selection or action")->type_name("KIND");
  command.add_option("--stream", options->stream, "critical, high, normal or low")->type_name("PRIORITY");
  command.add_option("--limit", options->limit, "At most so many")->type_name("N");
  command.add_flag("--json", options->json, "One JSON object a line");
}

}  // namespace

void add_events(CLI::App& app, Outcome& outcome) {
  CLI::App* events = app.add_subcommand("events", "Read what a node holds");
  events->group(kGroupNode);
  events->require_subcommand(1);
  set_examples(*events, "  verge events query --topic 'plant/#' --limit 20\n");
  CLI::App* query = events->add_subcommand("query", "Print events that are there, oldest first by stream");
  const auto query_options = std::make_shared<EventsOptions>();
  add_options(*query, query_options);
  query->add_option("--admin", query_options->admin, "Ask the running node with this admin listener instead")
      ->type_name("HOST:PORT");
  query->add_option("--after", query_options->after, "Go on after this position")->type_name("POSITION");
  set_examples(*query,
               "  verge events query --topic 'plant/+/10s' --limit 20\n"
               "  verge events query --admin 127.0.0.1:9180 --kind action\n");
  query->callback([&outcome, query_options] { outcome.run = [query_options] { return run_query(*query_options); }; });

  CLI::App* tail = events->add_subcommand("tail", "Print the last events, then new ones as they are written");
  const auto tail_options = std::make_shared<EventsOptions>();
  tail_options->limit = 10;
  add_options(*tail, tail_options);
  set_examples(*tail, "  verge events tail --topic 'plant/#' --json\n");
  tail->callback([&outcome, tail_options] { outcome.run = [tail_options] { return run_tail(*tail_options); }; });
}

}  // namespace verge::cli

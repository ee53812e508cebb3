// verge mqtt: who is connected to a running node by MQTT, what they subscribe to, what is retained; and closing a
// client.
#include <cstdio>
#include <memory>

#include <fmt/format.h>
#include <simdjson.h>

#include "base/text.h"
#include "cli/admin_client.h"
#include "cli/admin_document.h"
#include "cli/command_line.h"
#include "cli/mqtt_commands.h"
#include "net/http_message.h"

namespace verge::cli {
namespace {

struct MqttOptions {
  std::string admin = "127.0.0.1:9180";
  std::string client;
  std::string filter = "#";
  size_t limit = 1000;
  bool with_session = false;
  bool json = false;
};

int print_failure(const Error& error) {
  fmt::print(stderr, "verge mqtt: {}\n", error.line());
  return kFailure;
}

std::string text_of(simdjson::dom::element row, std::string_view name) {
  std::string_view text;
  return row[name].get(text) == simdjson::SUCCESS ? printable(text) : std::string();
}
uint64_t number_of(simdjson::dom::element row, std::string_view name) {
  uint64_t number = 0;
  return row[name].get(number) == simdjson::SUCCESS ? number : 0;
}
bool flag_of(simdjson::dom::element row, std::string_view name) {
  bool flag = false;
  return row[name].get(flag) == simdjson::SUCCESS && flag;
}

void print_client(simdjson::dom::element row) {
  const std::string user = text_of(row, "user");
  const std::string address = text_of(row, "address");
  fmt::print("{}{}  {}  MQTT {}  {} subscriptions, {} wait{}\n", text_of(row, "client"),
             user.empty() ? "" : " (" + user + ")", address.empty() ? "away" : address, text_of(row, "version"),
             number_of(row, "subscriptions"), format_size(number_of(row, "waiting_bytes")),
             flag_of(row, "durable") ? ", kept on disk" : "");
}
void print_subscription(simdjson::dom::element row) {
  fmt::print("{}  {}  QoS {}\n", text_of(row, "client"), text_of(row, "filter"), number_of(row, "qos"));
}
void print_retained(simdjson::dom::element row) {
  fmt::print("{}  {}  QoS {}\n", text_of(row, "topic"), format_size(number_of(row, "bytes")), number_of(row, "qos"));
}

void print_bridge(simdjson::dom::element row) {
  const std::string problem = text_of(row, "problem");
  fmt::print("{}  {}  {}  {} out, {} in, {} wait{}\n", text_of(row, "bridge"), text_of(row, "address"),
             flag_of(row, "connected") ? "connected" : "away", number_of(row, "out"), number_of(row, "in"),
             format_size(number_of(row, "waiting_bytes")), problem.empty() ? "" : "  " + problem);
}

int print_rows(const MqttOptions& options, const std::string& name, std::string_view query,
               void (*print)(simdjson::dom::element)) {
  simdjson::dom::parser parser;
  const Result<simdjson::dom::element> page =
      parsed(parser, admin_get(options.admin, fmt::format("/v1/mqtt/{}{}", name, query)));
  if (!page) return print_failure(page.error());
  const Result<simdjson::dom::array> rows = rows_of(*page, name);
  if (!rows) return print_failure(rows.error());
  for (const simdjson::dom::element row : *rows) {
    if (options.json) {
      fmt::print("{}\n", simdjson::minify(row));
    } else {
      print(row);
    }
  }
  if (flag_of(*page, "more")) fmt::print(stderr, "there are more: see --limit\n");
  return kSuccess;
}

std::string of_limit(const MqttOptions& options) { return fmt::format("?limit={}", options.limit); }

std::string of_client(const MqttOptions& options) {
  return of_limit(options) +
         (options.client.empty() ? std::string() : "&client=" + net::percent_encode(options.client));
}

int kick(const MqttOptions& options) {
  simdjson::dom::parser parser;
  const Result<simdjson::dom::element> done =
      parsed(parser, admin_request(options.admin, "DELETE",
                                   fmt::format("/v1/mqtt/clients/{}{}", net::percent_encode(options.client),
                                               options.with_session ? "?session=end" : ""),
                                   "", ""));
  if (!done) {
    Error error = done.error();
    if (error.fix.contains("?session=end")) {
      error.fix = options.with_session
                      ? "see verge mqtt clients"
                      : "see verge mqtt clients; --end-session also ends the session of one that is away";
    }
    return print_failure(error);
  }
  if (options.json) {
    fmt::print("{}\n", simdjson::minify(*done));
  } else {
    fmt::print("{} is closed{}\n", printable(options.client), options.with_session ? ", and its session ended" : "");
  }
  return kSuccess;
}

Command& add_mqtt_command(Command& mqtt, const std::string& name, const std::string& description,
                          MqttOptions& options) {
  Command* command = mqtt.add_command(name, description);
  command->add_option("--admin", options.admin, "The node's admin listener")
      ->type_name("HOST:PORT")
      ->check(no_address)
      ->capture_default_str();
  command->add_flag("--json", options.json, "JSON on stdout, one object a line");
  return *command;
}

void add_limit(Command& command, MqttOptions& options) {
  command.add_option("--limit", options.limit, "Rows at most")->check(between(1, 10'000))->capture_default_str();
}

}  // namespace

void add_mqtt(Command& app, Outcome& outcome) {
  Command* mqtt = app.add_command("mqtt", "Show the MQTT clients of a running node, or close one");
  mqtt->group(kGroupNode);
  mqtt->require_subcommand(1);
  const auto options = std::make_shared<MqttOptions>();

  Command& clients = add_mqtt_command(*mqtt, "clients", "Who has a session, connected or away", *options);
  clients.add_option("client", options->client, "Only this client id")->type_name("ID");
  add_limit(clients, *options);
  set_examples(clients, "  verge mqtt clients\n  verge mqtt clients press-7 --json\n");
  clients.callback([&outcome, options] {
    outcome.run = [options] { return print_rows(*options, "clients", of_client(*options), print_client); };
  });

  Command& subscriptions = add_mqtt_command(*mqtt, "subscriptions", "Who subscribes to what", *options);
  subscriptions.add_option("client", options->client, "Only of this client id")->type_name("ID");
  add_limit(subscriptions, *options);
  set_examples(subscriptions, "  verge mqtt subscriptions\n");
  subscriptions.callback([&outcome, options] {
    outcome.run = [options] { return print_rows(*options, "subscriptions", of_client(*options), print_subscription); };
  });

  Command& retained = add_mqtt_command(*mqtt, "retained", "Which topics have a retained message", *options);
  retained.add_option("filter", options->filter, "Only topics that match")->type_name("FILTER")->capture_default_str();
  add_limit(retained, *options);
  set_examples(retained, "  verge mqtt retained 'plant/+/oven'\n");
  retained.callback([&outcome, options] {
    outcome.run = [options] {
      return print_rows(*options, "retained", of_limit(*options) + "&filter=" + net::percent_encode(options->filter),
                        print_retained);
    };
  });

  Command& bridges = add_mqtt_command(*mqtt, "bridges", "The bridges to other brokers", *options);
  set_examples(bridges, "  verge mqtt bridges\n");
  bridges.callback(
      [&outcome, options] { outcome.run = [options] { return print_rows(*options, "bridges", "", print_bridge); }; });

  Command& kicked = add_mqtt_command(*mqtt, "kick", "Close a client's connection", *options);
  kicked.add_option("client", options->client, "The client id")->type_name("ID")->required();
  kicked.add_flag("--end-session", options->with_session, "End its session too, also when it is away");
  set_examples(kicked, "  verge mqtt kick press-7\n");
  kicked.callback([&outcome, options] { outcome.run = [options] { return kick(*options); }; });
}

}  // namespace verge::cli

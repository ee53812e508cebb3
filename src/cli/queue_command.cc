// verge queue: the queues of workers, at a running node.
#include <cstdio>
#include <memory>

#include <fmt/format.h>
#include <simdjson.h>

#include "base/text.h"
#include "cli/admin_client.h"
#include "cli/admin_document.h"
#include "cli/command.h"
#include "cli/command_line.h"
#include "cli/commands.h"
#include "cli/json_lookup.h"
#include "net/http_message.h"
#include "node/credentials.h"

namespace verge::cli {
namespace {

struct QueueOptions {
  std::string admin = "127.0.0.1:9180";
  std::string token_file;
  std::string name;
  std::string to;
  size_t limit = 10;
  bool json = false;
};

int print_failure(const Error& error) {
  fmt::print(stderr, "verge queue: {}\n", error.line());
  return kFailure;
}

// The document, or a status that says that it was printed, or why not.
template <class Print>
int answered(const QueueOptions& options, const Result<AdminAnswer>& answer, const char* array, const Print& print) {
  simdjson::dom::parser parser;
  const Result<simdjson::dom::element> document = parsed(parser, answer);
  if (!document) return print_failure(document.error());
  simdjson::dom::array all;
  if (options.json) {
    fmt::print("{}\n", simdjson::minify(*document));
  } else if ((*document)[array].get(all) == simdjson::SUCCESS) {
    print(all);
  }
  return kSuccess;
}

int list(const QueueOptions& options) {
  return answered(options, admin_get(options.admin, "/v1/queues"), "queues", [](simdjson::dom::array all) {
    fmt::print("{:32} {:>10} {:>10} {:>10} {:>12} {:>8} {:>6}\n", "queue", "messages", "bytes", "sent", "acknowledged",
               "retried", "dead");
    for (const simdjson::dom::element queue : all) {
      const std::string one = simdjson::minify(queue);
      const auto number = [&](std::string_view name) { return number_at(one, {name}); };
      fmt::print("{:32} {:>10.0f} {:>10} {:>10.0f} {:>12.0f} {:>8.0f} {:>6.0f}\n", text_at(one, {"name"}),
                 number("messages"), format_size(static_cast<uint64_t>(number("bytes"))), number("sent"),
                 number("acknowledged"), number("retried"), number("dead"));
    }
  });
}

// What fits a line or two; --json has all.
std::string begin_of(std::string_view body) {
  constexpr size_t kBytesMax = 200;
  if (body.size() <= kBytesMax) return std::string(body);
  size_t end = kBytesMax;
  while (end > 0 && (static_cast<unsigned char>(body[end]) & 0xC0U) == 0x80U) --end;  // within a character
  return fmt::format("{}… of {} bytes", body.substr(0, end), body.size());
}

int peek(const QueueOptions& options) {
  const std::string target = fmt::format("/v1/queues/{}?limit={}", net::percent_encode(options.name), options.limit);
  return answered(options, admin_get(options.admin, target), "messages", [](simdjson::dom::array all) {
    for (const simdjson::dom::element message : all) {
      const std::string one = simdjson::minify(message);
      const std::string body = text_at(one, {"body"});
      fmt::print("{}  failed {:.0f} times  {}\n", text_at(one, {"id"}), number_at(one, {"attempts"}),
                 body.empty() ? "base64 " + begin_of(text_at(one, {"base64"})) : printable(begin_of(body)));
    }
  });
}

int retry(const QueueOptions& options) {
  std::string token;
  if (!options.token_file.empty()) {
    Result<std::string> read = node::read_secret({.kind = node::SecretSource::Kind::kFile, .name = options.token_file});
    if (!read) return print_failure(read.error());
    token = *std::move(read);
  }
  const std::string target =
      fmt::format("/v1/queues/{}/retry?to={}", net::percent_encode(options.name), net::percent_encode(options.to));
  const Result<AdminAnswer> answer = admin_request(options.admin, "POST", target, {}, token);
  simdjson::dom::parser parser;
  const Result<simdjson::dom::element> moved = parsed(parser, answer);
  if (!moved) return print_failure(moved.error());
  if (options.json) {
    fmt::print("{}\n", simdjson::minify(*moved));
  } else {
    fmt::print("{:.0f} messages went to {}\n", number_at(answer->body, {"moved"}), options.to);
  }
  return kSuccess;
}

using Run = int (*)(const QueueOptions&);
Command& add(Command& queue, Outcome& outcome, const char* name, const char* description, Run run,
             const std::shared_ptr<QueueOptions>& options) {
  Command* command = queue.add_command(name, description);
  command->add_option("--admin", options->admin, "The node's admin listener")
      ->type_name("HOST:PORT")
      ->capture_default_str();
  command->add_flag("--json", options->json, "Print the node's answer");
  command->callback([options, run, &outcome] { outcome.run = [options, run] { return run(*options); }; });
  return *command;
}

}  // namespace

void add_queue(Command& app, Outcome& outcome) {
  Command* queue = app.add_command("queue", "Look at the queues of workers at a running node");
  queue->group(kGroupNode);
  queue->require_subcommand(1);
  set_examples(*queue,
               "  verge queue list\n"
               "  verge queue peek mail-dead\n"
               "  verge queue retry mail-dead --to mail\n");
  const auto options = std::make_shared<QueueOptions>();
  Command& listed = add(*queue, outcome, "list", "All queues, with what is in them", list, options);
  set_examples(listed, "  verge queue list --json\n");

  Command& shown = add(*queue, outcome, "peek", "Print the first messages of a queue, which stay there", peek, options);
  shown.add_option("QUEUE", options->name, "The queue")->required();
  shown.add_option("--limit", options->limit, "Messages at most")->check(between(1, 1000))->capture_default_str();
  set_examples(shown, "  verge queue peek mail-dead --limit 100\n");

  Command& tried =
      add(*queue, outcome, "retry", "Move all messages, such as dead letters, to another queue", retry, options);
  tried.add_option("QUEUE", options->name, "Where they are")->required();
  tried.add_option("--to", options->to, "The other queue")->required()->type_name("QUEUE");
  tried.add_option("--token-file", options->token_file, "Where the token stands, if the node asks for one")
      ->type_name("FILE");
  set_examples(tried, "  verge queue retry mail-dead --to mail\n");
}

}  // namespace verge::cli

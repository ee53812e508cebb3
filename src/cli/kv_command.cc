// verge kv: the keys and values of workers, at a running node.
#include <cstdio>
#include <memory>

#include <fmt/format.h>
#include <simdjson.h>

#include "base/text.h"
#include "cli/admin_client.h"
#include "cli/admin_document.h"
#include "cli/command_line.h"
#include "cli/commands.h"
#include "cli/json_lookup.h"
#include "cli/line_input.h"
#include "cli/whole_file.h"
#include "net/http_message.h"
#include "node/credentials.h"

namespace verge::cli {
namespace {

constexpr size_t kImportBytes = 4U << 20;  // of one request
constexpr size_t kImportLines = 1000;
constexpr uint64_t kSecondsMax = 1'000'000'000'000;
constexpr Duration kPatience = std::chrono::seconds(60);

struct KvOptions {
  std::string admin = "127.0.0.1:9180";
  std::string token_file;
  std::string space;
  std::string key;
  std::vector<std::string> value;  // one or none
  std::string file;
  std::string metadata;
  std::string prefix;
  std::string cursor;
  uint64_t ttl = 0;
  uint64_t expiration = 0;
  size_t limit = 1000;
  bool json = false;
};

int print_failure(const Error& error, int status = kFailure) {
  fmt::print(stderr, "verge kv: {}\n", error.line());
  return status;
}

std::string path_of(const KvOptions& options) {
  return fmt::format("/v1/kv/{}/{}", net::percent_encode(options.space), net::percent_encode(options.key));
}

Result<AdminAnswer> ask(const KvOptions& options, std::string_view method, const std::string& target,
                        std::string_view body = {}) {
  std::string token;
  if (!options.token_file.empty()) {
    Result<std::string> read = node::read_secret({.kind = node::SecretSource::Kind::kFile, .name = options.token_file});
    if (!read) return std::unexpected(read.error());
    token = *std::move(read);
  }
  Result<AdminAnswer> answer = admin_request(options.admin, method, target, body, token, kPatience);
  if (!answer || answer->status < 400) return answer;
  const std::string code = text_at(answer->body, {"error", "code"});
  // Error codes are literals: what is told is part of the text.
  return fail("cli.node-refused",
              code.empty() ? fmt::format("the node answered {}", answer->status)
                           : fmt::format("{} [{}]", text_at(answer->body, {"error", "what"}), code),
              text_at(answer->body, {"error", "fix"}));
}

// The value as it is; as JSON: a line of an export.
int get(const KvOptions& options) {
  const Result<AdminAnswer> answer = ask(options, "GET", path_of(options));
  if (!answer) return print_failure(answer.error());
  if (options.json) {
    const bool is_text = is_utf8(answer->body);
    fmt::print(R"({{"name":{},"{}":{}}})"
               "\n",
               json_string(options.key), is_text ? "value" : "base64",
               json_string(is_text ? answer->body : base64(answer->body)));
  } else {
    std::fwrite(answer->body.data(), 1, answer->body.size(), stdout);
  }
  return kSuccess;
}

int put(const KvOptions& options) {
  if (options.value.empty() == options.file.empty()) {
    fmt::print(stderr, "verge kv put: give a VALUE or --file\n");
    return kUsage;
  }
  Result<std::string> value =
      options.value.empty() ? read_whole_file(options.file) : Result<std::string>(options.value.front());
  if (!value) return print_failure(value.error(), kUsage);
  std::string query;
  const auto add = [&](std::string_view name, const std::string& text) {
    query.append(query.empty() ? "?" : "&").append(name).append("=").append(net::percent_encode(text));
  };
  if (options.ttl > 0) add("ttl", std::to_string(options.ttl));
  if (options.expiration > 0) add("expiration", std::to_string(options.expiration));
  if (!options.metadata.empty()) add("metadata", options.metadata);
  const Result<AdminAnswer> answer = ask(options, "PUT", path_of(options) + query, *value);
  if (!answer) return print_failure(answer.error());
  if (options.json) fmt::print("{}", answer->body);
  return kSuccess;
}

int remove(const KvOptions& options) {
  const Result<AdminAnswer> answer = ask(options, "DELETE", path_of(options));
  if (!answer) return print_failure(answer.error());
  if (options.json) fmt::print("{}", answer->body);
  return kSuccess;
}

// --- Lists

int list_spaces(const KvOptions& options) {
  const Result<AdminAnswer> answer = ask(options, "GET", "/v1/kv");
  if (!answer) return print_failure(answer.error());
  if (options.json) {
    fmt::print("{}", answer->body);
    return kSuccess;
  }
  simdjson::dom::parser parser;
  const Result<simdjson::dom::element> document = parsed(parser, answer);
  if (!document) return print_failure(document.error());
  const Result<simdjson::dom::array> spaces = rows_of(*document, "namespaces");
  if (!spaces) return print_failure(spaces.error());
  fmt::print("{:32} {:>10} {:>12} {:>12}\n", "namespace", "keys", "bytes", "at most");
  for (const simdjson::dom::element space : *spaces) {
    const std::string one = simdjson::minify(space);
    fmt::print("{:32} {:>10.0f} {:>12} {:>12}\n", text_at(one, {"name"}), number_at(one, {"keys"}),
               format_size(static_cast<uint64_t>(number_at(one, {"bytes"}))),
               format_size(static_cast<uint64_t>(number_at(one, {"bytes_max"}))));
  }
  return kSuccess;
}

std::string query_of(const KvOptions& options) {
  return fmt::format("/v1/kv/{}?prefix={}&limit={}&cursor={}", net::percent_encode(options.space),
                     net::percent_encode(options.prefix), options.limit, net::percent_encode(options.cursor));
}

int list(const KvOptions& options) {
  if (options.space.empty()) return list_spaces(options);
  const Result<AdminAnswer> answer = ask(options, "GET", query_of(options));
  if (!answer) return print_failure(answer.error());
  if (options.json) {
    fmt::print("{}", answer->body);
    return kSuccess;
  }
  simdjson::dom::parser parser;
  const Result<simdjson::dom::element> document = parsed(parser, answer);
  if (!document) return print_failure(document.error());
  const Result<simdjson::dom::array> keys = rows_of(*document, "keys");
  if (!keys) return print_failure(keys.error());
  for (const simdjson::dom::element key : *keys) {
    std::string_view name;
    if (key["name"].get(name) == simdjson::SUCCESS) fmt::print("{}\n", printable(name));
  }
  const std::string cursor = text_at(answer->body, {"cursor"});
  if (!cursor.empty()) fmt::print(stderr, "there are more: --cursor {}\n", cursor);
  return kSuccess;
}

// --- All of a namespace

int export_all(const KvOptions& options) {
  KvOptions page = options;
  page.limit = 1000;
  while (true) {
    const Result<AdminAnswer> answer = ask(page, "GET", query_of(page) + "&values=true");
    if (!answer) return print_failure(answer.error());
    std::fwrite(answer->body.data(), 1, answer->body.size(), stdout);
    if (answer->next.empty()) return kSuccess;
    page.cursor = answer->next;
  }
}

int import_all(const KvOptions& options) {
  std::string lines;
  size_t count = 0;
  size_t before = 0;  // lines that were sent
  uint64_t sum = 0;
  const auto send = [&]() -> Result<void> {
    if (lines.empty()) return {};
    const std::string target = fmt::format("/v1/kv/{}?first_line={}", net::percent_encode(options.space), before + 1);
    const Result<AdminAnswer> answer = ask(options, "POST", target, lines);
    if (!answer) {
      Error error = answer.error();
      if (error.what.starts_with("line ")) error.what = fmt::format("{}: {}", options.file, error.what);
      return std::unexpected(std::move(error));
    }
    before += count;
    sum += static_cast<uint64_t>(number_at(answer->body, {"put"}));
    lines.clear();
    count = 0;
    return {};
  };
  Result<void> done = for_each_line(
      options.file,
      [&](std::string_view line) -> Result<void> {
        lines.append(line).push_back('\n');
        return ++count == kImportLines || lines.size() >= kImportBytes ? send() : Result<void>();
      },
      [] {});
  if (done) done = send();
  if (options.json) {
    fmt::print("{{\"put\":{}}}\n", sum);
  } else {
    fmt::print(stderr, "put {} keys\n", sum);
  }
  return done ? kSuccess : print_failure(done.error());
}

// --- Registration

using Run = int (*)(const KvOptions&);
Command& add(Command& kv, Outcome& outcome, const char* name, const char* description, Run run, bool changes,
             const std::shared_ptr<KvOptions>& options) {
  Command* command = kv.add_command(name, description);
  command->add_option("--admin", options->admin, "The node's admin listener")
      ->type_name("HOST:PORT")
      ->check(no_address)
      ->capture_default_str();
  command->add_flag("--json", options->json, "JSON on stdout");
  if (changes) {
    command->add_option("--token-file", options->token_file, "Where the token stands, if the node asks for one")
        ->type_name("FILE");
  }
  command->callback([options, run, &outcome] { outcome.run = [options, run] { return run(*options); }; });
  return *command;
}

void add_space(Command& command, KvOptions& options) {
  command.add_option("NAMESPACE", options.space, "Of the keys")->required();
}

void add_key(Command& command, KvOptions& options) {
  add_space(command, options);
  command.add_option("KEY", options.key, "The key")->required();
}

}  // namespace

void add_kv(Command& app, Outcome& outcome) {
  Command* kv = app.add_command("kv", "Read and change the keys and values of workers at a running node");
  kv->group(kGroupNode);
  kv->require_subcommand(1);
  set_examples(*kv,
               "  verge kv put links /docs https://example.com/docs\n"
               "  verge kv list links --prefix /\n"
               "  verge kv export links > links.ndjson\n");
  const auto options = std::make_shared<KvOptions>();

  Command& got = add(*kv, outcome, "get", "Print a value", get, /*changes=*/false, options);
  add_key(got, *options);
  set_examples(got, "  verge kv get links /docs\n");

  Command& made = add(*kv, outcome, "put", "Put a value; it is durable when this ends", put, /*changes=*/true, options);
  add_key(made, *options);
  made.add_option("VALUE", options->value, "The value; or --file")->expected(0, 1);
  made.add_option("--file", options->file, "Where the value stands; '-' is standard input")->type_name("FILE");
  made.add_option("--ttl", options->ttl, "It expires after so many seconds")
      ->type_name("SECONDS")
      ->check(between<uint64_t>(1, kSecondsMax));
  made.add_option("--expiration", options->expiration, "It expires then, in seconds since 1970")
      ->type_name("SECONDS")
      ->check(between<uint64_t>(1, kSecondsMax));
  made.add_option("--metadata", options->metadata, "What is said of the value in lists")->type_name("JSON");
  set_examples(made,
               "  verge kv put links /docs https://example.com/docs\n"
               "  verge kv put images logo --file logo.png --metadata '{\"type\":\"image/png\"}' --ttl 86400\n");

  Command& gone = add(*kv, outcome, "delete", "Delete a key", remove, /*changes=*/true, options);
  add_key(gone, *options);
  set_examples(gone, "  verge kv delete links /docs\n");

  Command& listed =
      add(*kv, outcome, "list", "List keys in order, or all namespaces", list, /*changes=*/false, options);
  listed.add_option("NAMESPACE", options->space, "Of the keys; else the namespaces are listed");
  listed.add_option("--prefix", options->prefix, "Keys that begin so");
  listed.add_option("--limit", options->limit, "Keys at most")->check(between(1, 1000))->capture_default_str();
  listed.add_option("--cursor", options->cursor, "Go on where the list with this cursor ended");
  set_examples(listed, "  verge kv list\n  verge kv list links --prefix /docs\n");

  Command& exported =
      add(*kv, outcome, "export", "Print all keys with their values, one JSON object a line", export_all,
          /*changes=*/false, options);
  add_space(exported, *options);
  exported.add_option("--prefix", options->prefix, "Keys that begin so");
  set_examples(exported, "  verge kv export links > links.ndjson\n");

  Command& imported = add(*kv, outcome, "import", "Put all keys of an export", import_all, /*changes=*/true, options);
  add_space(imported, *options);
  imported.add_option("FILE", options->file, "What `verge kv export` printed; '-' is standard input")->required();
  set_examples(imported, "  verge kv import links links.ndjson\n");
}

}  // namespace verge::cli

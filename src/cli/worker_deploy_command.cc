// verge worker deploy, list, limits, rollback, remove, tail: the workers of a running node.
#include <algorithm>
#include <cstdio>
#include <deque>
#include <optional>
#include <span>
#include <string_view>

#include <fmt/format.h>
#include <fmt/ranges.h>
#include <simdjson.h>
#include <time.h>

#include "base/random.h"
#include "base/text.h"
#include "cli/admin_client.h"
#include "cli/admin_document.h"
#include "cli/assignment.h"
#include "cli/command_line.h"
#include "cli/commands.h"
#include "cli/json_lookup.h"
#include "isolates/worker_source.h"
#include "net/http_message.h"
#include "node/credentials.h"

namespace verge::cli {
namespace {

// Of one deploy.
constexpr int kNodesMax = 1000;

struct DeployOptions {
  std::vector<std::string> admins = {"127.0.0.1:9180"};  // one at least
  std::string token_file;
  std::string file;
  std::string name;
  std::vector<std::string> routes;
  std::vector<std::string> crons;
  std::vector<std::string> variables;
  std::vector<std::string> secrets;
  std::vector<std::string> spaces;
  std::vector<std::string> connect;
  std::vector<std::string> queues;
  std::vector<std::string> consumed;
  std::string position;
  std::string fallback;
  std::string tenant;
  std::string compatibility_date;
  uint64_t cpu_ms = 0;
  uint64_t wall_ms = 0;
  uint64_t memory_mb = 0;
  uint64_t subrequests = UINT64_MAX;
  uint64_t version = 0;
  std::string level = "debug";  // of `tail`: what is below is not shown, as what the next three leave out
  std::string search;
  double sampling = 1;
  std::vector<std::string> statuses;  // likewise, of calls
  std::vector<std::string> methods;
  bool private_addresses = false;
  bool json = false;
  bool once = false;
};

int print_failure(const Error& error, int status = kFailure) {
  fmt::print(stderr, "verge worker: {}\n", error.line());
  return status;
}

Result<std::string> read_token(const DeployOptions& options) {
  if (options.token_file.empty()) return std::string();
  return node::read_secret({.kind = node::SecretSource::Kind::kFile, .name = options.token_file});
}

// The answer of the node at `admin`, or what it said was wrong.
Result<AdminAnswer> ask_at(const DeployOptions& options, const std::string& admin, std::string_view method,
                           const std::string& target, std::string_view body = {}) {
  const Result<std::string> token = read_token(options);
  if (!token) return std::unexpected(token.error());
  Result<AdminAnswer> answer = admin_request(admin, method, target, body, *token, std::chrono::seconds(60));
  if (!answer || answer->status < 400) return answer;
  const std::string code = text_at(answer->body, {"error", "code"});
  // Error codes are literals: what is told is part of the text.
  return fail("cli.node-refused",
              code.empty() ? fmt::format("the node answered {}", answer->status)
                           : fmt::format("{} [{}]", text_at(answer->body, {"error", "what"}), code),
              text_at(answer->body, {"error", "fix"}));
}

Result<AdminAnswer> ask(const DeployOptions& options, std::string_view method, const std::string& target) {
  return ask_at(options, options.admins.front(), method, target);
}

std::string path_of(const std::string& name, std::string_view rest = {}) {
  return fmt::format("/v1/workers/{}{}", net::percent_encode(name), rest);
}

// --- deploy

constexpr std::string_view kTypes[] = {"javascript", "json", "text", "bytes"};

void append_pairs(std::string& out, std::string_view key,
                  const std::vector<std::pair<std::string, std::string>>& pairs) {
  if (pairs.empty()) return;
  fmt::format_to(std::back_inserter(out), ",{}:{{", json_string(key));
  for (const auto& [name, value] : pairs) {
    fmt::format_to(std::back_inserter(out), "{}{}:{}", out.ends_with('{') ? "" : ",", json_string(name),
                   json_string(value));
  }
  out.push_back('}');
}

void append_list(std::string& out, std::string_view key, const std::vector<std::string>& texts) {
  if (texts.empty()) return;
  fmt::format_to(std::back_inserter(out), ",{}:[", json_string(key));
  for (const std::string& text : texts) {
    fmt::format_to(std::back_inserter(out), "{}{}", out.ends_with('[') ? "" : ",", json_string(text));
  }
  out.push_back(']');
}

std::vector<std::pair<std::string, std::string>> pairs_of(const std::vector<std::string>& texts) {
  std::vector<std::pair<std::string, std::string>> pairs;
  for (const std::string& text : texts) {
    const size_t equals = text.find('=');
    pairs.emplace_back(text.substr(0, equals), equals == std::string::npos ? "" : text.substr(equals + 1));
  }
  return pairs;
}

std::string name_of(const DeployOptions& options) {
  return options.name.empty() ? isolates::worker_name(options.file) : options.name;
}

Result<std::string> make_bundle(const DeployOptions& options) {
  const Result<std::vector<isolates::ModuleSource>> modules = isolates::read_modules(options.file);
  if (!modules) return fail("cli.worker-file", modules.error().what, modules.error().fix);
  std::vector<std::pair<std::string, std::string>> secrets;
  for (const auto& [name, file] : pairs_of(options.secrets)) {
    Result<std::string> secret = node::read_secret({.kind = node::SecretSource::Kind::kFile, .name = file});
    if (!secret) return std::unexpected(secret.error());
    secrets.emplace_back(name, std::move(*secret));
  }
  const std::string name = name_of(options);
  std::string out = fmt::format(R"({{"worker":{{"name":{})", json_string(name));
  append_list(out, "routes", options.routes);
  append_list(out, "cron", options.crons);
  append_list(out, "connect", options.connect);
  append_pairs(out, "env", pairs_of(options.variables));
  append_pairs(out, "kv", pairs_of(options.spaces));
  append_pairs(out, "queues", pairs_of(options.queues));
  append_list(out, "consumes", options.consumed);
  const auto text = [&](std::string_view key, const std::string& value) {
    if (!value.empty()) fmt::format_to(std::back_inserter(out), ",{}:{}", json_string(key), json_string(value));
  };
  text("position", options.position);
  text("fallback", options.fallback);
  text("tenant", options.tenant);
  text("compatibility_date", options.compatibility_date);
  if (options.cpu_ms > 0) text("cpu", fmt::format("{}ms", options.cpu_ms));
  if (options.wall_ms > 0) text("wall", fmt::format("{}ms", options.wall_ms));
  if (options.memory_mb > 0) text("memory", fmt::format("{}MiB", options.memory_mb));
  if (options.subrequests != UINT64_MAX) {
    fmt::format_to(std::back_inserter(out), R"(,"subrequests":{})", options.subrequests);
  }
  if (options.private_addresses) out.append(R"(,"private_addresses":true)");
  out.push_back('}');
  append_pairs(out, "secrets", secrets);
  out.append(R"(,"modules":[)");
  for (const isolates::ModuleSource& module : *modules) {
    const bool is_text = module.type != calls::ModuleType::kBytes && is_utf8(module.source);
    fmt::format_to(std::back_inserter(out), R"({}{{"name":{},"type":"{}",)", &module == modules->data() ? "" : ",",
                   json_string(module.name), kTypes[static_cast<size_t>(module.type)]);
    if (is_text) {
      out.append(R"("source":)").append(json_string(module.source));
    } else {
      fmt::format_to(std::back_inserter(out), R"("base64":"{}")", base64(module.source));
    }
    out.push_back('}');
  }
  return out.append("]}");
}

int print_failure_at(const DeployOptions& options, const std::string& admin, const Error& error) {
  if (options.admins.size() == 1) return print_failure(error);
  fmt::print(stderr, "verge worker: {}: {}\n", admin, error.line());
  return kFailure;
}

// Where it was deployed already, the version before is in effect again, or none where there was none.
void take_back(const DeployOptions& options, std::span<const std::string> admins) {
  const std::string name = name_of(options);
  for (const std::string& admin : admins) {
    Result<AdminAnswer> answer = ask_at(options, admin, "POST", path_of(name, "/rollback"));
    const bool had_one = answer.has_value();
    if (!had_one) answer = ask_at(options, admin, "DELETE", path_of(name));
    if (!answer) {
      print_failure_at(options, admin, answer.error());
    } else if (had_one) {
      fmt::print(stderr, "verge worker: {}: {} is back at version {:.0f}\n", admin, name,
                 number_at(answer->body, {"version"}));
    } else {
      fmt::print(stderr, "verge worker: {}: {} is gone again\n", admin, name);
    }
  }
}

// What the nodes answered: who runs it, and how its start went.
void print_deployed(const std::vector<std::string>& answers) {
  std::vector<std::string> ids;
  std::string nodes;
  std::vector<double> latencies;
  double started = 0, of = 0;
  for (const std::string& answer : answers) {
    const std::string id = text_at(answer, {"id"});
    if (std::ranges::find(ids, id) == ids.end()) ids.push_back(id);
    const std::string its = json_at(answer, {"nodes"}).value_or("[]");
    if (its.size() > 2) nodes.append(nodes.empty() ? "" : ",").append(its, 1, its.size() - 2);
    latencies.push_back(number_at(answer, {"start_p50_us"}) / 1000);
    started += number_at(answer, {"started"});
    of += number_at(answer, {"of"});
  }
  std::ranges::sort(latencies);
  fmt::print(
      "worker       {}\nnodes        [{}]\nsuccess      {:.0f} % (started on {:.0f} of {:.0f} event loops)\n"
      "latency p50  {:.2f} ms (of a start)\n",
      fmt::join(ids, ", "), nodes, of == 0 ? 0 : 100 * started / of, started, of, latencies[latencies.size() / 2]);
}

// On all nodes, or on none.
int deploy(const DeployOptions& options) {
  const Result<std::string> bundle = make_bundle(options);
  if (!bundle) return print_failure(bundle.error(), kUsage);
  std::vector<std::string> answers;
  for (const std::string& admin : options.admins) {
    const Result<AdminAnswer> answer = ask_at(options, admin, "POST", "/v1/workers", *bundle);
    if (!answer) {
      take_back(options, std::span(options.admins).first(answers.size()));
      return print_failure_at(options, admin, answer.error());
    }
    answers.push_back(answer->body);
  }
  if (options.routes.empty() && options.crons.empty() && options.consumed.empty()) {
    fmt::print(stderr, "verge worker: {} has no --route: no request is put to it\n", name_of(options));
  }
  if (options.json) {
    for (const std::string& answer : answers) fmt::print("{}", answer);
  } else {
    print_deployed(answers);
  }
  return kSuccess;
}

// --- list and limits

int list(const DeployOptions& options) {
  const Result<AdminAnswer> answer = ask(options, "GET", "/v1/workers");
  if (!answer) return print_failure(answer.error());
  if (options.json) {
    fmt::print("{}", answer->body);
    return kSuccess;
  }
  simdjson::dom::parser parser;
  const Result<simdjson::dom::element> document = parsed(parser, answer);
  if (!document) return print_failure(document.error());
  const Result<simdjson::dom::array> workers = rows_of(*document, "workers");
  if (!workers) return print_failure(workers.error());
  fmt::print("{:20} {:>8} {:14} {:>10} {:>8} {:>9} {:>9}  {:10}  {}\n", "worker", "version", "position", "calls",
             "errors", "p50 ms", "p99 ms", "as of", "routes");
  for (const simdjson::dom::element worker : *workers) {
    const std::string one = simdjson::minify(worker);
    const double version = number_at(one, {"version"});
    const std::string date = text_at(one, {"compatibility_date"});
    fmt::print("{:20} {:>8} {:14} {:>10.0f} {:>8.0f} {:>9.2f} {:>9.2f}  {:10}  {}\n", text_at(one, {"name"}),
               version == 0 ? "config" : fmt::format("{:.0f}", version), text_at(one, {"position"}),
               number_at(one, {"calls"}), number_at(one, {"errors"}), number_at(one, {"p50_us"}) / 1000,
               number_at(one, {"p99_us"}) / 1000, date.empty() ? "newest" : date,
               json_at(one, {"routes"}).value_or("[]"));
  }
  return kSuccess;
}

int limits(const DeployOptions& options) {
  const Result<AdminAnswer> answer = ask(options, "GET", path_of(options.name));
  if (!answer) return print_failure(answer.error());
  const std::string& body = answer->body;
  const double calls = number_at(body, {"calls"});
  const double cpu_ms = calls == 0 ? 0 : 1000 * number_at(body, {"cpu_s"}) / calls;
  const double wall_ms = number_at(body, {"p99_us"}) / 1000;
  const double memory_bytes = number_at(body, {"memory_bytes"});
  if (options.json) {
    std::string its = json_at(body, {"limits"}).value_or("{}");
    its.pop_back();
    fmt::print(
        "{}{}\"used\":{{\"calls\":{:.0f},\"limited\":{:.0f},\"cpu_ms\":{:.3f},\"wall_ms\":{:.3f},\"memory_bytes\":{:."
        "0f}}}}}\n",
        its, its.size() > 1 ? "," : "", calls, number_at(body, {"limited"}), cpu_ms, wall_ms, memory_bytes);
    return kSuccess;
  }
  fmt::print("{:28} {:>12} {:>16}\n", "of a call", "limit", "used");
  fmt::print("{:28} {:>9.0f} ms {:>13.3f} ms (mean)\n", "processor time", number_at(body, {"limits", "cpu_ms"}),
             cpu_ms);
  fmt::print("{:28} {:>9.0f} ms {:>13.3f} ms (p99)\n", "time, waiting included", number_at(body, {"limits", "wall_ms"}),
             wall_ms);
  constexpr double kMebibyte = 1 << 20;
  fmt::print("{:28} {:>8.0f} MiB {:>12.1f} MiB\n", "memory, of all its isolates",
             number_at(body, {"limits", "memory_bytes"}) / kMebibyte, memory_bytes / kMebibyte);
  fmt::print("{:28} {:>12.0f}\n", "subrequests", number_at(body, {"limits", "subrequests"}));
  fmt::print("{:28} {:>12}\n", "answer",
             format_size(static_cast<uint64_t>(number_at(body, {"limits", "answer_bytes"}))));
  fmt::print("{:.0f} of {:.0f} calls went over a limit\n", number_at(body, {"limited"}), calls);
  return kSuccess;
}

// --- rollback, remove, tail

void print_body(const AdminAnswer& answer) { fmt::print("{}{}", answer.body, answer.body.ends_with('\n') ? "" : "\n"); }

int roll_back(const DeployOptions& options) {
  const std::string query = options.version == 0 ? "" : fmt::format("?version={}", options.version);
  int status = kSuccess;
  for (const std::string& admin : options.admins) {
    const Result<AdminAnswer> answer = ask_at(options, admin, "POST", path_of(options.name, "/rollback" + query));
    if (!answer) {
      status = print_failure_at(options, admin, answer.error());
      continue;
    }
    if (options.json) {
      print_body(*answer);
      continue;
    }
    fmt::print("{}{} runs as version {:.0f}\n", options.admins.size() == 1 ? "" : admin + ": ", options.name,
               number_at(answer->body, {"version"}));
  }
  return status;
}

int remove(const DeployOptions& options) {
  int status = kSuccess;
  for (const std::string& admin : options.admins) {
    const Result<AdminAnswer> answer = ask_at(options, admin, "DELETE", path_of(options.name));
    if (!answer) {
      status = print_failure_at(options, admin, answer.error());
      continue;
    }
    if (options.json) {
      print_body(*answer);
      continue;
    }
    fmt::print("{}{} is gone\n", options.admins.size() == 1 ? "" : admin + ": ", options.name);
  }
  return status;
}

constexpr std::string_view kLevels[] = {"debug", "log", "info", "warn", "error"};

// Which of what a worker says is shown.
class Sieve {
 public:
  explicit Sieve(const DeployOptions& options)
      : least_(rank(options.level)), search_(options.search), share_(options.sampling), random_(system_seed()) {}

  bool passes(std::string_view level, std::string_view text) {
    return rank(level) >= least_ && text.find(search_) != std::string_view::npos && random_.chance(share_);
  }

 private:
  static size_t rank(std::string_view level) {
    return static_cast<size_t>(std::ranges::find(kLevels, level) - std::begin(kLevels));
  }

  const size_t least_;
  const std::string search_;
  const double share_;
  Random random_;
};

// "ok", "error", "canceled", a status, or a class of them such as "5xx".
bool is_status_filter(std::string_view text) {
  if (text == "ok" || text == "error" || text == "canceled") return true;
  const auto is_digit = [](char c) { return c >= '0' && c <= '9'; };
  return text.size() == 3 && text[0] >= '1' && text[0] <= '5' &&
         ((is_digit(text[1]) && is_digit(text[2])) || text.substr(1) == "xx");
}

// Which calls are shown. What a call says is held back until it is over, which is when it is known how.
class CallSieve {
 public:
  explicit CallSieve(const DeployOptions& options) : statuses_(options.statuses) {
    for (const std::string& method : options.methods) methods_.push_back(upper(method));
  }

  [[nodiscard]] bool is_wanted() const { return !statuses_.empty() || !methods_.empty(); }
  // A line of a call that is not over yet. Of those that wait longest the lines go first.
  void hold(const std::string& call, std::string line) {
    if (call.empty()) return;
    held_.emplace_back(call, std::move(line));
    if (held_.size() > kHeldMax) held_.pop_front();
  }
  // The lines of a call that is over; nothing where it is not shown.
  std::optional<std::vector<std::string>> take(const std::string& call, std::string_view line) {
    std::vector<std::string> lines;
    std::erase_if(held_, [&](auto& one) {
      if (one.first != call) return false;
      lines.push_back(std::move(one.second));
      return true;
    });
    const std::string status = fmt::format("{:.0f}", number_at(line, {"status"}));
    const std::string outcome = text_at(line, {"outcome"});
    const auto is_its = [&](const std::string& wanted) {
      return wanted == outcome || wanted == status || (wanted.ends_with("xx") && wanted[0] == status[0]);
    };
    const bool has_status = statuses_.empty() || std::ranges::any_of(statuses_, is_its);
    const bool has_method =
        methods_.empty() || std::ranges::find(methods_, text_at(line, {"method"})) != methods_.end();
    if (!has_status || !has_method) return std::nullopt;
    return lines;
  }

 private:
  static constexpr size_t kHeldMax = 10'000;
  static std::string upper(std::string text) {
    std::ranges::transform(text, text.begin(),
                           [](char c) { return c >= 'a' && c <= 'z' ? static_cast<char>(c - 32) : c; });
    return text;
  }

  const std::vector<std::string> statuses_;
  std::vector<std::string> methods_;
  std::deque<std::pair<std::string, std::string>> held_;  // by call
};

// Lines after the first are indented, so that none looks like one of another time.
std::string indented(std::string_view text) {
  std::string out;
  for (size_t begin = 0; begin <= text.size();) {
    const size_t end = std::min(text.find('\n', begin), text.size());
    out.append(begin == 0 ? "" : "\n    ").append(printable(text.substr(begin, end - begin)));
    begin = end + 1;
  }
  return out;
}

void print_tail_line(const std::string& line, bool json) {
  if (json) return fmt::print("{}\n", line);
  std::string text = indented(text_at(line, {"text"}));
  const std::string level = text_at(line, {"level"});
  if (level == "call") {
    const std::string error = text_at(line, {"error"});
    text = fmt::format("{} {} {:.0f} {}{}{} {:.1f} ms", printable(text_at(line, {"method"})),
                       printable(text_at(line, {"url"})), number_at(line, {"status"}), text_at(line, {"outcome"}),
                       error.empty() ? "" : " ", error, number_at(line, {"ms"}));
  }
  fmt::print("{} {:5} {}\n", text_at(line, {"time"}), level, text);
}

int tail(const DeployOptions& options) {
  Sieve sieve(options);
  CallSieve calls(options);
  std::string after = "0";
  while (true) {
    const std::string query = fmt::format("/console?after={}{}", after, calls.is_wanted() ? "&calls=true" : "");
    const Result<AdminAnswer> answer = ask(options, "GET", path_of(options.name, query));
    if (!answer) return print_failure(answer.error());
    std::string_view lines = answer->body;
    while (!lines.empty()) {
      std::string line(lines.substr(0, lines.find('\n')));
      lines.remove_prefix(std::min(lines.size(), line.size() + 1));
      const std::string level = text_at(line, {"level"});
      const std::string call = text_at(line, {"call"});
      if (level == "call") {
        const std::optional<std::vector<std::string>> its = calls.take(call, line);
        if (!its) continue;
        for (const std::string& one : *its) print_tail_line(one, options.json);
        print_tail_line(line, options.json);
      } else if (sieve.passes(level, text_at(line, {"text"}))) {
        if (calls.is_wanted()) {
          calls.hold(call, std::move(line));
        } else {
          print_tail_line(line, options.json);
        }
      }
    }
    std::fflush(stdout);
    if (!answer->next.empty()) after = answer->next;
    if (options.once) return kSuccess;
    const timespec pause{.tv_sec = 0, .tv_nsec = 300'000'000};
    nanosleep(&pause, nullptr);
  }
}

// --- Registration

void add_node_options(Command& command, DeployOptions& options, bool changes) {
  Option* admin = command.add_option(
      "--admin", options.admins, changes ? "The node's admin listener; may be repeated" : "The node's admin listener");
  admin->type_name("HOST:PORT")->check(no_address)->capture_default_str()->expected(1);
  if (!changes) return;
  admin->expected(1, kNodesMax)->allow_extra_args(false);
  command.add_option("--token-file", options.token_file, "Where the token stands, if the node asks for one")
      ->type_name("FILE");
}

using Run = int (*)(const DeployOptions&);
Command* add(Command& worker, Outcome& outcome, const std::shared_ptr<DeployOptions>& options, const char* name,
             const char* description, Run run) {
  Command* command = worker.add_command(name, description);
  command->callback([options, run, &outcome] { outcome.run = [options, run] { return run(*options); }; });
  return command;
}

void add_deploy(Command& worker, Outcome& outcome) {
  const auto options = std::make_shared<DeployOptions>();
  Command* command = add(worker, outcome, options, "deploy", "Put a worker into effect on a running node", deploy);
  command->add_option("FILE", options->file, "Its main module")->required();
  command->add_option("--name", options->name, "What it is called; else as the file is");
  command->add_option("--route", options->routes, "Which requests it answers; may be repeated")
      ->type_name("HOST/PATH*");
  command->add_option("--position", options->position, "before, miss, origin-answer or client-answer");
  command->add_option("--fallback", options->fallback, "error or origin");
  command->add_option("--cron", options->crons, "When its `scheduled` is called; may be repeated");
  command->add_option("--env", options->variables, "A variable of `env`; may be repeated")
      ->type_name("NAME=VALUE")
      ->check(no_assignment);
  command->add_option("--secret", options->secrets, "Likewise, from a file")
      ->type_name("NAME=FILE")
      ->check(no_assignment);
  command->add_option("--kv", options->spaces, "A namespace of keys and values as a member of `env`; may be repeated")
      ->type_name("NAME=NAMESPACE");
  command->add_option("--connect", options->connect, "What it may connect to by TCP; may be repeated")
      ->type_name("HOST:PORT");
  command->add_option("--queue", options->queues, "A queue that it sends to, as a member of `env`; may be repeated")
      ->type_name("NAME=QUEUE");
  command->add_option("--consume", options->consumed, "A queue whose messages it is given; may be repeated")
      ->type_name("QUEUE");
  command->add_option("--tenant", options->tenant, "Workers of one tenant may share a process");
  command->add_option("--compatibility-date", options->compatibility_date, "As of which day the platform behaves")
      ->type_name("YYYY-MM-DD");
  command->add_option("--cpu-ms", options->cpu_ms, "Processor time of a call")
      ->check(between(uint64_t{1}, uint64_t{3'600'000}));
  command->add_option("--wall-ms", options->wall_ms, "Time of a call, waiting included")
      ->check(between(uint64_t{1}, uint64_t{86'400'000}));
  command->add_option("--memory-mb", options->memory_mb, "Memory of a worker")
      ->check(between(uint64_t{8}, uint64_t{4096}));
  command->add_option("--subrequests", options->subrequests, "Subrequests of a call");
  command->add_flag("--private-addresses", options->private_addresses,
                    "It may fetch from addresses that only the node's machine or network reaches");
  command->add_flag("--json", options->json, "Print the node's answer");
  add_node_options(*command, *options, /*changes=*/true);
  set_examples(*command,
               "  verge worker deploy hello.js --route 'example.com/hello*'\n"
               "  verge worker deploy hello.js --admin 10.0.0.1:9180 --admin 10.0.0.2:9180 --token-file deploy.token\n"
               "  verge worker deploy shop.js --route 'shop.example/*' --position before --secret KEY=/etc/shop.key\n");
}

}  // namespace

void add_worker_deploys(Command& worker, Outcome& outcome) {
  add_deploy(worker, outcome);

  const auto listing = std::make_shared<DeployOptions>();
  Command* listed = add(worker, outcome, listing, "list", "List the workers of a running node", list);
  listed->add_flag("--json", listing->json, "Print the node's answer");
  add_node_options(*listed, *listing, /*changes=*/false);
  set_examples(*listed, "  verge worker list --admin 127.0.0.1:9180\n");

  const auto limiting = std::make_shared<DeployOptions>();
  Command* limited =
      add(worker, outcome, limiting, "limits", "Show a worker's limits, and what it uses of them", limits);
  limited->add_option("NAME", limiting->name, "The worker")->required();
  limited->add_flag("--json", limiting->json, "Print them as JSON");
  add_node_options(*limited, *limiting, /*changes=*/false);
  set_examples(*limited, "  verge worker limits hello\n");

  const auto rolling = std::make_shared<DeployOptions>();
  Command* rolled = add(worker, outcome, rolling, "rollback", "Go back to an earlier version of a worker", roll_back);
  rolled->add_option("NAME", rolling->name, "The worker")->required();
  rolled->add_option("--version", rolling->version, "Which; else the one before");
  rolled->add_flag("--json", rolling->json, "Print the node's answer");
  add_node_options(*rolled, *rolling, /*changes=*/true);
  set_examples(*rolled, "  verge worker rollback hello\n");

  const auto removing = std::make_shared<DeployOptions>();
  Command* removed = add(worker, outcome, removing, "remove", "Take a deployed worker away", remove);
  removed->add_option("NAME", removing->name, "The worker")->required();
  removed->add_flag("--json", removing->json, "Print the node's answer");
  add_node_options(*removed, *removing, /*changes=*/true);
  set_examples(*removed, "  verge worker remove hello\n");

  const auto tailing = std::make_shared<DeployOptions>();
  Command* tailed =
      add(worker, outcome, tailing, "tail", "Print what a worker says on its console, as it says it", tail);
  tailed->add_option("NAME", tailing->name, "The worker")->required();
  tailed->add_flag("--once", tailing->once, "End when all that is there was printed");
  tailed->add_option("--level", tailing->level, "Show what is of this level or above it")
      ->check(one_of({"debug", "log", "info", "warn", "error"}))
      ->capture_default_str();
  tailed->add_option("--search", tailing->search, "Show what has this text in it")->type_name("TEXT");
  tailed->add_option("--sampling", tailing->sampling, "Show that share of the lines, by chance")
      ->check(between(0.0, 1.0))
      ->capture_default_str();
  tailed
      ->add_option("--status", tailing->statuses,
                   "Show calls that ended so, with what they say: ok, error, canceled, 404, 5xx; may be repeated")
      ->type_name("STATUS")
      ->check([](const std::string& text) {
        return is_status_filter(text) ? std::string() : text + " is none of ok, error, canceled, 404, 5xx";
      });
  tailed->add_option("--method", tailing->methods, "Likewise, of this method; may be repeated")->type_name("METHOD");
  tailed->add_flag("--json", tailing->json, "Print one JSON object a line");
  add_node_options(*tailed, *tailing, /*changes=*/false);
  set_examples(*tailed,
               "  verge worker tail hello\n"
               "  verge worker tail hello --level warn --search checkout\n"
               "  verge worker tail hello --status error --status 5xx --method POST\n");
}

}  // namespace verge::cli

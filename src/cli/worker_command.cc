// verge worker: JavaScript at the edge, written, tried and run.
#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <cstring>

#include <fmt/format.h>

#include "cli/assignment.h"
#include "cli/command_line.h"
#include "cli/commands.h"
#include "cli/worker_server.h"
#include "isolates/compatibility_date.h"
#include "isolates/http_outbound.h"
#include "isolates/pool.h"
#include "isolates/worker_source.h"
#include "kv/key_value_store.h"

namespace verge::cli {
namespace {

struct WorkerOptions {
  std::vector<std::string> files;
  std::vector<std::string> variables;
  std::vector<std::string> spaces;
  std::vector<std::string> connect;
  WorkerServer::Options server{.listen = "127.0.0.1:8787",
                               .ready_file = {},
                               .code_cache = {},
                               .inspect = {},
                               .geo_file = {},
                               .kv_directory = {}};
  std::string compatibility_date;
  uint64_t cpu_ms = 10;
  uint64_t wall_ms = 30;
  uint64_t memory_mb = 128;
  uint64_t subrequests = 50;
  bool is_module = false;
};

int print_failure(const Error& error, int status = kFailure) {
  fmt::print(stderr, "verge worker: {}\n", error.line());
  return status;
}

isolates::WorkerLimits limits_of(const WorkerOptions& options) {
  isolates::WorkerLimits limits;
  limits.cpu = std::chrono::milliseconds(options.cpu_ms);
  limits.wall = std::chrono::milliseconds(options.wall_ms);
  limits.memory_bytes = options.memory_mb << 20;
  limits.subrequests_max = options.subrequests;
  return limits;
}

Result<isolates::WorkerCode> read_worker(const std::string& file, const WorkerOptions& options) {
  Result<std::vector<isolates::ModuleSource>> modules = isolates::read_modules(file);
  if (!modules) return fail("cli.worker-file", modules.error().what, modules.error().fix);
  isolates::WorkerCode code{.name = isolates::worker_name(file),
                            .owner = isolates::worker_name(file),
                            .kind = calls::ProgramKind::kWorker,
                            .modules = std::move(*modules),
                            .variables = {},
                            .limits = limits_of(options),
                            .compatibility_date = options.compatibility_date};
  if (code.compatibility_date.empty()) {
    Result<std::string> stated = isolates::stated_compatibility_date(code.modules.front().source);
    if (!stated) return std::unexpected(stated.error());
    code.compatibility_date = std::move(*stated);
  }
  for (const std::string& variable : options.variables) {
    const size_t equals = variable.find('=');
    code.variables.emplace_back(variable.substr(0, equals),
                                equals == std::string::npos ? "" : variable.substr(equals + 1));
  }
  for (const std::string& text : options.connect) {
    Result<isolates::ConnectRule> rule = isolates::parse_connect_rule(text);
    if (!rule) return std::unexpected(rule.error());
    code.connect.push_back(*std::move(rule));
  }
  for (const std::string& space : options.spaces) {
    const size_t equals = space.find('=');
    const std::string target = equals == std::string::npos ? space : space.substr(equals + 1);
    if (!kv::is_space_name(target)) {
      return fail("cli.worker-file", fmt::format("{} can be no namespace", target),
                  "use letters, digits, '-', '_', '.'");
    }
    code.bindings.push_back({.name = space.substr(0, equals), .target = target});
  }
  return code;
}

Result<std::vector<isolates::WorkerCode>> read_workers(const WorkerOptions& options) {
  std::vector<isolates::WorkerCode> workers;
  for (const std::string& file : options.files) {
    Result<isolates::WorkerCode> code = read_worker(file, options);
    if (!code) return std::unexpected(code.error());
    for (const isolates::WorkerCode& other : workers) {
      if (other.name != code->name) continue;
      return fail("cli.worker-file", fmt::format("two files would be served under /{}/", code->name),
                  "rename one of them");
    }
    workers.push_back(std::move(*code));
  }
  return workers;
}

int serve(const WorkerOptions& options) {
  Result<std::vector<isolates::WorkerCode>> workers = read_workers(options);
  if (!workers) return print_failure(workers.error(), kUsage);
  const Result<void> served = WorkerServer::serve(std::move(*workers), options.server);
  return served ? kSuccess : print_failure(served.error());
}

// --- dev

bool are_same(const std::vector<isolates::ModuleSource>& a, const std::vector<isolates::ModuleSource>& b) {
  return std::ranges::equal(a, b, [](const isolates::ModuleSource& one, const isolates::ModuleSource& other) {
    return one.name == other.name && one.source == other.source;
  });
}

int develop(const WorkerOptions& options) {
  Result<std::vector<isolates::WorkerCode>> workers = read_workers(options);
  if (!workers) return print_failure(workers.error(), kUsage);
  std::vector<std::vector<isolates::ModuleSource>> before;
  for (const isolates::WorkerCode& code : *workers) before.push_back(code.modules);
  const auto changed = [&]() -> std::optional<std::vector<isolates::WorkerCode>> {
    // A file that is just being saved may be missing for a moment: it is read the next time.
    Result<std::vector<isolates::WorkerCode>> fresh = read_workers(options);
    if (!fresh || std::ranges::equal(*fresh, before, [](const auto& code, const auto& modules) {
          return are_same(code.modules, modules);
        })) {
      return std::nullopt;
    }
    before.clear();
    for (const isolates::WorkerCode& code : *fresh) before.push_back(code.modules);
    fmt::print(stderr, "reloaded\n");
    return std::move(*fresh);
  };
  const Result<void> served = WorkerServer::serve(std::move(*workers), options.server, changed);
  return served ? kSuccess : print_failure(served.error());
}

// --- init

constexpr std::string_view kFirstWorker = R"(// Answers every request. Try it: verge worker dev worker.js
export default {
  async fetch(request, env, ctx) {
    const { pathname } = new URL(request.url);
    return Response.json({ hello: env.NAME ?? "world", path: pathname });
  },
};
)";

int make_first_worker(const WorkerOptions& options) {
  const std::string& file = options.files.front();
  // "x": what is there already is somebody's work.
  std::FILE* out = std::fopen(file.c_str(), "wx");
  if (out == nullptr) {
    return print_failure({"cli.worker-file", fmt::format("{} cannot be made: {}", file, std::strerror(errno)),
                          "name a file that is not there yet"},
                         kUsage);
  }
  std::fwrite(kFirstWorker.data(), 1, kFirstWorker.size(), out);
  std::fclose(out);
  fmt::print(stderr, "made {}; try: verge worker dev {}\n", file, file);
  return kSuccess;
}

// --- run

void print_console(const isolates::ConsoleLine& line) {
  const bool is_talk = line.level >= calls::ConsoleLevel::kWarn;
  std::FILE* to = is_talk ? stderr : stdout;
  fmt::print(to, "{}\n", line.text);
  std::fflush(to);
}

int run(const WorkerOptions& options) {
  Result<isolates::WorkerCode> code = read_worker(options.files.front(), options);
  if (!code) return print_failure(code.error(), kUsage);
  code->kind = options.is_module || options.files.front().ends_with(".mjs") ? calls::ProgramKind::kModuleScript
                                                                            : calls::ProgramKind::kScript;
  code->limits.start_cpu = code->limits.cpu;
  const Result<std::string> program = isolates::find_isolate_program();
  if (!program) return print_failure(program.error());
  runtime::Loop loop("run");
  isolates::Zygote zygote(*program);
  net::Resolver resolver("resolver");
  isolates::HttpOutbound outbound(loop, resolver, {.allows_private = true, .allowed = {}});
  isolates::Pool pool(loop, zygote, outbound, {.ready = 0});
  pool.observe_console(print_console);
  runtime::Timer wall(loop);
  std::optional<Error> failure;
  const auto end = [&](const std::optional<Error>& problem) {
    failure = problem;
    loop.stop();
  };
  wall.after(code->limits.wall, [&] {
    end(Error{"workers.wall", fmt::format("{} took longer than {} ms", code->name, options.wall_ms),
              "raise --wall-ms"});
  });
  const auto worker = std::make_shared<isolates::Worker>(*code, 1);  // shared: as the pool wants it
  pool.run_script(worker, end);
  loop.run();
  if (!failure) return kSuccess;
  if (failure->code == "workers.exception" || failure->code == "workers.syntax") {
    fmt::print(stderr, "Uncaught {}\n", failure->fix.empty() ? failure->what : failure->fix);
    return kFailure;
  }
  return print_failure(*failure);
}

// --- Registration

void add_kv(Command& command, WorkerOptions& options) {
  command.add_option("--kv", options.spaces, "A namespace of keys and values as a member of `env`; may be repeated")
      ->type_name("NAME[=NAMESPACE]");
  command.add_option("--kv-dir", options.server.kv_directory, "Where they are kept; else in memory")->type_name("DIR");
}

void add_connect(Command& command, std::vector<std::string>& hosts) {
  command.add_option("--connect", hosts, "What workers may connect to by TCP; may be repeated")->type_name("HOST:PORT");
}

void add_limits(Command& command, WorkerOptions& options) {
  command.add_option("--cpu-ms", options.cpu_ms, "Processor time of a call")
      ->check(between(uint64_t{1}, uint64_t{3'600'000}))
      ->capture_default_str();
  command.add_option("--wall-ms", options.wall_ms, "Time of a call, waiting included")
      ->check(between(uint64_t{1}, uint64_t{86'400'000}))
      ->capture_default_str();
  command.add_option("--memory-mb", options.memory_mb, "Memory of a worker")
      ->check(between(uint64_t{8}, uint64_t{4096}))
      ->capture_default_str();
  command.add_option("--subrequests", options.subrequests, "Subrequests of a call")
      ->check(between(uint64_t{0}, uint64_t{1'000'000}))
      ->capture_default_str();
  command.add_option("--compatibility-date", options.compatibility_date, "As of which day the platform behaves")
      ->type_name("YYYY-MM-DD")
      ->check([](const std::string& text) {
        return isolates::is_compatibility_date(text) ? std::string() : text + " is no day such as 2026-11-30";
      });
  command.add_option("--env", options.variables, "A variable of `env`; may be repeated")
      ->type_name("NAME=VALUE")
      ->check(no_assignment);
}

void add_inspector(Command& command, WorkerOptions& options) {
  command
      .add_flag(
          "--inspect{127.0.0.1:9229}", options.server.inspect,
          "Let DevTools debug the workers, at this address (--inspect=HOST:PORT); limits of time do not hold meanwhile")
      ->type_name("[HOST:PORT]");
}

void add_location(Command& command, WorkerOptions& options) {
  command.add_option("--geo", options.server.geo_file, "Where clients are: a file in MaxMind's format, for request.cf")
      ->type_name("FILE");
}

}  // namespace

void add_worker(Command& app, Outcome& outcome) {
  Command* worker = app.add_command("worker", "Run JavaScript at the edge, in isolates with limits");
  worker->group(kGroupNode);
  worker->require_subcommand(1);
  set_examples(*worker,
               "  verge worker serve hello.js --listen 127.0.0.1:8787\n"
               "  verge worker run script.js\n"
               "  verge worker deploy hello.js --route 'example.com/hello*'\n");

  const auto serving = std::make_shared<WorkerOptions>();
  Command* served = worker->add_command("serve", "Serve workers over HTTP, one under /, several under /NAME/");
  served->add_option("FILE", serving->files, "Modules with handlers: export default { fetch(request, env, ctx) }")
      ->required();
  served->add_option("--listen", serving->server.listen, "Where")->type_name("HOST:PORT")->capture_default_str();
  served->add_option("--ready-file", serving->server.ready_file, "Written once requests are taken")->type_name("FILE");
  served
      ->add_option("--code-cache", serving->server.code_cache,
                   "Keep what V8 compiles here, for faster starts after a restart")
      ->type_name("DIR");
  add_location(*served, *serving);
  add_inspector(*served, *serving);
  served->add_flag("--quiet{false}", serving->server.prints_console, "Do not print what workers say on their console");
  add_kv(*served, *serving);
  add_connect(*served, serving->connect);
  add_limits(*served, *serving);
  set_examples(*served,
               "  verge worker serve hello.js\n"
               "  verge worker serve a.js b.js --listen 127.0.0.1:8080 --cpu-ms 50\n");
  served->callback([serving, &outcome] { outcome.run = [serving] { return serve(*serving); }; });

  const auto developing = std::make_shared<WorkerOptions>();
  Command* developed = worker->add_command("dev", "Serve workers while they are written: reload what is saved");
  developed->add_option("FILE", developing->files, "Modules with handlers")->required();
  developed->add_option("--listen", developing->server.listen, "Where")->type_name("HOST:PORT")->capture_default_str();
  developed->add_option("--ready-file", developing->server.ready_file, "Written once requests are taken")
      ->type_name("FILE");
  add_kv(*developed, *developing);
  add_connect(*developed, developing->connect);
  add_location(*developed, *developing);
  add_inspector(*developed, *developing);
  add_limits(*developed, *developing);
  set_examples(*developed, "  verge worker dev worker.js --env NAME=edge\n");
  developed->callback([developing, &outcome] { outcome.run = [developing] { return develop(*developing); }; });

  const auto first = std::make_shared<WorkerOptions>();
  first->files = {"worker.js"};
  Command* begun = worker->add_command("init", "Make a first worker to begin with");
  begun->add_option("FILE", first->files, "Where; it must not be there yet")->expected(0, 1)->capture_default_str();
  set_examples(*begun, "  verge worker init hello.js && verge worker dev hello.js\n");
  begun->callback([first, &outcome] { outcome.run = [first] { return make_first_worker(*first); }; });

  const auto running = std::make_shared<WorkerOptions>();
  running->cpu_ms = 60'000;
  running->wall_ms = 300'000;
  running->memory_mb = 512;
  running->subrequests = 10'000;
  Command* ran = worker->add_command("run", "Run a script in the sandbox and print its console");
  ran->add_option("FILE", running->files, "The script")->required()->expected(1);
  ran->add_flag("--module", running->is_module, "It is a module; so is what ends in .mjs");
  add_limits(*ran, *running);
  set_examples(*ran,
               "  verge worker run script.js\n"
               "  verge worker run tests.mjs --cpu-ms 10000\n");
  ran->callback([running, &outcome] { outcome.run = [running] { return run(*running); }; });
  add_worker_deploys(*worker, outcome);
}

}  // namespace verge::cli

// verge-web-shell: a realm with the smallest of hosts, for tests. Not part of the product: it has no limits and no
// sandbox.
//
//   verge-web-shell script FILE...             runs classic scripts one after the other, as web platform tests need
//   verge-web-shell request WORKER.js URL [N]  sends N requests (1) to a worker and prints the last answer and the time
//
// A subrequest is a blocking HTTP/1.0 request to the loopback address; what a cache is asked for, it has in memory.
#include <chrono>
#include <cstdio>
#include <cstring>
#include <fstream>
#include <iterator>
#include <thread>

#include <arpa/inet.h>
#include <netinet/in.h>
#include <sys/random.h>
#include <sys/socket.h>
#include <unistd.h>

#include "workers/realm.h"
#include "workers/realm_engine.h"

namespace {

using namespace verge::workers;

struct Stored {
  std::uint16_t status = 200;
  std::string reason;
  std::vector<std::pair<std::string, std::string>> fields;
  std::string body;

  [[nodiscard]] std::vector<Field> views() const {
    std::vector<Field> all;
    for (const auto& [name, value] : fields) all.push_back({name, value});
    return all;
  }
};

Body whole(const std::string& bytes) {
  Body body;
  if (bytes.empty()) return body;
  body.kind = Body::Kind::Whole;
  body.whole = Chunk::of(bytes);
  return body;
}

// "http://127.0.0.1:8000/a" to the server behind it. Everything goes to the loopback address.
std::optional<Stored> ask(const RequestHead& head, std::string_view body) {
  std::string_view url = head.url;
  if (!url.starts_with("http://")) return std::nullopt;
  url.remove_prefix(7);
  const std::string authority(url.substr(0, url.find('/')));
  const std::string target(url.substr(std::min(url.find('/'), url.size())));
  const std::size_t colon = authority.rfind(':');
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  address.sin_port = htons(static_cast<std::uint16_t>(
      colon == std::string::npos ? 80 : std::strtol(authority.c_str() + colon + 1, nullptr, 10)));
  const int socket_number = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  if (::connect(socket_number, reinterpret_cast<sockaddr*>(&address), sizeof(address)) != 0) {
    ::close(socket_number);
    return std::nullopt;
  }
  std::string wire =
      fmt::format("{} {} HTTP/1.0\r\nhost: {}\r\n", head.method, target.empty() ? "/" : target, authority);
  for (const Field& field : head.fields) wire += fmt::format("{}: {}\r\n", field.name, field.value);
  if (!body.empty() || head.method == "POST") wire += fmt::format("content-length: {}\r\n", body.size());
  wire.append("\r\n").append(body);
  for (std::size_t sent = 0; sent < wire.size();) {
    const ssize_t step = ::send(socket_number, wire.data() + sent, wire.size() - sent, MSG_NOSIGNAL);
    if (step <= 0) break;
    sent += static_cast<std::size_t>(step);
  }
  std::string answer;
  std::array<char, 65536> buffer;
  for (ssize_t got = 0; (got = ::recv(socket_number, buffer.data(), buffer.size(), 0)) > 0;) {
    answer.append(buffer.data(), static_cast<std::size_t>(got));
  }
  ::close(socket_number);
  const std::size_t head_end = answer.find("\r\n\r\n");
  if (!answer.starts_with("HTTP/1.") || head_end == std::string::npos) return std::nullopt;
  Stored stored;
  stored.body = answer.substr(head_end + 4);
  std::string_view lines = std::string_view(answer).substr(0, head_end + 2);
  const std::string_view first = lines.substr(0, lines.find("\r\n"));
  stored.status = static_cast<std::uint16_t>(std::strtol(first.data() + 9, nullptr, 10));
  stored.reason = first.size() > 13 ? first.substr(13) : "";
  while (true) {
    lines.remove_prefix(lines.find("\r\n") + 2);
    const std::size_t colon_at = lines.find(':');
    if (colon_at == std::string_view::npos) break;
    std::string_view value = lines.substr(colon_at + 1, lines.find("\r\n") - colon_at - 1);
    while (value.starts_with(' ')) value.remove_prefix(1);
    stored.fields.emplace_back(lines.substr(0, colon_at), value);
  }
  return stored;
}

class Shell final : public Host {
 public:
  Time now() override {
    using namespace std::chrono;
    return {duration_cast<nanoseconds>(steady_clock::now().time_since_epoch()).count(),
            duration_cast<milliseconds>(system_clock::now().time_since_epoch()).count()};
  }
  void random(std::span<std::byte> out) override {
    while (!out.empty()) {
      const ssize_t got = ::getrandom(out.data(), std::min<std::size_t>(out.size(), 256), 0);
      if (got > 0) out = out.subspan(static_cast<std::size_t>(got));
    }
  }
  void console(EventId, ConsoleLevel level, std::string_view text) override {
    std::FILE* out = level >= ConsoleLevel::Warn ? stderr : stdout;
    std::fwrite(text.data(), 1, text.size(), out);
    std::fputc('\n', out);
  }
  void uncaught(EventId, const Failure& failure) override { print("uncaught", failure); }

  void respond(EventId, const ResponseHead& head, Body body) override {
    answer.status = head.status;
    answer.fields.clear();
    for (const Field& field : head.fields) answer.fields.emplace_back(field.name, field.value);
    answer.body.clear();
    if (body.kind == Body::Kind::Whole) answer.body = body.whole.bytes();
  }
  void ended(EventId, const EventEnd& end) override {
    if (end.failure) print("failed", *end.failure);
    ++ended_count;
  }
  void script_ended(const std::optional<Failure>& failure) override {
    over = true;
    if (failure) {
      print("failed", *failure);
      exit_status = 1;
    }
  }

  bool write(StreamId stream, Chunk chunk) override {
    leaving[stream].append(chunk.bytes());
    return true;
  }
  void close(StreamId stream) override {
    if (const auto waiting = waiting_for.find(stream); waiting != waiting_for.end()) {
      posted.push_back(std::move(waiting->second));
      waiting_for.erase(waiting);
    } else {
      answer.body = leaving[stream];
    }
  }
  void abort(StreamId stream, const Failure&) override { waiting_for.erase(stream); }
  void pull(StreamId) override {}
  void cancel(StreamId) override {}

  void fetch(OperationId operation, EventId, const RequestHead& head, Body body) override {
    auto request = std::make_shared<Stored>();
    request->reason = head.method;
    request->body = body.whole.bytes();
    for (const Field& field : head.fields) request->fields.emplace_back(field.name, field.value);
    const StreamId stream = body.stream;
    auto go = [this, operation, request, stream, url = std::string(head.url),
               streamed = body.kind == Body::Kind::Stream] {
      if (streamed) request->body = leaving[stream];
      const std::vector<Field> fields = request->views();
      const auto got = ask({.method = request->reason, .url = url, .fields = fields}, request->body);
      if (!got) {
        return realm->failed(operation,
                             {.code = "workers.fetch", .text = "no connection", .position = {}, .stack = {}});
      }
      const std::vector<Field> answered = got->views();
      realm->answered(operation, {.status = got->status, .reason = got->reason, .fields = answered}, whole(got->body));
    };
    if (body.kind == Body::Kind::Stream) {
      waiting_for[stream] = go;
    } else {
      posted.emplace_back(go);
    }
  }
  void abort_fetch(OperationId) override {}

  void cache_match(OperationId operation, EventId, std::string_view, const RequestHead& head) override {
    posted.emplace_back([this, operation, url = std::string(head.url)] {
      const auto found = stored.find(url);
      if (found == stored.end()) return realm->missed(operation);
      const std::vector<Field> fields = found->second.views();
      realm->answered(operation, {.status = found->second.status, .reason = {}, .fields = fields},
                      whole(found->second.body));
    });
  }
  void cache_put(OperationId operation, EventId, std::string_view, const RequestHead& request, const ResponseHead& head,
                 Body body) override {
    Stored& kept = stored[std::string(request.url)];
    kept = {};
    kept.status = head.status;
    for (const Field& field : head.fields) kept.fields.emplace_back(field.name, field.value);
    kept.body = body.whole.bytes();
    auto go = [this, operation, url = std::string(request.url), body] {
      if (body.kind == Body::Kind::Stream) stored[url].body = leaving[body.stream];
      realm->done(operation, true);
    };
    if (body.kind == Body::Kind::Stream) {
      waiting_for[body.stream] = go;
    } else {
      posted.emplace_back(go);
    }
  }
  void cache_remove(OperationId operation, EventId, std::string_view, const RequestHead& head) override {
    const bool found = stored.erase(std::string(head.url)) > 0;
    posted.emplace_back([this, operation, found] { realm->done(operation, found); });
  }

  // Until nothing is left to do, or `done`.
  void run(const bool& done) {
    while (!done) {
      if (!posted.empty()) {
        const auto next = std::move(posted.front());
        posted.pop_front();
        next();
        continue;
      }
      const auto deadline = realm->next_deadline_ns();
      if (!deadline) return;
      const std::int64_t wait = *deadline - now().monotonic_ns;
      if (wait > 0) std::this_thread::sleep_for(std::chrono::nanoseconds(wait));
      realm->run_timers();
    }
  }

  static void print(const char* what, const Failure& failure) {
    std::fprintf(stderr, "%s: %s: %s [%.*s]\n%s\n", what, failure.position.c_str(), failure.text.c_str(),
                 static_cast<int>(failure.code.size()), failure.code.data(), failure.stack.c_str());
  }

  Realm* realm = nullptr;
  std::deque<std::function<void()>> posted;
  std::map<StreamId, std::function<void()>> waiting_for;
  std::map<StreamId, std::string> leaving;
  std::map<std::string, Stored> stored;
  Stored answer;
  std::uint64_t ended_count = 0;
  bool over = false;
  int exit_status = 0;
};

std::string contents(const char* path) {
  std::ifstream in(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(in), {}};
}

int run_scripts(Shell& shell, Realm& realm, std::span<char*> files) {
  for (const char* file : files) {
    Program program;
    program.kind = Program::Kind::Script;
    program.modules.push_back({.name = file, .source = contents(file), .kind = Module::Kind::JavaScript});
    shell.over = false;
    if (const auto loaded = realm.load(program, shell); !loaded) {
      std::fprintf(stderr, "%s\n", loaded.error().line().c_str());
      return 1;
    }
  }
  shell.run(shell.over);
  return shell.exit_status;
}

int send_requests(Shell& shell, Realm& realm, const char* file, const char* url, long count) {
  Program program;
  program.modules.push_back({.name = file, .source = contents(file), .kind = Module::Kind::JavaScript});
  program.variables.push_back({.name = "GREETING", .value = "hello"});
  if (const auto loaded = realm.load(program, shell); !loaded) {
    std::fprintf(stderr, "%s\n", loaded.error().line().c_str());
    return 1;
  }
  const Field fields[] = {{"host", "localhost"}, {"user-agent", "verge-web-shell"}, {"accept", "*/*"}};
  const std::int64_t start = shell.now().monotonic_ns;
  const bool never = false;
  for (long sent = 1; sent <= count; ++sent) {
    realm.fetch(static_cast<EventId>(sent), {.method = "GET", .url = url, .fields = fields}, {});
    if (!shell.posted.empty() || realm.next_deadline_ns()) shell.run(never);
  }
  const double each = static_cast<double>(shell.now().monotonic_ns - start) / 1000.0 / static_cast<double>(count);
  std::printf("%d\n", shell.answer.status);
  for (const auto& [name, value] : shell.answer.fields) std::printf("%s: %s\n", name.c_str(), value.c_str());
  std::printf("\n%s\n", shell.answer.body.c_str());
  std::fprintf(stderr, "%.2f us a request, %lu ended, heap %.2f MB\n", each,
               static_cast<unsigned long>(shell.ended_count), static_cast<double>(realm.memory().heap_bytes) / 1e6);
  return shell.ended_count == static_cast<std::uint64_t>(count) ? 0 : 1;
}

}  // namespace

int main(int count, char** arguments) {
  const std::string_view mode = count > 2 ? arguments[1] : "";
  if (mode != "script" && (mode != "request" || count < 4)) {
    std::fputs("verge-web-shell script FILE... | request WORKER.js URL [N]\n", stderr);
    return 2;
  }
  static Engine& engine = *new Engine({.snapshot = built_in_snapshot(), .flags = {}});  // its thread runs to the end
  engine.start_thread([] {});
  Shell shell;
  const auto realm = Realm::create(engine, {.heap_bytes_max = 512u << 20, .external_bytes_max = 1024u << 20});
  shell.realm = realm.get();
  std::setvbuf(stdout, nullptr, _IOLBF, 0);
  if (mode == "script") return run_scripts(shell, *realm, {arguments + 2, static_cast<std::size_t>(count - 2)});
  return send_requests(shell, *realm, arguments[2], arguments[3],
                       count > 4 ? std::strtol(arguments[4], nullptr, 10) : 1);
}

// A realm against a host that notes what it is asked, for the tests of realms.
#pragma once

#include <algorithm>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include <fmt/format.h>
#include <gtest/gtest.h>

#include "tests/support/realm_engine.h"
#include "workers/realm.h"

namespace verge::workers {

class NotingHost final : public Host {
 public:
  struct Answer {
    std::uint16_t status = 0;
    std::map<std::string, std::string> fields;
    std::string body;
    StreamId stream = 0;
    Body::Kind kind = Body::Kind::None;
    std::string retries;  // of a queue's batch
  };

  Time now() override { return {now_ns, 1'700'000'000'000 + now_ns / 1'000'000}; }
  void random(std::span<std::byte> out) override { std::ranges::fill(out, std::byte{0xA5}); }
  void console(EventId, ConsoleLevel, std::string_view text) override {
    lines.emplace_back(text);
    has_spoken = true;
    has_spoken.notify_all();
  }
  void uncaught(EventId, const Failure& failure) override { uncaught_failures.push_back(failure); }
  void respond(EventId event, const ResponseHead& head, Body body) override {
    Answer& answer = answers[event];
    answer.status = head.status;
    for (const Field& field : head.fields) answer.fields.emplace(field.name, field.value);
    for (const Field& field : head.fields)
      answer.retries += field.name == "retry" ? fmt::format("{};", field.value) : "";
    answer.kind = body.kind;
    answer.body = body.whole.bytes();
    answer.stream = body.stream;
  }
  void ended(EventId event, const EventEnd& end) override { ends[event] = end; }
  void script_ended(const std::optional<Failure>& failure) override {
    script_over = true;
    script_failure = failure;
  }
  bool write(StreamId stream, Chunk chunk) override {
    written[stream].append(chunk.bytes());
    return accepts;
  }
  void close(StreamId stream) override { closed.push_back(stream); }
  void abort(StreamId, const Failure& failure) override { aborted.push_back(failure); }
  void pull(StreamId stream) override { pulled.push_back(stream); }
  void cancel(StreamId stream) override { cancelled.push_back(stream); }
  bool relays(EventId event, StreamId stream) const override { return relaying && event == 1 && stream == 5; }
  void fetch(OperationId operation, EventId event, const RequestHead& head, Body) override {
    fetches.push_back({operation, event, std::string(head.method), std::string(head.url)});
  }
  void abort_fetch(OperationId operation) override { aborted_fetches.push_back(operation); }
  void cache_match(OperationId operation, EventId event, std::string_view, const RequestHead& head) override {
    fetches.push_back({operation, event, "match", std::string(head.url)});
  }
  void cache_put(OperationId operation, EventId event, std::string_view, const RequestHead& request,
                 const ResponseHead&, Body) override {
    fetches.push_back({operation, event, "put", std::string(request.url)});
  }
  void cache_remove(OperationId operation, EventId event, std::string_view, const RequestHead& head) override {
    fetches.push_back({operation, event, "remove", std::string(head.url)});
  }

  std::optional<std::uint64_t> writes_of(std::uint32_t counter) override {
    const auto found = writes.find(counter);
    return found == writes.end() ? std::nullopt : std::optional(found->second);
  }
  void ask_binding(OperationId operation, EventId event, std::string_view binding, const RequestHead& head,
                   Body body) override {
    std::string asked = fmt::format("{} {} {} [{}]", binding, head.method, head.url, body.whole.bytes());
    for (const Field& field : head.fields) asked += fmt::format(" {}={}", field.name, field.value);
    fetches.push_back({operation, event, std::move(asked), std::string(head.url)});
  }

  struct Subrequest {
    OperationId operation;
    EventId event;
    std::string method;
    std::string url;
  };
  std::int64_t now_ns = 1'000'000'000;
  bool accepts = true;
  bool relaying = false;
  std::vector<std::string> lines;
  std::atomic<bool> has_spoken{false};
  std::vector<Failure> uncaught_failures;
  std::map<EventId, Answer> answers;
  std::map<EventId, EventEnd> ends;
  std::map<StreamId, std::string> written;
  std::vector<StreamId> closed, pulled, cancelled;
  std::vector<Failure> aborted;
  std::vector<Subrequest> fetches;
  std::vector<OperationId> aborted_fetches;
  std::map<std::uint32_t, std::uint64_t> writes;  // by counter
  bool script_over = false;
  std::optional<Failure> script_failure;
};

class RealmTest : public testing::Test {
 protected:
  using Answer = NotingHost::Answer;

  Result<void> load(std::string source, std::vector<Module> others = {}) {
    Program program;
    program.modules.push_back({.name = "app.js", .source = std::move(source), .kind = Module::Kind::JavaScript});
    for (Module& module : others) program.modules.push_back(std::move(module));
    program.variables = {{.name = "GREETING", .value = "hej"}};
    program.bindings = {{.name = "NS", .kind = BoundName::Kind::KeyValue},
                        {.name = "Q", .kind = BoundName::Kind::Queue}};
    program.code_cache = code_cache;
    return realm->load(program, host);
  }
  // The answer to GET / of a worker with this fetch handler.
  Answer answer_of(const std::string& handler_body) {
    const auto loaded = load("export default { async fetch(request, env, ctx) {" + handler_body + "} };");
    EXPECT_TRUE(loaded.has_value()) << loaded.error().line();
    return get();
  }
  Answer get(Body body = {}) {
    const Field fields[] = {{"Accept", "text/html"}, {"X-Two", "a"}, {"X-Two", "b"}, {"X_Two", "c"}};
    const std::string_view method = body.kind == Body::Kind::None ? "GET" : "POST";
    realm->fetch(++last_event, {.method = method, .url = "http://example.com/path?q=1", .fields = fields},
                 std::move(body));
    return host.answers[last_event];
  }
  std::string failure_text() {
    const auto& failure = host.ends[last_event].failure;
    return failure ? failure->text : "(no failure)";
  }
  void run_script(const std::string& source) {
    Program program;
    program.kind = Program::Kind::Script;
    program.modules.push_back({.name = "script.js", .source = source, .kind = Module::Kind::JavaScript});
    loaded_script = realm->load(program, host);
  }

  NotingHost host;
  std::unique_ptr<Realm> realm =
      Realm::create(tests::realm_engine(), {.heap_bytes_max = 64u << 20, .external_bytes_max = 32u << 20});
  EventId last_event = 0;
  std::vector<std::byte> code_cache;
  Result<void> loaded_script;
};

}  // namespace verge::workers

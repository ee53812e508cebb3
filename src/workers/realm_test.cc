// A realm against a host that notes what it is asked: programs, events, bodies, limits, hostile scripts.
#include "workers/realm.h"

#include <atomic>
#include <thread>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "base/text.h"
#include "tests/support/value_of.h"
#include "workers/realm_engine.h"

namespace verge::workers {
namespace {

using ::testing::HasSubstr;
using ::testing::StartsWith;

Engine& engine() {
  // V8 is set up once for a process.
  static Engine* const one = [] {
    auto* made = new Engine({.snapshot = built_in_snapshot(), .flags = {}});
    made->start_thread([] {});
    return made;
  }();
  return *one;
}

struct Answer {
  std::uint16_t status = 0;
  std::map<std::string, std::string> fields;
  std::string body;
  StreamId stream = 0;
  Body::Kind kind = Body::Kind::None;
};

class NotingHost final : public Host {
 public:
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
  bool script_over = false;
  std::optional<Failure> script_failure;
};

class RealmTest : public testing::Test {
 protected:
  Result<void> load(std::string source, std::vector<Module> others = {}) {
    Program program;
    program.modules.push_back({.name = "app.js", .source = std::move(source), .kind = Module::Kind::JavaScript});
    for (Module& module : others) program.modules.push_back(std::move(module));
    program.variables = {{.name = "GREETING", .value = "hej"}};
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
    const Field fields[] = {{"Accept", "text/html"}, {"X-Two", "a"}, {"X-Two", "b"}};
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
      Realm::create(engine(), {.heap_bytes_max = 64u << 20, .external_bytes_max = 32u << 20});
  EventId last_event = 0;
  std::vector<std::byte> code_cache;
  Result<void> loaded_script;
};

TEST_F(RealmTest, AnswersWithStatusFieldsAndBody) {
  const Answer answer = answer_of(R"(
    return new Response(`${request.method} ${new URL(request.url).pathname} ${request.headers.get("x-two")} ${env.GREETING}`,
                        { status: 201, headers: { "X-Made": "1" } });)");
  EXPECT_EQ(answer.status, 201);
  EXPECT_EQ(answer.body, "GET /path a, b hej");
  EXPECT_EQ(answer.fields.at("x-made"), "1");
  EXPECT_EQ(answer.fields.at("content-type"), "text/plain;charset=UTF-8");
  EXPECT_FALSE(host.ends.at(1).failure);
}

TEST_F(RealmTest, ModulesJsonAndTextAreImported) {
  const auto loaded =
      load(R"(import words from "./data/words.json"; import text from "./data/text.txt";
      import { twice } from "./lib/twice.js";
      export default { fetch() { return new Response(twice(words[1]) + text); } };)",
           {{.name = "data/words.json", .source = R"(["a","b"])", .kind = Module::Kind::Json},
            {.name = "data/text.txt", .source = "ö!", .kind = Module::Kind::Text},
            {.name = "lib/twice.js",
             .source = "import c from '../data/words.json'; export const twice = (x) => x + x + c.length;",
             .kind = Module::Kind::JavaScript}});
  ASSERT_TRUE(loaded) << loaded.error().line();
  EXPECT_EQ(get().body, "bb2ö!");
}

TEST_F(RealmTest, LoadErrorsNameThePlace) {
  const auto syntax = load("export default {\n  fetch( { }\n};");
  ASSERT_FALSE(syntax);
  EXPECT_EQ(syntax.error().code, "workers.syntax");
  EXPECT_THAT(syntax.error().what, StartsWith("app.js:3:1: SyntaxError"));
}

TEST_F(RealmTest, AMissingModuleIsNamed) {
  const auto missing = load("import './gone.js'; export default { fetch() {} };");
  ASSERT_FALSE(missing);
  EXPECT_THAT(missing.error().what, HasSubstr("'./gone.js', imported by 'app.js'"));
}

TEST_F(RealmTest, AThrowAtStartIsAnError) {
  const auto thrown = load("\nthrow new Error('no'); export default { fetch() {} };");
  ASSERT_FALSE(thrown);
  EXPECT_THAT(thrown.error().what, StartsWith("app.js:2:7: Error: no"));
}

TEST_F(RealmTest, WithoutHandlersThereIsNoWorker) {
  const auto none = load("export const x = 1;");
  ASSERT_FALSE(none);
  EXPECT_EQ(none.error().code, "workers.no-handler");
}

TEST_F(RealmTest, StartIsDeterministic) {
  const std::string source = R"(
    const seen = [Date.now(), performance.now(), Math.random(), Math.random()];
    const refused = [];
    for (const attempt of [() => setTimeout(() => {}, 1), () => crypto.randomUUID(), () => crypto.getRandomValues(new Uint8Array(1))]) {
      try { attempt(); refused.push("done"); } catch (error) { refused.push(error.constructor.name); }
    }
    try { await fetch("http://example.com/"); refused.push("done"); } catch (error) { refused.push(error.constructor.name); }
    export default { fetch() { return Response.json([seen, refused, Date.now() > 0]); } };)";
  ASSERT_TRUE(load(source));
  const std::string first = get().body;
  realm = Realm::create(engine(), {});
  ASSERT_TRUE(load(source));
  EXPECT_EQ(get().body, first);
  EXPECT_THAT(first, StartsWith("[[0,0,0."));
  EXPECT_THAT(first, HasSubstr(R"(["Error","Error","Error","Error"],true])"));
}

TEST_F(RealmTest, AnAwaitThatCannotSettleAtStartIsAnError) {
  const auto waiting = load("await new Promise(() => {}); export default { fetch() {} };");
  ASSERT_FALSE(waiting);
  EXPECT_EQ(waiting.error().code, "workers.start");
}

TEST_F(RealmTest, FailuresCarryTheirPosition) {
  answer_of("\n  null.x;");
  EXPECT_THAT(failure_text(), HasSubstr("TypeError: Cannot read properties of null"));
  EXPECT_EQ(tests::value_of(host.ends[1].failure).position, "app.js:2:8");
  EXPECT_THAT(tests::value_of(host.ends[1].failure).stack, HasSubstr("app.js:2:8"));
  EXPECT_FALSE(host.ends[1].pass_through);
}

TEST_F(RealmTest, PassThroughIsTold) {
  answer_of("ctx.passThroughOnException(); throw new Error('x');");
  EXPECT_TRUE(host.ends[1].pass_through);
}

TEST_F(RealmTest, AnAnswerThatIsNoResponseFails) {
  answer_of("return 'text';");
  EXPECT_THAT(failure_text(), HasSubstr("return a Response"));
}

TEST_F(RealmTest, WaitUntilKeepsTheEventOpen) {
  answer_of("ctx.waitUntil(new Promise((done) => setTimeout(done, 50))); return new Response('now');");
  EXPECT_EQ(host.answers[1].body, "now");
  EXPECT_FALSE(host.ends.contains(1));
  ASSERT_TRUE(realm->next_deadline_ns());
  host.now_ns = tests::value_of(realm->next_deadline_ns());
  realm->run_timers();
  EXPECT_TRUE(host.ends.contains(1));
}

TEST_F(RealmTest, SubrequestsBelongToTheirEvent) {
  ASSERT_TRUE(load(R"(export default { async fetch(request) {
      await null;
      const answer = await fetch("http://origin/" + request.headers.get("x-two").length);
      await null;
      const again = await fetch("http://origin/again", { method: "PUT", body: await answer.text() });
      return new Response(`${again.status} ${again.headers.get("a")}`); } };)"));
  get();
  get();
  ASSERT_EQ(host.fetches.size(), 2U);
  EXPECT_EQ(host.fetches[0].event, 1U);
  EXPECT_EQ(host.fetches[1].event, 2U);
  const Field fields[] = {{"A", "b"}};
  realm->answered(host.fetches[1].operation, {.status = 200, .reason = "OK", .fields = fields},
                  {.kind = Body::Kind::Whole, .whole = Chunk::of("text"), .stream = 0, .length = {}});
  ASSERT_EQ(host.fetches.size(), 3U);
  EXPECT_EQ(host.fetches[2].event, 2U);
  EXPECT_EQ(host.fetches[2].method, "PUT");
  realm->answered(host.fetches[2].operation, {.status = 204, .reason = "", .fields = fields}, {});
  EXPECT_EQ(host.answers[2].body, "204 b");
}

TEST_F(RealmTest, RedirectionsAreFollowedAndASubrequestMayFail) {
  answer_of(R"(const r = await fetch("http://origin/a"); try { await fetch("http://origin/no"); } catch (e) {
      return new Response(`${r.url} ${r.redirected} ${e.name}: ${e.message}`); })");
  const Field location[] = {{"Location", "../b#x"}};
  realm->answered(host.fetches[0].operation, {.status = 302, .reason = "", .fields = location}, {});
  ASSERT_EQ(host.fetches.size(), 2U);
  EXPECT_EQ(host.fetches[1].url, "http://origin/b");
  realm->answered(host.fetches[1].operation, {.status = 200, .reason = "", .fields = {}}, {});
  realm->failed(host.fetches[2].operation, {.code = "x", .text = "refused", .position = {}, .stack = {}});
  EXPECT_EQ(host.answers[1].body, "http://origin/b true TypeError: fetch failed: refused");
}

TEST_F(RealmTest, AbortingEndsASubrequest) {
  answer_of(
      R"(try { await fetch("http://origin/", { signal: AbortSignal.timeout(10) }); } catch (e) { return new Response(e.name); })");
  host.now_ns += 20'000'000;
  realm->run_timers();
  EXPECT_EQ(host.answers[1].body, "TimeoutError");
  EXPECT_EQ(host.aborted_fetches.size(), 1U);
}

TEST_F(RealmTest, ABodyThatStreamsInIsCollected) {
  ASSERT_TRUE(load("export default { async fetch(request) { return new Response(await request.text()); } };"));
  get({.kind = Body::Kind::Stream, .whole = {}, .stream = 77, .length = {}});
  ASSERT_EQ(host.pulled, std::vector<StreamId>{77});
  realm->chunk(77, Chunk::of("one "));
  realm->chunk(77, Chunk::of("twö"));
  EXPECT_EQ(host.pulled.size(), 3U);
  realm->end(77);
  EXPECT_EQ(host.answers[1].body, "one twö");
}

TEST_F(RealmTest, AnEchoIsRelayedOrPumpedUnderBackPressure) {
  ASSERT_TRUE(load("export default { fetch(request) { return new Response(request.body); } };"));
  host.relaying = true;
  EXPECT_EQ(get({.kind = Body::Kind::Stream, .whole = {}, .stream = 5, .length = 9}).kind, Body::Kind::Relayed);
  host.relaying = false;
  host.accepts = false;
  const Answer answer = get({.kind = Body::Kind::Stream, .whole = {}, .stream = 6, .length = {}});
  ASSERT_EQ(answer.kind, Body::Kind::Stream);
  realm->chunk(6, Chunk::of("abc"));
  EXPECT_EQ(host.pulled, std::vector<StreamId>{6}) << "nothing is pulled while the other end is full";
  realm->writable(answer.stream);
  EXPECT_EQ(host.pulled.size(), 2U);
  realm->end(6);
  EXPECT_EQ(host.written[answer.stream], "abc");
  EXPECT_EQ(host.closed, std::vector<StreamId>{answer.stream});
  EXPECT_TRUE(host.ends.contains(2));
}

TEST_F(RealmTest, AStreamOfTheWorkersIsWrittenAsItComes) {
  const Answer answer = answer_of(R"(
    let n = 0;
    return new Response(new ReadableStream({ pull(c) { if (n++ == 3) c.close(); else c.enqueue(new TextEncoder().encode(`${n};`)); } }));)");
  EXPECT_EQ(answer.kind, Body::Kind::Stream);
  EXPECT_EQ(host.written[answer.stream], "1;2;3;");
  EXPECT_EQ(host.closed.size(), 1U);
}

TEST_F(RealmTest, LargeTextIsNotCopied) {
  ASSERT_TRUE(load("export default { async fetch(request) { return new Response(await request.text()); } };"));
  const Chunk large = Chunk::of(std::string(100'000, 'x'));
  const std::weak_ptr<const void> memory = large.keeper();
  get({.kind = Body::Kind::Whole, .whole = large, .stream = 0, .length = {}});
  EXPECT_EQ(host.answers[1].body.size(), 100'000U);
}

// The host holds a whole body until it is asked for, and hands it on as it is where nobody asked.
TEST_F(RealmTest, AWholeBodyThatNobodyReadsIsHandedOn) {
  ASSERT_TRUE(load("export default { fetch(request) { return new Response(request.body); } };"));
  Chunk large = Chunk::of(std::string(100'000, 'x'));
  const std::weak_ptr<const void> memory = large.keeper();
  get({.kind = Body::Kind::Whole, .whole = std::move(large), .stream = 0, .length = {}});
  EXPECT_EQ(host.answers[1].kind, Body::Kind::Whole);
  EXPECT_EQ(host.answers[1].body, std::string(100'000, 'x'));
  EXPECT_TRUE(memory.expired()) << "JavaScript holds none of it";
}

TEST_F(RealmTest, AWholeBodyIsReadInEveryWay) {
  ASSERT_TRUE(load(R"(export default { async fetch(request) {
      const copies = [request.clone(), request.clone(), request.clone(), request.clone()];
      const kept = new Response(request.body);
      const pieces = [];
      for await (const piece of copies[3].body) pieces.push(piece.length);
      return Response.json([await copies[0].text(), await copies[1].json(), (await copies[2].arrayBuffer()).byteLength,
                            pieces, await kept.text(), request.bodyUsed]); } };)"));
  get({.kind = Body::Kind::Whole, .whole = Chunk::of(R"({"a":"ö"})"), .stream = 0, .length = {}});
  EXPECT_EQ(host.answers[1].body, R"(["{\"a\":\"ö\"}",{"a":"ö"},10,[10],"{\"a\":\"ö\"}",true])");
}

TEST_F(RealmTest, AWholeBodyMovesToAnotherRequest) {
  ASSERT_TRUE(load(R"(export default { async fetch(request) {
      const untouched = request.body;
      const other = new Request(request, { method: "PUT" });
      return new Response(`${await other.text()} ${request.bodyUsed} ${untouched.locked}`); } };)"));
  get({.kind = Body::Kind::Whole, .whole = Chunk::of("text"), .stream = 0, .length = {}});
  EXPECT_THAT(host.answers[1].body, StartsWith("text true "));
}

TEST_F(RealmTest, ABodyThatIsReadAfterItsEventIsGone) {
  ASSERT_TRUE(load(R"(let last;
      export default { async fetch(request) {
      const before = last;
      last = request;
      if (before === undefined) return new Response("first");
      const caught = [];
      for (const read of [() => before.text(), () => before.bytes(), () => before.clone().text()]) {
        try { caught.push(await read()); } catch (error) { caught.push(error.constructor.name); }
      }
      return new Response(caught.join()); } };)"));
  get({.kind = Body::Kind::Whole, .whole = Chunk::of("text"), .stream = 0, .length = {}});
  get({.kind = Body::Kind::Whole, .whole = Chunk::of("text"), .stream = 0, .length = {}});
  EXPECT_THAT(host.answers[2].body, StartsWith("TypeError,"));
  EXPECT_THAT(host.answers[2].body, HasSubstr("TypeError,TypeError,TypeError"));
}

TEST_F(RealmTest, WaitUntilKeepsTheBody) {
  ASSERT_TRUE(load(R"(export default { fetch(request, env, ctx) {
      ctx.waitUntil(new Promise((done) => setTimeout(done, 50)).then(() => request.text()).then(console.log));
      return new Response("now"); } };)"));
  get({.kind = Body::Kind::Whole, .whole = Chunk::of("text"), .stream = 0, .length = {}});
  host.now_ns = tests::value_of(realm->next_deadline_ns());
  realm->run_timers();
  EXPECT_EQ(host.lines, std::vector<std::string>{"text"});
  EXPECT_TRUE(host.ends.contains(1));
}

TEST_F(RealmTest, ARequestIsTakenApartWhereSomebodyLooks) {
  ASSERT_TRUE(load(R"(export default { fetch(request) {
      const copy = new Request(request, { redirect: "manual" });
      return Response.json([request.method, request.url, [...request.headers], request.redirect, copy.redirect, copy.url,
                            copy.headers.get("accept"), request.signal.aborted]); } };)"));
  const Field fields[] = {{"Accept", "text/html"}, {"Empty", ""}, {"X-Latin", "\xE9"}};
  realm->fetch(1, {.method = "GET", .url = "http://example.com/ö?q", .fields = fields}, {});
  realm->fetch(2, {.method = "DELETE", .url = "http://example.com/o?q", .fields = {}}, {});
  EXPECT_EQ(
      host.answers[1].body,
      R"(["GET","http://example.com/ö?q",[["accept","text/html"],["empty",""],["x-latin","é"]],"follow","manual",)"
      R"("http://example.com/ö?q","text/html",false])");
  EXPECT_EQ(host.answers[2].body,
            R"(["DELETE","http://example.com/o?q",[],"follow","manual","http://example.com/o?q",null,false])");
}

TEST_F(RealmTest, LoneSurrogatesAreReplacedWhereverABodyIsRead) {
  const Answer answer = answer_of(R"(const text = "a\uD800b";
      return new Response(`${await new Response(text).text()}${text}${(await new Response(text).bytes()).length}`);)");
  EXPECT_EQ(answer.body, "a\uFFFDba\uFFFDb5");
}

TEST_F(RealmTest, WhatAHandlerHasSettledIsNotWaitedFor) {
  ASSERT_TRUE(load(R"(export default { fetch(request) {
      switch (new URL(request.url).searchParams.get("q")) {
        case "1": return Promise.resolve(new Response("resolved"));
        case "2": return Promise.reject(new Error("rejected"));
        case "3": return Promise.resolve(undefined);
        default: return { then(good) { good(new Response("thenable")); } };
      } } };)"));
  for (const char* query : {"1", "2", "3", "4"}) {
    realm->fetch(++last_event, {.method = "GET", .url = std::string("http://a/?q=") + query, .fields = {}}, {});
  }
  EXPECT_EQ(host.answers[1].body, "resolved");
  EXPECT_THAT(tests::value_of(host.ends[2].failure).text, HasSubstr("rejected"));
  EXPECT_THAT(tests::value_of(host.ends[3].failure).text, HasSubstr("return a Response"));
  EXPECT_EQ(host.answers[4].body, "thenable");
  EXPECT_EQ(host.ends.size(), 4U);
}

TEST_F(RealmTest, WarmingUpLeavesNoTrace) {
  const std::string source = R"(export default { async fetch(request) {
      const at = [Date.now() > 0, Math.random() >= 0, Object.keys(globalThis).length];
      return Response.json([at, await request.text(), setTimeout(() => {}, 0)]); } };)";
  ASSERT_TRUE(load(source));
  const std::string cold = get({.kind = Body::Kind::Whole, .whole = Chunk::of("b"), .stream = 0, .length = {}}).body;
  realm = Realm::create(engine(), {});
  realm->warm_up();
  realm->warm_up();
  ASSERT_TRUE(load(source));
  EXPECT_EQ(get({.kind = Body::Kind::Whole, .whole = Chunk::of("b"), .stream = 0, .length = {}}).body, cold);
  EXPECT_TRUE(host.lines.empty());
  EXPECT_TRUE(host.uncaught_failures.empty());
}

TEST_F(RealmTest, CachesAskTheHost) {
  answer_of(R"(const cache = caches.default; const miss = await cache.match(request);
      await cache.put(request, new Response("kept")); return new Response(`${miss} ${await cache.delete(request)}`);)");
  ASSERT_EQ(host.fetches.at(0).method, "match");
  realm->missed(host.fetches[0].operation);
  ASSERT_EQ(host.fetches.at(1).method, "put");
  realm->done(host.fetches[1].operation, true);
  realm->done(host.fetches.at(2).operation, true);
  EXPECT_EQ(host.answers[1].body, "undefined true");
}

TEST_F(RealmTest, ScheduledAndEventHandlersAreCalled) {
  ASSERT_TRUE(load(R"(export default {
      scheduled(controller) { console.log(controller.cron, controller.scheduledTime); },
      async event(batch) { for (const m of batch) console.log(m.topic, m.json().v, m.time.getTime()); } };)"));
  EXPECT_TRUE(realm->handles("event"));
  EXPECT_FALSE(realm->handles("fetch"));
  realm->scheduled(1, "* * * * *", 60'000);
  const Message batch[] = {{.topic = "a/b", .payload = R"({"v":1.5})", .time_ms = 7}};
  realm->event(2, batch);
  EXPECT_EQ(host.lines, (std::vector<std::string>{"* * * * * 60000", "a/b 1.5 7"}));
  EXPECT_TRUE(host.ends.contains(1) && host.ends.contains(2));
}

TEST_F(RealmTest, ScriptsRunToTheirEnd) {
  run_script("setTimeout(() => console.log('late', { a: [1, 'x'] }), 5); console.log('early');");
  ASSERT_TRUE(loaded_script);
  EXPECT_FALSE(host.script_over);
  host.now_ns += 10'000'000;
  realm->run_timers();
  EXPECT_TRUE(host.script_over);
  EXPECT_FALSE(host.script_failure);
  EXPECT_EQ(host.lines, (std::vector<std::string>{"early", "late { a: [ 1, \"x\" ] }"}));
}

TEST_F(RealmTest, ErrorsOfABundleAreToldWhereTheyWereWritten) {
  const auto failure_with = [&](const std::string& map) {
    realm = Realm::create(engine(), {});
    const std::string code =
        "export default { fetch() { throw new Error('no'); } };\n//# sourceMappingURL=data:application/json;base64,";
    EXPECT_TRUE(load(code + base64(map)));
    get();
    return tests::value_of(host.ends[last_event].failure);
  };
  // One segment: from column 0 on it is line 6, column 4 of the second source.
  const Failure failure = failure_with(R"({"version":3,"sources":["./src/a.ts","./src/shop.ts"],"mappings":"ACKG"})");
  EXPECT_EQ(failure.position, "src/shop.ts:6:4");
  EXPECT_THAT(failure.stack, HasSubstr("(src/shop.ts:6:4)"));
  // Where the second begins behind the throw it does not count; its line and column are relative to the first.
  EXPECT_EQ(failure_with(R"({"version":3,"sources":["a.ts"],"mappings":"AAKG,oGAAA"})").position, "a.ts:6:4");
  EXPECT_EQ(failure_with(R"({"version":3,"sources":["a.ts"],"mappings":"AAKG,CACC"})").position, "a.ts:7:5");
  for (const char* nonsense :
       {"", "no JSON", "{}", "[]", R"({"sources":1,"mappings":"A"})", R"({"sources":["a.ts"],"mappings":"?"})",
        R"({"sources":[],"mappings":"AAKG"})", R"({"sources":["a.ts"],"mappings":"AAAAAAAAA"})",
        R"({"sources":["a.ts"],"mappings":";;AAKG"})", R"({"sources":["a.ts"],"mappings":"AADD"})",
        R"({"sources":["a.ts"],"mappings":"gggggggggggggg"})", R"({"sources":["a.ts"],"mappings":",,;"})"}) {
    EXPECT_EQ(failure_with(nonsense).position, "app.js:1:34") << nonsense;
  }
}

TEST_F(RealmTest, UncaughtErrorsAreTold) {
  run_script("Promise.reject(new Error('lost'));\nqueueMicrotask(() => { throw new TypeError('thrown'); });");
  ASSERT_EQ(host.uncaught_failures.size(), 2U);
  EXPECT_THAT(host.uncaught_failures[0].text, HasSubstr("TypeError: thrown"));
  EXPECT_EQ(host.uncaught_failures[0].position, "script.js:2:30");
  EXPECT_THAT(host.uncaught_failures[1].text, HasSubstr("Error: lost"));
}

TEST_F(RealmTest, TheCodeCacheIsTakenAndAForeignOneIgnored) {
  const std::string source = "export default { fetch() { return new Response('x'.repeat(3)); } };";
  ASSERT_TRUE(load(source));
  get();
  EXPECT_FALSE(realm->took_code_cache());
  code_cache = realm->code_cache();
  EXPECT_GT(code_cache.size(), 100U);
  realm = Realm::create(engine(), {});
  ASSERT_TRUE(load(source));
  EXPECT_TRUE(realm->took_code_cache());
  EXPECT_EQ(get().body, "xxx");
  realm = Realm::create(engine(), {});
  for (std::size_t at = 40; at < code_cache.size(); at += 7) code_cache[at] ^= std::byte{0x55};
  ASSERT_TRUE(load(source)) << "a damaged cache is no cache";
  EXPECT_FALSE(realm->took_code_cache());
  EXPECT_EQ(get().body, "xxx");
}

TEST_F(RealmTest, TerminationEndsEveryOpenEvent) {
  ASSERT_TRUE(
      load("export default { async fetch(request, env, ctx) { await new Promise((f) => setTimeout(f, 1));"
           " console.log('spinning'); for (;;); } };"));
  get();
  get();
  std::thread watchdog([&] {
    host.has_spoken.wait(false);  // until it spins
    realm->terminate("workers.cpu", "the worker used more than its 10 ms");
  });
  host.now_ns += 5'000'000;
  realm->run_timers();
  watchdog.join();
  ASSERT_TRUE(realm->condemned());
  EXPECT_EQ(tests::value_of(host.ends.at(1).failure).code, "workers.cpu");
  EXPECT_EQ(tests::value_of(host.ends.at(2).failure).code, "workers.cpu");
  get();
  EXPECT_EQ(tests::value_of(host.ends.at(3).failure).code, "workers.cpu");
}

TEST_F(RealmTest, AHeapThatGrowsIsEndedWithAStatedError) {
  answer_of("const all = []; for (let i = 0;; i++) all.push({ i, text: 'x' + i });");
  ASSERT_TRUE(realm->condemned());
  EXPECT_EQ(tests::value_of(host.ends.at(1).failure).code, "workers.memory");
}

TEST_F(RealmTest, ArrayBuffersBeyondTheBudgetAreARangeError) {
  const Answer answer = answer_of(
      "const all = []; try { for (;;) all.push(new ArrayBuffer(1 << 20)); } catch (e) { return new Response(`${e.name} "
      "${all.length}`); }");
  EXPECT_THAT(answer.body, StartsWith("RangeError 3"));
  EXPECT_FALSE(realm->condemned());
}

TEST_F(RealmTest, RecursionIsARangeError) {
  EXPECT_EQ(answer_of("const f = () => f() + 1; try { f(); } catch (e) { return new Response(e.name); }").body,
            "RangeError");
}

// What a worker does to JavaScript's own objects, it does to itself.
TEST_F(RealmTest, PollutedPrototypesDoNotBreakTheHost) {
  ASSERT_TRUE(load(R"(
    const { ownKeys } = Reflect;
    const types = [Array, String, Map, Set, WeakMap, Object, RegExp, Promise, Uint8Array, Function];
    for (let at = 0; at < types.length; ++at) {
      const { prototype } = types[at];
      const keys = ownKeys(prototype);
      for (let index = 0; index < keys.length; ++index) {
        if (keys[index] === "constructor") continue;
        try { prototype[keys[index]] = () => { throw new Error("polluted"); }; } catch {}
      }
    }
    Object.defineProperty(Object.prototype, "status", { get() { throw new Error("polluted"); } });
    export default { async fetch() { return new Response("still here", { status: 200 }); } };)"));
  get();
  get();
  ASSERT_TRUE(host.ends.contains(2)) << "the event ends, well or badly";
  EXPECT_FALSE(realm->condemned());
}

TEST_F(RealmTest, GettersThatThrowAreTheWorkersOwnErrors) {
  const Answer answer = answer_of(R"(
    const caught = [];
    for (const make of [
      () => new Response("", { get status() { throw new Error("status"); } }),
      () => new Headers({ get a() { throw new Error("field"); } }),
      () => new Headers({ [Symbol.iterator]() { throw new Error("iterator"); } }),
      () => new Request("http://a/", { get headers() { throw new Error("headers"); } }),
      () => new Headers([["a", { toString() { throw new Error("text"); } }]]),
      () => structuredClone({ get x() { throw new Error("clone"); } }),
      () => new Response(null, { headers: { "a\r\nb": "c" } }),
      () => new Response(null, { headers: { a: "b\r\nc: d" } }),
      () => new Response(null, { statusText: "a\r\nb" }),
    ]) { try { make(); caught.push("made"); } catch (e) { caught.push(e.message); } }
    return new Response(caught.join("|"));)");
  EXPECT_THAT(answer.body, StartsWith("status|field|iterator|headers|text|clone|'a\r\nb' is not a valid header name|"));
  EXPECT_EQ(answer.body.find("made"), std::string::npos);
}

TEST_F(RealmTest, InternalsCannotBeReached) {
  const Answer answer = answer_of(R"(
    const seen = new Set();
    const walk = (object) => {
      if ((typeof object !== "object" && typeof object !== "function") || object === null || seen.has(object)) return;
      seen.add(object);
      for (const key of Reflect.ownKeys(object)) {
        const property = Reflect.getOwnPropertyDescriptor(object, key);
        if (key === "cachePut" || key === "setEvent" || key === "platformObject") throw new Error(`found ${key}`);
        if (property.value !== undefined) walk(property.value);
        walk(property.get);
      }
      walk(Reflect.getPrototypeOf(object));
    };
    walk(globalThis); walk(request); walk(ctx); walk(new Response("x").body);
    return new Response(`${seen.size > 500}`);)");
  EXPECT_EQ(answer.body, "true") << failure_text();
}

}  // namespace
}  // namespace verge::workers

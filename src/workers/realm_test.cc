// A realm against a host that notes what it is asked: programs, events, subrequests, bindings, scripts.
#include "workers/realm.h"

#include <string>
#include <string_view>
#include <vector>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "base/text.h"
#include "tests/support/realm_fixture.h"
#include "tests/support/value_of.h"

namespace verge::workers {
namespace {

using ::testing::HasSubstr;
using ::testing::StartsWith;

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

TEST_F(RealmTest, WhatIsNoJsonDoesNotStart) {
  const auto loaded = load("import words from './a.json'; export default { fetch() {} };",
                           {{.name = "a.json", .source = "{", .kind = Module::Kind::Json}});
  ASSERT_FALSE(loaded);
  EXPECT_EQ(loaded.error().code, "workers.syntax");
  EXPECT_THAT(loaded.error().what, StartsWith("a.json: SyntaxError"));
}

TEST_F(RealmTest, UrlPatternsMatch) {
  const Answer answer = answer_of(R"(
    const pattern = new URLPattern({ pathname: "/books/:id(\\d+)/*" });
    const found = pattern.exec("https://example.com/books/12/x?q");
    return Response.json([found.pathname.groups, pattern.test("https://example.com/books/a/x"), pattern.hasRegExpGroups]);)");
  EXPECT_EQ(answer.body, R"([{"0":"x","id":"12"},false,true])") << failure_text();
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
  EXPECT_THAT(missing.error().what, HasSubstr("'./gone.js', imported by 'app.js:1:8'"));
}

TEST_F(RealmTest, AThrowAtStartIsAnError) {
  const auto thrown = load("\nthrow new Error('no'); export default { fetch() {} };");
  ASSERT_FALSE(thrown);
  EXPECT_THAT(thrown.error().what, StartsWith("app.js:2:7: Error: no"));
}

TEST_F(RealmTest, ARejectionMayBeHandledLate) {
  ASSERT_TRUE(load(R"(const seen = [];
      let lost;
      addEventListener("unhandledrejection", (event) => { event.preventDefault(); seen.push(["un", event.reason]); });
      addEventListener("rejectionhandled", (event) => seen.push(["late", event.promise === lost, event.reason]));
      export default { fetch() {
        if (lost === undefined) {
          lost = Promise.reject("why");
          Promise.reject("soon").catch(() => {});
        } else {
          lost.catch(() => {});
        }
        return Response.json(seen); } };)"));
  get();
  EXPECT_EQ(get().body, R"([["un","why"]])");
  EXPECT_EQ(get().body, R"([["un","why"],["late",true,"why"]])");
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
  realm = Realm::create(tests::realm_engine(), {});
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

TEST_F(RealmTest, ANamespaceAsksForItsKeys) {
  answer_of(R"(
    const { value, metadata } = await env.NS.getWithMetadata("a", "json");
    await env.NS.put("b", "c", { expirationTtl: 60, metadata: { d: "é" } });
    return Response.json([value, metadata, await env.NS.get("none")]);)");
  ASSERT_EQ(host.fetches.size(), 1U);
  EXPECT_EQ(host.fetches[0].method, "NS get a []");
  const Field fields[] = {{"metadata", "[\"\xC3\xA9\"]"}};
  realm->answered(host.fetches[0].operation, {.status = 200, .fields = fields},
                  {.kind = Body::Kind::Whole, .whole = Chunk::of(R"({"x":1})")});
  ASSERT_EQ(host.fetches.size(), 2U);
  EXPECT_EQ(host.fetches[1].method, "NS put b [c] ttl=60 metadata={\"d\":\"\xC3\xA9\"}");
  realm->answered(host.fetches[1].operation, {.status = 204}, {});
  ASSERT_EQ(host.fetches.size(), 3U);
  realm->answered(host.fetches[2].operation, {.status = 404}, {});
  EXPECT_EQ(host.answers.at(1).body, "[{\"x\":1},[\"é\"],null]");
}

TEST_F(RealmTest, AValueIsKeptUntilItsNamespaceIsWrittenTo) {
  ASSERT_TRUE(load(R"(export default { async fetch(request, env) {
    return Response.json([await env.NS.get("a"), await env.NS.get("a", "json"), await env.NS.get("none")]); } };)"));
  const auto give = [&](std::size_t at, std::uint16_t status, std::string_view value, std::string_view reason) {
    ASSERT_EQ(host.fetches.size(), at + 1);
    Body body;
    if (!value.empty())
      body = {.kind = Body::Kind::Whole, .whole = Chunk::of(std::string(value)), .stream = 0, .length = {}};
    realm->answered(host.fetches[at].operation, {.status = status, .reason = reason, .fields = {}}, body);
  };
  host.writes[7] = 41;
  get();
  give(0, 200, R"({"x":1})", "7 41");
  give(1, 404, "", "7 41");
  const std::string expected = R"(["{\"x\":1}",{"x":1},null])";
  EXPECT_EQ(host.answers.at(1).body, expected);
  get();
  EXPECT_EQ(host.answers.at(2).body, expected);
  EXPECT_EQ(host.fetches.size(), 2U);
  host.writes[7] = 42;
  get();
  // What was read as of an earlier count is not kept.
  give(2, 200, "2", "7 41");
  give(3, 200, "3", "7 42");
  give(4, 200, "4", "");
  EXPECT_EQ(host.answers.at(3).body, R"(["2",3,"4"])");
  get();
  EXPECT_EQ(host.fetches.size(), 6U) << "only what the node says nothing of is asked for";
  give(5, 404, "", "");
  EXPECT_EQ(host.answers.at(4).body, R"(["3",3,null])");
  host.writes.clear();
  get();
  EXPECT_EQ(host.fetches.size(), 7U) << "where nobody counts nothing is kept";
}

TEST_F(RealmTest, WhatTheNodeRefusesRejects) {
  answer_of("try { await env.NS.put('a', 'b'); } catch (error) { return new Response(error.message); }");
  realm->failed(host.fetches.at(0).operation, {.code = "kv.busy", .text = "too much [kv.busy]"});
  EXPECT_EQ(host.answers.at(1).body, "KV put failed: too much [kv.busy]");
}

TEST_F(RealmTest, AQueueSendsMessages) {
  answer_of("await env.Q.sendBatch([{ body: { a: 1 } }, { body: 'é', contentType: 'text', delaySeconds: 5 }]);");
  ASSERT_EQ(host.fetches.size(), 1U);
  EXPECT_EQ(host.fetches[0].method, "Q send  [{\"a\":1}é] message=0 7 - message=1 2 5");
}

TEST_F(RealmTest, ABatchIsAnsweredWithWhatComesAgain) {
  ASSERT_TRUE(load(R"(export default { async queue(batch, env) {
    const [one, two, three, four] = batch.messages;
    if (batch.queue !== "jobs" || one.attempts !== 1 || one.body.a !== 1 || two.body !== "é" || three.body.byteLength !== 2) throw 1;
    two.retry({ delaySeconds: 7 });
    two.ack();
    three.ack();
    if (four !== undefined) { four.retry(); throw new Error("fails"); }
  } };)"));
  EXPECT_TRUE(realm->handles("queue"));
  std::vector<QueuedMessage> batch = {{.id = "1", .body = R"({"a":1})"},
                                      {.id = "2", .body = "é", .kind = QueuedMessage::Kind::Text},
                                      {.id = "3", .body = "ab", .kind = QueuedMessage::Kind::Bytes}};
  realm->queue(1, "jobs", batch);
  EXPECT_EQ(host.answers.at(1).status, 200);
  EXPECT_EQ(host.answers.at(1).retries, "1 7;");
  EXPECT_TRUE(host.ends.contains(1));
  // Where the handler fails, what was not acknowledged comes again.
  batch.push_back({.id = "4", .body = "1"});
  realm->queue(2, "jobs", batch);
  EXPECT_EQ(host.answers.at(2).status, 500);
  EXPECT_EQ(host.answers.at(2).retries, "0 -;1 7;3 -;");
  EXPECT_EQ(host.uncaught_failures.size(), 1U);
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

TEST_F(RealmTest, ACopyOfTheRequestMayBeChanged) {
  const Answer answer = answer_of(R"(
    const one = new Request(request, { headers: { x: "1" } });
    const two = new Request(request);
    two.headers.set("x", "2");
    two.headers.delete("accept");
    const three = new Request(request.clone());
    three.headers.append("x", "3");
    fetch(request, { headers: { x: "4" } }).catch(() => {});
    let own = "changed";
    try { request.headers.set("x", "5"); } catch (error) { own = error.name; }
    return new Response([one, two, three].map((r) => `${r.headers.get("x")} ${r.headers.get("accept")}`) + " " + own);)");
  EXPECT_EQ(answer.body, "1 null,2 null,3 text/html TypeError") << failure_text();
  EXPECT_EQ(host.fetches.size(), 1U);
}

TEST_F(RealmTest, WhoDependsOnASignalIsForgottenWithIt) {
  realm = Realm::create(tests::realm_engine(), {.heap_bytes_max = 16u << 20, .external_bytes_max = 32u << 20});
  ASSERT_TRUE(load(R"(
    const control = new AbortController();
    let heard = 0;
    export default { async fetch(request) {
      if (request.method === "POST") {
        AbortSignal.any([control.signal]).addEventListener("abort", () => ++heard);
        const kept = AbortSignal.any([control.signal]);
        control.abort();
        return new Response(`${heard} ${kept.aborted}`);
      }
      for (let n = 0; n < 10; ++n) {
        await fetch("data:,x", { signal: control.signal });
        AbortSignal.any([control.signal]);
      }
      return new Response("ok");
    } };)"));
  for (int n = 0; n < 8000; ++n) ASSERT_EQ(get().body, "ok") << failure_text() << " in call " << n;
  EXPECT_EQ(get({.kind = Body::Kind::Whole, .whole = Chunk::of("x"), .stream = 0, .length = {}}).body, "1 true");
}

TEST_F(RealmTest, AClientThatHasGoneIsSeenAlsoByWhoLooksLater) {
  answer_of(
      R"(await fetch("http://origin/"); return new Response(`${request.signal.aborted} ${request.signal.reason.name}`);)");
  realm->abandon(1);
  realm->answered(host.fetches[0].operation, {.status = 200, .reason = "", .fields = {}}, {});
  EXPECT_EQ(host.answers[1].body, "true AbortError") << failure_text();
}

TEST_F(RealmTest, TheUrlOfARequestIsParsed) {
  ASSERT_TRUE(load("export default { fetch(request) { return new Response(request.url); } };"));
  const std::pair<std::string_view, std::string_view> cases[] = {{"/a/../b/%2e%2e/c//d", "/c//d"},
                                                                 {"/a/.", "/a/"},
                                                                 {"/a\\b", "/a/b"},
                                                                 {"/a\"b?c'd", "/a%22b?c%27d"},
                                                                 {"/a.b/c%2ed?e=/../f", "/a.b/c%2ed?e=/../f"},
                                                                 {"/%41?x#", "/%41?x#"}};
  for (const auto& [target, parsed] : cases) {
    realm->fetch(++last_event, {.method = "GET", .url = "http://example.com" + std::string(target), .fields = {}}, {});
    EXPECT_EQ(host.answers[last_event].body, "http://example.com" + std::string(parsed)) << failure_text();
  }
}

TEST_F(RealmTest, AFieldThatHttpCannotSendIsNamed) {
  answer_of(R"(
    return new Response("x", { headers: { x: "fine", "x-bell": "a\x07b" } });)");
  EXPECT_THAT(failure_text(), HasSubstr("The header 'x-bell' of the Response has a control character"));
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
  realm = Realm::create(tests::realm_engine(), {});
  EXPECT_TRUE(realm->warm_up());
  EXPECT_TRUE(realm->warm_up());
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

TEST_F(RealmTest, AScriptHasNotEndedWhileItWaitsForABody) {
  run_script(R"(fetch("http://a.test/").then(async (answer) => {
    for await (const piece of answer.body) console.log(piece.length);
    console.log("end");
  });)");
  ASSERT_EQ(host.fetches.size(), 1U);
  realm->answered(host.fetches[0].operation, {.status = 200, .reason = {}, .fields = {}},
                  {.kind = Body::Kind::Stream, .whole = {}, .stream = 7, .length = {}});
  EXPECT_EQ(host.pulled, (std::vector<StreamId>{7}));
  EXPECT_FALSE(host.script_over);
  realm->chunk(7, Chunk::of("abc"));
  EXPECT_FALSE(host.script_over);
  realm->end(7);
  EXPECT_TRUE(host.script_over);
  EXPECT_EQ(host.lines, (std::vector<std::string>{"3", "end"}));
}

TEST_F(RealmTest, AScriptDoesNotWaitForABodyThatNobodyReads) {
  run_script("fetch('http://a.test/').then(({ status }) => console.log(status));");
  ASSERT_EQ(host.fetches.size(), 1U);
  realm->answered(host.fetches[0].operation, {.status = 200, .reason = {}, .fields = {}},
                  {.kind = Body::Kind::Stream, .whole = {}, .stream = 7, .length = {}});
  EXPECT_TRUE(host.script_over);
  EXPECT_EQ(host.lines, (std::vector<std::string>{"200"}));
}

TEST_F(RealmTest, ErrorsOfABundleAreToldWhereTheyWereWritten) {
  const auto failure_with = [&](const std::string& map) {
    realm = Realm::create(tests::realm_engine(), {});
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

TEST_F(RealmTest, AFailureIsPlacedInTheWorkerAndNotInThePlatform) {
  answer_of("\nnew URL('no url');");
  const Failure native = tests::value_of(host.ends[last_event].failure);
  EXPECT_EQ(native.position.substr(0, 9), "app.js:2:");
  EXPECT_THAT(native.stack, HasSubstr("app.js:2:"));
  EXPECT_THAT(native.stack, testing::Not(HasSubstr("verge:")));
  for (const char* other : {"throw { a: 1 };", "return undefined;"}) {
    realm = Realm::create(tests::realm_engine(), {});
    answer_of(other);
    EXPECT_EQ(tests::value_of(host.ends[last_event].failure).position, "") << other;
  }
}

TEST_F(RealmTest, TheCodeCacheIsTakenAndAForeignOneIgnored) {
  const std::string source = "export default { fetch() { return new Response('x'.repeat(3)); } };";
  ASSERT_TRUE(load(source));
  get();
  EXPECT_FALSE(realm->took_code_cache());
  code_cache = realm->code_cache();
  EXPECT_GT(code_cache.size(), 100U);
  realm = Realm::create(tests::realm_engine(), {});
  ASSERT_TRUE(load(source));
  EXPECT_TRUE(realm->took_code_cache());
  EXPECT_EQ(get().body, "xxx");
  realm = Realm::create(tests::realm_engine(), {});
  for (std::size_t at = 40; at < code_cache.size(); at += 7) code_cache[at] ^= std::byte{0x55};
  ASSERT_TRUE(load(source)) << "a damaged cache is no cache";
  EXPECT_FALSE(realm->took_code_cache());
  EXPECT_EQ(get().body, "xxx");
}

}  // namespace
}  // namespace verge::workers

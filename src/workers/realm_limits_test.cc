// Limits of a realm, and scripts that mean harm.
#include <string>
#include <thread>

#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/support/realm_fixture.h"
#include "tests/support/value_of.h"
#include "workers/realm.h"

namespace verge::workers {
namespace {

using ::testing::HasSubstr;
using ::testing::StartsWith;

TEST_F(RealmTest, ATimerEndsWithItsEvent) {
  ASSERT_TRUE(load(R"(let ran = 0;
    export default { fetch(request, env, ctx) {
      setInterval(() => { ++ran; }, 1);
      setTimeout(() => { ran += 100; }, 5);
      if (request.method === "POST") ctx.waitUntil(new Promise((resolve) => setTimeout(resolve, 3)));
      return new Response(`${ran}`);
    } };)"));
  EXPECT_EQ(get().body, "0");
  for (int i = 0; i < 10; ++i) {
    host.now_ns += 1'000'000;
    realm->run_timers();
  }
  EXPECT_FALSE(realm->next_deadline_ns().has_value());
  // As long as it is waited for, they run.
  EXPECT_EQ(get({.kind = Body::Kind::Whole, .whole = Chunk::of("x")}).body, "0");
  for (int i = 0; i < 10; ++i) {
    host.now_ns += 1'000'000;
    realm->run_timers();
  }
  EXPECT_FALSE(realm->next_deadline_ns().has_value());
  const std::string ran = get().body;
  EXPECT_TRUE(ran == "2" || ran == "3") << ran;
}

TEST_F(RealmTest, AHeadThatIsTooLargeFailsItsEvent) {
  const char* too_large[] = {
      "new Response('x', { headers: Array.from({ length: 513 }, (_, i) => ['x' + i, 'v']) })",
      "new Response('x', { headers: { a: 'y'.repeat(300000) } })",
      "new Response(null, { statusText: 'r'.repeat(300000) })",
      R"(new Response(new ReadableStream({ pull(c) { c.enqueue(new Uint8Array(9)); } }),
                      { headers: { a: 'y'.repeat(300000) } }))",
  };
  for (const char* answer : too_large) {
    realm = Realm::create(tests::realm_engine(), {});
    answer_of(fmt::format("return {};", answer));
    EXPECT_THAT(failure_text(), HasSubstr("TypeError: The head of the Response has more than")) << answer;
    EXPECT_TRUE(host.answers[last_event].fields.empty()) << answer;
  }
  realm = Realm::create(tests::realm_engine(), {});
  answer_of("return new Response('x', { headers: Array.from({ length: 511 }, (_, i) => ['x' + i, 'v']) });");
  EXPECT_EQ(host.answers.at(last_event).fields.size(), 512U);
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

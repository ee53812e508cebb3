// crypto.subtle in a realm: what is done at once, what a host does beside, what no worker gets to see. What the
// algorithms give is compared by tests/conformance (Wycheproof, web platform tests) and by crypto_*_test.cc.
#include <map>

#include <gtest/gtest.h>

#include "tests/support/realm_engine.h"
#include "workers/realm.h"

namespace verge::workers {
namespace {

class CryptoHost final : public Host {
 public:
  struct Job {
    OperationId operation = 0;
    EventId event = kNoEvent;
    std::shared_ptr<Work> work;
  };
  Time now() override { return {1, 1'700'000'000'000}; }
  void random(std::span<std::byte> out) override { std::ranges::fill(out, std::byte{0xA5}); }
  void console(EventId, ConsoleLevel, std::string_view) override {}
  void uncaught(EventId, const Failure& failure) override { uncaught_text = failure.text; }
  void respond(EventId event, const ResponseHead&, Body body) override { answers[event] = body.whole.bytes(); }
  void ended(EventId event, const EventEnd& end) override {
    if (end.failure) answers[event] = "failed: " + end.failure->text;
  }
  void script_ended(const std::optional<Failure>&) override {}
  bool write(StreamId, Chunk) override { return true; }
  void close(StreamId) override {}
  void abort(StreamId, const Failure&) override {}
  void pull(StreamId) override {}
  void cancel(StreamId) override {}
  void fetch(OperationId, EventId, const RequestHead&, Body) override {}
  void abort_fetch(OperationId) override {}
  void cache_match(OperationId, EventId, std::string_view, const RequestHead&) override {}
  void cache_put(OperationId, EventId, std::string_view, const RequestHead&, const ResponseHead&, Body) override {}
  void cache_remove(OperationId, EventId, std::string_view, const RequestHead&) override {}
  bool compute(OperationId operation, EventId event, const std::shared_ptr<Work>& work) override {
    if (computes) jobs.push_back({operation, event, work});
    return computes;
  }

  bool computes = true;
  std::vector<Job> jobs;
  std::map<EventId, std::string> answers;
  std::string uncaught_text;
};

constexpr std::string_view kDerive =
    "const key = await crypto.subtle.importKey('raw', new Uint8Array([112, 119]), 'PBKDF2', false, ['deriveBits']);"
    "const bits = await crypto.subtle.deriveBits({ name: 'PBKDF2', hash: 'SHA-256', salt: new Uint8Array(8),"
    " iterations: 10000 }, key, 32);"
    "return new Response([...new Uint8Array(bits)].join());";
constexpr std::string_view kDerived = "77,204,171,27";

class RealmCrypto : public testing::Test {
 protected:
  std::string answer_of(std::string_view body, std::string_view start = "") {
    Program program;
    program.modules.push_back(
        {.name = "app.js",
         .source = std::string(start) + "export default { async fetch() {" + std::string(body) + "} };",
         .kind = Module::Kind::JavaScript});
    const auto loaded = realm->load(program, host);
    EXPECT_TRUE(loaded.has_value()) << loaded.error().line();
    return get();
  }
  std::string get() {
    realm->fetch(++last_event, {.method = "GET", .url = "http://example.com/", .fields = {}}, {});
    return host.answers[last_event];
  }
  CryptoHost host;
  std::unique_ptr<Realm> realm = Realm::create(tests::realm_engine(), {});
  EventId last_event = 0;
};

TEST_F(RealmCrypto, WhatIsQuickIsDoneInTheCall) {
  EXPECT_EQ(answer_of("const bits = await crypto.subtle.digest('SHA-1', new Uint8Array([97, 98, 99]));"
                      "return new Response([...new Uint8Array(bits).slice(0, 3)].join());"),
            "169,153,62");
  EXPECT_TRUE(host.jobs.empty());
}

TEST_F(RealmCrypto, WhatTakesLongIsTheHosts) {
  EXPECT_EQ(answer_of(kDerive), "");
  ASSERT_EQ(host.jobs.size(), 1U);
  EXPECT_EQ(host.jobs[0].event, 1U);
  host.jobs[0].work->run([] { return false; });
  realm->computed(host.jobs[0].operation);
  EXPECT_EQ(host.answers[1], kDerived);
  // Another time is nobody's.
  realm->computed(host.jobs[0].operation);
}

TEST_F(RealmCrypto, WhatIsStoppedFails) {
  answer_of("const derive = async () => {" + std::string(kDerive) +
            "}; return derive().catch((e) => new Response(e.name));");
  ASSERT_EQ(host.jobs.size(), 1U);
  host.jobs[0].work->run([] { return true; });
  realm->computed(host.jobs[0].operation);
  EXPECT_EQ(host.answers[1], "OperationError");
}

TEST_F(RealmCrypto, AHostWithoutRoomLeavesItToTheRealm) {
  host.computes = false;
  EXPECT_EQ(answer_of(kDerive), kDerived);
}

TEST_F(RealmCrypto, NoRandomnessWhileAWorkerStarts) {
  EXPECT_EQ(
      answer_of("return new Response(said);",
                "let said = ''; await crypto.subtle.digest('SHA-256', new Uint8Array(1)).then(() => said += 'digest ');"
                "await crypto.subtle.generateKey('Ed25519', true, ['sign']).catch((e) => said += e.name);"),
      "digest Error");
}

TEST_F(RealmCrypto, KeysAreCloned) {
  EXPECT_EQ(
      answer_of(
          "const key = await crypto.subtle.importKey('raw', new Uint8Array(32), { name: 'HMAC', hash: 'SHA-256' },"
          " false, ['sign']);"
          "const { copy } = structuredClone({ copy: key });"
          "const codes = await Promise.all([key, copy].map((one) => crypto.subtle.sign('HMAC', one, new "
          "Uint8Array(3))));"
          "const [a, b] = codes.map((code) => new Uint8Array(code).join());"
          "return new Response([copy instanceof CryptoKey, copy !== key, copy.extractable, copy.usages.join(),"
          " copy.algorithm.hash.name, a === b].join(' '));"),
      "true true false sign SHA-256 true");
}

TEST_F(RealmCrypto, WhatAWorkerChangesDoesNotChangeAKey) {
  EXPECT_EQ(
      answer_of(
          "const key = await crypto.subtle.importKey('raw', new Uint8Array(32), { name: 'HMAC', hash: 'SHA-256' },"
          " false, ['sign']);"
          "key.usages.push('verify'); key.algorithm.name = 'AES-GCM';"
          "return new Response(await crypto.subtle.verify('HMAC', key, new Uint8Array(32), new Uint8Array(3))"
          ".catch((e) => e.name));"),
      "InvalidAccessError");
}

// The bytes of a key on their way from a derivation to an import pass by no hook of a worker's.
TEST_F(RealmCrypto, NoThenableSeesTheBytesOfAKey) {
  const std::string body =
      "const seen = [];"
      "Object.defineProperty(ArrayBuffer.prototype, 'then', { configurable: true, get() { seen.push(this.byteLength); "
      "} });"

      "const base = await crypto.subtle.importKey('raw', new Uint8Array(5), 'PBKDF2', false, ['deriveKey']);"
      "const key = await crypto.subtle.deriveKey({ name: 'PBKDF2', hash: 'SHA-256', salt: new Uint8Array(8), "
      "iterations: 10000 },"
      " base, { name: 'AES-GCM', length: 256 }, false, ['encrypt']);"
      "delete ArrayBuffer.prototype.then;"
      "return new Response([seen.length, key.algorithm.length, key.extractable].join());";
  EXPECT_EQ(answer_of(body), "");
  ASSERT_EQ(host.jobs.size(), 1U);
  host.jobs[0].work->run([] { return false; });
  realm->computed(host.jobs[0].operation);
  EXPECT_EQ(host.answers[1], "0,256,false");
}

TEST_F(RealmCrypto, TimingSafeEqualWantsEqualLengths) {
  EXPECT_EQ(
      answer_of(
          "const a = new Uint8Array([1, 2, 3]);"
          "let name = ''; try { crypto.subtle.timingSafeEqual(a, new Uint8Array(2)); } catch (e) { name = e.name; }"
          "return new Response([crypto.subtle.timingSafeEqual(a, a.slice()),"
          " crypto.subtle.timingSafeEqual(a, new Uint8Array(3).buffer), name].join());"),
      "true,false,TypeError");
}

TEST_F(RealmCrypto, DigestStreams) {
  EXPECT_EQ(answer_of("const stream = new crypto.DigestStream('SHA-1');"
                      "await new Response('abc').body.pipeTo(stream);"
                      "const broken = new crypto.DigestStream('SHA-1');"
                      "broken.getWriter().abort(new RangeError('x'));"
                      "return new Response([[...new Uint8Array(await stream.digest).slice(0, 3)], stream.bytesWritten,"
                      " await broken.digest.catch((e) => e.name), stream instanceof WritableStream].join());"),
            "169,153,62,3,RangeError,true");
}

}  // namespace
}  // namespace verge::workers

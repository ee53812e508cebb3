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

// A worker that changes all of JavaScript's own objects sees nothing of a key that it may not have.
TEST_F(RealmCrypto, NoHookOfAWorkersSeesAKeyThatIsUnwrappedOrDerived) {
  EXPECT_EQ(answer_of(R"(
        const S = crypto.subtle;
        const vector = { name: 'AES-GCM', iv: new Uint8Array(12) };
        const wrapping = await S.importKey('raw', new Uint8Array(32), 'AES-GCM', false, ['wrapKey', 'unwrapKey']);
        const signs = { kty: 'OKP', crv: 'Ed25519', d: 'nWGxne_9WmC6hEr0kuwsxERJxWl7MmkZcDusAxyuf2A',
                        x: '11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo' };
        const plain = new Uint8Array(16).map((_, at) => 65 + at);
        const asJwk = await S.wrapKey('jwk', await S.importKey('jwk', signs, 'Ed25519', true, ['sign']), wrapping, vector);
        const asRaw = await S.wrapKey('raw', await S.importKey('raw', plain, { name: 'HMAC', hash: 'SHA-256' }, true, ['sign']),
                                      wrapping, vector);
        const pair = await S.importKey('jwk', { kty: 'OKP', crv: 'X25519', d: 'dwdtCnMYpX08FsFyUbJmRd9ML4frwJkqsXf7pR25LCo',
                                                x: 'hSDwCYkwp1R0i33ctD73Wg2_Og0mOBr066SpjqqbTmo' }, 'X25519', false,
                                       ['deriveBits', 'deriveKey']);
        const other = await S.importKey('raw', new Uint8Array(32).fill(9), 'X25519', true, []);
        const agreed = new Uint8Array(await S.deriveBits({ name: 'X25519', public: other }, pair, 128));

        const { apply, ownKeys, getOwnPropertyDescriptor, defineProperty, getPrototypeOf } = Reflect;
        const NativeBytes = Uint8Array;
        const isView = ArrayBuffer.isView;
        const { includes } = String.prototype;
        const has = (text, part) => apply(includes, text, [part]);
        let spying = false;
        let seen = '';
        let called = 0;
        const spell = (bytes) => { let text = ''; for (let at = 0; at < bytes.length; ++at) text += bytes[at] + ','; return text; };
        const secrets = [signs.d, spell(plain.subarray(0, 15)), spell(agreed.subarray(0, 15)), '157,97,177,157,239'];
        const holds = (value, depth = 0) => {
          let text = '';
          if (typeof value === 'string') text = value;
          else if (typeof value !== 'object' || value === null || depth > 3) return false;
          else if (isView(value)) text = spell(new NativeBytes(value.buffer, value.byteOffset, value.byteLength));
          else if (value instanceof ArrayBuffer) text = spell(new NativeBytes(value));
          else {
            const keys = ownKeys(value);
            for (let at = 0; at < keys.length; ++at) if (holds(value[keys[at]], depth + 1)) return true;
            return false;
          }
          for (let at = 0; at < secrets.length; ++at) if (has(text, secrets[at])) return true;
          return false;
        };
        const look = (name, self, all) => {
          if (!spying) return;
          spying = false;
          ++called;
          if (holds(self) || holds(all)) seen += String(name) + ' ';
          spying = true;
        };
        const spied = (name, its) => function (...all) {
          look(name, this, all);
          return new.target === undefined ? apply(its, this, all) : Reflect.construct(its, all, new.target);
        };
        const typed = getPrototypeOf(Uint8Array.prototype);
        for (const object of [Array.prototype, Array, Object, Object.prototype, String.prototype, typed, Uint8Array.prototype,
                              ArrayBuffer.prototype, ArrayBuffer, Reflect, JSON, Math, Number, Promise.prototype, Promise,
                              Map.prototype, Function.prototype, getPrototypeOf([][Symbol.iterator]()), globalThis]) {
          for (const name of ownKeys(object)) {
            const its = getOwnPropertyDescriptor(object, name);
            if (!its.configurable || name === 'constructor' || (object === globalThis && !has('Number Array Promise', String(name)))) continue;
            const put = { ...its };
            for (const kind of ['value', 'get', 'set']) {
              if (typeof its[kind] !== 'function') continue;
              put[kind] = spied(name, its[kind]);
              if (its[kind].prototype !== undefined) defineProperty(put[kind], 'prototype', { value: its[kind].prototype });
              for (const key of ownKeys(its[kind])) if (object === globalThis) defineProperty(put[kind], key, getOwnPropertyDescriptor(its[kind], key));
            }
            defineProperty(object, name, put);
          }
        }
        const trap = (object, name) => defineProperty(object, name, {
          configurable: true,
          get() { look(name, this, undefined); return undefined; },
          set(value) {
            look(name, this, value);
            defineProperty(this, name, { __proto__: null, value, writable: true, enumerable: true, configurable: true });
          },
        });
        for (let at = 0; at < 12; ++at) trap(Array.prototype, String(at));
        for (const name of ['alg', 'crv', 'd', 'dp', 'dq', 'e', 'ext', 'k', 'key_ops', 'kty', 'n', 'oth', 'p', 'q', 'qi', 'use', 'x', 'y', 'then',
                            'toJSON', 'steps', 'settled', 'hash', 'name', 'extractable', 'usages', 'handle']) trap(Object.prototype, name);
        spying = true;
        const made = [];
        try {
          made[0] = await S.unwrapKey('jwk', asJwk, wrapping, vector, 'Ed25519', false, ['sign']);
          made[1] = await S.unwrapKey('raw', asRaw, wrapping, vector, { name: 'HMAC', hash: 'SHA-256', length: 123 }, false, ['sign']);
          made[2] = await S.deriveKey({ name: 'X25519', public: other }, pair, { name: 'AES-GCM', length: 128 }, false, ['encrypt']);
        } catch (error) {
          seen += error.stack;
        }
        spying = false;
        const { type, extractable } = made[0] ?? {};
        return new Response(`${made.length} ${type} ${extractable} ${called > 0} ${seen}`);
      )"),
            "3 private false true ");
  EXPECT_EQ(host.uncaught_text, "");
}

TEST_F(RealmCrypto, NoChangedMethodWidensWhatAKeyIsFor) {
  EXPECT_EQ(
      answer_of("const { includes } = Array.prototype; Array.prototype.includes = () => true;"
                "const key = await crypto.subtle.importKey('raw', new Uint8Array(16), 'AES-GCM', false, ['encrypt']);"
                "const how = { name: 'AES-GCM', iv: new Uint8Array(12) };"
                "const bytes = await crypto.subtle.encrypt(how, key, new Uint8Array(4));"
                "const name = await crypto.subtle.decrypt(how, key, bytes).catch((e) => e.name);"
                "const tag = await crypto.subtle.encrypt({ ...how, tagLength: 3 }, key, bytes).catch((e) => e.name);"
                "Array.prototype.includes = includes;"
                "return new Response([name, tag].join());"),
      "InvalidAccessError,OperationError");
}

// What is to follow a computation is not lost in a setter: the bytes of the key would be given instead of it.
TEST_F(RealmCrypto, NoSetterTakesAStepAway) {
  answer_of(
      "const base = await crypto.subtle.importKey('raw', new Uint8Array(5), 'PBKDF2', false, ['deriveKey']);"
      "for (const at of [0, 1]) Object.defineProperty(Array.prototype, at, { configurable: true, set() {} });"
      "const made = crypto.subtle.deriveKey({ name: 'PBKDF2', hash: 'SHA-256', salt: new Uint8Array(8), iterations: "
      "10000 },"
      " base, { name: 'AES-GCM', length: 256 }, false, new Set(['encrypt']));"
      "for (const at of [0, 1]) delete Array.prototype[at];"
      "return new Response(await made.then((key) => key instanceof CryptoKey, (e) => e.name));");
  for (std::size_t at = 0; at < host.jobs.size(); ++at) {
    host.jobs[at].work->run([] { return false; });
    realm->computed(host.jobs[at].operation);
  }
  EXPECT_EQ(host.answers[1], "SyntaxError");
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

// WebAssembly in a realm: modules that are imported, commands, limits.
#include <string>
#include <string_view>
#include <thread>
#include <vector>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/support/realm_fixture.h"
#include "tests/support/value_of.h"
#include "workers/realm.h"

namespace verge::workers {
namespace {

using ::testing::HasSubstr;
using ::testing::StartsWith;

// WebAssembly, as hexadecimal digits of what wat2wasm made.
std::string bytes_of(std::string_view digits) {
  std::string bytes;
  for (; digits.size() >= 2; digits.remove_prefix(2)) {
    bytes.push_back(static_cast<char>(std::stoi(std::string(digits.substr(0, 2)), nullptr, 16)));
  }
  return bytes;
}

// (memory (export "memory") 1), add (of two numbers), spin (for ever), grow (by a megabyte until it is refused; the
// size).
constexpr std::string_view kArithmetic =
    "0061736d01000000010e0360027f7f017f6000006000017f0304030001020503010001071e04066d656d6f72790200036164"
    "640000047370696e00010467726f7700020a22030700200020016a0b070003400c000b0b1000034041104000417f470d000b"
    "3f000b";

// A command: head with two cookies and status 201, then its environment and its input; two lines to standard error.
constexpr std::string_view kCommand =
    "0061736d0100000001160460047f7f7f7f017f60027f7f017f60017f0060000002b7010516776173695f736e617073686f74"
    "5f70726576696577310866645f7772697465000016776173695f736e617073686f745f70726576696577310766645f726561"
    "64000016776173695f736e617073686f745f707265766965773111656e7669726f6e5f73697a65735f676574000116776173"
    "695f736e617073686f745f70726576696577310b656e7669726f6e5f676574000116776173695f736e617073686f745f7072"
    "6576696577310970726f635f657869740002030201030503010002071302066d656d6f72790200065f737461727400050a99"
    "010196010041900341940310021a41800841802010031a41ac02410036020041b00241cc0036020041b40241802036020041"
    "b80241940328020036020041bc024180800436020041c0024180800436020041c40241c80136020041c80241133602004100"
    "41bc02410141980310011a41c002419803280200360200410141ac02410341980310001a410241c402410141980310001a41"
    "0010040b0b6a020041000b4b436f6e74656e742d547970653a20746578742f706c61696e0a5374617475733a20323031204d"
    "6164650a5365742d436f6f6b69653a20613d310a5365742d436f6f6b69653a20623d320a0a0041c8010b1361206c696e650a"
    "616e64207468652072657374";

class RealmWasmTest : public RealmTest {
 protected:
  Result<void> load_with_wasm(const std::string& handler_body) {
    return load(
        "import wasm from './lib/a.wasm'; const { exports } = new WebAssembly.Instance(wasm);"
        "export default { async fetch(request) {" +
            handler_body + "} };",
        {{.name = "lib/a.wasm", .source = bytes_of(kArithmetic), .kind = Module::Kind::Bytes}});
  }
  Result<void> load_command(std::string source, std::string variable = "GREETING") {
    Program program;
    program.modules.push_back({.name = "cgi.wasm", .source = std::move(source), .kind = Module::Kind::Bytes});
    program.variables = {{.name = std::move(variable), .value = "hej"}};
    return realm->load(program, host);
  }
};

TEST_F(RealmWasmTest, AModuleIsImportedCompiled) {
  const auto loaded =
      load_with_wasm("return new Response(`${wasm instanceof WebAssembly.Module} ${exports.add(2, 3)}`);");
  ASSERT_TRUE(loaded) << loaded.error().line();
  EXPECT_EQ(get().body, "true 5");
}

TEST_F(RealmWasmTest, WhatIsNoWasmDoesNotStart) {
  const auto loaded = load("import wasm from './a.wasm'; export default { fetch() {} };",
                           {{.name = "a.wasm", .source = "text", .kind = Module::Kind::Bytes}});
  ASSERT_FALSE(loaded);
  EXPECT_EQ(loaded.error().code, "workers.syntax");
  EXPECT_THAT(loaded.error().what, StartsWith("a.wasm: CompileError"));
}

TEST_F(RealmWasmTest, ALoopInItIsEnded) {
  ASSERT_TRUE(load_with_wasm("console.log('spinning'); exports.spin();"));
  std::thread watchdog([&] {
    host.has_spoken.wait(false);
    realm->terminate("workers.cpu", "the worker used more than its 10 ms");
  });
  get();
  watchdog.join();
  EXPECT_EQ(tests::value_of(host.ends.at(1).failure).code, "workers.cpu");
}

TEST_F(RealmWasmTest, ItsMemoryCounts) {
  ASSERT_TRUE(
      load_with_wasm("exports.memory.grow(1000); return new Response(String(exports.memory.buffer.byteLength));"));
  const std::size_t before = realm->memory().external_bytes;
  EXPECT_EQ(get().body, "65601536");
  EXPECT_GE(realm->memory().external_bytes, before + 64'000'000);
}

TEST_F(RealmWasmTest, ACommandAnswersAsCgiHasIt) {
  const auto loaded = load_command(bytes_of(kCommand));
  ASSERT_TRUE(loaded) << loaded.error().line();
  EXPECT_TRUE(realm->handles("fetch"));
  for (int round = 0; round < 2; ++round) {
    const Answer answer = get({.kind = Body::Kind::Whole, .whole = Chunk::of("the input"), .stream = 0, .length = {}});
    EXPECT_EQ(answer.status, 201) << failure_text();
    EXPECT_EQ(answer.fields.at("content-type"), "text/plain");
    EXPECT_EQ(answer.fields.at("set-cookie"), "a=1");
    for (const std::string_view entry :
         {"GATEWAY_INTERFACE=CGI/1.1", "REQUEST_METHOD=POST", "PATH_INFO=/path", "QUERY_STRING=q=1", "HTTP_X_TWO=a, b",
          "SERVER_NAME=example.com", "SERVER_PORT=80", "CONTENT_LENGTH=9", "GREETING=hej"}) {
      EXPECT_THAT(answer.body, HasSubstr(std::string(entry) + std::string(1, '\0')));
    }
    EXPECT_EQ(answer.body.find("PROXY"), std::string::npos);
    EXPECT_TRUE(answer.body.ends_with("the input"));
  }
  EXPECT_EQ(host.lines, (std::vector<std::string>{"a line", "and the rest", "a line", "and the rest"}));
}

TEST_F(RealmWasmTest, WhatIsNoCommandIsRefusedWithTheReason) {
  const auto loaded = load_command(bytes_of(kArithmetic));
  ASSERT_FALSE(loaded);
  EXPECT_EQ(loaded.error().code, "workers.no-handler");
  EXPECT_THAT(loaded.error().what, HasSubstr("cgi.wasm is no WASI command: it exports no function _start"));
  realm = Realm::create(tests::realm_engine(), {});
  const auto taken = load_command(bytes_of(kCommand), "HTTP_TIMEOUT");
  ASSERT_FALSE(taken);
  EXPECT_THAT(taken.error().what, HasSubstr("its variable HTTP_TIMEOUT would be taken for a field of the request"));
  realm = Realm::create(tests::realm_engine(), {});
  const auto broken = load_command("text");
  ASSERT_FALSE(broken);
  EXPECT_EQ(broken.error().code, "workers.syntax");
}

TEST_F(RealmWasmTest, ACompiledModuleIsCloned) {
  const Answer answer = answer_of(R"(
    const module = new WebAssembly.Module(new Uint8Array([0, 97, 115, 109, 1, 0, 0, 0]));
    const { copy } = structuredClone({ copy: module });
    return new Response(`${copy !== module} ${new WebAssembly.Instance(copy) instanceof WebAssembly.Instance}`);)");
  EXPECT_EQ(answer.body, "true true") << failure_text();
}

TEST_F(RealmWasmTest, NothingWaitsForMemory) {
  const Answer answer = answer_of(R"(
    const memory = new WebAssembly.Memory({ initial: 1, maximum: 1, shared: true });
    try { Atomics.wait(new Int32Array(memory.buffer), 0, 0, 1); } catch (error) { return new Response(error.name); })");
  EXPECT_EQ(answer.body, "TypeError") << failure_text();
}

}  // namespace
}  // namespace verge::workers

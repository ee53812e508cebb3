// A realm against a host that notes what it is asked: programs, events, bodies, limits, hostile scripts.
#include "workers/realm.h"

#include <atomic>
#include <thread>

#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "base/text.h"
#include "tests/support/realm_engine.h"
#include "tests/support/value_of.h"

namespace verge::workers {
namespace {

using ::testing::HasSubstr;
using ::testing::StartsWith;

struct Answer {
  std::uint16_t status = 0;
  std::map<std::string, std::string> fields;
  std::string body;
  StreamId stream = 0;
  Body::Kind kind = Body::Kind::None;
  std::string retries;  // of a queue's batch
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

TEST_F(RealmTest, WhatIsNoJsonDoesNotStart) {
  const auto loaded = load("import words from './a.json'; export default { fetch() {} };",
                           {{.name = "a.json", .source = "{", .kind = Module::Kind::Json}});
  ASSERT_FALSE(loaded);
  EXPECT_EQ(loaded.error().code, "workers.syntax");
  EXPECT_THAT(loaded.error().what, StartsWith("a.json: SyntaxError"));
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

TEST_F(RealmTest, UrlPatternsMatch) {
  const Answer answer = answer_of(R"(
    const pattern = new URLPattern({ pathname: "/books/:id(\\d+)/*" });
    const found = pattern.exec("https://example.com/books/12/x?q");
    return Response.json([found.pathname.groups, pattern.test("https://example.com/books/a/x"), pattern.hasRegExpGroups]);)");
  EXPECT_EQ(answer.body, R"([{"0":"x","id":"12"},false,true])") << failure_text();
}

TEST_F(RealmTest, BodiesAreCompressedAndDecompressed) {
  const Answer answer = answer_of(R"(
    const through = (bytes, stream) => new Response(new Blob([bytes]).stream().pipeThrough(stream)).arrayBuffer();
    const out = [];
    const text = "some text, again and again; ".repeat(20000);
    for (const format of ["gzip", "deflate", "deflate-raw"]) {
      const coded = await through(text, new CompressionStream(format));
      const plain = await through(coded, new DecompressionStream(format));
      out.push(coded.byteLength < text.length / 50, new TextDecoder().decode(plain) === text);
      for (const bad of [coded.slice(0, -1), new Uint8Array([...new Uint8Array(coded), 0]), new Uint8Array([1, 2, 3])]) {
        await through(bad, new DecompressionStream(format)).catch((error) => out.push(error.name));
      }
    }
    try { new CompressionStream("br"); } catch (error) { out.push(error.name); }
    return Response.json(out);)");
  const std::string each = R"(true,true,"TypeError","TypeError","TypeError",)";
  EXPECT_EQ(answer.body, "[" + each + each + each + "\"TypeError\"]") << failure_text();
}

TEST_F(RealmTest, ABombIsDecompressedOnlyAsFarAsItIsRead) {
  const Answer answer = answer_of(R"(
    const zeros = new ReadableStream({ n: 0, pull(c) { if (this.n++ === 200) c.close(); else c.enqueue(new Uint8Array(1 << 20)); } },
                                     { highWaterMark: 0 });
    const bomb = await new Response(zeros.pipeThrough(new CompressionStream("gzip"))).arrayBuffer();
    const reader = new Blob([bomb]).stream().pipeThrough(new DecompressionStream("gzip")).getReader();
    const { value } = await reader.read();
    let sum = value.length;
    for (let step; !(step = await reader.read()).done;) sum += step.value.length;
    return Response.json([bomb.byteLength < 400000, value.length <= 65536, sum]);)");
  EXPECT_EQ(answer.body, "[true,true,209715200]") << failure_text();
  // V8 lets 64 MB of buffers gather before it collects those that nobody has any more.
  EXPECT_LT(realm->memory().external_bytes, 80U << 20);
}

TEST_F(RealmTest, TextsOfBodiesAreCollectedInTime) {
  ASSERT_TRUE(load("export default { async fetch(request) { return new Response((await request.text()).length); } };"));
  for (const std::size_t bytes : {10'000U, 100'000U, 1'000'000U}) {
    for (std::size_t sent = 0; sent < 300'000'000U; sent += bytes) {
      const Answer answer =
          get({.kind = Body::Kind::Whole, .whole = Chunk::of(std::string(bytes, 'x')), .stream = 0, .length = {}});
      ASSERT_EQ(answer.body, std::to_string(bytes)) << failure_text();
      // V8 lets 64 MB gather.
      ASSERT_LT(realm->memory().external_bytes, 80U << 20) << sent;
    }
  }
}

TEST_F(RealmTest, WhatIsHeldForStreamsCountsAsTheWorkers) {
  const std::size_t before = realm->memory().external_bytes;
  answer_of(
      "globalThis.kept = Array.from({ length: 20 }, () => new CompressionStream('gzip')); return new Response();");
  EXPECT_GT(realm->memory().external_bytes, before + 20U * 200'000U);
}

TEST_F(RealmTest, WhatWasWrittenToBeDecompressedMayBeTakenBack) {
  const Answer answer = answer_of(R"(
    const zeros = await new Response(new Blob([new Uint8Array(1000000)]).stream().pipeThrough(new CompressionStream("deflate"))).arrayBuffer();
    const stream = new DecompressionStream("deflate");
    const writer = stream.writable.getWriter();
    const written = new Uint8Array(zeros);
    const done = [writer.write(written), writer.close()];
    const reader = stream.readable.getReader();
    let sum = (await reader.read()).value.length;
    structuredClone(written, { transfer: [written.buffer] });
    for (let step; !(step = await reader.read()).done;) sum += step.value.length;
    await Promise.all(done);
    return new Response(`${written.length} ${sum}`);)");
  EXPECT_EQ(answer.body, "0 1000000") << failure_text();
}

TEST_F(RealmTest, WhatIsHeldForStreamsIsFreedWithThem) {
  const Answer answer = answer_of(R"(
    for (let i = 0; i < 2000; ++i) new CompressionStream("gzip");
    for (let i = 0; i < 2000; ++i) new HTMLRewriter().on("a", {}).transform(new Response("<a>"));
    return new Response("made");)");
  EXPECT_EQ(answer.body, "made") << failure_text();
  realm->trim();
  EXPECT_LT(realm->memory().external_bytes, 4U << 20);
  EXPECT_FALSE(realm->condemned());
}

TEST_F(RealmTest, HtmlIsRewrittenAsItStreams) {
  const Answer answer = answer_of(R"(
    const seen = [];
    class Links {
      constructor() { this.count = 0; }
      element(a) {
        ++this.count;
        a.setAttribute("href", new URL(a.getAttribute("href"), "https://new.example/").href);
        a.onEndTag((end) => { end.before(`<${this.count}>`); });
      }
    }
    const rewriter = new HTMLRewriter()
      .on("a[href]", new Links())
      .on("h1", { async element(h) { await null; h.setInnerContent("<b>New</b>", { html: true }); },
                  text(piece) { seen.push("never"); } })
      .on("p", { text(piece) { seen.push(piece.text, piece.lastInTextNode); } })
      .on("img, script", { element(e) { e.remove(); seen.push(e.removed); } })
      .onDocument({ doctype(d) { seen.push(d.name, d.publicId); }, comments(c) { c.text = c.text.toUpperCase(); },
                    end(end) { end.append("<!-- end -->", { html: true }); } });
    const page = "<!doctype html><h1>Old</h1><!--note--><p>text</p><a href='/x' id=y>l</a><img><script>x</script>";
    const answer = rewriter.transform(new Response(page, { headers: { "content-type": "text/html", "content-length": "3" } }));
    const text = await answer.text();
    return new Response(JSON.stringify(seen) + answer.headers.get("content-type") + answer.headers.has("content-length") + text);)");
  EXPECT_EQ(answer.body, R"(["html",null,"text",false,"",true,true,true]text/htmlfalse)"
                         R"(<!doctype html><h1><b>New</b></h1><!--NOTE--><p>text</p>)"
                         R"(<a href="https://new.example/x" id=y>l&lt;1&gt;</a><!-- end -->)")
      << failure_text();
}

TEST_F(RealmTest, TheHtmlRewriterInsertsBodiesInOrder) {
  const Answer answer = answer_of(R"(
    const stream = (...pieces) => new Response(pieces.join("")).body;
    const caught = [];
    const used = new Response("x");
    await used.text();
    const page = new Response("<a>t</a><b>u</b><i>v</i><p>w</p>");
    const rewriter = new HTMLRewriter()
      .on("a", { element(a) { a.before("1").before(stream("<2", ">")).before("<3>", { html: true }).append(new Response("<4>"), { html: true }); } })
      .on("a", { async element(a) { await null; a.before("5"); } })
      .on("b", { element(b) { b.replace(new Response("new")); caught.push(b.removed); } })
      .on("i", { element(i) {
        for (const content of [used, {}]) try { i.after(content); } catch (error) { caught.push(error.message); }
        i.setInnerContent(new Response(null)); } })
      .on("p", { element(p) { p.onEndTag((end) => { end.after(stream("é")); }); } });
    const broken = new HTMLRewriter().on("a", { element(a) {
      a.before(new ReadableStream({ start(controller) { controller.error(new Error("broken")); } })); } });
    caught.push(await broken.transform(new Response("<a>")).text().catch((error) => error.message));
    return new Response(await rewriter.transform(page).text() + "|" + caught.join("|"));)");
  EXPECT_EQ(answer.body,
            "1&lt;2&gt;<3>5<a>t<4></a>new<i></i>[object Object]<p>w</p>é|broken|true|"
            "HTMLRewriter: the body of the content is used already")
      << failure_text();
}

TEST_F(RealmTest, MisuseOfTheHtmlRewriterIsToldOfToTheWorker) {
  const Answer answer = answer_of(R"(
    const caught = [];
    const attempt = async (run) => { try { await run(); caught.push("done"); } catch (error) { caught.push(error.message); } };
    let kept;
    const page = () => new Response("<a x=1>t</a><!--c-->");
    const using = (selector, handlers) => new HTMLRewriter().on(selector, handlers).transform(page()).text();
    await attempt(() => new HTMLRewriter().on("a:hover", {}));
    await attempt(() => new HTMLRewriter().on("a", { element: 1 }));
    await attempt(() => using("a", { element() { throw new Error("own"); } }));
    await attempt(() => using("a", { element(e) { kept = e; } }));
    await attempt(() => kept.remove());
    await attempt(() => using("a", { element(e) { e.setAttribute("a b", "1"); } }));
    await attempt(() => using("a", { element(e) { e.tagName = ""; } }));
    await attempt(() => new HTMLRewriter().onDocument({ comments(c) { c.text = "a-->b"; } }).transform(page()).text());
    await attempt(() => new HTMLRewriter().transform("text"));
    await attempt(() => new HTMLRewriter().transform(new Response(null)).text());
    return new Response(caught.join("|"));)");
  EXPECT_EQ(answer.body,
            "HTMLRewriter: 'a:hover' is not a selector that is supported: see character 8|"
            "HTMLRewriter: the handler 'element' is not a function|own|done|"
            "This content token is no longer valid: it is so only in its handler|"
            "The attribute name 'a b' has a character that is not allowed in it|The tag name is empty|"
            "The text of a comment would end it|HTMLRewriter.transform: the argument is not a Response|done")
      << failure_text();
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

TEST_F(RealmTest, AnAbortEndsTheBodyOfTheAnswerHoweverItIsRead) {
  answer_of(R"(
    const control = new AbortController();
    const { signal } = control;
    const given = [];
    for (let n = 0; n < 9; ++n) given.push(await fetch(`http://origin/${n}`, { signal }));
    let cancelled = "not cancelled";
    const upload = new ReadableStream({ cancel(reason) { cancelled = `cancelled ${reason}`; } });
    const sent = fetch("http://origin/up", { method: "POST", duplex: "half", body: upload, signal });
    const clones = [given[0].clone(), given[1].clone()];
    const reader = given[2].body.getReader();
    const read = [sent, given[0].text(), clones[0].text(), clones[1].arrayBuffer(), reader.read(), given[3].json(),
      new Response(given[4].body, given[4]).text(), new Response(given[5].body.pipeThrough(new TransformStream())).text()];
    const wrapped = new Response(given[6].body, given[6]);
    control.abort("why");
    read.push(given[1].text(), wrapped.blob(), given[7].bytes(), given[8].json());
    const ends = await Promise.allSettled(read);
    return new Response(ends.map(({ status, reason }) => `${status} ${reason}`).join() + " " + cancelled);)");
  for (std::size_t n = 0; n < 9; ++n) {
    ASSERT_EQ(host.fetches.size(), n + 1) << failure_text();
    // The last one comes whole.
    realm->answered(host.fetches[n].operation, {.status = 200, .reason = "", .fields = {}},
                    n == 8 ? Body{.kind = Body::Kind::Whole, .whole = Chunk::of("{}"), .stream = 0, .length = {}}
                           : Body{.kind = Body::Kind::Stream, .whole = {}, .stream = 100 + n, .length = {}});
  }
  std::string expected = "rejected why";
  for (int n = 1; n < 12; ++n) expected += ",rejected why";
  EXPECT_EQ(host.answers[1].body, expected + " cancelled why") << failure_text();
  EXPECT_EQ(host.aborted_fetches.size(), 1U);
  EXPECT_EQ(host.cancelled.size(), 8U);
  EXPECT_TRUE(host.uncaught_failures.empty());
}

TEST_F(RealmTest, ACloneOfAByteStreamIsOne) {
  answer_of(R"(
    const answer = await fetch("http://origin/");
    const copy = answer.clone();
    const { value } = await copy.body.getReader({ mode: "byob" }).read(new Uint8Array(8));
    value[0] = 0;
    return new Response(`${value.length} ${await answer.text()}`);)");
  realm->answered(host.fetches[0].operation, {.status = 200, .reason = "", .fields = {}},
                  {.kind = Body::Kind::Stream, .whole = {}, .stream = 9, .length = {}});
  realm->chunk(9, Chunk::of("abc"));
  realm->end(9);
  EXPECT_EQ(host.answers[1].body, "3 abc") << failure_text();
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

TEST_F(RealmTest, ABodyIsWhatItsChunksWereWhenTheyWereRead) {
  const Answer answer = answer_of(R"(
    const stream = new ReadableStream({ async start(controller) {
      const one = new Uint8Array([97, 98]);
      controller.enqueue(one);
      await new Promise((resolve) => setTimeout(resolve, 0));
      structuredClone(one.buffer, { transfer: [one.buffer] });
      controller.enqueue(new Uint8Array([99]));
      controller.close();
    } });
    return new Response(await new Response(stream).text());)");
  realm->run_timers();
  EXPECT_EQ(host.answers[1].body, "abc") << failure_text();
}

TEST_F(RealmTest, ABackslashInAFormsNameIsNoEscape) {
  EXPECT_EQ(answer_of(R"(
    const form = new FormData();
    form.append("a\\", new File(["SECRET"], "n\".txt"));
    const read = [...await new Response(form).formData()];
    return new Response(read.map(([name, value]) => `${name} ${value.name} ${value.size}`).join());)")
                .body,
            "a\\ n\".txt 6")
      << failure_text();
}

// "hello hello hello"
constexpr std::string_view kGzip(
    "\037\213\010\000\000\000\000\000\002\003\313\110\315\311\311\127\310\100\220\000\200\210\371\345\021\000\000\000",
    28);

TEST_F(RealmTest, ACodedAnswerIsDecodedForWhoReadsItAndHandedOnAsItCame) {
  ASSERT_TRUE(load(R"(export default { async fetch(request) {
    const way = request.headers.get("x-way");
    const r = await fetch("http://origin/");
    if (way === "hand on") return r;
    if (way === "wrap") return new Response(r.body, r);
    if (way === "read") return new Response(`${r.headers.get("content-encoding")} ${await r.text()}`);
    if (way === "edit") return new Response((await r.text()).toUpperCase(), r);
    if (way === "bare") return new Response(r.body, { headers: { "content-length": "28" } });
    if (way === "clone") { const copy = r.clone(); return new Response(`${await copy.text()}, ${await r.text()}`); }
    return new Response(await r.text().catch((error) => error.name));
  } };)"));
  const Field coded[] = {{"Content-Encoding", "GZIP"}, {"Content-Length", "28"}};
  struct Case {
    std::string_view way;
    bool whole;
    std::string_view body;
    std::string_view coding;
  };
  constexpr std::string_view kText = "hello hello hello";
  const Case cases[] = {{"hand on", true, kGzip, "GZIP"},
                        {"hand on", false, kGzip, "GZIP"},
                        {"wrap", true, kGzip, "GZIP"},
                        {"wrap", false, kGzip, "GZIP"},
                        {"read", true, "GZIP hello hello hello", ""},
                        {"read", false, "GZIP hello hello hello", ""},
                        {"edit", false, "HELLO HELLO HELLO", ""},
                        {"bare", true, kText, ""},
                        {"bare", false, kText, ""},
                        {"clone", false, "hello hello hello, hello hello hello", ""},
                        {"cut off", false, "TypeError", ""}};
  for (const Case& one : cases) {
    SCOPED_TRACE(one.way);
    const Field way[] = {{"X-Way", one.way}};
    const EventId event = ++last_event;
    realm->fetch(event, {.method = "GET", .url = "http://example.com/", .fields = way}, {});
    const OperationId operation = host.fetches.back().operation;
    if (one.whole) {
      realm->answered(operation, {.status = 200, .reason = "", .fields = coded},
                      {.kind = Body::Kind::Whole, .whole = Chunk::of(std::string(kGzip)), .stream = 0, .length = {}});
    } else {
      const StreamId stream = 100 + event;
      realm->answered(operation, {.status = 200, .reason = "", .fields = coded},
                      {.kind = Body::Kind::Stream, .whole = {}, .stream = stream, .length = 28});
      realm->chunk(stream, Chunk::of(std::string(kGzip.substr(0, 12))));
      if (one.way != "cut off") realm->chunk(stream, Chunk::of(std::string(kGzip.substr(12))));
      realm->end(stream);
    }
    const Answer answer = host.answers[event];
    EXPECT_EQ(answer.body + host.written[answer.stream], one.body) << failure_text();
    std::string coding;
    for (const auto& [name, value] : answer.fields) {
      if (lower(name) == "content-encoding") coding = value;
      if (lower(name) == "content-length") EXPECT_EQ(one.coding, "GZIP");
    }
    EXPECT_EQ(coding, one.coding);
  }
}

TEST_F(RealmTest, AnAnswerWithoutIntegrityIsNotGiven) {
  answer_of(R"(
    const hash = async (name, text) => `${name.replace("-", "").toLowerCase()}-` +
      btoa(String.fromCharCode(...new Uint8Array(await crypto.subtle.digest(name, new TextEncoder().encode(text)))));
    const ways = ["sha256-AAAA", await hash("SHA-256", "x"), `${await hash("SHA-512", "y")} ${await hash("SHA-256", "x")}`,
      `${await hash("SHA-384", "y")} ${await hash("SHA-384", "x")}?a`, "md5-AAAA"];
    const out = [];
    for (const integrity of ways) {
      out.push(await fetch("data:,x", { integrity }).then((r) => r.text(), (error) => error.name));
    }
    return new Response(out.join());)");
  EXPECT_EQ(host.answers[1].body, "TypeError,x,TypeError,x,x") << failure_text();
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

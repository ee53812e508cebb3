// Bodies and streams in a realm: whole, streamed, coded, rewritten, and what they hold.
#include <string>
#include <string_view>
#include <vector>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "base/text.h"
#include "tests/support/realm_fixture.h"
#include "tests/support/value_of.h"
#include "workers/realm.h"

namespace verge::workers {
namespace {

using ::testing::HasSubstr;
using ::testing::StartsWith;

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

TEST_F(RealmTest, LoneSurrogatesAreReplacedWhereverABodyIsRead) {
  const Answer answer = answer_of(R"(const text = "a\uD800b";
      return new Response(`${await new Response(text).text()}${text}${(await new Response(text).bytes()).length}`);)");
  EXPECT_EQ(answer.body, "a\uFFFDba\uFFFDb5");
}

}  // namespace
}  // namespace verge::workers

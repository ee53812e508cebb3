// What one call sends and is told.
#include "net/http_upstream_fixture.h"

namespace verge::net {
namespace {

using std::chrono::milliseconds;
using Kind = BodyFraming::Kind;

TEST_F(UpstreamTest, SendsTheRequestAsItIs) {
  answer_with({kNothing});
  open();
  const std::vector<HttpField> fields = {{"X-b", "1"}, {"Host", "other"}, {"X-a", "2"}, {"Connection", "x"}};
  ask({.method = "GET", .target = "/a?b", .fields = fields});
  loop.run();
  EXPECT_EQ(askers[0]->story, "204 none |  | end");
  EXPECT_EQ(origins[0]->received, "GET /a?b HTTP/1.1\r\nHost: origin\r\nX-b: 1\r\nX-a: 2\r\n\r\n");
  EXPECT_EQ(pool->idle(), 1U);
}

TEST_F(UpstreamTest, HandsOnAnswersOfEveryForm) {
  const std::string length = "HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\n";
  EXPECT_EQ(story_of(length + "body"), "200 length | body | end");
  EXPECT_EQ(story_of(length, {.method = "HEAD"}), "200 none |  | end");
  EXPECT_EQ(story_of("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"), "200 length |  | end");
  EXPECT_EQ(story_of("HTTP/1.1 304 Not Modified\r\nContent-Length: 4\r\n\r\n"), "304 none |  | end");
  EXPECT_EQ(story_of("HTTP/1.1 200 OK\r\n\r\nbody"), "200 until close | body | end");
  EXPECT_EQ(story_of("HTTP/1.0 200 OK\r\n\r\nbody"), "200 until close | body | end");
  EXPECT_EQ(story_of(kChunked + "2\r\nbo\r\n2\r\ndy\r\n0\r\n\r\n"), "200 chunked | body | end");
  EXPECT_EQ(story_of(kChunked + "4\r\nbody\r\n0\r\nDigest: a b\r\nX:\r\n\r\n"),
            "200 chunked | body | Digest=a b | X= | end");
  EXPECT_EQ(story_of("HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nLink: a\r\n\r\n" + length + "body"),
            "100 | 103 | 200 length | body | end");
}

TEST_F(UpstreamTest, RefusesWhatLeavesRoomForDoubt) {
  const std::string ok = "HTTP/1.1 200 OK\r\n";
  std::string hints;
  std::string told;
  for (int i = 0; i < 17; ++i) hints += "HTTP/1.1 103 Early Hints\r\n\r\n";
  for (int i = 0; i < 16; ++i) told += "103 | ";
  EXPECT_EQ(story_of("SSH-2.0-OpenSSH\r\n"), "http.bad-answer");
  EXPECT_EQ(story_of(ok + "Content-Length: 1\r\nContent-Length: 2\r\n\r\n"), "http.bad-answer");
  EXPECT_EQ(story_of(ok + "Content-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n"), "http.bad-answer");
  EXPECT_EQ(story_of(ok + "Transfer-Encoding: gzip, chunked\r\n\r\n"), "http.bad-answer");
  EXPECT_EQ(story_of(ok + "X: " + std::string(600, 'x')), "http.bad-answer");
  EXPECT_EQ(story_of(kChunked + "x"), "200 chunked | http.bad-answer");
  EXPECT_EQ(story_of("HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\n\r\n"), "http.bad-answer");
  EXPECT_EQ(story_of(hints), told + "http.bad-answer");
}

TEST_F(UpstreamTest, AnAnswerMeansTheSameHoweverItIsCut) {
  const std::string answers[] = {
      "HTTP/1.1 103 Early Hints\r\nLink: a\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nbody",
      kChunked + "2\r\nbo\r\n2;x=y\r\ndy\r\n0\r\nDigest: a b\r\n\r\n",
  };
  for (const std::string& answer : answers) {
    const std::string whole = story_of(answer);
    EXPECT_TRUE(whole.ends_with("end"));
    script = [this, answer](Origin& origin) {
      const auto next = std::make_shared<std::function<void(size_t)>>();
      *next = [this, &origin, answer, weak = std::weak_ptr(next)](size_t at) {
        if (at == answer.size()) return;
        origin.stream.write(answer.substr(at, 1));
        loop.post([again = weak.lock(), at] { (*again)(at + 1); });
      };
      (*next)(0);
    };
    open();
    Asker& asker = ask();
    loop.run();
    EXPECT_EQ(asker.story, whole);
    EXPECT_EQ(pool->idle(), 1U);
  }
}

TEST_F(UpstreamTest, APartOfAnAnswerIsNeverAnEnd) {
  const std::string answers[] = {
      "HTTP/1.1 103 Early Hints\r\nLink: a\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nbody",
      kChunked + "2\r\nbo\r\n2;x=y\r\ndy\r\n0\r\nDigest: a b\r\n\r\n",
  };
  for (const std::string& answer : answers) {
    for (size_t cut = 0; cut < answer.size(); ++cut) {
      const std::string story = story_of(answer.substr(0, cut));
      ASSERT_TRUE(story.ends_with("http.closed")) << cut << ": " << story;
      ASSERT_EQ(pool->connections(), 0U);
    }
  }
}

TEST_F(UpstreamTest, AResetIsNoEndOfABody) {
  script = [](Origin& origin) {
    origin.stream.write("HTTP/1.1 200 OK\r\n\r\nhalf");
    origin.react = {};
  };
  open();
  Asker& asker = ask();
  asker.when_body = [&] { origins[0]->stream.cut(); };
  loop.run();
  EXPECT_EQ(asker.story, "200 until close | half | http.closed");
}

TEST_F(UpstreamTest, ABodyThatIsNotReadWaitsAtTheOrigin) {
  const Payload big(std::string(16U << 20, 'x'));
  script = [&](Origin& origin) {
    origin.stream.write(fmt::format("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n", big.size()));
    origin.stream.write(big, 0, big.size());
  };
  open();
  Asker& asker = ask();
  size_t got_while_paused = 0;
  size_t left_at_origin = 0;
  runtime::Timer wait(loop);
  asker.when_body = [&] {
    asker.when_body = {};
    asker.call->pause();
    wait.after(milliseconds(30), [&, had = asker.body.size()] {
      got_while_paused = asker.body.size() - had;
      left_at_origin = origins[0]->stream.queued_bytes();
      asker.call->resume();
    });
  };
  loop.run();
  EXPECT_TRUE(asker.story.ends_with("end"));
  EXPECT_EQ(asker.body.size(), big.size());
  EXPECT_LE(got_while_paused, 128U << 10);
  EXPECT_GT(left_at_origin, 0U);
}

TEST_F(UpstreamTest, SendsBodiesAsTheyCome) {
  serve([](const HttpRequest& request, HttpResponder responder) {
    const std::string text = fmt::format("{} {}", request.method, request.body.view());
    responder.respond({.body = text});
  });
  open();
  const std::vector<HttpField> trailers = {{"Digest", "abc"}};
  Asker& known = ask({.method = "PUT", .framing = {.kind = Kind::kLength, .length = 6}});
  known.call->write_body("abc");
  loop.post([&] {
    known.call->write_body("def");
    known.call->finish_body();
  });
  Asker& chunked = ask({.method = "POST", .framing = {.kind = Kind::kChunked}});
  chunked.call->write_body("gh");
  runtime::Timer later(loop);
  chunked.when_drained = [&] {
    chunked.when_drained = {};
    chunked.call->write_body("i");
    chunked.call->finish_body(trailers);
  };
  ask({.method = "POST"});
  loop.run();
  EXPECT_EQ(known.story, "200 length | PUT abcdef | end");
  EXPECT_EQ(chunked.story, "200 length | POST ghi | end");
  EXPECT_EQ(askers[2]->story, "200 length | POST  | end");
}

TEST_F(UpstreamTest, ALongRequestFollowsThePaceOfTheOrigin) {
  constexpr size_t kBytes = 16U << 20;
  const std::string piece(64U << 10, 'x');
  size_t received = 0;
  script = [&](Origin& origin) {
    received += origin.received.size();
    const bool ended = origin.received.ends_with("0\r\n\r\n");
    origin.received.clear();
    if (ended) origin.stream.write(kNothing);
  };
  open();
  Asker& asker = ask({.method = "POST", .framing = {.kind = Kind::kChunked}});
  size_t written = 0;
  size_t queued_max = 0;
  asker.when_drained = [&] {
    while (written < kBytes && asker.call->queued_bytes() < (256U << 10)) {
      asker.call->write_body(piece);
      written += piece.size();
      queued_max = std::max(queued_max, asker.call->queued_bytes());
    }
    if (written == kBytes) {
      asker.when_drained = {};
      asker.call->finish_body();
    }
  };
  asker.when_drained();
  loop.run();
  EXPECT_EQ(asker.story, "204 none |  | end");
  EXPECT_GT(received, kBytes);
  EXPECT_LT(queued_max, 512U << 10);
}

TEST_F(UpstreamTest, AnAnswerMayComeBeforeTheRequestIsAllSent) {
  for (const bool closes : {false, true}) {
    script = [closes](Origin& origin) {
      origin.react = {};
      origin.stream.pause_reading();  // it has seen enough
      origin.stream.write("HTTP/1.1 413 Content Too Large\r\nContent-Length: 3\r\n\r\nbig");
      if (closes) origin.stream.close();
    };
    open();
    Asker& asker = ask({.method = "POST", .framing = {.kind = Kind::kChunked}});
    asker.call->write_body(std::string(16U << 20, 'x'));
    loop.run();
    EXPECT_EQ(asker.story, "413 length | big | end");
    EXPECT_EQ(pool->connections(), 0U) << "it has half a request in it";
    asker.call->write_body("nobody wants this");
    asker.call->finish_body();
  }
}

TEST_F(UpstreamTest, AnotherProtocolIsRawBothWays) {
  script = [](Origin& origin) {
    if (origin.received.ends_with("\r\n\r\n")) {
      origin.stream.write("HTTP/1.1 101 Switching Protocols\r\nUpgrade: echo\r\n\r\nhello,");
    } else if (origin.received.ends_with("ping")) {
      origin.stream.write("pong");
    } else if (origin.received.ends_with("bye")) {
      origin.stream.close();
    }
  };
  open({.idle_timeout = milliseconds(1)});
  Asker& asker = ask({.upgrade = "echo"});
  runtime::Timer later(loop);
  asker.when_body = [&] {
    // Silence is no failure here.
    if (asker.body == "hello,") later.after(milliseconds(10), [&] { asker.call->write_body("ping"); });
    if (asker.body == "hello,pong") asker.call->write_body("bye");
  };
  loop.run();
  EXPECT_EQ(asker.story, "101 until close | hello,pong | end");
  EXPECT_EQ(origins[0]->received,
            "GET / HTTP/1.1\r\nHost: origin\r\nConnection: upgrade\r\nUpgrade: echo\r\n\r\npingbye");
  EXPECT_EQ(pool->connections(), 0U);
}

TEST_F(UpstreamTest, AnotherProtocolEndsWhenAllIsSent) {
  const std::string big(4U << 20, 'x');
  script = [&](Origin& origin) {
    if (origin.received.ends_with("\r\n\r\n")) {
      origin.stream.write("HTTP/1.1 101 Switching Protocols\r\nUpgrade: echo\r\n\r\n");
      origin.when_closed = [&] { loop.stop(); };
    }
  };
  open();
  Asker& asker = ask({.upgrade = "echo"});
  asker.when_head = [&] {
    asker.call->write_body(big);
    asker.call->finish_body();
  };
  loop.run();
  EXPECT_TRUE(origins[0]->received.ends_with("\r\n\r\n" + big));
  EXPECT_EQ(asker.story, "101 until close");
}

TEST_F(UpstreamTest, AnUpgradeMayBeDeclined) {
  answer_with({kNothing});
  open();
  ask({.upgrade = "echo"});
  loop.run();
  EXPECT_EQ(askers[0]->story, "204 none |  | end");
  EXPECT_EQ(pool->idle(), 1U);
}

}  // namespace
}  // namespace verge::net

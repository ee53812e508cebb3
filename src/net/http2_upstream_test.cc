// Calls over HTTP/2: to this program's own server, and to origins that send frames by hand.
#include "net/http2_upstream.h"

#include "net/http_upstream_fixture.h"
#include "net/test_certificates.h"
#include "net/tls_listener.h"

namespace verge::net {
namespace {

using std::chrono::milliseconds;

std::string frame(uint8_t type, uint8_t flags, uint32_t stream, std::string_view payload) {
  std::string bytes;
  for (const int shift : {16, 8, 0}) bytes.push_back(static_cast<char>(payload.size() >> shift & 255U));
  bytes.push_back(static_cast<char>(type));
  bytes.push_back(static_cast<char>(flags));
  for (const int shift : {24, 16, 8, 0}) bytes.push_back(static_cast<char>(stream >> shift & 255U));
  return bytes.append(payload);
}
std::string settings() { return frame(4, 0, 0, ""); }
constexpr uint8_t kEndStream = 1, kEndHeaders = 4;
// ":status: 200", from the static table of HPACK.
std::string head_200(uint32_t stream, bool ends) {
  return frame(1, kEndHeaders | (ends ? kEndStream : 0), stream, "\x88");
}
std::string data(uint32_t stream, std::string_view bytes, bool ends) {
  return frame(0, ends ? kEndStream : 0, stream, bytes);
}
std::string reset(uint32_t stream, uint8_t code) {
  return frame(3, 0, stream, std::string("\0\0\0", 3) + static_cast<char>(code));
}
std::string goaway(uint8_t last_stream) {
  return frame(7, 0, 0, std::string("\0\0\0", 3) + static_cast<char>(last_stream) + std::string(4, '\0'));
}
constexpr uint8_t kRefusedStream = 7, kInternalError = 2;

class Http2UpstreamTest : public UpstreamTest {
 protected:
  void open2(const UpstreamLimits& limits = {}) { upstream = std::make_unique<Http2Upstream>(loop, address, limits); }
  Asker& ask2(UpstreamRequest request = {}) {
    request.authority = "origin";
    askers.push_back(std::make_unique<Asker>());
    Asker& asker = *askers.back();
    asker.when_over = [this] {
      if (++over == askers.size()) loop.stop();
    };
    asker.call = upstream->begin(request, asker);
    EXPECT_FALSE(asker.is_over) << "not from within begin()";
    return asker;
  }
  // What an origin does that answers the first request of each connection with these frames.
  void answer_frames(std::vector<std::string> each) {
    script = [this, each](Origin& origin) {
      if (origin.received.size() < 24 + 9 || asked >= each.size()) return;
      // A HEADERS frame has come.
      size_t place = 24;
      bool has_head = false;
      while (place + 9 <= origin.received.size()) {
        const auto byte = [&](size_t at) { return static_cast<unsigned char>(origin.received[place + at]); };
        has_head = has_head || byte(3) == 1;
        place += 9U + byte(0) * 65536U + byte(1) * 256U + byte(2);
      }
      if (!has_head) return;
      origin.received.resize(24);
      const std::string& answer = each[asked++];
      if (answer.empty()) return origin.stream.close();
      origin.stream.write(settings() + answer);
    };
  }

  std::unique_ptr<Http2Upstream> upstream;
};

TEST_F(Http2UpstreamTest, ManyCallsShareOneConnection) {
  serve([](const HttpRequest& request, HttpResponder responder) {
    const std::string body = std::string(request.method) + " " + std::string(request.target) + " " +
                             std::string(request.host) + " " + std::string(request.field("x-a").value_or("-"));
    responder.respond({.status = 200, .content_type = {}, .fields = {}, .body = body});
  });
  open2();
  const std::vector<HttpField> fields = {{"X-A", " 1 "}, {"Host", "other"}, {"Connection", "x"}, {"Keep-Alive", "5"}};
  for (int i = 0; i < 50; ++i) ask2({.method = "GET", .target = "/a?b", .fields = fields});
  loop.run();
  for (const auto& asker : askers) EXPECT_EQ(asker->story, "200 length | GET /a?b origin 1 | end");
  EXPECT_EQ(connections, 1);
  EXPECT_EQ(upstream->counters().requests.value(), 50U);
  EXPECT_EQ(upstream->counters().failures.value(), 0U);
}

TEST_F(Http2UpstreamTest, HandsOnAnswersOfEveryForm) {
  serve([](const HttpRequest& request, HttpResponder responder) {
    if (request.target == "/hints") responder.send_interim(103);
    if (request.target == "/none")
      return responder.respond({.status = 204, .content_type = {}, .fields = {}, .body = {}});
    if (request.target != "/chunked") {
      return responder.respond({.status = 200, .content_type = {}, .fields = {}, .body = "body"});
    }
    responder.start({.status = 200, .reason = {}, .fields = {}}, {.kind = BodyFraming::Kind::kChunked});
    responder.write("bo");
    responder.write("dy");
    const std::vector<HttpField> trailers = {{"digest", "a b"}};
    responder.finish(trailers);
  });
  open2();
  ask2({.target = "/hints"});
  ask2({.target = "/none"});
  ask2({.method = "HEAD"});
  ask2({.target = "/chunked"});
  loop.run();
  EXPECT_EQ(askers[0]->story, "103 | 200 length | body | end");
  EXPECT_EQ(askers[1]->story, "204 none |  | end");
  EXPECT_EQ(askers[2]->story, "200 none |  | end");
  EXPECT_EQ(askers[3]->story, "200 chunked | body | digest=a b | end");
}

TEST_F(Http2UpstreamTest, SendsBodiesAsTheyComeAndTellsWhenTheyAreGone) {
  std::string received;
  serve([&](const HttpRequest& request, HttpResponder responder) {
    received = request.body.view();
    responder.respond({.status = 200, .content_type = {}, .fields = {}, .body = "ok"});
  });
  open2();
  Asker& asker = ask2({.method = "POST", .framing = {.kind = BodyFraming::Kind::kChunked}});
  int pieces = 0;
  const std::string piece(100'000, 'x');
  asker.when_drained = [&] {
    if (++pieces > 5) return asker.call->finish_body({});
    asker.call->write_body(piece);
  };
  asker.call->write_body("first");
  loop.run();
  EXPECT_EQ(asker.story, "200 length | ok | end");
  EXPECT_EQ(received.size(), 500'005U);
  EXPECT_EQ(asker.call->queued_bytes(), 0U);
}

TEST_F(Http2UpstreamTest, AnAnswerThatIsNotReadHoldsUpNoOther) {
  const std::string large(4U << 20, 'x');
  std::vector<HttpResponder> responders;
  serve([&](const HttpRequest& request, HttpResponder responder) {
    responder.respond(
        {.status = 200, .content_type = {}, .fields = {}, .body = request.target == "/large" ? large : "s"});
  });
  open2();
  Asker& paused = ask2({.target = "/large"});
  paused.when_head = [&] { paused.call->pause(); };
  for (int i = 0; i < 20; ++i) ask2({.target = "/small"});
  for (size_t i = 1; i < askers.size(); ++i) {
    askers[i]->when_over = [this] {
      if (++over == askers.size() - 1) loop.stop();
    };
  }
  loop.run();
  EXPECT_LE(paused.body.size(), 256U << 10);
  EXPECT_FALSE(paused.is_over);
  paused.call->resume();
  paused.when_over = [this] { loop.stop(); };
  loop.run();
  EXPECT_EQ(paused.body.size(), large.size());
  EXPECT_TRUE(paused.story.ends_with("end"));
}

TEST_F(Http2UpstreamTest, WhatTheOriginDidNotLookAtIsSentOnceMore) {
  answer_frames({reset(1, kRefusedStream), head_200(3, false) + data(3, "ok", true)});
  open2();
  ask2({.method = "POST"});
  loop.run();
  EXPECT_EQ(askers[0]->story, "200 chunked | ok | end");
  EXPECT_EQ(upstream->counters().repeated.value(), 1U);
}

TEST_F(Http2UpstreamTest, WhatItMayHaveDoneIsNot) {
  answer_frames({reset(1, kInternalError)});
  open2();
  ask2();
  loop.run();
  EXPECT_EQ(askers[0]->story, "http.closed");
  EXPECT_EQ(upstream->counters().failures.value(), 1U);
}

TEST_F(Http2UpstreamTest, AGoodbyeLetsWhatIsUnderWayEndAndSendsTheRestElsewhere) {
  answer_frames({goaway(1) + head_200(1, false) + data(1, "one", true), head_200(1, false) + data(1, "two", true)});
  open2();
  ask2();
  ask2();
  loop.run();
  EXPECT_EQ(askers[0]->story, "200 chunked | one | end");
  EXPECT_EQ(askers[1]->story, "200 chunked | two | end");
  EXPECT_EQ(connections, 2);
}

TEST_F(Http2UpstreamTest, AConnectionThatBreaksFailsItsCalls) {
  answer_frames({head_200(1, false) + data(1, "part", false) + frame(0, 0, 0, "")});  // DATA on stream 0
  open2();
  ask2();
  ask2({.method = "POST"});
  loop.run();
  EXPECT_EQ(askers[0]->story, "200 chunked | part | http.closed");
  EXPECT_EQ(askers[1]->story, "http.closed");
}

TEST_F(Http2UpstreamTest, AnOriginThatSpeaksNoHttp2Fails) {
  script = [](Origin& origin) { origin.stream.write("HTTP/1.1 400 Bad Request\r\n\r\n"); };
  open2();
  ask2();
  loop.run();
  EXPECT_EQ(askers[0]->story, "http.closed");
}

TEST_F(Http2UpstreamTest, HeadsAreBounded) {
  serve([](const HttpRequest&, HttpResponder responder) {
    const std::string long_value(5000, 'x');
    responder.respond({.status = 200, .content_type = {}, .fields = {{"X-Long", long_value}}, .body = "ok"});
  });
  open2({.head = {.head_bytes_max = 4096}});
  ask2();
  loop.run();
  EXPECT_EQ(askers[0]->story, "http.bad-answer");
}

TEST_F(Http2UpstreamTest, WaitsForNobodyTooLong) {
  script = [](Origin&) {};
  open2({.head_timeout = milliseconds(50), .idle_timeout = milliseconds(50)});
  ask2();
  loop.run();
  EXPECT_EQ(askers[0]->story, "http.timeout");
  askers.clear();
  over = asked = 0;
  answer_frames({head_200(1, false) + data(1, "part", false)});
  open2({.head_timeout = milliseconds(5000), .idle_timeout = milliseconds(50)});
  ask2();
  loop.run();
  EXPECT_EQ(askers[0]->story, "200 chunked | part | http.timeout");
}

TEST_F(Http2UpstreamTest, IdleConnectionsAreNotKeptForever) {
  serve([](const HttpRequest&, HttpResponder responder) {
    responder.respond({.status = 204, .content_type = {}, .fields = {}, .body = {}});
  });
  open2({.idle_connection_max = milliseconds(20)});
  ask2();
  loop.run();
  EXPECT_EQ(upstream->connections(), 1U);
  const std::function<void()> look = [&] {
    if (upstream->connections() == 0) return loop.stop();
    guard.after(milliseconds(5), look);
  };
  look();
  loop.run();
  EXPECT_EQ(upstream->connections(), 0U);
}

TEST_F(Http2UpstreamTest, BoundsThoseWhoWait) {
  script = [](Origin&) {};
  open2({.waiting_max = 2, .connect_timeout = milliseconds(100), .head_timeout = milliseconds(50)});
  ask2();
  ask2();
  ask2();
  loop.run();
  EXPECT_EQ(askers[2]->story, "http.queue-full");
  const std::vector<HttpField> bad = {{"X", "a\r\nb"}};
  over = 0;
  askers.clear();
  ask2({.fields = bad});
  ask2({.method = "CONNECT"});
  loop.run();
  EXPECT_EQ(askers[0]->story, "http.bad-request");
  EXPECT_EQ(askers[1]->story, "http.bad-request");
}

TEST_F(Http2UpstreamTest, CallsAndTheUpstreamMayGoInEveryCallback) {
  serve([](const HttpRequest&, HttpResponder responder) {
    responder.send_interim(103);
    responder.start({.status = 200, .reason = {}, .fields = {}}, {.kind = BodyFraming::Kind::kChunked});
    responder.write("ok");
    responder.finish();
  });
  enum class Moment { kHead, kBody, kOver };
  for (const bool all : {false, true}) {
    for (const Moment moment : {Moment::kHead, Moment::kBody, Moment::kOver}) {
      open2();
      Asker& asker = ask2();
      Asker& other = ask2();
      other.when_over = [] {};
      const std::function<void()> go = [&] {
        asker.call.reset();
        if (all) upstream.reset();
        loop.stop();
      };
      (moment == Moment::kHead ? asker.when_head : moment == Moment::kBody ? asker.when_body : asker.when_over) = go;
      loop.run();
      asker.call.reset();
      other.call.reset();
    }
  }
}

TEST_F(Http2UpstreamTest, OverTlsTheOriginChooses) {
  TestCertificates certificates;
  const auto client = [&](std::vector<std::string> protocols) {
    return *TlsContext::client(
        {.server_name = "localhost", .ca = certificates.ca(), .identity = {}, .protocols = std::move(protocols)});
  };
  for (const bool speaks_http2 : {true, false}) {
    std::vector<std::string> protocols = {"http/1.1"};
    if (speaks_http2) protocols.insert(protocols.begin(), "h2");
    const auto context = *TlsContext::server({.identity = certificates.issue(), .protocols = protocols});
    std::vector<Socket> sockets = *listen_on_loops(*Address::parse("127.0.0.1:0"), 1);
    const Address secure = Address::local_of(sockets[0].descriptor());
    serve([](const HttpRequest& request, HttpResponder responder) {
      responder.respond({.status = 200, .content_type = {}, .fields = {}, .body = request.body.view()});
    });
    TlsListener tls(loop, "test", std::move(sockets[0]), context, {},
                    [this](Socket socket, const std::optional<Address>&) { server->accept(std::move(socket)); });
    upstream = std::make_unique<Http2Upstream>(loop, secure, UpstreamLimits{}, client({"h2", "http/1.1"}),
                                               client({"http/1.1"}), "localhost");
    for (int i = 0; i < 3; ++i) {
      Asker& asker = ask2({.method = "PUT", .framing = {.kind = BodyFraming::Kind::kLength, .length = 2}});
      asker.call->write_body("ok");
      asker.call->finish_body({});
    }
    loop.run();
    for (const auto& asker : askers) EXPECT_EQ(asker->story, "200 length | ok | end");
    EXPECT_EQ(upstream->counters().opened.value(), speaks_http2 ? 1U : 0U);
    askers.clear();
    upstream.reset();
    server.reset();
    over = 0;
  }
}

}  // namespace
}  // namespace verge::net

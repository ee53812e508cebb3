// The ways to answer that a proxy and a cache need: heads that are passed on, prepared answers, pieces of payloads,
// interim answers, trailers, other protocols.
#include <gtest/gtest.h>

#include "net/http_server.h"
#include "net/listener.h"

namespace verge::net {
namespace {

using Kind = BodyFraming::Kind;

struct Client final : StreamObserver {
  Client(runtime::Loop& on, const Address& address)
      : loop(on), stream(on, std::move(*Socket::connect(address)), *this) {}
  void on_bytes(std::string_view bytes) override {
    received.append(bytes);
    if (when_received) when_received();
  }
  void on_closed(std::string_view why) override {
    closed = why;
    if (when_closed) when_closed();
  }
  runtime::Loop& loop;
  TcpStream stream;
  std::string received;
  std::string closed;
  std::function<void()> when_received;
  std::function<void()> when_closed = [this] { loop.stop(); };
};

class HttpResponderTest : public ::testing::Test {
 protected:
  void SetUp() override {
    std::vector<Socket> sockets = *listen_on_loops(*Address::parse("127.0.0.1:0"), 1);
    address = Address::local_of(sockets[0].descriptor());
    listener = std::make_unique<TcpListener>(loop, std::move(sockets[0]),
                                             [this](Socket socket) { server->accept(std::move(socket)); });
    guard.after(std::chrono::seconds(10), [this] {
      ADD_FAILURE() << "too slow";
      loop.stop();
    });
  }
  void serve(RequestReceiver receiver, const HttpServerLimits& limits = {}) {
    server = std::make_unique<HttpServer>(loop, limits, std::move(receiver));
  }
  // Sends and collects until the server closes.
  std::string talk(const std::string& request) {
    Client client(loop, address);
    client.stream.write(request);
    loop.run();
    closed = client.closed;
    return client.received;
  }
  std::string get(const std::string& method = "GET") {
    return talk(method + " / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n");
  }
  std::string get_old() { return talk("GET / HTTP/1.0\r\n\r\n"); }

  runtime::Loop loop{"test"};
  runtime::Timer guard{loop};
  Address address;
  std::unique_ptr<TcpListener> listener;
  std::unique_ptr<HttpServer> server;
  std::string closed;
};

constexpr std::string_view kOk = "HTTP/1.1 200 OK\r\n";
constexpr std::string_view kClose = "Connection: close\r\n\r\n";

TEST_F(HttpResponderTest, PassesAHeadOnAsItIs) {
  const std::vector<HttpField> fields = {{"X-b", "1"},       {"Set-Cookie", "a"}, {"X-a", "2"},
                                         {"Set-Cookie", ""}, {"DATE", "then"},    {"content-length", "7"}};
  serve([&](const HttpRequest&, HttpResponder responder) {
    responder.start({.status = 299, .reason = "Fine So Far", .fields = fields}, {.kind = Kind::kLength, .length = 3});
    responder.write("ab");
    responder.write("c");
    responder.finish();
  });
  EXPECT_EQ(get(), fmt::format("HTTP/1.1 299 Fine So Far\r\nX-b: 1\r\nSet-Cookie: a\r\nX-a: 2\r\nSet-Cookie: \r\n"
                               "DATE: then\r\nContent-Length: 3\r\n{}abc",
                               kClose));
}

TEST_F(HttpResponderTest, FramesTheBodyForTheClientThatAsks) {
  BodyFraming framing;
  int status = 200;
  serve([&](const HttpRequest&, HttpResponder responder) {
    responder.start({.status = status, .reason = "R", .adds_date = false}, framing);
    if (framing.kind != Kind::kNone) responder.write("abc");
    responder.finish();
  });
  const std::string head = "HTTP/1.1 200 R\r\n";
  const std::string close(kClose);
  EXPECT_EQ(get(), head + "Content-Length: 0\r\n" + close);
  EXPECT_EQ(get("HEAD"), head + close);
  framing = {.kind = Kind::kLength, .length = 3};
  EXPECT_EQ(get(), head + "Content-Length: 3\r\n" + close + "abc");
  EXPECT_EQ(get("HEAD"), head + "Content-Length: 3\r\n" + close);
  for (const Kind kind : {Kind::kChunked, Kind::kUntilClose}) {
    framing = {.kind = kind};
    EXPECT_EQ(get(), head + "Transfer-Encoding: chunked\r\n" + close + "3\r\nabc\r\n0\r\n\r\n");
    EXPECT_EQ(get("HEAD"), head + close);
    EXPECT_EQ(get_old(), head + close + "abc");
  }
  for (const int bodiless : {204, 304}) {
    status = bodiless;
    EXPECT_EQ(get(), fmt::format("HTTP/1.1 {} R\r\n{}", bodiless, kClose));
  }
}

TEST_F(HttpResponderTest, AHeadThatCannotBeWrittenIsNotPassedOn) {
  const std::vector<HttpField> fields = {{"X", "a\r\nSet-Cookie: b"}};
  serve([&](const HttpRequest&, HttpResponder responder) {
    responder.send_interim(103, fields);
    responder.start({.fields = fields}, {});
    responder.finish();
  });
  const std::string answer = get();
  EXPECT_TRUE(answer.starts_with("HTTP/1.1 500 Internal Server Error\r\n") && !answer.contains("Cookie")) << answer;
}

TEST_F(HttpResponderTest, APartOfAnAnswerBreaksTheConnection) {
  HttpResponder kept;
  BodyFraming framing{.kind = Kind::kLength, .length = 9};
  bool finishes = true;
  serve([&](const HttpRequest&, HttpResponder responder) {
    kept = std::move(responder);
    kept.start({.adds_date = false}, framing);
    kept.write("half");
    loop.post([&] {
      if (finishes) return kept.finish();
      kept = {};
    });
  });
  EXPECT_TRUE(talk("GET / HTTP/1.1\r\nHost: a\r\n\r\n").ends_with("Content-Length: 9\r\n\r\nhalf"));
  finishes = false;
  framing = {.kind = Kind::kChunked};
  EXPECT_TRUE(talk("GET / HTTP/1.1\r\nHost: a\r\n\r\n").ends_with("chunked\r\n\r\n4\r\nhalf\r\n"));
  EXPECT_EQ(closed, "the peer closed the connection");
  get_old();
  EXPECT_NE(closed, "the peer closed the connection") << "that would be the end of the body";
}

TEST_F(HttpResponderTest, PreparedAnswersAreSentAsTheyAre) {
  const Payload small("0123456789");
  const Payload large(std::string(100'000, 'x'));
  const std::string head = "HTTP/1.1 200 OK\r\nDate: now\r\nContent-Length: ";
  serve([&](const HttpRequest& request, HttpResponder responder) {
    if (request.path == "/small") return responder.respond_prepared(head + "4\r\n", small, 3, 4);
    if (request.path == "/large") return responder.respond_prepared(head + "99999\r\n", large, 1, 99'999);
    responder.respond_prepared("HTTP/1.1 304 Not Modified\r\nDate: now\r\n");
  });
  const std::string answers = talk(
      "GET /small HTTP/1.1\r\nHost: a\r\n\r\nHEAD /small HTTP/1.1\r\nHost: a\r\n\r\n"
      "GET /large HTTP/1.1\r\nHost: a\r\n\r\nGET /304 HTTP/1.1\r\nHost: a\r\n\r\n"
      "GET /small HTTP/1.0\r\nConnection: keep-alive\r\n\r\nGET /small HTTP/1.0\r\n\r\n");
  EXPECT_TRUE(answers == head + "4\r\n\r\n3456" + head + "4\r\n\r\n" + head + "99999\r\n\r\n" +
                             std::string(99'999, 'x') + "HTTP/1.1 304 Not Modified\r\nDate: now\r\n\r\n" + head +
                             "4\r\nConnection: keep-alive\r\n\r\n3456" + head + "4\r\nConnection: close\r\n\r\n3456")
      << answers.size();
}

TEST_F(HttpResponderTest, InterimAnswersGoAheadAndTrailersBehind) {
  const std::vector<HttpField> hints = {{"Link", "</a>; rel=preload"}};
  const std::vector<HttpField> trailers = {{"Digest", "abc"}, {"Content-Length", "3"}, {"X", ""}};
  HttpResponder kept;
  serve([&](const HttpRequest&, HttpResponder responder) {
    kept = std::move(responder);
    kept.send_interim(103, hints);
    loop.post([&] {
      kept.send_interim(102);
      kept.start({.adds_date = false}, {.kind = Kind::kChunked});
      kept.write("abc");
      kept.finish(trailers);
    });
  });
  EXPECT_EQ(get(), fmt::format("HTTP/1.1 103 Early Hints\r\nLink: </a>; rel=preload\r\n\r\n"
                               "HTTP/1.1 102 Processing\r\n\r\n{}Transfer-Encoding: chunked\r\n{}"
                               "3\r\nabc\r\n0\r\nDigest: abc\r\nX: \r\n\r\n",
                               kOk, kClose));
  EXPECT_EQ(get_old(), fmt::format("{}{}abc", kOk, kClose));
}

TEST_F(HttpResponderTest, PiecesOfAPayloadFollowThePaceOfTheClient) {
  constexpr size_t kBytes = 8U << 20;
  std::string text;
  while (text.size() < (1U << 20)) text += fmt::format("{}.", text.size());
  const Payload shared(std::string_view(text).substr(0, 1U << 20));
  HttpResponder kept;
  size_t written = 0;
  size_t queued_max = 0;
  BodyFraming framing;
  const std::function<void()> fill = [&] {
    while (written < kBytes && kept.queued_bytes() < (256U << 10)) {
      constexpr size_t kPiece = 64U << 10;
      kept.write(shared, written % shared.size(), kPiece);
      written += kPiece;
      queued_max = std::max(queued_max, kept.queued_bytes());
    }
    if (written == kBytes) kept.finish();
  };
  serve([&](const HttpRequest&, HttpResponder responder) {
    written = 0;
    kept = std::move(responder);
    kept.start({}, framing);
    kept.when_drained(fill);
    fill();
  });
  std::string whole;
  while (whole.size() < kBytes) whole.append(shared.view());
  framing = {.kind = Kind::kLength, .length = kBytes};
  const std::string answer = get();
  EXPECT_TRUE(std::string_view(answer).substr(answer.find("\r\n\r\n") + 4) == whole) << answer.size();
  framing = {.kind = Kind::kChunked};
  EXPECT_GT(get().size(), kBytes + (kBytes >> 16) * 9);
  EXPECT_LT(queued_max, 512U << 10);
}

// What a tunnel got, and its responder.
struct Tunnel final : RawObserver {
  explicit Tunnel(runtime::Loop& on) : loop(on) {}
  void on_raw_bytes(std::string_view bytes) override {
    received.append(bytes);
    if (then) then();
  }
  void on_raw_end() override {
    ended = true;
    loop.stop();
  }
  runtime::Loop& loop;
  HttpResponder responder;
  std::string received;
  bool ended = false;
  std::function<void()> then;
};

class HttpTunnelTest : public HttpResponderTest {
 protected:
  void SetUp() override {
    HttpResponderTest::SetUp();
    serve(
        [this](const HttpRequest&, HttpResponder responder) {
          tunnel.responder = std::move(responder);
          if (!late) return switch_now();
          loop.post([this] { switch_now(); });
        },
        {.pipelined_bytes_max = 16});
  }
  void switch_now() {
    const std::vector<HttpField> fields = {{"Upgrade", "echo"}};
    tunnel.responder.switch_protocols({.status = 101, .fields = fields, .adds_date = false}, tunnel);
    if (paused) tunnel.responder.pause_reading();
  }
  Tunnel tunnel{loop};
  bool late = false;
  bool paused = false;
  const std::string request = "GET / HTTP/1.1\r\nHost: a\r\nConnection: upgrade\r\nUpgrade: echo\r\n\r\n";
  const std::string head = "HTTP/1.1 101 Switching Protocols\r\nUpgrade: echo\r\nConnection: upgrade\r\n\r\n";
};

TEST_F(HttpTunnelTest, HandsRawBytesOverBothWays) {
  for (const bool later : {false, true}) {
    late = later;
    tunnel.received.clear();
    tunnel.then = [&] {
      if (tunnel.received == "0123456789abcdef") tunnel.responder.write("ahead,");
      if (tunnel.received.ends_with("!")) {
        tunnel.responder.write(Payload("last"), 0, 4);
        tunnel.responder.finish();
      }
    };
    Client client(loop, address);
    client.stream.write(request + "0123456789abcdef");
    client.when_received = [&] {
      if (client.received == head + "ahead,") client.stream.write("more!");
    };
    loop.run();
    EXPECT_EQ(tunnel.received, "0123456789abcdefmore!");
    EXPECT_EQ(client.received, head + "ahead,last");
    EXPECT_FALSE(tunnel.ended) << "it ended the tunnel itself";
  }
}

TEST_F(HttpTunnelTest, TellsThatTheClientWent) {
  Client client(loop, address);
  client.stream.write(request);
  client.when_received = [&] { client.stream.close(); };
  loop.run();
  EXPECT_TRUE(tunnel.ended);
  EXPECT_FALSE(tunnel.responder.is_open());
  tunnel.responder.write("nobody");
}

TEST_F(HttpTunnelTest, APausedReaderGetsAllOfItWhenItGoesOn) {
  paused = true;
  Client client(loop, address);
  client.stream.write(request + "ahead of the switch,");
  client.when_received = [&] {
    client.stream.write("and behind!");
    loop.post([&] {
      EXPECT_EQ(tunnel.received, "");
      tunnel.responder.resume_reading();
    });
  };
  tunnel.then = [&] {
    if (tunnel.received.ends_with("!")) tunnel.responder = {};
  };
  loop.run();
  EXPECT_EQ(tunnel.received, "ahead of the switch,and behind!");
}

TEST_F(HttpTunnelTest, NothingIsSwitchedForOldClients) {
  EXPECT_EQ(get_old(), "");
  EXPECT_TRUE(tunnel.ended);
}

TEST_F(HttpTunnelTest, DoesNotHoldUpADrain) {
  server = nullptr;
  serve(
      [this](const HttpRequest&, HttpResponder responder) {
        tunnel.responder = std::move(responder);
        switch_now();
      },
      {.drain_grace = std::chrono::milliseconds(2)});
  Client client(loop, address);
  client.stream.write(request);
  bool drained = false;
  client.when_received = [&] { server->drain([&] { drained = true; }); };
  client.when_closed = {};
  loop.run();
  EXPECT_TRUE(tunnel.ended);
  loop.post([&] { loop.stop(); });
  loop.run();
  EXPECT_TRUE(drained);
}

}  // namespace
}  // namespace verge::net

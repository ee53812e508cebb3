// TLS over real sockets: listener, stream, HTTP client and server.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "net/http_client.h"
#include "net/http_server.h"
#include "net/http_upstream.h"
#include "net/test_certificates.h"
#include "net/tls_listener.h"

namespace verge::net {
namespace {

using testing::HasSubstr;

// Collects, or echoes.
struct End final : StreamObserver {
  End(runtime::Loop& loop, Socket socket) : stream(loop, std::move(socket), *this) {}
  void on_bytes(std::string_view bytes) override {
    received.append(bytes);
    if (echo) stream.write(bytes);
    if (then) then();
  }
  void on_closed(std::string_view why) override {
    closed = why;
    if (then) then();
  }
  void on_drained() override { ++drained; }
  TcpStream stream;
  bool echo = false;
  int drained = 0;
  std::string received;
  std::string closed;
  std::function<void()> then;
};

class TlsStreamTest : public ::testing::Test {
 protected:
  void SetUp() override {
    guard.after(std::chrono::seconds(20), [this] {
      ADD_FAILURE() << "too slow";
      loop.stop();
    });
  }
  void listen(const TlsListenerLimits& limits = {}, const std::string& client_ca = {}) {
    server_context = *TlsContext::server({.identity = certificates.issue(), .client_ca = client_ca});
    std::vector<Socket> sockets = *listen_on_loops(*Address::parse("127.0.0.1:0"), 1);
    address = Address::local_of(sockets[0].descriptor());
    listener = std::make_unique<TlsListener>(loop, "test", std::move(sockets[0]), server_context, limits,
                                             [this](Socket socket, const std::optional<Address>& of_proxy) {
                                               named = of_proxy;
                                               accepted(std::move(socket));
                                             });
  }
  std::optional<Address> named;  // by the last PROXY header
  // Connects an End that speaks TLS, then runs `ready`.
  void connect(std::function<void()> ready) {
    const auto context = *TlsContext::client({.server_name = "localhost", .ca = certificates.ca(), .identity = shown});
    Socket socket = std::move(*Socket::connect(address));
    socket.speak(context->make_session());
    handshake = std::make_unique<TlsHandshake>(loop, std::move(socket), std::chrono::seconds(5),
                                               [this, ready = std::move(ready)](Result<Socket> agreed) {
                                                 ASSERT_TRUE(agreed.has_value()) << agreed.error().line();
                                                 client = std::make_unique<End>(loop, std::move(*agreed));
                                                 ready();
                                               });
    handshake->start();
  }
  void until(std::function<bool()> done) {
    poll(std::move(done));
    loop.run();
  }
  void poll(std::function<bool()> done) {
    ticking.after(std::chrono::milliseconds(1), [this, done = std::move(done)] {
      if (done()) return loop.stop();
      poll(done);
    });
  }

  TestCertificates certificates;
  TlsIdentity shown;
  runtime::Loop loop{"test"};
  runtime::Timer guard{loop};
  runtime::Timer ticking{loop};
  std::shared_ptr<const TlsContext> server_context;
  Address address;
  std::unique_ptr<TlsListener> listener;
  std::unique_ptr<TlsHandshake> handshake;
  std::unique_ptr<End> server;
  std::unique_ptr<End> client;
  std::function<void(Socket)> accepted = [this](Socket socket) {
    server = std::make_unique<End>(loop, std::move(socket));
    server->echo = true;
  };
};

TEST_F(TlsStreamTest, EchoesMoreThanTheKernelBuffers) {
  listen();
  std::string big;
  while (big.size() < (12U << 20)) big += fmt::format("{}.", big.size());
  connect([&] { client->stream.write(big); });
  until([&] { return client && client->received.size() >= big.size(); });
  EXPECT_EQ(client->received, big);
  EXPECT_EQ(client->stream.queued_bytes(), 0U);
  EXPECT_GT(client->stream.sent_bytes(), big.size()) << "as it is on the wire";
  EXPECT_EQ(listener->counters().accepted.value(), 1U);
}

TEST_F(TlsStreamTest, EncryptsTextAndSharedPayloadsInOrder) {
  listen();
  std::string text;
  while (text.size() < (200U << 10)) text += fmt::format("{}.", text.size());
  const Payload shared(text);
  std::string expected;
  accepted = [&](Socket socket) {
    const int bytes = 4096;
    ASSERT_EQ(::setsockopt(socket.descriptor(), SOL_SOCKET, SO_SNDBUF, &bytes, sizeof(bytes)), 0);
    server = std::make_unique<End>(loop, std::move(socket));
    for (size_t i = 0; i < 40; ++i) {
      const size_t offset = i * 1000;
      const size_t size = i % 3 == 0 ? 10 : i % 3 == 1 ? 5000 : 100'000;
      if (i % 2 == 0) {
        server->stream.write(std::string_view(text).substr(offset, size));
      } else {
        server->stream.write(shared, offset, size);
      }
      expected.append(text, offset, size);
    }
    EXPECT_EQ(server->stream.queued_bytes(), expected.size());
    server->stream.close_when_drained();
  };
  connect([] {});
  until([&] { return client && !client->closed.empty(); });
  EXPECT_TRUE(client->received == expected) << client->received.size() << " of " << expected.size();
  EXPECT_FALSE(client->stream.was_cut());
}

TEST_F(TlsStreamTest, AnEndIsNoCut) {
  listen();
  connect([&] {
    client->stream.write("last");
    client->stream.close();
  });
  until([&] { return server && !server->closed.empty(); });
  EXPECT_EQ(server->received, "last");
  EXPECT_EQ(server->closed, "the peer closed the connection");
  EXPECT_FALSE(server->stream.was_cut());
}

TEST_F(TlsStreamTest, ACutIsNoEnd) {
  listen();
  connect([&] {
    client->stream.write("last");
    loop.post([&] { const Socket gone = client->stream.release(); });
  });
  until([&] { return server && !server->closed.empty(); });
  EXPECT_EQ(server->received, "last");
  EXPECT_NE(server->closed, "the peer closed the connection");
  EXPECT_TRUE(server->stream.was_cut());
}

TEST_F(TlsStreamTest, OutputIsDrainedBeforeAnEnd) {
  listen();
  const std::string big(4U << 20, 'x');
  accepted = [&](Socket socket) {
    server = std::make_unique<End>(loop, std::move(socket));
    server->stream.write(big);
    server->stream.close_when_drained();
  };
  connect([] {});
  until([&] { return client && !client->closed.empty(); });
  EXPECT_EQ(client->received.size(), big.size());
  EXPECT_FALSE(client->stream.was_cut());
  EXPECT_FALSE(server->stream.is_draining());
}

TEST_F(TlsStreamTest, APausedReaderHearsOfAnEndWhenItReadsOn) {
  listen();
  accepted = [&](Socket socket) {
    server = std::make_unique<End>(loop, std::move(socket));
    server->then = [this] { server->stream.pause_reading(); };
    server->stream.write("begin");
  };
  // By then the client has read what TLS had to say too: closing over unread input would reset the connection.
  connect([&] {
    client->then = [&] {
      client->stream.write("all");
      client->stream.close();
    };
  });
  until([&] { return server && !server->received.empty(); });
  runtime::Timer later(loop);
  later.after(std::chrono::milliseconds(50), [&] {
    EXPECT_EQ(server->closed, "");
    server->then = nullptr;
    server->stream.resume_reading();
  });
  until([&] { return !server->closed.empty(); });
  EXPECT_EQ(server->received, "all");
  EXPECT_FALSE(server->stream.was_cut());
}

TEST_F(TlsStreamTest, MovesToAnotherStreamWithWhatCameEarly) {
  listen();
  accepted = [&](Socket socket) {
    server = std::make_unique<End>(loop, std::move(socket));
    server->then = [this] {
      loop.post([this, first = server->received] {
        Socket moving = server->stream.release();
        server = std::make_unique<End>(loop, std::move(moving));
        server->received = first;
        server->echo = true;
      });
      server->then = nullptr;
    };
  };
  connect([&] { client->stream.write("one "); });
  until([&] { return server && server->echo; });
  client->stream.write("two");
  until([&] { return client->received == "two"; });
  EXPECT_EQ(server->received, "one two");
}

TEST_F(TlsStreamTest, ThoseThatStallGiveWay) {
  listen({.handshake_timeout = std::chrono::milliseconds(200), .pending_max = 2});
  std::vector<Socket> silent;
  for (int i = 0; i < 5; ++i) silent.push_back(std::move(*Socket::connect(address)));
  until([&] { return listener->counters().failed.value() == 3; });
  EXPECT_EQ(listener->pending(), 2U);
  connect([&] { client->stream.write("hello"); });
  until([&] { return client && client->received == "hello"; });
  until([&] { return listener->counters().failed.value() == 5; });
  EXPECT_EQ(listener->pending(), 0U) << "the others ran out of time";
}

TEST_F(TlsStreamTest, GarbageIsClosed) {
  listen();
  End stranger(loop, std::move(*Socket::connect(address)));
  stranger.stream.write("GET / HTTP/1.1\r\n\r\n");
  until([&] { return !stranger.closed.empty() && listener->counters().failed.value() == 1; });
  EXPECT_EQ(server, nullptr);
}

class TlsHttpTest : public TlsStreamTest {
 protected:
  void serve() {
    http_server =
        std::make_unique<HttpServer>(loop, HttpServerLimits{}, [](const HttpRequest& request, HttpResponder responder) {
          const std::string body = request.peer_is_verified ? "known" : "unknown";
          responder.respond({.status = 200, .body = body});
        });
    accepted = [this](Socket socket) { http_server->accept(std::move(socket)); };
  }
  void ask(const std::string& name, const std::string& ca, HttpClientLimits limits = {}) {
    http_client = std::make_unique<HttpClient>(loop, address, name, limits,
                                               *TlsContext::client({.server_name = name, .ca = ca, .identity = shown}));
    ask_again();
  }
  void ask_again() {
    http_client->request({.target = "/"}, [this](Result<HttpAnswer> answer) {
      result = answer ? fmt::format("{} {}", answer->status, answer->body.view()) : answer.error().line();
      loop.stop();
    });
    loop.run();
  }
  std::unique_ptr<HttpServer> http_server;
  std::unique_ptr<HttpClient> http_client;
  std::string result;
};

TEST_F(TlsHttpTest, AsksAndAnswers) {
  serve();
  listen();
  ask("localhost", certificates.ca());
  EXPECT_EQ(result, "200 unknown");
  ask_again();
  EXPECT_EQ(result, "200 unknown");
  EXPECT_EQ(listener->counters().accepted.value(), 1U) << "over one connection";
  http_client.reset();
}

TEST_F(TlsHttpTest, KnowsWhoShowedACertificate) {
  serve();
  shown = certificates.issue();
  listen({}, certificates.ca());
  ask("localhost", certificates.ca());
  EXPECT_EQ(result, "200 known");
  http_client.reset();
}

TEST_F(TlsHttpTest, ARefusedClientIsToldWhy) {
  serve();
  listen({}, certificates.ca());
  ask("localhost", certificates.ca());
  EXPECT_THAT(result, HasSubstr("the other side demands a certificate"));
}

// Keeps the status and the end, or the failure.
struct TlsAsker final : UpstreamObserver {
  explicit TlsAsker(runtime::Loop& on) : loop(on) {}
  void on_head(const ResponseHead& head, const BodyFraming&) override { story += fmt::format("{} ", head.status); }
  void on_body(std::string_view piece) override { story += piece; }
  void on_end(std::span<const HttpField>) override { loop.stop(); }
  void on_failed(const Error& error) override {
    story += error.line();
    loop.stop();
  }
  runtime::Loop& loop;
  std::string story;
};

TEST_F(TlsHttpTest, APoolAsksThroughTls) {
  serve();
  listen();
  for (const char* name : {"localhost", "other.example"}) {
    UpstreamPool pool(loop, address, {}, *TlsContext::client({.server_name = name, .ca = certificates.ca()}), name);
    for (int i = 0; i < 2; ++i) {
      TlsAsker asker(loop);
      const std::unique_ptr<UpstreamCall> call = pool.begin({.authority = name}, asker);
      loop.run();
      if (name == std::string_view("localhost")) {
        EXPECT_EQ(asker.story, "200 unknown");
      } else {
        EXPECT_THAT(asker.story, HasSubstr("[net.tls-untrusted]"));
      }
    }
  }
  EXPECT_EQ(listener->counters().accepted.value(), 1U) << "over one connection";
}

TEST_F(TlsHttpTest, AWrongNameGetsNoRequest) {
  serve();
  listen();
  ask("other.example", certificates.ca());
  EXPECT_THAT(result, HasSubstr("[net.tls-untrusted]"));
  EXPECT_THAT(result, HasSubstr("other.example (127.0.0.1:"));
  EXPECT_EQ(listener->counters().accepted.value(), 0U);
}

TEST_F(TlsHttpTest, AServerThatSaysNothingIsGivenUp) {
  std::vector<Socket> sockets = *listen_on_loops(*Address::parse("127.0.0.1:0"), 1);
  address = Address::local_of(sockets[0].descriptor());
  ask("localhost", certificates.ca(), {.connect_timeout = std::chrono::milliseconds(100)});
  EXPECT_THAT(result, HasSubstr("was not done in time"));
  EXPECT_THAT(result, HasSubstr("[net.tls-handshake]"));
}

TEST_F(TlsHttpTest, AnAnswerThatIsCutIsNone) {
  listen();
  for (const bool cut : {false, true}) {
    accepted = [&, cut](Socket socket) {
      server = std::make_unique<End>(loop, std::move(socket));
      server->then = [this, cut] {
        server->then = nullptr;
        server->stream.write("HTTP/1.1 200 OK\r\n\r\nhalf");
        if (!cut) return server->stream.close_when_drained();
        loop.post([this] { const Socket gone = server->stream.release(); });
      };
    };
    ask("localhost", certificates.ca());
    EXPECT_THAT(result, HasSubstr(cut ? "[http.closed]" : "200 half"));
  }
}

}  // namespace
}  // namespace verge::net

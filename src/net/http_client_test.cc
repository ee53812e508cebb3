#include "net/http_client.h"

#include <gtest/gtest.h>

#include "net/http_server.h"
#include "net/listener.h"

namespace verge::net {
namespace {

using std::chrono::milliseconds;

// An origin that answers every connection with what the test says.
struct ScriptedOrigin final : StreamObserver {
  ScriptedOrigin(runtime::Loop& loop, Socket socket, std::function<void(ScriptedOrigin&)> on_request)
      : react(std::move(on_request)), stream(loop, std::move(socket), *this) {}
  void on_bytes(std::string_view bytes) override {
    received.append(bytes);
    react(*this);
  }
  void on_closed(std::string_view) override {}
  std::function<void(ScriptedOrigin&)> react;
  std::string received;
  TcpStream stream;
};

class HttpClientTest : public ::testing::Test {
 protected:
  void SetUp() override {
    std::vector<Socket> sockets = *listen_on_loops(*Address::parse("127.0.0.1:0"), 1);
    address = Address::local_of(sockets[0].descriptor());
    listener = std::make_unique<TcpListener>(loop, std::move(sockets[0]), [this](Socket socket) {
      ++connections;
      if (server) return server->accept(std::move(socket));
      origins.push_back(std::make_unique<ScriptedOrigin>(loop, std::move(socket), script));
    });
    guard.after(std::chrono::seconds(10), [this] {
      ADD_FAILURE() << "too slow";
      loop.stop();
    });
  }
  void connect(const HttpClientLimits& limits = {}) {
    client = std::make_unique<HttpClient>(loop, address, "origin", limits);
  }
  void serve(RequestReceiver receiver, const HttpServerLimits& limits = {}) {
    server = std::make_unique<HttpServer>(loop, limits, std::move(receiver));
    connect();
  }
  // Keeps "status body" or the code, and runs `then`.
  void ask(const HttpCall& call, std::function<void()> then = {}) {
    client->request(call, [this, then = std::move(then)](Result<HttpAnswer> answer) {
      results.push_back(answer ? fmt::format("{} {}", answer->status, answer->body.view())
                               : std::string(answer.error().code));
      if (then) then();
    });
  }
  std::function<void()> stop() {
    return [this] { loop.stop(); };
  }
  // What the origin makes of one request.
  std::string answer_to(const HttpCall& call, std::string_view answer, bool closes) {
    script = [answer = std::string(answer), closes](ScriptedOrigin& origin) {
      origin.stream.write(answer);
      if (closes) origin.stream.close_when_drained();
    };
    connect({.head = {.head_bytes_max = 256}, .body_bytes_max = 10});
    ask(call, stop());
    loop.run();
    return results.empty() ? "" : results.back();
  }

  runtime::Loop loop{"test"};
  runtime::Timer guard{loop};
  Address address;
  std::unique_ptr<HttpServer> server;
  std::function<void(ScriptedOrigin&)> script = [](ScriptedOrigin&) {};
  std::vector<std::unique_ptr<ScriptedOrigin>> origins;
  std::unique_ptr<TcpListener> listener;
  int connections = 0;
  std::unique_ptr<HttpClient> client;
  std::vector<std::string> results;
};

TEST_F(HttpClientTest, AsksOneAfterTheOtherOnOneConnection) {
  serve([](const HttpRequest& request, HttpResponder responder) {
    const std::string body = fmt::format("{} {} {} {} {}", request.method, request.host, request.target,
                                         request.field("X").value_or("-"), request.body.view());
    responder.respond({.status = 201, .body = body});
  });
  ask({.target = "/1"});
  ask({.method = "POST", .target = "/2", .fields = {{"X", "y"}}, .body = Payload("abc")});
  ask({.method = "HEAD", .target = "/3"}, stop());
  loop.run();
  EXPECT_EQ(results, (std::vector<std::string>{"201 GET origin /1 - ", "201 POST origin /2 y abc", "201 "}));
  EXPECT_EQ(connections, 1);
  EXPECT_GT(client->bytes_sent(), 100U);
  EXPECT_GT(client->bytes_received(), 100U);
}

TEST_F(HttpClientTest, ReadsAStreamedAnswer) {
  serve([](const HttpRequest&, HttpResponder responder) {
    responder.start_stream({.body = "a"});
    responder.write("bc");
    responder.finish();
  });
  ask({});
  ask({}, stop());
  loop.run();
  EXPECT_EQ(results, (std::vector<std::string>{"200 abc", "200 abc"}));
  EXPECT_EQ(connections, 1);
}

TEST_F(HttpClientTest, ConnectsAgainAfterTheServerClosed) {
  serve([](const HttpRequest&, HttpResponder responder) { responder.respond({}); }, {.idle_timeout = milliseconds(2)});
  const std::function<void()> when_closed = [&] {
    if (client->is_connected()) return loop.post(when_closed);
    ask({.method = "POST"}, stop());
  };
  ask({}, [&] { loop.post(when_closed); });
  loop.run();
  EXPECT_EQ(results, (std::vector<std::string>{"200 ", "200 "}));
  EXPECT_EQ(connections, 2);
}

TEST_F(HttpClientTest, RepeatsOnlyIdempotentRequestsOnAConnectionThatWasStale) {
  int asked = 0;
  script = [&](ScriptedOrigin& origin) {
    if (++asked % 2 == 1) {
      origin.stream.write("HTTP/1.1 204 No Content\r\n\r\n");
    } else {
      origin.stream.close();
    }
  };
  connect();
  ask({});                          // answered
  ask({});                          // closed, sent again and answered
  ask({.method = "POST"});          // closed: the caller decides
  ask({.method = "POST"}, stop());  // answered on a new connection
  loop.run();
  EXPECT_EQ(results, (std::vector<std::string>{"204 ", "204 ", "http.closed", "204 "}));
}

TEST_F(HttpClientTest, SkipsInterimAnswers) {
  EXPECT_EQ(answer_to({.method = "POST"},
                      "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nLink: a\r\n\r\n"
                      "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok",
                      false),
            "200 ok");
}

TEST_F(HttpClientTest, ReadsUntilTheConnectionCloses) {
  EXPECT_EQ(answer_to({}, "HTTP/1.0 200 OK\r\n\r\nbody", true), "200 body");
}

TEST_F(HttpClientTest, APartOfAnAnswerIsNoAnswer) {
  EXPECT_EQ(answer_to({}, "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nbody", true), "http.closed");
}

TEST_F(HttpClientTest, AnUnfinishedChunkedBodyIsNoAnswer) {
  EXPECT_EQ(answer_to({}, "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nbody\r\n", true), "http.closed");
}

TEST_F(HttpClientTest, RefusesAnAmbiguousAnswer) {
  EXPECT_EQ(answer_to({}, "HTTP/1.1 200 OK\r\nContent-Length: 2\r\nContent-Length: 3\r\n\r\n", false),
            "http.bad-answer");
}

TEST_F(HttpClientTest, RefusesALongHead) {
  EXPECT_EQ(answer_to({}, "HTTP/1.1 200 OK\r\nX: " + std::string(300, 'x'), false), "http.bad-answer");
}

TEST_F(HttpClientTest, RefusesALongBody) {
  EXPECT_EQ(answer_to({}, "HTTP/1.1 200 OK\r\nContent-Length: 11\r\n\r\n", false), "http.body-too-long");
}

TEST_F(HttpClientTest, RefusesALongChunkedBody) {
  EXPECT_EQ(answer_to({}, "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nb\r\n01234567890\r\n", false),
            "http.body-too-long");
}

TEST_F(HttpClientTest, FailsWithWhatHappened) {
  connect({.requests_max = 1});
  ask({.target = "/a b"});
  ask({.fields = {{"X", "a\r\nY: b"}}});
  ask({.timeout = milliseconds(2)}, stop());
  ask({});
  loop.run();
  EXPECT_EQ(results,
            (std::vector<std::string>{"http.bad-request", "http.bad-request", "http.queue-full", "http.timeout"}));
}

TEST_F(HttpClientTest, TellsThatNobodyListens) {
  listener.reset();
  connect();
  ask({});
  ask({}, stop());
  loop.run();
  EXPECT_EQ(results, (std::vector<std::string>{"http.connect-refused", "http.connect-refused"}));
}

TEST_F(HttpClientTest, ATimeOutEndsTheConnectionButNotTheNextRequest) {
  int asked = 0;
  script = [&](ScriptedOrigin& origin) {
    if (++asked == 2) origin.stream.write("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n");
  };
  connect();
  ask({.timeout = milliseconds(2)});
  ask({}, stop());
  loop.run();
  EXPECT_EQ(results, (std::vector<std::string>{"http.timeout", "200 "}));
  EXPECT_EQ(connections, 2);
}

TEST_F(HttpClientTest, CanBeDestroyedWithRequestsUnderWay) {
  script = [&](ScriptedOrigin&) {
    client.reset();
    loop.stop();
  };
  connect();
  ask({});
  ask({});
  loop.run();
  EXPECT_TRUE(results.empty());
}

TEST_F(HttpClientTest, CanBeDestroyedByItsCallback) {
  serve([](const HttpRequest&, HttpResponder responder) { responder.respond({}); });
  ask({}, [&] {
    client.reset();
    loop.stop();
  });
  ask({});
  loop.run();
  EXPECT_EQ(results, (std::vector<std::string>{"200 "}));
}

TEST_F(HttpClientTest, CanBeDestroyedByTheCallbackOfAFailure) {
  listener.reset();
  connect();
  ask({}, [&] {
    client.reset();
    loop.stop();
  });
  ask({});
  loop.run();
  EXPECT_EQ(results, (std::vector<std::string>{"http.connect-refused"}));
}

}  // namespace
}  // namespace verge::net

#include "net/http_server.h"

#include <gtest/gtest.h>

#include "net/listener.h"

namespace verge::net {
namespace {

using std::chrono::milliseconds;

// A client that sends bytes and collects what comes back.
struct RawClient final : StreamObserver {
  RawClient(runtime::Loop& on, const Address& address)
      : loop(on), stream(on, std::move(*Socket::connect(address)), *this) {}
  void on_bytes(std::string_view bytes) override {
    received.append(bytes);
    if (when_received) when_received();
  }
  void on_closed(std::string_view) override {
    closed = true;
    if (when_closed) when_closed();
  }
  runtime::Loop& loop;
  TcpStream stream;
  std::string received;
  bool closed = false;
  std::function<void()> when_received;
  std::function<void()> when_closed = [this] { loop.stop(); };
};

class HttpServerTest : public ::testing::Test {
 protected:
  void serve(const HttpServerLimits& limits, RequestReceiver receiver) {
    server = std::make_unique<HttpServer>(loop, limits, std::move(receiver));
    std::vector<Socket> sockets = *listen_on_loops(*Address::parse("127.0.0.1:0"), 1);
    address = Address::local_of(sockets[0].descriptor());
    listener = std::make_unique<TcpListener>(loop, std::move(sockets[0]),
                                             [this](Socket socket) { server->accept(std::move(socket)); });
    guard.after(std::chrono::seconds(10), [this] {
      ADD_FAILURE() << "too slow";
      loop.stop();
    });
  }
  // Echoes method, target and body.
  void serve(const HttpServerLimits& limits = {}) {
    serve(limits, [](const HttpRequest& request, HttpResponder responder) {
      const std::string body = fmt::format("{} {} {}", request.method, request.target, request.body.view());
      responder.respond({.content_type = "text/plain", .body = body});
    });
  }
  // Sends and collects until the server closes, one conversation after the other.
  std::vector<std::string> talk_all(const std::vector<std::string>& requests) {
    std::vector<std::string> answers;
    std::unique_ptr<RawClient> client;
    const std::function<void()> next = [&] {
      if (client) answers.push_back(without_dates(client->received));
      if (answers.size() == requests.size()) return loop.stop();
      client = std::make_unique<RawClient>(loop, address);
      client->when_closed = [&] { loop.post([&] { next(); }); };
      client->stream.write(requests[answers.size()]);
    };
    loop.post([&] { next(); });
    loop.run();
    answers.resize(requests.size());
    return answers;
  }
  std::string talk(const std::string& request) { return talk_all({request})[0]; }
  static std::string without_dates(std::string text) {
    for (size_t at = 0; (at = text.find("Date: ")) != std::string::npos;)
      text.erase(at, text.find("\r\n", at) + 2 - at);
    return text;
  }

  runtime::Loop loop{"test"};
  runtime::Timer guard{loop};
  Address address;
  std::unique_ptr<HttpServer> server;
  std::unique_ptr<TcpListener> listener;
};

std::string ok(std::string_view body, std::string_view connection = "") {
  return fmt::format("HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: {}\r\n{}\r\n{}", body.size(),
                     connection.empty() ? "" : fmt::format("Connection: {}\r\n", connection), body);
}

TEST_F(HttpServerTest, AnswersPipelinedRequestsInOrderAndThenCloses) {
  serve();
  EXPECT_EQ(talk("GET /1 HTTP/1.1\r\nHost: a\r\n\r\n"
                 "POST /2 HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\nabc"
                 "POST /3 HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nde\r\n1\r\nf\r\n0\r\n\r\n"
                 "GET /4 HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\nGET /5 HTTP/1.1\r\n"),
            ok("GET /1 ") + ok("POST /2 abc") + ok("POST /3 def") + ok("GET /4 ", "close"));
}

TEST_F(HttpServerTest, HasADate) {
  serve();
  RawClient client(loop, address);
  client.stream.write("GET / HTTP/1.0\r\n\r\n");
  loop.run();
  EXPECT_TRUE(client.received.contains(" GMT\r\n")) << client.received;
  EXPECT_EQ(http_date({784111777'000'000}), "Sun, 06 Nov 1994 08:49:37 GMT");
}

TEST_F(HttpServerTest, FollowsTheKeepAliveOfOldClients) {
  serve();
  EXPECT_EQ(talk("GET /1 HTTP/1.0\r\nConnection: keep-alive\r\n\r\nGET /2 HTTP/1.0\r\n\r\n"),
            ok("GET /1 ", "keep-alive") + ok("GET /2 ", "close"));
}

TEST_F(HttpServerTest, AnswersHeadWithoutABody) {
  serve();
  EXPECT_EQ(talk("HEAD /1 HTTP/1.1\r\nHost: a\r\n\r\nGET /2 HTTP/1.0\r\n\r\n"),
            "HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: 8\r\n\r\n" + ok("GET /2 ", "close"));
}

TEST_F(HttpServerTest, TakesARequestByteByByte) {
  serve();
  const std::string request =
      "POST /1 HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\nabc"
      "POST /2 HTTP/1.1\r\nHost: a\r\nConnection: close\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n";
  RawClient client(loop, address);
  size_t sent = 0;
  std::function<void()> next = [&] {
    if (sent == request.size()) return;
    client.stream.write(request.substr(sent++, 1));
    loop.post([&] { next(); });
  };
  loop.post([&] { next(); });
  loop.run();
  EXPECT_EQ(without_dates(client.received), ok("POST /1 abc") + ok("POST /2 abc", "close"));
}

TEST_F(HttpServerTest, RefusesWhatIsTooMuchAndLingers) {
  serve({.head = {.head_bytes_max = 200}, .body_bytes_max = 4, .linger = milliseconds(1)});
  const std::string post = "POST / HTTP/1.1\r\nHost: a\r\n";
  const std::pair<std::string, std::string> cases[] = {
      {post + "Content-Length: 5\r\n\r\n", "413 Content Too Large"},
      {post + "Content-Length: 5\r\nExpect: 100-continue\r\n\r\n", "413 Content Too Large"},
      {post + "Transfer-Encoding: chunked\r\n\r\n5\r\nabcde", "413 Content Too Large"},
      {post + "X: " + std::string(200, 'x'), "431 Request Header Fields Too Large"},
      {post + "Content-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n", "400 Bad Request"},
      {post + "Transfer-Encoding: chunked\r\n\r\nx", "400 Bad Request"},
      {post + "Expect: tea\r\n\r\n", "417 Expectation Failed"},
      {"CONNECT a:1 HTTP/1.1\r\nHost: a\r\n\r\n", "501 Not Implemented"},
      {"GET / HTTP/3.0\r\nHost: a\r\n\r\n", "505 HTTP Version Not Supported"},
  };
  std::vector<std::string> requests;
  for (const auto& [request, status] : cases) requests.push_back(request);
  const std::vector<std::string> answers = talk_all(requests);
  for (size_t i = 0; i < answers.size(); ++i) {
    EXPECT_TRUE(answers[i].starts_with("HTTP/1.1 " + cases[i].second + "\r\n")) << requests[i] << answers[i];
    EXPECT_TRUE(answers[i].contains("Connection: close\r\n")) << answers[i];
  }
}

TEST_F(HttpServerTest, TellsAWaitingClientToContinue) {
  serve();
  RawClient client(loop, address);
  client.stream.write(
      "POST / HTTP/1.1\r\nHost: a\r\nConnection: close\r\nExpect: 100-continue\r\nContent-Length: 3\r\n\r\n");
  client.when_received = [&] {
    if (client.received == "HTTP/1.1 100 Continue\r\n\r\n") client.stream.write("abc");
  };
  loop.run();
  EXPECT_EQ(without_dates(client.received), "HTTP/1.1 100 Continue\r\n\r\n" + ok("POST / abc", "close"));
}

// Admits up to four bytes at /short and a hundred at /long; nothing else.
std::optional<BodyLimit> admit_by_path(const HttpRequest& head, HttpResponder& responder) {
  if (head.path == "/short") return BodyLimit{.bytes_max = 4, .name = "short"};
  if (head.path == "/long") return BodyLimit{.bytes_max = 100, .name = "long"};
  responder.respond({.status = 401, .content_type = "text/plain", .fields = {}, .body = "no"});
  return std::nullopt;
}

TEST_F(HttpServerTest, RefusesByTheHeadWithoutReadingTheBody) {
  serve({.linger = milliseconds(1)});
  server->decide_by_head(admit_by_path);
  const std::string refused =
      "HTTP/1.1 401 Unauthorized\r\nContent-Type: text/plain\r\nContent-Length: 2\r\nConnection: close\r\n\r\nno";
  const std::string post = "POST / HTTP/1.1\r\nHost: a\r\n";
  // None of these bodies ever comes whole.
  for (const std::string& fields :
       {"Content-Length: 1000\r\n\r\n", "Content-Length: 1000\r\n\r\nabc", "Transfer-Encoding: chunked\r\n\r\n5\r\nab",
        "Expect: 100-continue\r\nContent-Length: 3\r\n\r\n",
        "Content-Length: 3\r\n\r\nabcGET /short HTTP/1.1\r\nHost: a\r\n\r\n"}) {
    EXPECT_EQ(talk(post + fields), refused) << fields;
  }
  EXPECT_EQ(talk("GET / HTTP/1.1\r\nHost: a\r\n\r\n"
                 "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\n\r\nGET /short HTTP/1.0\r\n\r\n"),
            "HTTP/1.1 401 Unauthorized\r\nContent-Type: text/plain\r\nContent-Length: 2\r\n\r\nno"
            "HTTP/1.1 401 Unauthorized\r\nContent-Type: text/plain\r\nContent-Length: 2\r\n\r\nno" +
                ok("GET /short ", "close"))
      << "where there is no body, the connection goes on";
}

TEST_F(HttpServerTest, TakesTheLimitOfABodyFromItsHead) {
  serve({.body_bytes_max = 1, .linger = milliseconds(1)});
  server->decide_by_head(admit_by_path);
  const auto post = [](std::string_view path, std::string_view rest) {
    return fmt::format("POST {} HTTP/1.1\r\nHost: a\r\nConnection: close\r\n{}", path, rest);
  };
  EXPECT_EQ(talk(post("/long", "Content-Length: 5\r\n\r\nabcde")), ok("POST /long abcde", "close"));
  for (const std::string& rest : {"Content-Length: 5\r\n\r\n", "Transfer-Encoding: chunked\r\n\r\n5\r\nabcde",
                                  "Expect: 100-continue\r\nContent-Length: 5\r\n\r\n"}) {
    const std::string answer = talk(post("/short", rest));
    EXPECT_TRUE(answer.starts_with("HTTP/1.1 413 Content Too Large\r\n")) << answer;
    EXPECT_TRUE(answer.contains("more than 4 bytes (short)") && answer.contains("\"http.too-large\"")) << answer;
  }
  EXPECT_EQ(talk(post("/short", "Transfer-Encoding: chunked\r\n\r\n4\r\nabcd\r\n0\r\n\r\n")),
            ok("POST /short abcd", "close"));
}

TEST_F(HttpServerTest, DoesNotWaitForSlowClients) {
  serve({.head_timeout = milliseconds(5),
         .body_timeout = milliseconds(5),
         .idle_timeout = milliseconds(5),
         .linger = milliseconds(1)});
  const std::vector<std::string> answers =
      talk_all({"", "GET / HT", "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\na",
                "GET / HTTP/1.1\r\nHost: a\r\n\r\n"});
  EXPECT_EQ(answers[0], "");
  EXPECT_TRUE(answers[1].starts_with("HTTP/1.1 408 ")) << answers[1];
  EXPECT_TRUE(answers[2].starts_with("HTTP/1.1 408 ")) << answers[2];
  EXPECT_EQ(answers[3], ok("GET / "));
}

TEST_F(HttpServerTest, RefusesConnectionsAboveTheLimit) {
  serve({.connections_max = 1, .linger = milliseconds(1)});
  RawClient first(loop, address);
  std::unique_ptr<RawClient> second;
  first.stream.write("GET / HTTP/1.1\r\nHost: a\r\n\r\n");
  first.when_received = [&] { second = std::make_unique<RawClient>(loop, address); };
  loop.run();
  EXPECT_FALSE(first.closed);
  ASSERT_TRUE(second && second->closed);
  EXPECT_TRUE(second->received.starts_with("HTTP/1.1 503 Service Unavailable\r\n")) << second->received;
}

TEST_F(HttpServerTest, DrainsByClosingTheIdleAndWaitingForTheBusy) {
  HttpResponder kept;
  serve({}, [&](const HttpRequest& request, HttpResponder responder) {
    if (request.path == "/busy") {
      kept = std::move(responder);
    } else {
      responder.respond({});
    }
  });
  RawClient idle(loop, address);
  RawClient busy(loop, address);
  bool drained = false;
  idle.stream.write("GET / HTTP/1.1\r\nHost: a\r\n\r\n");
  idle.when_received = [&] { busy.stream.write("GET /busy HTTP/1.1\r\nHost: a\r\n\r\n"); };
  const std::function<void()> step = [&] {
    if (!kept.is_open()) return loop.post(step);
    idle.when_closed = [&] {
      EXPECT_EQ(server->connections(), 1U);
      kept.respond({.body = "done"});
    };
    server->drain([&] {
      drained = true;
      EXPECT_TRUE(idle.closed);
      server.reset();
    });
  };
  loop.post(step);
  loop.run();
  EXPECT_TRUE(drained);
  EXPECT_TRUE(busy.received.contains("Connection: close\r\n") && busy.received.ends_with("done")) << busy.received;
}

TEST_F(HttpServerTest, DoesNotDrainForeverForRequestsThatAreNotWhole) {
  serve({.drain_grace = milliseconds(50)});
  RawClient head(loop, address);
  RawClient body(loop, address);
  RawClient idle(loop, address);
  bool drained = false;
  head.stream.write("GET / HT");
  body.stream.write("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 30\r\n\r\na");
  idle.stream.write("GET / HTTP/1.1\r\nHost: a\r\n\r\n");
  runtime::Timer trickle(loop);
  const std::function<void()> more = [&] {
    if (body.stream.is_open()) body.stream.write("a");
    trickle.after(milliseconds(20), more);
  };
  idle.when_received = [&] {
    more();
    server->drain([&] {
      drained = true;
      loop.stop();
    });
  };
  head.when_closed = body.when_closed = idle.when_closed = [] {};
  loop.run();
  EXPECT_TRUE(drained);
  EXPECT_EQ(server->connections(), 0U);
}

TEST_F(HttpServerTest, CutsOffWhoDoesNotEnd) {
  std::vector<HttpResponder> kept;
  serve({}, [&](const HttpRequest&, HttpResponder responder) { kept.push_back(std::move(responder)); });
  RawClient busy(loop, address);
  busy.stream.write("GET / HTTP/1.1\r\nHost: a\r\n\r\n");
  busy.when_closed = [] {};
  bool drained = false;
  const std::function<void()> step = [&] {
    if (kept.empty()) return loop.post(step);
    server->drain([&] {
      drained = true;
      loop.stop();
    });
    server->cut_off();
  };
  loop.post(step);
  loop.run();
  EXPECT_TRUE(drained);
  EXPECT_FALSE(kept[0].is_open());
}

TEST_F(HttpServerTest, BodiesOfAllConnectionsAreBounded) {
  serve({.body_bytes_max = 1000, .bodies_bytes_max = 1500, .linger = milliseconds(1)});
  const auto begin_of_body =
      "POST / HTTP/1.1\r\nHost: a\r\nConnection: close\r\nContent-Length: 1000\r\n\r\n" + std::string(999, 'x');
  RawClient first(loop, address);
  RawClient second(loop, address);
  first.stream.write(begin_of_body);
  second.stream.write(begin_of_body);
  size_t closed = 0;
  first.when_closed = second.when_closed = [&] {
    if (++closed == 2) return loop.stop();
    (first.closed ? second : first).stream.write("x");
  };
  loop.run();
  const bool first_was_taken = first.received.starts_with("HTTP/1.1 200 ");
  const std::string& taken = first_was_taken ? first.received : second.received;
  const std::string& refused = first_was_taken ? second.received : first.received;
  EXPECT_TRUE(taken.starts_with("HTTP/1.1 200 ")) << taken;
  EXPECT_TRUE(refused.starts_with("HTTP/1.1 503 ") && refused.contains("Retry-After: 1\r\n")) << refused;
  EXPECT_TRUE(talk(begin_of_body + "x").starts_with("HTTP/1.1 200 ")) << "what they took is given back";
}

TEST_F(HttpServerTest, BodiesOfOneSenderAreBounded) {
  serve({.body_bytes_max = 1000, .bodies_bytes_max = 5000, .sender_bodies_bytes_max = 1500, .linger = milliseconds(1)});
  const auto begin_of_body =
      "POST / HTTP/1.1\r\nHost: a\r\nConnection: close\r\nContent-Length: 1000\r\n\r\n" + std::string(999, 'x');
  RawClient first(loop, address);
  RawClient second(loop, address);
  first.stream.write(begin_of_body);
  second.stream.write(begin_of_body);
  first.when_closed = second.when_closed = [&] { loop.stop(); };
  loop.run();
  const std::string& refused = first.closed ? first.received : second.received;
  EXPECT_TRUE(refused.starts_with("HTTP/1.1 503 ") && refused.contains("from this address")) << refused;
}

TEST_F(HttpServerTest, AnswersLaterInOrderAndHoldsWhatIsPipelined) {
  std::vector<HttpResponder> waiting;
  std::vector<std::string> asked;
  serve({.pipelined_bytes_max = 16}, [&](const HttpRequest& request, HttpResponder responder) {
    asked.emplace_back(request.path);
    waiting.push_back(std::move(responder));
    loop.post([&] {
      HttpResponder last = std::move(waiting.back());
      last.respond({.content_type = "text/plain", .body = asked.back()});
    });
  });
  std::string requests;
  std::string answers;
  for (int i = 0; i < 50; ++i) {
    requests += fmt::format("GET /{} HTTP/1.1\r\nHost: a\r\n\r\n", i);
    answers += ok(fmt::format("/{}", i));
  }
  EXPECT_EQ(talk(requests + "GET /x HTTP/1.0\r\n\r\n"), answers + ok("/x", "close"));
  EXPECT_EQ(asked.size(), 51U);
}

TEST_F(HttpServerTest, ADroppedResponderAnswers500AndABadFieldToo) {
  serve({}, [](const HttpRequest& request, HttpResponder responder) {
    if (request.path == "/bad") responder.respond({.fields = {{"X", "a\r\nSet-Cookie: b"}}});
  });
  const std::vector<std::string> answers = talk_all({"GET / HTTP/1.0\r\n\r\n", "GET /bad HTTP/1.0\r\n\r\n"});
  EXPECT_TRUE(answers[0].starts_with("HTTP/1.1 500 Internal Server Error\r\n")) << answers[0];
  EXPECT_TRUE(answers[1].starts_with("HTTP/1.1 500 ") && !answers[1].contains("Cookie")) << answers[1];
}

TEST_F(HttpServerTest, Streams) {
  HttpResponder kept;
  serve({}, [&](const HttpRequest&, HttpResponder responder) {
    kept = std::move(responder);
    kept.start_stream({.content_type = "text/plain", .body = "first "});
    loop.post([&] {
      kept.write("second");
      kept.finish();
    });
  });
  const std::string head = "HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\n";
  const std::vector<std::string> answers = talk_all(
      {"GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n", "GET / HTTP/1.0\r\n\r\n", "HEAD / HTTP/1.0\r\n\r\n"});
  EXPECT_EQ(answers[0], head +
                            "Transfer-Encoding: chunked\r\nConnection: close\r\n\r\n"
                            "6\r\nfirst \r\n6\r\nsecond\r\n0\r\n\r\n");
  EXPECT_EQ(answers[1], head + "Connection: close\r\n\r\nfirst second");
  EXPECT_EQ(answers[2], head + "Connection: close\r\n\r\n");
}

TEST_F(HttpServerTest, AStreamFollowsThePaceOfItsClient) {
  constexpr size_t kBytes = 8U << 20;
  const std::string piece(64U << 10, 'x');
  HttpResponder kept;
  size_t written = 0;
  size_t queued_max = 0;
  const std::function<void()> fill = [&] {
    while (written < kBytes && kept.queued_bytes() < (256U << 10)) {
      kept.write(piece);
      written += piece.size();
      queued_max = std::max(queued_max, kept.queued_bytes());
    }
    if (written == kBytes) kept.finish();
  };
  serve({}, [&](const HttpRequest&, HttpResponder responder) {
    kept = std::move(responder);
    kept.start_stream({});
    kept.when_drained(fill);
    fill();
  });
  const std::string answer = talk("GET / HTTP/1.0\r\n\r\n");
  EXPECT_EQ(answer.size() - answer.find("\r\n\r\n") - 4, kBytes);
  EXPECT_LT(queued_max, 512U << 10);
}

TEST_F(HttpServerTest, AResponderOutlivesItsConnection) {
  HttpResponder kept;
  int closed = 0;
  RawClient* client = nullptr;
  serve({}, [&](const HttpRequest&, HttpResponder responder) {
    kept = std::move(responder);
    kept.when_closed([&] {
      ++closed;
      loop.stop();
    });
    client->stream.close();
  });
  {
    RawClient first(loop, address);
    client = &first;
    first.stream.write("GET / HTTP/1.1\r\nHost: a\r\n\r\n");
    loop.run();
  }
  EXPECT_EQ(closed, 1);
  EXPECT_FALSE(kept.is_open());
  kept.respond({});
}

}  // namespace
}  // namespace verge::net

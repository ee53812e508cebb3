// For tests of UpstreamPool: origins over real sockets that do what the test says, and observers that write down what
// became of their calls. Callbacks are copied before they run, so that they may replace themselves.
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include <fmt/format.h>
#include <gtest/gtest.h>

#include "net/http_server.h"
#include "net/http_upstream.h"
#include "net/listener.h"

namespace verge::net {

// An origin that does with each connection what the test says.
struct Origin final : StreamObserver {
  Origin(runtime::Loop& loop, Socket socket, std::function<void(Origin&)> on_request)
      : react(std::move(on_request)), stream(loop, std::move(socket), *this) {}
  void on_bytes(std::string_view bytes) override {
    received.append(bytes);
    if (const std::function<void(Origin&)> then = react) then(*this);
  }
  void on_closed(std::string_view) override {
    closed = true;
    if (const std::function<void()> then = when_closed) then();
  }
  void on_drained() override {
    if (const std::function<void()> then = when_drained) then();
  }
  std::function<void(Origin&)> react;
  std::function<void()> when_closed;
  std::function<void()> when_drained;
  std::string received;
  bool closed = false;
  TcpStream stream;
};

// Writes down what becomes of a call: "103 | 200 length 4 | body | end".
struct Asker final : UpstreamObserver {
  void on_interim(const ResponseHead& head) override { note(fmt::format("{}", head.status)); }
  void on_head(const ResponseHead& head, const BodyFraming& framing) override {
    static constexpr const char* kKinds[] = {"none", "length", "chunked", "until close"};
    note(fmt::format("{} {}", head.status, kKinds[static_cast<size_t>(framing.kind)]));
    if (const std::function<void()> then = when_head) then();
  }
  void on_body(std::string_view piece) override {
    body.append(piece);
    if (const std::function<void()> then = when_body) then();
  }
  void on_end(std::span<const HttpField> trailers) override {
    note(body);
    for (const HttpField& field : trailers) note(fmt::format("{}={}", field.name, field.value));
    note("end");
    over();
  }
  void on_failed(const Error& error) override {
    if (!body.empty()) note(body);
    note(error.code);
    over();
  }
  void on_request_drained() override {
    if (const std::function<void()> then = when_drained) then();
  }
  void note(std::string_view text) { story += (story.empty() ? "" : " | ") + std::string(text); }
  void over() {
    is_over = true;
    if (const std::function<void()> then = when_over) then();
  }
  std::unique_ptr<UpstreamCall> call;
  std::string story;
  std::string body;
  bool is_over = false;
  std::function<void()> when_head;
  std::function<void()> when_body;
  std::function<void()> when_drained;
  std::function<void()> when_over;
};

class UpstreamTest : public ::testing::Test {
 protected:
  void SetUp() override {
    std::vector<Socket> sockets = *listen_on_loops(*Address::parse("127.0.0.1:0"), 1);
    address = Address::local_of(sockets[0].descriptor());
    listener = std::make_unique<TcpListener>(loop, std::move(sockets[0]), [this](Socket socket) {
      ++connections;
      if (server) return server->accept(std::move(socket));
      origins.push_back(std::make_unique<Origin>(loop, std::move(socket), script));
    });
    guard.after(std::chrono::seconds(20), [this] {
      ADD_FAILURE() << "too slow";
      loop.stop();
    });
  }
  void open(const UpstreamLimits& limits = {}) { pool = std::make_unique<UpstreamPool>(loop, address, limits); }
  Asker& ask(UpstreamRequest request = {}) {
    request.authority = "origin";
    askers.push_back(std::make_unique<Asker>());
    Asker& asker = *askers.back();
    asker.when_over = [this] {
      if (++over == askers.size()) loop.stop();
    };
    asker.call = pool->begin(request, asker);
    EXPECT_FALSE(asker.is_over) << "not from within begin()";
    return asker;
  }
  // Answers each request on a connection with the next of these.
  void answer_with(const std::vector<std::string>& answers) {
    script = [this, answers](Origin& origin) {
      if (!origin.received.ends_with("\r\n\r\n")) return;
      const std::string& answer = answers[asked++ % answers.size()];
      if (answer.empty()) return origin.stream.close();
      origin.stream.write(answer);
      if (answer.starts_with("HTTP/1.0")) origin.stream.close_when_drained();
    };
  }
  // What becomes of one request that is answered so.
  std::string story_of(const std::string& answer, const UpstreamRequest& request = {}, bool closes = true) {
    script = [answer, closes](Origin& origin) {
      origin.stream.write(answer);
      if (closes) origin.stream.close_when_drained();
    };
    open({.head = {.head_bytes_max = 512}});
    Asker& asker = ask(request);
    loop.run();
    asker.call.reset();
    return asker.story;
  }
  void serve(RequestReceiver receiver) { server = std::make_unique<HttpServer>(loop, HttpServerLimits{}, receiver); }

  runtime::Loop loop{"test"};
  runtime::Timer guard{loop};
  Address address;
  std::function<void(Origin&)> script;
  std::vector<std::unique_ptr<Origin>> origins;
  std::unique_ptr<HttpServer> server;
  std::unique_ptr<TcpListener> listener;
  std::unique_ptr<UpstreamPool> pool;
  std::vector<std::unique_ptr<Asker>> askers;
  int connections = 0;
  size_t over = 0;
  size_t asked = 0;
};

inline const std::string kNothing = "HTTP/1.1 204 No Content\r\n\r\n";
inline const std::string kChunked = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n";

}  // namespace verge::net

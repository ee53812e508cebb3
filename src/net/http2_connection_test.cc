// HTTP/2 as a client of libnghttp2 sees it, and what such a client would not send, as bytes.
#include "net/http2_connection.h"

#include <deque>
#include <map>

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <nghttp2/nghttp2.h>

#include "net/http_server.h"
#include "net/listener.h"

namespace verge::net {
namespace {

using std::chrono::milliseconds;
using testing::HasSubstr;
using Fields = std::vector<std::pair<std::string, std::string>>;
using Kind = BodyFraming::Kind;

struct Answer {
  std::string status;
  Fields fields;
  std::vector<std::string> interim;
  std::string body;
  Fields trailers;
  bool ended = false;              // END_STREAM
  std::optional<uint32_t> closed;  // with that error code

  [[nodiscard]] std::string field(const std::string& name) const {
    for (const auto& [key, value] : fields) {
      if (key == name) return value;
    }
    return "none";
  }
};

// A client that speaks through libnghttp2; it takes no more of a body than its windows allow.
class Client final : public StreamObserver {
 public:
  Client(runtime::Loop& loop, const Address& address, uint32_t window = 1U << 20)
      : stream_(loop, std::move(*Socket::connect(address)), *this) {
    nghttp2_session_callbacks* callbacks = nullptr;
    nghttp2_session_callbacks_new(&callbacks);
    nghttp2_session_callbacks_set_on_header_callback(callbacks, &on_header);
    nghttp2_session_callbacks_set_on_begin_headers_callback(callbacks, &on_begin_headers);
    nghttp2_session_callbacks_set_on_frame_recv_callback(callbacks, &on_frame);
    nghttp2_session_callbacks_set_on_data_chunk_recv_callback(callbacks, &on_data);
    nghttp2_session_callbacks_set_on_stream_close_callback(callbacks, &on_close);
    nghttp2_option* options = nullptr;
    nghttp2_option_new(&options);
    nghttp2_option_set_peer_max_concurrent_streams(options, 10'000);
    nghttp2_option_set_no_http_messaging(options, 1);  // faults are to reach the server
    nghttp2_session_client_new2(&session_, callbacks, this, options);
    nghttp2_option_del(options);
    nghttp2_session_callbacks_del(callbacks);
    const nghttp2_settings_entry settings[] = {{NGHTTP2_SETTINGS_INITIAL_WINDOW_SIZE, window}};
    nghttp2_submit_settings(session_, NGHTTP2_FLAG_NONE, settings, 1);
  }
  ~Client() override { nghttp2_session_del(session_); }

  static Fields get(const std::string& path = "/") {
    return {{":method", "GET"}, {":scheme", "http"}, {":authority", "a.test"}, {":path", path}};
  }
  static Fields post(const std::string& path = "/") {
    return {{":method", "POST"}, {":scheme", "http"}, {":authority", "a.test"}, {":path", path}};
  }

  int32_t ask(const Fields& fields) { return submit(fields, nullptr); }
  // The body comes in one, or stays open when `body` is null.
  int32_t ask(const Fields& fields, std::optional<std::string> body) {
    bodies_.push_back({.text = body.value_or(""), .open = !body.has_value()});
    const nghttp2_data_provider provider{.source = {.ptr = &bodies_.back()}, .read_callback = &read};
    return submit(fields, &provider);
  }
  void reset(int32_t id, uint32_t code = NGHTTP2_CANCEL) {
    nghttp2_submit_rst_stream(session_, NGHTTP2_FLAG_NONE, id, code);
  }
  // What libnghttp2 would not send.
  void send_bytes(std::string_view bytes) {
    send();
    stream_.write(bytes);
  }
  void send() {
    const uint8_t* bytes = nullptr;
    ssize_t size = 0;
    while ((size = nghttp2_session_mem_send(session_, &bytes)) > 0) {
      stream_.write({reinterpret_cast<const char*>(bytes), static_cast<size_t>(size)});
    }
  }
  nghttp2_session* session() { return session_; }
  TcpStream& stream() { return stream_; }

  std::map<int32_t, Answer> answers;
  std::optional<uint32_t> goaway;
  bool closed = false;
  int pongs = 0;
  size_t closed_streams = 0;
  std::function<void()> when_received;
  std::function<void()> when_closed;

 private:
  struct Body {
    std::string text;
    bool open = false;
  };
  static Client& self(void* user) { return *static_cast<Client*>(user); }
  int32_t submit(const Fields& fields, const nghttp2_data_provider* body) {
    std::vector<nghttp2_nv> pairs;
    for (const auto& [name, value] : fields) {
      pairs.push_back({.name = reinterpret_cast<uint8_t*>(const_cast<char*>(name.data())),
                       .value = reinterpret_cast<uint8_t*>(const_cast<char*>(value.data())),
                       .namelen = name.size(),
                       .valuelen = value.size(),
                       .flags = NGHTTP2_NV_FLAG_NO_COPY_NAME});  // else it would make it lower case
    }
    const int32_t id = nghttp2_submit_request(session_, nullptr, pairs.data(), pairs.size(), body, nullptr);
    send();
    return id;
  }
  static ssize_t read(nghttp2_session*, int32_t, uint8_t* room, size_t most, uint32_t* flags,
                      nghttp2_data_source* source, void*) {
    Body& body = *static_cast<Body*>(source->ptr);
    const size_t size = body.text.copy(reinterpret_cast<char*>(room), most);
    body.text.erase(0, size);
    if (body.text.empty() && body.open && size == 0) return NGHTTP2_ERR_DEFERRED;
    if (body.text.empty() && !body.open) *flags |= NGHTTP2_DATA_FLAG_EOF;
    return static_cast<ssize_t>(size);
  }
  static int on_begin_headers(nghttp2_session*, const nghttp2_frame* frame, void* user) {
    Answer& answer = self(user).answers[frame->hd.stream_id];
    if (!answer.status.empty() && answer.status[0] == '1') {
      answer.interim.push_back(answer.status);
      for (const auto& [name, value] : answer.fields) answer.interim.push_back(name + ": " + value);
      answer.fields.clear();
      answer.status.clear();
    }
    return 0;
  }
  static int on_header(nghttp2_session*, const nghttp2_frame* frame, const uint8_t* name, size_t name_size,
                       const uint8_t* value, size_t value_size, uint8_t, void* user) {
    Answer& answer = self(user).answers[frame->hd.stream_id];
    const std::string key(reinterpret_cast<const char*>(name), name_size);
    const std::string text(reinterpret_cast<const char*>(value), value_size);
    if (key == ":status") {
      answer.status = text;
    } else if (answer.body.empty()) {
      answer.fields.emplace_back(key, text);
    } else {
      answer.trailers.emplace_back(key, text);
    }
    return 0;
  }
  static int on_frame(nghttp2_session*, const nghttp2_frame* frame, void* user) {
    if (frame->hd.type == NGHTTP2_GOAWAY) self(user).goaway = frame->goaway.error_code;
    if (frame->hd.type == NGHTTP2_PING) ++self(user).pongs;
    const bool may_end = frame->hd.type == NGHTTP2_HEADERS || frame->hd.type == NGHTTP2_DATA;
    if (may_end && (frame->hd.flags & NGHTTP2_FLAG_END_STREAM) != 0)
      self(user).answers[frame->hd.stream_id].ended = true;
    return 0;
  }
  static int on_data(nghttp2_session*, uint8_t, int32_t id, const uint8_t* bytes, size_t size, void* user) {
    self(user).answers[id].body.append(reinterpret_cast<const char*>(bytes), size);
    return 0;
  }
  static int on_close(nghttp2_session*, int32_t id, uint32_t code, void* user) {
    self(user).answers[id].closed = code;
    ++self(user).closed_streams;
    return 0;
  }
  void on_bytes(std::string_view bytes) override {
    nghttp2_session_mem_recv(session_, reinterpret_cast<const uint8_t*>(bytes.data()), bytes.size());
    if (stream_.is_open()) send();
    if (when_received) when_received();
  }
  void on_closed(std::string_view) override {
    closed = true;
    if (when_closed) when_closed();
    if (when_received) when_received();
  }

  TcpStream stream_;
  nghttp2_session* session_ = nullptr;
  std::deque<Body> bodies_;
};

class Http2Test : public ::testing::Test {
 protected:
  void SetUp() override {
    std::vector<Socket> sockets = *listen_on_loops(*Address::parse("127.0.0.1:0"), 1);
    address = Address::local_of(sockets[0].descriptor());
    listener = std::make_unique<TcpListener>(loop, std::move(sockets[0]),
                                             [this](Socket socket) { server->accept(std::move(socket)); });
    guard.after(std::chrono::seconds(30), [this] {
      ADD_FAILURE() << "too slow";
      loop.stop();
    });
  }
  void serve(RequestReceiver receiver, const HttpServerLimits& limits = {}) {
    server = std::make_unique<HttpServer>(loop, limits, std::move(receiver));
    client = std::make_unique<Client>(loop, address);
  }
  // Echoes what it was asked.
  void serve_echo(const HttpServerLimits& limits = {}) {
    serve(
        [](const HttpRequest& request, HttpResponder responder) {
          std::string text = fmt::format("{} {} {}", request.method, request.target, request.host);
          for (const HttpField& field : request.fields) text += fmt::format("|{}: {}", field.name, field.value);
          text += fmt::format("|{}", request.body.view());
          responder.respond({.content_type = "text/plain", .fields = {{"X-Name", " v "}}, .body = text});
        },
        limits);
  }
  void run_until(const std::function<bool()>& done) {
    client->when_received = [this, done] {
      if (done()) loop.stop();
    };
    loop.run();
    client->when_received = {};
  }
  // Until so many streams are over.
  void run_for(size_t streams) {
    run_until([this, streams] { return client->closed_streams >= streams || client->closed; });
  }
  void run_until_closed() {
    run_until([this] { return client->closed; });
  }
  Answer ask(const Fields& fields) {
    const size_t before = client->closed_streams;
    const int32_t id = client->ask(fields);
    run_for(before + 1);
    return client->answers[id];
  }

  runtime::Loop loop{"test"};
  runtime::Timer guard{loop};
  Address address;
  std::unique_ptr<TcpListener> listener;
  std::unique_ptr<HttpServer> server;
  std::unique_ptr<Client> client;
};

std::string frame(uint8_t type, uint8_t flags, uint32_t id, std::string_view payload) {
  std::string bytes;
  for (const int shift : {16, 8, 0}) bytes.push_back(static_cast<char>(payload.size() >> shift));
  bytes.push_back(static_cast<char>(type));
  bytes.push_back(static_cast<char>(flags));
  for (const int shift : {24, 16, 8, 0}) bytes.push_back(static_cast<char>(id >> shift));
  return bytes.append(payload);
}

TEST_F(Http2Test, AnswersLikeHttp1) {
  serve_echo();
  Fields fields = Client::get("/a?b=c");
  fields.insert(fields.end(), {{"x-a", "1"}, {"cookie", "a=1"}, {"x-b", "2"}, {"cookie", "b=2"}, {"te", "trailers"}});
  const Answer answer = ask(fields);
  EXPECT_EQ(answer.status, "200");
  EXPECT_EQ(answer.field("content-type"), "text/plain");
  EXPECT_EQ(answer.field("x-name"), "v");
  EXPECT_NE(answer.field("date"), "none");
  EXPECT_EQ(answer.field("content-length"), std::to_string(answer.body.size()));
  EXPECT_EQ(answer.body, "GET /a?b=c a.test|host: a.test|x-a: 1|cookie: a=1; b=2|x-b: 2|te: trailers|");
  EXPECT_EQ(answer.closed, NGHTTP2_NO_ERROR);
}

TEST_F(Http2Test, HeadHasNoBody) {
  serve_echo();
  Fields fields = Client::get();
  fields[0].second = "HEAD";
  const Answer answer = ask(fields);
  EXPECT_EQ(answer.status, "200");
  EXPECT_EQ(answer.body, "");
  EXPECT_NE(answer.field("content-length"), "none");
}

TEST_F(Http2Test, TakesBodiesOfAnySize) {
  serve([](const HttpRequest& request,
           HttpResponder responder) { responder.respond({.body = std::to_string(request.body.size())}); },
        {.body_bytes_max = 20U << 20});
  for (const size_t size : {size_t{0}, size_t{1}, size_t{100'000}, size_t{10} << 20}) {
    client->ask(Client::post(), std::string(size, 'x'));
  }
  run_for(4);
  EXPECT_EQ(client->answers[1].body, "0");
  EXPECT_EQ(client->answers[3].body, "1");
  EXPECT_EQ(client->answers[5].body, "100000");
  EXPECT_EQ(client->answers[7].body, "10485760");
}

TEST_F(Http2Test, ManyStreamsAtOnce) {
  std::vector<HttpResponder> waiting;
  size_t most = 0;
  serve([&](const HttpRequest&, HttpResponder responder) {
    waiting.push_back(std::move(responder));
    most = std::max(most, waiting.size());
    if (waiting.size() == 1) {
      loop.post([&] {
        for (HttpResponder& each : waiting) each.respond({.body = "x"});
        waiting.clear();
      });
    }
  });
  for (int i = 0; i < 450; ++i) client->ask(Client::get());
  run_for(450);
  size_t good = 0, refused = 0;
  for (const auto& [id, answer] : client->answers) {
    good += answer.body == "x" ? 1 : 0;
    refused += answer.closed == NGHTTP2_REFUSED_STREAM ? 1 : 0;
  }
  EXPECT_EQ(good + refused, 450U);
  EXPECT_GE(good, 100U);
  EXPECT_LE(most, 100U);
}

TEST_F(Http2Test, APayloadGoesOutAsTheWindowsAllow) {
  std::string bytes(10U << 20, '\0');
  for (size_t i = 0; i < bytes.size(); ++i) bytes[i] = static_cast<char>(i * 2654435761U >> 24);
  const Payload payload(bytes);
  serve([&](const HttpRequest& request, HttpResponder responder) {
    if (request.path == "/part") {
      return responder.respond_prepared("HTTP/1.1 206 Partial Content\r\nX-A:  b\r\nContent-Length: 5000\r\n", payload,
                                        77, 5000);
    }
    responder.respond_prepared(fmt::format("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n", payload.size()), payload, 0,
                               payload.size());
  });
  for (const uint32_t window : {1U << 20, 65'535U, 1000U}) {
    client = std::make_unique<Client>(loop, address, window);
    const int32_t whole = client->ask(Client::get());
    const int32_t part = client->ask(Client::get("/part"));
    run_for(2);
    EXPECT_EQ(client->answers[whole].status, "200");
    EXPECT_EQ(client->answers[whole].body, bytes) << window;
    EXPECT_EQ(client->answers[part].status, "206");
    EXPECT_EQ(client->answers[part].field("x-a"), "b");
    EXPECT_EQ(client->answers[part].body, bytes.substr(77, 5000));
  }
}

TEST_F(Http2Test, WhatTheKernelTakesAtOnceGoesOn) {
  const Payload payload(std::string(300U << 10, 'x'));
  serve([&](const HttpRequest&,
            HttpResponder responder) { responder.respond_prepared("HTTP/1.1 200 OK\r\n", payload, 0, payload.size()); },
        {.output_bytes_max = 20'000});
  EXPECT_EQ(ask(Client::get()).body.size(), payload.size());
}

TEST_F(Http2Test, AStreamedAnswerWaitsForItsClient) {
  constexpr size_t kBytes = 8U << 20;
  const Payload piece(std::string(32U << 10, 'p'));
  HttpResponder kept;
  size_t written = 0, queued_max = 0;
  const std::function<void()> fill = [&] {
    while (written < kBytes && kept.queued_bytes() < (256U << 10)) {
      kept.write(piece, 0, piece.size());
      kept.write("!");
      written += piece.size() + 1;
      queued_max = std::max(queued_max, kept.queued_bytes());
    }
    if (written >= kBytes) kept.finish(std::vector<HttpField>{{"X-Sum", "7"}, {"Connection", "close"}});
  };
  serve([&](const HttpRequest&, HttpResponder responder) {
    kept = std::move(responder);
    const std::vector<HttpField> hints = {{"Link", "</a.css>"}};
    kept.send_interim(103, hints);
    const std::vector<HttpField> fields = {{"X-A", "1"}, {"Connection", "close"}, {"Transfer-Encoding", "chunked"}};
    kept.start({.fields = fields}, {.kind = Kind::kChunked});
    kept.when_drained(fill);
    fill();
  });
  const Answer answer = ask(Client::get());
  EXPECT_EQ(answer.interim, (std::vector<std::string>{"103", "link: </a.css>"}));
  EXPECT_EQ(answer.field("x-a"), "1");
  EXPECT_EQ(answer.field("connection"), "none");
  EXPECT_EQ(answer.field("transfer-encoding"), "none");
  EXPECT_EQ(answer.field("content-length"), "none");
  EXPECT_EQ(answer.body.size(), written);
  EXPECT_EQ(answer.trailers, (Fields{{"x-sum", "7"}}));
  EXPECT_LE(queued_max, (256U << 10) + piece.size() + 1);
}

TEST_F(Http2Test, APartOfAnAnswerBreaksItsStreamOnly) {
  HttpResponder kept;
  serve([&](const HttpRequest& request, HttpResponder responder) {
    if (request.path == "/whole") return responder.respond({.body = "whole"});
    if (request.path == "/none") return;
    kept = std::move(responder);
    kept.start({}, {.kind = Kind::kLength, .length = 9});
    kept.write("half");
    if (request.path == "/short") return kept.finish();
    kept = {};
  });
  for (const char* path : {"/dropped", "/short"}) {
    EXPECT_EQ(ask(Client::get(path)).closed, NGHTTP2_INTERNAL_ERROR) << path;
  }
  EXPECT_EQ(ask(Client::get("/none")).status, "500");
  EXPECT_EQ(ask(Client::get("/whole")).body, "whole");
}

TEST_F(Http2Test, ACancelledStreamEndsItsExchange) {
  std::vector<HttpResponder> kept;
  int gone = 0;
  serve([&](const HttpRequest& request, HttpResponder responder) {
    if (request.path == "/after") return responder.respond({.body = "after"});
    kept.push_back(std::move(responder));
    kept.back().when_closed([&] {
      if (++gone == 2) loop.stop();
    });
    if (request.path == "/streaming") {
      kept.back().start({}, {.kind = Kind::kChunked});
      kept.back().write("a");
    }
    if (kept.size() < 2) return;
    loop.post([&] {
      for (const int32_t id : {1, 3}) client->reset(id);
      client->send();
    });
  });
  client->ask(Client::get("/waiting"));
  client->ask(Client::get("/streaming"));
  loop.run();
  EXPECT_EQ(ask(Client::get("/after")).body, "after");
  EXPECT_EQ(gone, 2);
  for (HttpResponder& each : kept) EXPECT_FALSE(each.is_open());
  kept[0].respond({.body = "nobody hears it"});
  kept[1].write("nor this");
  kept[1].finish();
  EXPECT_EQ(ask(Client::get("/after")).body, "after");
}

TEST_F(Http2Test, TheEndOfTheConnectionEndsAllExchanges) {
  HttpResponder kept;
  bool gone = false;
  serve([&](const HttpRequest&, HttpResponder responder) {
    kept = std::move(responder);
    kept.when_closed([&] {
      gone = true;
      loop.stop();
    });
    loop.post([&] { client->stream().close(); });
  });
  client->ask(Client::get());
  loop.run();
  EXPECT_TRUE(gone && !kept.is_open());
  kept.respond({});
}

TEST_F(Http2Test, FaultsOfOneRequestAreAnswered) {
  serve_echo({.head = {.head_bytes_max = 2048, .target_bytes_max = 1024, .fields_max = 10}, .body_bytes_max = 100});
  const auto with = [](size_t index, const std::string& value) {
    Fields fields = Client::get();
    fields[index].second = value;
    return fields;
  };
  const auto and_field = [](const std::string& name, const std::string& value, int times = 1) {
    Fields fields = Client::get();
    for (int i = 0; i < times; ++i) fields.emplace_back(name, value);
    return fields;
  };
  EXPECT_EQ(ask(with(1, "ftp")).status, "400");
  // Since 1.64 nghttp2 resets the stream of this one itself.
  const Answer with_user = ask(with(2, "user@a.test"));
  EXPECT_TRUE(with_user.status == "400" || with_user.closed == NGHTTP2_PROTOCOL_ERROR) << with_user.status;
  EXPECT_EQ(ask(with(3, "/a#b")).status, "400");
  EXPECT_EQ(ask(with(3, "/" + std::string(1500, 'a'))).status, "414");
  EXPECT_EQ(ask(and_field("x", std::string(2000, 'a'))).status, "431");
  EXPECT_EQ(ask(and_field("x", "a", 11)).status, "431");
  EXPECT_EQ(ask(and_field("host", "b.test")).status, "400");
  EXPECT_EQ(ask(and_field("host", "A.test")).status, "200");
  EXPECT_EQ(ask(and_field("expect", "the unexpected")).status, "417");
  EXPECT_EQ(ask({{":method", "CONNECT"}, {":authority", "a.test:443"}}).status, "501");
  const Answer refused = ask(with(1, "ftp"));
  EXPECT_THAT(refused.body, HasSubstr("http.refused"));
}

TEST_F(Http2Test, MalformedMessagesResetTheirStream) {
  serve_echo();
  for (const auto& [name, value] : Fields{{"Upper", "1"},
                                          {"connection", "keep-alive"},
                                          {"keep-alive", "1"},
                                          {"proxy-connection", "1"},
                                          {"transfer-encoding", "chunked"},
                                          {"upgrade", "x"},
                                          {"te", "gzip"},
                                          {":path", "/again"},
                                          {":unknown", "1"},
                                          {"x y", "1"},
                                          {"x", "a\nb"}}) {
    Fields fields = Client::get();
    fields.emplace_back(name, value);
    EXPECT_EQ(ask(fields).closed, NGHTTP2_PROTOCOL_ERROR) << name;
  }
  Fields fields = Client::post();
  fields.emplace_back("content-length", "7");
  const size_t before = client->closed_streams;
  const int32_t id = client->ask(fields, "four");
  run_for(before + 1);
  EXPECT_EQ(client->answers[id].closed, NGHTTP2_PROTOCOL_ERROR) << "the body is not as long as announced";
  EXPECT_EQ(ask(Client::get()).status, "200");
}

TEST_F(Http2Test, LongBodiesAreRefusedBeforeTheyCome) {
  serve_echo({.body_bytes_max = 1000});
  Fields fields = Client::post();
  fields.emplace_back("content-length", "1001");
  const int32_t announced = client->ask(fields, std::nullopt);
  const int32_t surprising = client->ask(Client::post(), std::string(1001, 'x'));
  run_for(2);
  EXPECT_EQ(client->answers[announced].status, "413");
  EXPECT_EQ(client->answers[announced].closed, NGHTTP2_NO_ERROR) << "RFC 9113 section 8.1";
  EXPECT_EQ(client->answers[surprising].status, "413");
}

TEST_F(Http2Test, TheHeadDecides) {
  serve_echo();
  server->decide_by_head([](const HttpRequest& request, HttpResponder& responder) -> std::optional<BodyLimit> {
    if (request.path == "/yes") return BodyLimit{.bytes_max = 3, .name = "the limit"};
    responder.respond({.status = 403, .body = "no"});
    return std::nullopt;
  });
  Fields expecting = Client::post("/yes");
  expecting.emplace_back("expect", "100-continue");
  const int32_t no = client->ask(Client::post("/no"), std::nullopt);
  const int32_t yes = client->ask(expecting, "abc");
  const int32_t long_one = client->ask(Client::post("/yes"), "abcd");
  run_for(3);
  EXPECT_EQ(client->answers[no].status, "403");
  EXPECT_EQ(client->answers[yes].interim, std::vector<std::string>{"100"});
  EXPECT_THAT(client->answers[yes].body, HasSubstr("|abc"));
  EXPECT_EQ(client->answers[long_one].status, "413");
  EXPECT_THAT(client->answers[long_one].body, HasSubstr("(the limit)"));
}

TEST_F(Http2Test, RapidResetsAreStopped) {
  size_t asked = 0;
  std::vector<HttpResponder> kept;
  serve([&](const HttpRequest&, HttpResponder responder) {
    ++asked;
    kept.push_back(std::move(responder));
  });
  for (int i = 0; i < 5000; ++i) {
    const int32_t id = client->ask(Client::get());
    client->reset(id);
    client->send();
  }
  run_until_closed();
  EXPECT_EQ(client->goaway, NGHTTP2_ENHANCE_YOUR_CALM);
  EXPECT_LT(asked, 700U);
  for (const HttpResponder& each : kept) EXPECT_FALSE(each.is_open());
}

TEST_F(Http2Test, StreamsThatAreFaultyCountAsReset) {
  serve_echo();
  Fields fields = Client::get();
  fields.emplace_back("connection", "close");
  for (int i = 0; i < 2000; ++i) client->ask(fields);
  run_until_closed();
  EXPECT_EQ(client->goaway, NGHTTP2_ENHANCE_YOUR_CALM);
}

TEST_F(Http2Test, FramesThatCarryNothingAreBounded) {
  const std::string ping = frame(NGHTTP2_PING, 0, 0, "12345678");
  const std::string settings = frame(NGHTTP2_SETTINGS, 0, 0, "");
  const std::string window = frame(NGHTTP2_WINDOW_UPDATE, 0, 0, std::string("\0\0\0\1", 4));
  const std::string priority = frame(NGHTTP2_PRIORITY, 0, 1, std::string("\0\0\0\3\1", 5));
  for (const std::string& each : {ping, settings, window, priority}) {
    serve_echo({.linger = milliseconds(20)});
    std::string flood;
    for (int i = 0; i < 3000; ++i) flood += each;
    client->send_bytes(flood);
    run_until_closed();
    EXPECT_EQ(client->goaway, NGHTTP2_ENHANCE_YOUR_CALM);
  }
  serve_echo();
  client->ask(Client::post(), std::nullopt);
  std::string flood;
  for (int i = 0; i < 3000; ++i) flood += frame(NGHTTP2_DATA, 0, 1, "");
  client->send_bytes(flood);
  run_until_closed();
  EXPECT_EQ(client->goaway, NGHTTP2_ENHANCE_YOUR_CALM);
}

TEST_F(Http2Test, AHeadInTooManyFramesIsStopped) {
  serve_echo();
  // ":method: GET" from the static table, then fields without an end.
  std::string flood = frame(NGHTTP2_HEADERS, NGHTTP2_FLAG_END_STREAM, 1, "\x82");
  for (int i = 0; i < 100; ++i) flood += frame(NGHTTP2_CONTINUATION, 0, 1, std::string("\0\1x\1y", 5));
  client->send_bytes(flood);
  run_until_closed();
  EXPECT_EQ(client->goaway, NGHTTP2_ENHANCE_YOUR_CALM);
}

TEST_F(Http2Test, HeadsAndBodiesHaveTheirTime) {
  serve_echo({.head_timeout = milliseconds(50), .body_timeout = milliseconds(50), .linger = milliseconds(50)});
  const int32_t id = client->ask(Client::post(), std::nullopt);
  run_for(1);
  EXPECT_EQ(client->answers[id].status, "408");
  client->send_bytes(frame(NGHTTP2_HEADERS, NGHTTP2_FLAG_END_STREAM, 101, "\x82"));
  run_until_closed();
  EXPECT_EQ(client->goaway, NGHTTP2_NO_ERROR);
}

TEST_F(Http2Test, IdleConnectionsAndAnswersThatNobodyTakesEnd) {
  const Payload payload(std::string(200'000, 'x'));
  serve([&](const HttpRequest&,
            HttpResponder responder) { responder.respond_prepared("HTTP/1.1 200 OK\r\n", payload, 0, payload.size()); },
        {.idle_timeout = milliseconds(100), .linger = milliseconds(50)});
  client = std::make_unique<Client>(loop, address, 0);
  const int32_t id = client->ask(Client::get());
  run_until_closed();
  EXPECT_EQ(client->answers[id].status, "200");
  EXPECT_EQ(client->answers[id].closed, NGHTTP2_CANCEL) << "its window never opened";
  EXPECT_EQ(client->goaway, NGHTTP2_NO_ERROR) << "then the connection was idle";
}

TEST_F(Http2Test, DrainsWhenAnswersAreGiven) {
  HttpResponder kept;
  bool drained = false;
  serve([&](const HttpRequest&, HttpResponder responder) {
    kept = std::move(responder);
    loop.post([&] {
      server->drain([&] {
        drained = true;
        loop.stop();
      });
      loop.post([&] { kept.respond({.body = "at last"}); });
    });
  });
  const int32_t id = client->ask(Client::get());
  loop.run();
  EXPECT_TRUE(drained);
  EXPECT_EQ(client->answers[id].body, "at last");
  EXPECT_EQ(client->goaway, NGHTTP2_NO_ERROR);
}

// Bytes of a client that is none of libnghttp2, and what comes back.
struct RawClient final : StreamObserver {
  RawClient(runtime::Loop& on, const Address& address)
      : loop(on), stream(on, std::move(*Socket::connect(address)), *this) {}
  void on_bytes(std::string_view bytes) override {
    received.append(bytes);
    if (received.size() >= wanted) loop.stop();
  }
  void on_closed(std::string_view) override { loop.stop(); }
  runtime::Loop& loop;
  TcpStream stream;
  std::string received;
  size_t wanted = SIZE_MAX;
};

TEST_F(Http2Test, ThePrefaceMayComeInPieces) {
  serve_echo();
  const std::string preface = "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + frame(NGHTTP2_SETTINGS, 0, 0, "");
  for (const size_t cut : {size_t{1}, size_t{15}, size_t{16}, size_t{17}, size_t{23}, size_t{24}, size_t{30}}) {
    RawClient raw(loop, address);
    raw.wanted = 9;
    raw.stream.write(preface.substr(0, cut));
    loop.post([&] { loop.post([&] { raw.stream.write(preface.substr(cut)); }); });
    loop.run();
    EXPECT_EQ(raw.received.substr(3, 6), std::string("\4\0\0\0\0\0", 6)) << cut << ": SETTINGS";
  }
}

TEST_F(Http2Test, ThePrefaceIsTheFirstThing) {
  serve_echo();
  RawClient raw(loop, address);
  raw.stream.write("GET / HTTP/1.1\r\nHost: a\r\n\r\nPRI * HTTP/2.0\r\n\r\nSM\r\n\r\n");
  loop.run();
  EXPECT_THAT(raw.received, HasSubstr("HTTP/1.1 200 OK"));
  EXPECT_THAT(raw.received, HasSubstr("HTTP/1.1 505"));
  RawClient other(loop, address);
  other.stream.write("PRI * HTTP/2.0\r\n\r\nXX\r\n\r\n");
  loop.run();
  EXPECT_FALSE(other.received.contains("HTTP/1.1"));
}

}  // namespace
}  // namespace verge::net

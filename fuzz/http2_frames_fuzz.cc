// What a client sends behind the preface of HTTP/2 must neither break the server nor make it hold more than its limits
// allow: the bytes go to a connection over a stream in memory, in pieces whose size the first byte chooses, and now and
// then the client takes nothing. Requests are answered in each way there is, at once or when all has come.
#include <cstdint>
#include <cstdlib>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "net/http_server.h"

namespace {

using verge::Payload;
using verge::net::Address;
using verge::net::BodyFraming;
using verge::net::HttpRequest;
using verge::net::HttpResponder;
using verge::net::HttpServer;
using verge::net::HttpServerLimits;
using verge::net::Socket;
using verge::net::Stream;
using verge::net::StreamObserver;

constexpr size_t kBodyBytesMax = 4096;

// What the stream and who feeds it know of each other.
struct Line {
  StreamObserver* observer = nullptr;
  bool open = true;
  bool full = false;
};

class MemoryStream final : public Stream {
 public:
  MemoryStream(Line& line, StreamObserver& observer) : line_(line) { line_.observer = &observer; }
  ~MemoryStream() override { line_.open = false; }
  std::string& output() override {
    output_.clear();  // taken at once
    return output_;
  }
  void observe(StreamObserver& observer) override { line_.observer = &observer; }
  [[nodiscard]] size_t queued_bytes() const override { return line_.full ? size_t{1} << 30 : 0; }
  void close() override { line_.open = false; }
  void close_when_drained() override { line_.open = false; }
  void pause_reading() override {}
  void resume_reading() override {}
  [[nodiscard]] bool is_open() const override { return line_.open; }
  [[nodiscard]] const Address& peer() const override { return peer_; }

 private:
  Line& line_;
  std::string output_;
  Address peer_;
};

void answer(HttpResponder responder, std::string_view path) {
  static const Payload kBody(std::string(100'000, 'x'));
  if (path.starts_with("/a")) return responder.respond({.status = 404, .body = "not here"});
  if (path.starts_with("/b")) return responder.respond_prepared("HTTP/1.1 200 OK\r\nA: b\r\n", kBody, 0, kBody.size());
  if (path.starts_with("/c")) return;
  responder.send_interim(103);
  responder.start({}, {.kind = BodyFraming::Kind::kChunked});
  responder.write(kBody, 1, 50'000);
  if (!path.starts_with("/d")) responder.finish();
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  if (size < 1) return 0;
  const size_t piece = data[0] == 0 ? SIZE_MAX : data[0];
  std::string input = "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
  input.append("\0\0\0\4\0\0\0\0\0", 9);
  input.append(reinterpret_cast<const char*>(data) + 1, size - 1);

  verge::runtime::Loop loop("fuzz");
  Line line;
  std::vector<HttpResponder> kept;
  HttpServer server(
      loop, HttpServerLimits{.body_bytes_max = kBodyBytesMax},
      [&](const HttpRequest& request, HttpResponder responder) {
        if (request.body.size() > kBodyBytesMax || request.fields.size() > 101 || request.host.empty()) abort();
        if (!request.path.starts_with('/') && request.path != "*") abort();
        if (request.path.ends_with("later")) {
          kept.push_back(std::move(responder));
        } else {
          answer(std::move(responder), request.path);
        }
      },
      [&](verge::runtime::Loop&, Socket, StreamObserver& observer) {
        return std::make_unique<MemoryStream>(line, observer);
      });
  const auto turn = [&] {
    loop.stop();
    loop.run();
  };
  server.accept(Socket());
  for (size_t at = 0; at < input.size() && line.open; at += piece) {
    const bool was_full = std::exchange(line.full, at / 16 % 3 == 1);
    if (was_full && !line.full) line.observer->on_drained();
    if (!line.open) break;
    line.observer->on_bytes(std::string_view(input).substr(at, piece));
    if (input.size() - at <= piece || at % 7 == 0) turn();
    if (piece == SIZE_MAX) break;
  }
  if (std::exchange(line.full, false) && line.open) line.observer->on_drained();
  for (HttpResponder& responder : kept) answer(std::move(responder), "/b");
  turn();
  if (line.open) line.observer->on_closed("the end");
  turn();
  return 0;
}

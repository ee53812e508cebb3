#include "cli/echo_server.h"

#include <cstdio>

#include <fmt/format.h>

#include "base/text.h"
#include "cli/ready_file.h"
#include "mqtt/decode.h"
#include "mqtt/encode.h"

namespace verge::cli {
namespace {

constexpr size_t kPacketBytesMax = 1U << 20;

}  // namespace

class EchoServer::Connection final : public net::StreamObserver {
 public:
  Connection(EchoServer& server, net::Socket socket)
      : server_(server), stream_(server.loop_, std::move(socket), *this) {}

 private:
  void on_bytes(std::string_view bytes) override {
    bytes = input_.begin(bytes);
    mqtt::Frame frame;
    mqtt::Violation violation;
    mqtt::Framing framing = mqtt::Framing::kNeedMore;
    while (stream_.is_open() &&
           (framing = mqtt::next_frame(bytes, kPacketBytesMax, frame, violation)) == mqtt::Framing::kFrame) {
      if (!take(frame)) return stream_.close();
    }
    if (framing == mqtt::Framing::kViolation) return stream_.close();
    input_.keep(bytes);
  }

  bool take(const mqtt::Frame& frame) {
    switch (frame.type) {
      case mqtt::PacketType::kConnect: {
        const mqtt::Parsed<mqtt::Connect> connect = mqtt::parse_connect(frame);
        if (!connect) return false;
        version_ = connect->version;
        mqtt::append_connack(stream_.output(), {}, version_);
        return true;
      }
      case mqtt::PacketType::kSubscribe: {
        const mqtt::Parsed<mqtt::Subscribe> subscribe = mqtt::parse_subscribe(frame, version_);
        if (!subscribe) return false;
        topic_ = subscribe->requests.front().filter;
        server_.subscriber_ = this;
        mqtt::append_suback(stream_.output(), mqtt::PacketType::kSuback,
                            {subscribe->packet_id, std::vector<uint8_t>(subscribe->requests.size(), 1)}, version_);
        return true;
      }
      case mqtt::PacketType::kPublish: {
        const mqtt::Parsed<mqtt::Publish> publish = mqtt::parse_publish(frame, version_);
        if (!publish || publish->qos > 1) return false;
        Connection* receiver = topic_.empty() ? server_.subscriber_ : this;
        if (receiver != nullptr) receiver->command(publish->qos);
        if (publish->qos == 1) {
          mqtt::append_acknowledgement(stream_.output(), mqtt::PacketType::kPuback, {publish->packet_id}, version_);
        }
        return true;
      }
      case mqtt::PacketType::kPingreq:
        mqtt::append_ping(stream_.output(), mqtt::PacketType::kPingresp);
        return true;
      default:
        return frame.type == mqtt::PacketType::kPuback;
    }
  }

  void command(uint8_t qos) {
    if (qos == 1 && ++last_packet_id_ == 0) ++last_packet_id_;
    mqtt::append_publish(stream_.output(),
                         {.qos = qos,
                          .topic = topic_,
                          .packet_id = qos == 1 ? last_packet_id_ : uint16_t{0},
                          .payload = server_.command_},
                         version_);
  }

  void on_closed(std::string_view) override { server_.closed(*this); }

  EchoServer& server_;
  net::TcpStream stream_;
  mqtt::Version version_ = mqtt::Version::k311;
  std::string topic_;  // subscribed; empty: none
  mqtt::FrameInput input_;
  uint16_t last_packet_id_ = 0;
};

EchoServer::EchoServer(runtime::Loop& loop, net::Socket listening, std::string command)
    : loop_(loop),
      command_(std::move(command)),
      listener_(loop, std::move(listening), [this](net::Socket socket) { accept(std::move(socket)); }) {}

EchoServer::~EchoServer() = default;

void EchoServer::accept(net::Socket socket) {
  auto connection = std::make_unique<Connection>(*this, std::move(socket));
  Connection* key = connection.get();
  connections_.emplace(key, std::move(connection));
}

void EchoServer::closed(Connection& connection) {
  if (subscriber_ == &connection) subscriber_ = nullptr;
  connections_.erase(&connection);
}

Result<void> serve_echo(const std::string& listen, const std::string& command, const std::string& ready_file) {
  const Result<net::Address> address = net::Address::resolve(listen);
  if (!address) return std::unexpected(address.error());
  Result<net::Socket> socket = net::Socket::listen(*address, false);
  if (!socket) return std::unexpected(socket.error());
  const std::string bound = net::Address::local_of(socket->descriptor()).text();
  runtime::Loop loop("echo");
  const EchoServer server(loop, std::move(*socket), command);
  fmt::print(stderr, "echo: listening on {}\n", bound);
  const Result<void> written = write_ready_file(ready_file, fmt::format("{{\"mqtt\":[{}]}}", json_string(bound)));
  if (written) loop.run();
  return written;
}

}  // namespace verge::cli

#include "mqtt/client.h"

#include <fmt/format.h>

#include "mqtt/decode.h"
#include "mqtt/encode.h"
#include "mqtt/reason_words.h"

namespace verge::mqtt {
namespace {

constexpr size_t kPacketBytesMax = 256U << 20;

}  // namespace

void ClientObserver::on_refused(Reason reason, std::string_view said) {
  on_disconnected(fmt::format("the broker refused: {} ({:#x}){}{}", words_of(reason), static_cast<unsigned>(reason),
                              said.empty() ? "" : ": ", said));
}

Result<std::unique_ptr<Client>> Client::open(runtime::Loop& loop, const net::Address& broker, const Connect& connect,
                                             ClientObserver& observer) {
  Result<net::Socket> socket = net::Socket::connect(broker);
  if (!socket) return std::unexpected(socket.error());
  return over(loop, std::move(*socket), connect, observer);
}

std::unique_ptr<Client> Client::over(runtime::Loop& loop, net::Socket socket, const Connect& connect,
                                     ClientObserver& observer) {
  return std::unique_ptr<Client>(new Client(loop, std::move(socket), connect, observer));
}

Client::Client(runtime::Loop& loop, net::Socket socket, const Connect& connect, ClientObserver& observer)
    : version_(connect.version),
      keep_alive_(std::chrono::seconds(connect.keep_alive_s)),
      observer_(observer),
      stream_(loop, std::move(socket), *this),
      ping_(loop) {
  append_connect(stream_.output(), connect);
  ping_later();
}

void Client::ping_later() {
  if (keep_alive_ == Duration(0)) return;
  ping_.after(keep_alive_ / 2, [this] {
    append_ping(stream_.output(), PacketType::kPingreq);
    ping_later();
  });
}

void Client::on_bytes(std::string_view bytes) {
  bytes = input_.begin(bytes);
  Frame frame;
  Violation problem;
  while (stream_.is_open()) {
    const Framing framing = next_frame(bytes, kPacketBytesMax, frame, problem);
    if (framing == Framing::kNeedMore) break;
    const Taken taken = framing == Framing::kViolation ? Taken::kNo : take_frame(frame);
    if (taken == Taken::kEnded) return;
    if (taken == Taken::kNo) {
      stream_.close();
      return observer_.on_disconnected("the broker sent what is not MQTT");
    }
  }
  input_.keep(bytes);
}

Client::Taken Client::take_frame(const Frame& frame) {
  switch (frame.type) {
    case PacketType::kConnack:
      return take_connack(frame);
    case PacketType::kDisconnect:
      return take_disconnect(frame);
    case PacketType::kPublish: {
      const Parsed<Publish> publish = parse_publish(frame, version_);
      if (!publish) return Taken::kNo;
      if (publish->qos > 0) {
        append_acknowledgement(stream_.output(), publish->qos == 1 ? PacketType::kPuback : PacketType::kPubrec,
                               {publish->packet_id, Reason::kSuccess}, version_);
      }
      if (publish->qos == 2 && !received_.insert(publish->packet_id).second) return Taken::kYes;  // again
      observer_.on_message(*publish);
      return Taken::kYes;
    }
    case PacketType::kPuback:
    case PacketType::kPubrec:
    case PacketType::kPubrel:
    case PacketType::kPubcomp:
      return take_acknowledgement(frame) ? Taken::kYes : Taken::kNo;
    case PacketType::kSuback: {
      const Parsed<Suback> suback = parse_suback(frame, version_);
      if (!suback) return Taken::kNo;
      observer_.on_subscribed(*suback);
      return Taken::kYes;
    }
    case PacketType::kUnsuback:
    case PacketType::kPingresp:
      return Taken::kYes;
    default:
      return Taken::kNo;
  }
}

Client::Taken Client::take_connack(const Frame& frame) {
  const Parsed<Connack> connack = parse_connack(frame, version_);
  if (!connack) return Taken::kNo;
  if (connack->reason == Reason::kSuccess) {
    observer_.on_connected(*connack);
    return Taken::kYes;
  }
  stream_.close();
  observer_.on_refused(connack->reason, connack->properties.reason_string.value_or(""));
  return Taken::kEnded;
}

Client::Taken Client::take_disconnect(const Frame& frame) {
  const Parsed<Disconnect> disconnect = parse_disconnect(frame, version_);
  if (!disconnect || version_ != Version::k5) return Taken::kNo;
  stream_.close();
  observer_.on_refused(disconnect->reason, "");
  return Taken::kEnded;
}

bool Client::take_acknowledgement(const Frame& frame) {
  const Parsed<Acknowledgement> acknowledgement = parse_acknowledgement(frame, version_);
  if (!acknowledgement) return false;
  const uint16_t packet_id = acknowledgement->packet_id;
  if (frame.type == PacketType::kPubrel) {
    const bool known = received_.erase(packet_id) > 0;
    append_acknowledgement(stream_.output(), PacketType::kPubcomp,
                           {packet_id, known ? Reason::kSuccess : Reason::kPacketIdentifierNotFound}, version_);
  } else if (frame.type == PacketType::kPubrec && !is_failure(acknowledgement->reason)) {
    append_acknowledgement(stream_.output(), PacketType::kPubrel, {packet_id, Reason::kSuccess}, version_);
  } else {
    observer_.on_acknowledged(*acknowledgement);
  }
  return true;
}

void Client::on_closed(std::string_view reason) { observer_.on_disconnected(reason); }

uint16_t Client::subscribe(std::string_view filter, uint8_t qos) {
  Subscribe request{.packet_id = next_packet_id()};
  request.requests.push_back({filter, {.qos = qos}});
  append_subscribe(stream_.output(), request, version_);
  return request.packet_id;
}

uint16_t Client::publish(Publish publish) {
  publish.packet_id = publish.qos == 0 ? 0 : next_packet_id();
  append_publish(stream_.output(), publish, version_);
  return publish.packet_id;
}

void Client::disconnect() {
  append_disconnect(stream_.output(), Reason::kSuccess, version_);
  stream_.close();
}

uint16_t Client::next_packet_id() {
  if (++last_packet_id_ == 0) ++last_packet_id_;
  return last_packet_id_;
}

}  // namespace verge::mqtt

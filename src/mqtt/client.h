// Client: the other end of the protocol, for programs of ours that drive a broker, ours or another: benchmarks, the
// demonstration, tests. One connection on one loop; what is not acknowledged when it breaks is the caller's to repeat.
#pragma once

#include <memory>
#include <string>
#include <string_view>
#include <unordered_set>

#include "mqtt/decode.h"
#include "mqtt/packet.h"
#include "net/stream.h"

namespace verge::mqtt {

class ClientObserver {
 public:
  virtual ~ClientObserver() = default;
  virtual void on_connected(const Connack& connack) = 0;
  virtual void on_subscribed(const Suback&) {}
  virtual void on_message(const Publish&) {}
  // PUBACK, or PUBCOMP, or PUBREC with a refusal.
  virtual void on_acknowledged(const Acknowledgement&) {}
  // The broker refused the connection (CONNACK) or ended it (DISCONNECT); `said`: its reason string, empty where there
  // is none. Without an own answer, on_disconnected() in words. The observer may destroy the client.
  virtual void on_refused(Reason reason, std::string_view said);
  // The connection could not be made or broke. The observer may destroy the client.
  virtual void on_disconnected(std::string_view reason) = 0;
};

class Client final : private net::StreamObserver {
 public:
  // Starts to connect. `connect`'s views are used only during the call. All references outlive the client.
  static Result<std::unique_ptr<Client>> open(runtime::Loop& loop, const net::Address& broker, const Connect& connect,
                                              ClientObserver& observer);
  // Over a socket that is connected, its TLS handshake, if any, done.
  static std::unique_ptr<Client> over(runtime::Loop& loop, net::Socket socket, const Connect& connect,
                                      ClientObserver& observer);
  ~Client() override = default;

  uint16_t subscribe(std::string_view filter, uint8_t qos);
  // The packet identifier, 0 at QoS 0; `publish.packet_id` is ignored.
  uint16_t publish(Publish publish);
  // Says goodbye and closes; no callback follows.
  void disconnect();
  // Closes without a word, as a power cut would.
  void drop() { stream_.close(); }

  [[nodiscard]] const net::TcpStream& stream() const { return stream_; }

 private:
  Client(runtime::Loop& loop, net::Socket socket, const Connect& connect, ClientObserver& observer);
  void on_bytes(std::string_view bytes) override;
  void on_closed(std::string_view reason) override;
  enum class Taken { kYes, kNo, kEnded };  // kEnded: the observer was told, and this may be destroyed
  Taken take_frame(const Frame& frame);
  Taken take_connack(const Frame& frame);
  Taken take_disconnect(const Frame& frame);
  bool take_acknowledgement(const Frame& frame);
  void ping_later();
  uint16_t next_packet_id();

  const Version version_;
  const Duration keep_alive_;
  ClientObserver& observer_;
  net::TcpStream stream_;
  runtime::Timer ping_;
  FrameInput input_;
  uint16_t last_packet_id_ = 0;
  std::unordered_set<uint16_t> received_;  // at QoS 2, and not released yet
};

}  // namespace verge::mqtt

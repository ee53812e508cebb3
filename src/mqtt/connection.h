// Connection: one network connection of a client, from its first byte to its last: framing, the order of packets that
// the standard demands, keep-alive, and acknowledgements in the order of the publishes they answer.
//
// A publish that must be durable first leaves a gap in the row of acknowledgements; later ones wait behind it
// [MQTT-4.6.0-2], and when `pending_max` or `pending_bytes_max` are waiting the connection is read no further until
// some are answered. Neither is it while `answers_max` SUBACK and UNSUBACK are awaited, nor while more than
// `queue_bytes_max` of output waits for the client: what answers its packets is never dropped, so the packets must
// stop. Neither while a loop to which its last message went has not caught up (forward_max), nor while it, or all
// together, have sent more than they may by now (Rates).
//
// What was read of a packet that is not whole is kept, and counted with that of all connections of the loop; the one
// that needs more than there is (input_bytes_max) is closed.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "base/lazy_deque.h"
#include "mqtt/authenticator.h"
#include "mqtt/decode.h"
#include "mqtt/intake.h"
#include "mqtt/limits.h"
#include "mqtt/message.h"
#include "mqtt/pace.h"
#include "mqtt/packet.h"
#include "net/stream.h"

namespace verge::mqtt {

class Broker;
class Session;

class Connection final : public net::StreamObserver, private runtime::TurnEnd {
 public:
  // `serial` is unique on the broker's loop.
  Connection(Broker& broker, runtime::Loop& loop, net::Socket socket, uint64_t serial);
  // Before its first byte: it is a bridge of this node (Broker::accept_bridge()).
  void be_bridge() { is_bridge_ = true; }
  [[nodiscard]] bool is_bridge() const { return is_bridge_; }
  ~Connection() override;

  // Feeds bytes that were read elsewhere, before the first of its own.
  void on_bytes(std::string_view bytes) override;
  void on_closed(std::string_view reason) override;
  void on_drained() override;

  // Sends DISCONNECT (5.0) and closes; the session stays or ends as agreed. `with_will`: publish it.
  void disconnect(Reason reason, bool with_will, std::string_view what);
  // One of the answers that the acknowledgement waits for.
  void acknowledge(uint64_t number, Reason reason, bool at_parent);
  // How many there are to come to this one, and the reason so far.
  [[nodiscard]] std::pair<uint8_t, Reason> answers_to_come(uint64_t number) const;
  // PUBREL, for the message of this number of the session.
  void release(uint64_t number);
  // SUBACK or UNSUBACK, once every loop knows.
  void answer(PacketType type, const Suback& answer);
  // Whether the client's password is right.
  void authenticated(bool is_right);
  // Another loop has caught up.
  void has_room_again();
  // The pace allows more.
  void may_send_again();
  // The others of the loop had theirs.
  void has_its_turn();
  // Memory that nothing is in.
  void give_back() { acks_.give_back(); }
  // Closes with a reason if the client has been silent too long, or never sent CONNECT.
  void check_deadline(MonotonicTime now);

  [[nodiscard]] uint64_t serial() const { return serial_; }
  [[nodiscard]] Session* session() const { return session_; }
  [[nodiscard]] net::TcpStream& stream() { return stream_; }
  // The message to publish when the client goes without saying so; empty afterwards.
  [[nodiscard]] std::unique_ptr<Message> take_will() { return std::move(will_); }
  [[nodiscard]] Duration will_delay() const { return will_delay_; }
  [[nodiscard]] std::optional<Duration> will_expiry() const { return will_expiry_; }

 private:
  // Enhanced authentication.
  struct Enhanced {
    std::string method;
    std::unique_ptr<AuthenticationExchange> exchange;  // null: none is under way
  };
  struct PendingAck {
    uint16_t packet_id;
    PacketType type;
    uint8_t waits;  // answers to come: none, and it is ready
    Reason reason;
    uint32_t bytes;                    // of the packet it answers
    std::string_view durability = {};  // to be told that was reached; a literal
  };

  // False: the connection is closed or moved and no more of the input may be read.
  bool take_frame(const Frame& frame, std::string_view rest);
  bool take_connect(const Frame& frame, std::string_view rest);
  // What it says of itself is to be found true first; false: refused.
  bool authenticate(const Connect& connect);
  // By a method of its own (MQTT 5.0 section 4.12); false: refused.
  bool begin_exchange(const Connect& connect);
  bool take_auth(const Frame& frame);
  bool go_on_with_exchange(std::string_view said);
  bool end_exchange(std::string_view answer);
  // The client is who it says, and of this loop.
  bool accept_connect(const Connect& connect, std::string_view user, std::string_view proof = {});
  bool take_publish(const Frame& frame);
  // Puts the topic in place of its alias, or remembers it.
  bool resolve_alias(size_t alias, Publish& publish);
  void settle_publish(const AckTicket& ticket);
  void send_acknowledgement(PacketType type, const Acknowledgement& acknowledgement);
  // What is held of the client's input: a packet that is not whole, and aliases.
  bool count_input();
  bool take_subscribe(const Frame& frame);
  bool take_unsubscribe(const Frame& frame);
  bool take_disconnect(const Frame& frame);
  bool take_acknowledgement(const Frame& frame);
  bool violation(const Violation& problem);
  void refuse_connect(Version version, Reason reason, std::string_view what);
  void keep_will(const Connect& connect);
  // PUBREC and PUBCOMP of one packet identifier that are still to be sent: the type of the last.
  [[nodiscard]] std::optional<PacketType> last_pending(uint16_t packet_id) const;
  // Whether a PUBREC of the identifier is still to be sent.
  [[nodiscard]] bool awaits_pubrec(uint16_t packet_id) const;
  void hold();
  void hold_while_too_many();
  void hold_while_output_waits();
  void hold_until_room();
  void end_turn();
  // A packet of `bytes` came.
  void keep_pace(PacketType type, size_t bytes);
  void keep_input(std::string_view rest);
  void go_on();
  void on_turn_end() override;
  [[nodiscard]] bool is_held() const;
  [[nodiscard]] bool fits(size_t bytes) const { return packet_bytes_max_ == 0 || bytes <= packet_bytes_max_; }
  void send_ready_acks();
  [[nodiscard]] bool has_too_many_pending(size_t share = 1) const;
  void finish(bool with_will);

  Broker& broker_;
  runtime::Loop& loop_;
  const uint64_t serial_;
  net::TcpStream stream_;
  Session* session_ = nullptr;
  Version version_ = Version::k5;
  FrameInput input_;
  size_t input_bytes_ = 0;  // of input_, as the broker counts it
  MonotonicTime last_received_;
  Duration silence_max_;  // 0: no limit
  LazyDeque<PendingAck> acks_;
  size_t pending_bytes_ = 0;
  uint64_t first_ack_ = 1;              // the ticket number of acks_.front()
  size_t answers_awaited_ = 0;          // SUBACK and UNSUBACK to come from the broker
  bool held_ = false;                   // not read, for one of these reasons
  bool paused_ = false;                 // too many publishes are pending
  bool output_waits_ = false;           // more than queue_bytes_max
  bool awaits_room_ = false;            // on another loop
  bool is_too_fast_ = false;            // by itself, or with all others
  bool had_its_turn_ = false;           // what was read of it was work enough for one
  bool authenticating_ = false;         // its CONNECT waits for the node to say who it is
  std::string connect_;                 // that CONNECT
  std::unique_ptr<Enhanced> enhanced_;  // of a client that names a method
  uint64_t sent_when_looked_ = 0;       // bytes that the client had taken, while output waits
  bool takes_problems_ = true;          // user properties on acknowledgements
  size_t packet_bytes_max_ = 0;         // that the client takes; 0: no limit
  bool taking_input_ = false;
  bool is_bridge_ = false;
  // Of the client's PUBLISH packets at QoS 1 and 2 on this connection, those that it was not told the end of (MQTT 5.0
  // section 4.9).
  size_t unfinished_ = 0;
  Pace message_pace_;
  Pace byte_pace_;
  std::vector<std::string> aliases_;  // topics, by alias from 1 on; empty: not given
  size_t alias_bytes_ = 0;
  std::unique_ptr<Message> will_;
  Duration will_delay_{0};
  std::optional<Duration> will_expiry_;
  uint32_t session_expiry_s_ = 0;
};

}  // namespace verge::mqtt

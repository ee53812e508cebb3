// Bridge: messages to and from another broker, with other topics there.
//
// The problem: what goes out is to be there after any cut, on either side, whatever the node does meanwhile, and at QoS
// 2 once. The broker has all that for a client with a session that is durable. So a bridge is such a client, of its own
// broker by a pair of sockets, and of the other one by TCP or TLS, and does nothing but hand packets from one
// connection to the other: PUBLISH with another topic, acknowledgements as they are. Packet identifiers are the same on
// both sides, since each side gets those of one sender only; so there is nothing to remember here. What waits is in the
// session of the broker it comes from, and its bounds are those of sessions (mqtt.away_bytes_max, queue_bytes_max).
//
// (A queue of its own was the alternative: another log, a second place where exchanges at QoS 2 stand, and the
// subscription and the queue would not be durable together.)
//
// Both connections stand or fall together. While the other broker is away, so is the client here; the pauses between
// attempts double, up to `retry_max`, each between half and the whole of it by chance. Where the other broker has lost
// the session, what this one had taken of it at QoS 2 is forgotten, and where this one has, that one is told to: the
// identifiers would name other messages.
//
// Loops: neither side sends a bridge what the bridge brought (no local). Messages carry which nodes sent them out over
// a bridge and brought them in (the user property "verge-via", "ID:out" or "ID:in"): none is brought in where it was
// before, nor sent out twice. MQTT 3.1.1 has neither.
//
// Threading: all on the loop of the session here (Broker::shard_of() of local_client_id()).
#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/metrics.h"
#include "base/random.h"
#include "mqtt/broker.h"
#include "mqtt/decode.h"
#include "mqtt/packet.h"
#include "net/connecting.h"
#include "net/resolver.h"
#include "net/stream.h"
#include "net/tls_context.h"
#include "runtime/loop.h"

namespace verge::mqtt {

// The topics of one direction are those behind the prefix of the side they come from that match the filter.
struct BridgeTopic {
  std::string filter;
  bool out = true;
  bool in = false;
  uint8_t qos = 1;
  std::string local_prefix;
  std::string remote_prefix;
};

struct BridgeOptions {
  std::string name;
  std::string address;                         // HOST:PORT
  std::string host;                            // of that
  std::shared_ptr<const net::TlsContext> tls;  // null: plain TCP
  Version version = Version::k5;
  std::string client_id;  // there
  std::string user;       // empty: none
  std::string password;
  Duration keep_alive = std::chrono::seconds(60);
  Duration retry_max = std::chrono::seconds(30);
  std::string node;  // that messages are marked with
  std::vector<BridgeTopic> topics;
};

// Written on the bridge's loop, readable anywhere.
struct BridgeCounters {
  Counter connected;    // now: 0 or 1
  Counter connections;  // that were made
  Counter out;          // messages sent there, repetitions among them
  Counter in;           // messages that came from there, likewise
  Counter looped;       // that had been at this node
  Counter dropped;      // too large for the other side, of no topic that is bridged, or refused there
};

struct BridgeView {
  std::string name;
  std::string address;
  bool is_connected = false;
  std::string problem;  // of the last attempt, if it failed
  size_t waiting_bytes = 0;
};

// The topic on the other side; nothing where none of the topics is for it.
std::optional<std::string> bridged_topic(const std::vector<BridgeTopic>& topics, bool out, std::string_view topic);

class Bridge {
 public:
  // `home`: the broker of the loop that it belongs to; outlives it.
  Bridge(Broker& home, BridgeOptions options);

  static std::string local_client_id(std::string_view name) { return std::string(kBridgeClients) + std::string(name); }

  // On its loop, as everything else.
  void start();
  // Says goodbye on both sides; it is not started again.
  void stop();
  [[nodiscard]] BridgeView view() const;

  [[nodiscard]] const BridgeOptions& options() const { return options_; }
  [[nodiscard]] const BridgeCounters& counters() const { return counters_; }
  [[nodiscard]] Broker& home() const { return home_; }

 private:
  // One of the two connections.
  class Side final : public net::StreamObserver {
   public:
    Side(Bridge& bridge, bool is_remote, Version version, net::Socket socket)
        : bridge_(bridge),
          is_remote_(is_remote),
          version_(version),
          stream_(bridge.home_.loop(), std::move(socket), *this) {}
    void on_bytes(std::string_view bytes) override;
    void on_closed(std::string_view reason) override;
    void on_drained() override;

    Bridge& bridge_;
    const bool is_remote_;
    const Version version_;
    net::TcpStream stream_;
    FrameInput input_;
    MonotonicTime heard_{};
    bool is_held_ = false;  // not read: the other side has enough to take
  };

  // The session here is to be there, with its subscriptions, before anything is said to the other broker.
  void prepare();
  void connect();
  void open_remote(net::Socket socket);
  void open_local(uint16_t receive_maximum);  // 0: as many as there may be
  // False: the connection is of no use any more.
  bool take(Side& from, const Frame& frame);
  bool take_connack(Side& from, const Frame& frame);
  bool relay_publish(Side& from, Publish publish);
  bool relay_acknowledgement(const Side& from, PacketType type, Acknowledgement acknowledgement);
  // To who sent it: it goes no further.
  static void done_with(Side& from, const Publish& publish);
  void subscribe(Side& side);
  void hold_where_full();
  void keep_alive();
  // Both connections end, and it is tried again later. In a later turn: the caller may be one of them.
  void fail(std::string reason);
  void retry();

  Broker& home_;
  const BridgeOptions options_;
  const std::string local_id_;
  const std::string via_out_;
  const std::string via_in_;
  BridgeCounters counters_;
  Random random_;
  net::Resolver resolver_;
  std::unique_ptr<net::Connecting> connecting_;
  std::unique_ptr<Side> local_;
  std::unique_ptr<Side> remote_;
  bool preparing_ = false;
  bool prepared_ = false;
  bool had_session_ = false;  // here, when it was prepared
  bool failing_ = false;
  bool stopped_ = false;
  size_t packet_bytes_max_ = 0;  // that the other broker takes
  Duration pause_{0};
  std::string problem_;
  uint64_t attempt_ = 0;
  runtime::Timer retry_timer_;
  runtime::Timer keep_alive_timer_;
};

}  // namespace verge::mqtt

// The bounds of the broker, and what happens at each.
#pragma once

#include <cstddef>
#include <cstdint>

#include "base/clock.h"
#include "model/event.h"

namespace verge::mqtt {

struct Limits {
  size_t packet_bytes_max = 1U << 20;            // a larger packet closes the connection (0x95)
  size_t client_id_bytes_max = kDeviceBytesMax;  // a client with a longer one is refused (0x85): it names a device
  size_t connections_max = 100'000;              // more are closed at once
  size_t inflight_max = 1024;  // messages at QoS 1 and 2 to a client that are not done with; more wait in its queue
  size_t inflight_bytes_max = 8U << 20;  // of those; likewise
  // Output waiting for one client. Beyond it, messages to it are dropped and it is read no further until it takes what
  // waits; retained messages wait until there is room.
  size_t queue_bytes_max = 1U << 20;
  // What waits for clients that are away, of all sessions together; beyond it the newest message for one is dropped.
  size_t away_bytes_max = 256U << 20;
  size_t retained_max = 1'000'000;           // further topics are not retained
  size_t retained_bytes_max = 512U << 20;    // of retained messages, whole; further ones are not kept
  size_t twins_max = 10'000;                 // further ones are refused
  size_t twin_bytes_max = 32U << 10;         // of a twin's document; what would make it larger is refused
  size_t sessions_max = 100'000;             // a client that would need one more is refused (0x97)
  size_t session_bytes_max = 1U << 30;       // of all sessions: client ids, filters and what keeps them; likewise
  size_t subscriptions_max = 10'000;         // of one session; more are refused (0x97)
  size_t subscription_bytes_max = 1U << 20;  // of the filters of one session; likewise
  size_t filters_a_packet_max = 1024;        // of one SUBSCRIBE; likewise
  size_t answers_max = 256;                  // SUBACK and UNSUBACK awaited by one client; then it is read no further
  // Publishes of one client awaiting durability; then it is read no further. Announced as receive maximum: a client
  // that has sent more at QoS 1 and 2 than it was told the end of (PUBACK, PUBCOMP) is closed (0x93). With those at QoS
  // 2 that connections of the session before left behind, twice as many; one more closes the connection (0x97).
  size_t pending_max = 1024;
  size_t pending_bytes_max = 1U << 20;  // of those; likewise
  // Messages on their way to another loop. A client whose message finds so many there is read no further until that
  // loop has caught up; messages that nobody can be made to wait with (wills, commands of rules) and retained ones are
  // dropped beyond twice the bytes.
  size_t forward_max = 1024;
  size_t forward_bytes_max = 16U << 20;
  // What was read of packets that are not whole or not taken yet, of all clients together; beyond it the client that
  // needs more than input_bytes_granted is closed (0x97).
  size_t input_bytes_max = 256U << 20;
  size_t input_bytes_granted = 1024;  // to each client, whatever the others hold
  size_t topic_aliases_max = 32;      // of a client, each way
  Duration keep_alive_max{0};         // a 5.0 client that asks for more, or none, is told this; 0: whatever it asks for
  Duration session_expiry_max = std::chrono::hours(1);
  Duration connect_timeout = std::chrono::seconds(10);  // from accept to CONNECT
};

// How much may come in a second, with what was not used of the second before; 0: any. All of one loop together, in
// `total`, are read no further until it may go on; one client likewise, or it is closed (0x96).
struct Rates {
  struct Rate {
    uint64_t messages = 0;  // PUBLISH packets
    uint64_t bytes = 0;     // of all packets
    bool operator==(const Rate&) const = default;
  };
  enum class Policy : uint8_t { kHold, kDisconnect };

  Rate client;
  Policy client_policy = Policy::kHold;
  Rate total;
};

}  // namespace verge::mqtt

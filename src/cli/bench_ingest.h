// `verge bench ingest`: how fast a broker takes messages in, and what each costs it.
//
// Latency counts from the instant at which a message was due. At QoS 1 to its PUBACK. At QoS 0, where nobody answers:
// with `subscribe`, to its arrival at a subscriber of ours; otherwise every kBarrierEvery-th message is sent at QoS 1
// instead, and its PUBACK shows that the broker has read all that came before it on the connection.
//
// Lost are: at QoS 1 messages sent and not acknowledged with success within 5 s after the last; at QoS 0 with
// `subscribe` messages sent that did not arrive by then; at QoS 0 without it nothing can be said.
#pragma once

#include <optional>
#include <string>

#include "base/error.h"
#include "base/metrics.h"
#include "cli/bench_run.h"

namespace verge::cli {

inline constexpr uint64_t kBarrierEvery = 20;

struct IngestOptions {
  Load load;
  std::string topic = "bench/%d";
  int process_id = 0;      // of the broker; 0: its processor time is not measured
  bool subscribe = false;  // QoS 0 only
};

struct IngestFigures {
  double messages_per_s = 0;  // taken in, from the first counted to the last
  Histogram::Snapshot latency;
  Histogram::Snapshot pacing;
  uint64_t offered = 0;       // due in the counted time
  uint64_t sent = 0;          // of these, sent before the end
  uint64_t acknowledged = 0;  // PUBACKs with success; at QoS 0 those of barriers
  std::optional<uint64_t> received;
  std::optional<uint64_t> lost;
  std::optional<double> cpu_us_per_message;
};

Result<IngestFigures> bench_ingest(const IngestOptions& options);

// The payload of message `number`: JSON that carries it, exactly `bytes` long. Shorter than 18 bytes: no number.
std::string ingest_payload(uint64_t number, size_t bytes);
std::optional<uint64_t> number_in(std::string_view payload);

std::string text_of(const IngestFigures& figures);
std::string json_of(const IngestFigures& figures);

}  // namespace verge::cli

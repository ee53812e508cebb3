// `verge bench jetstream`: records a second that a NATS server with JetStream acknowledges from its file store, so that
// it stands beside `verge bench spool` and `verge bench ingest`. Closed loop: at most `inflight` publishes wait for
// their acknowledgement, as many as connections of `bench ingest` have under way at a broker that is saturated.
#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include "base/error.h"

namespace verge::cli {

struct JetstreamBenchOptions {
  std::string url = "nats://127.0.0.1:4222";
  std::string stream = "VERGE_BENCH";
  size_t record_bytes = 256;
  size_t inflight = 1024;
  double seconds = 10;
  double warmup_seconds = 1;
  int process_id = 0;  // of the server, whose processor time is measured; 0: not
};

struct JetstreamBenchFigures {
  size_t record_bytes = 0;
  size_t inflight = 0;
  uint64_t records = 0;
  double appends_per_s = 0;
  std::optional<double> cpu_us_per_record;  // of the server
};

// Errors: jetstream.library, jetstream.unreachable, jetstream.stream, those of reading /proc.
Result<JetstreamBenchFigures> bench_jetstream(const JetstreamBenchOptions& options);

std::string text_of(const JetstreamBenchFigures& figures);
std::string json_of(const JetstreamBenchFigures& figures);

}  // namespace verge::cli

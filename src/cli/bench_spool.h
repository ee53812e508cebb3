// `verge bench spool`: durable appends a second, beside the least that the disk allows: a raw loop that writes as many
// bytes into space that is already written and calls fdatasync(2). Both take turns, so that they see the same disk.
//
// One thread commits group after group through the production Spool and delivers what it stored, so that segments come
// and go as they do in a node whose parent keeps up.
#pragma once

#include <cstdint>
#include <string>

#include "base/error.h"
#include "base/metrics.h"

namespace verge::cli {

struct SpoolBenchOptions {
  size_t batch_records = 64;  // a commit
  size_t record_bytes = 256;  // of an event, its topic and device included; at least 64
  double seconds = 10;        // both together
  bool encrypt = false;       // with a key that nobody else has
  std::string directory;      // made, and removed afterwards; empty: a new one where the command runs
};

struct SpoolBenchFigures {
  size_t record_bytes = 0;
  size_t batch_records = 0;
  bool encrypted = false;
  double appends_per_s = 0;
  double raw_appends_per_s = 0;
  double cpu_us_per_record = 0;  // of this process while it appended, the kernel's part included
  double raw_cpu_us_per_record = 0;
  Histogram::Snapshot commit;
  Histogram::Snapshot raw_commit;
};

// Errors: those of the disk.
Result<SpoolBenchFigures> bench_spool(const SpoolBenchOptions& options);

std::string text_of(const SpoolBenchFigures& figures);
std::string json_of(const SpoolBenchFigures& figures);

}  // namespace verge::cli

// A batch as a child might send it: parsing never does harm, and what was parsed can be built again.
#include <cstddef>
#include <cstdint>

#include "base/assert.h"
#include "compress/zstd_frame.h"
#include "spool/batch.h"

using namespace verge;

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* bytes, size_t size) {
  const std::string_view input(reinterpret_cast<const char*>(bytes), size);
  (void)spool::Batch::parse(input);
  // The compressed layer would hide the rest from the fuzzer: compress what it gives.
  const Result<spool::Batch> batch = spool::Batch::parse(compress::zstd_frame(input, 1));
  if (!batch) return 0;
  spool::BatchBuilder builder(batch->header);
  for (const spool::Batch::Record& record : batch->records) {
    std::string event;
    append_event(event, record.event);
    builder.add(record.sequence, event);
  }
  const Result<spool::Batch> again = spool::Batch::parse(builder.take(1));
  VERGE_ASSERT(again.has_value() && again->records.size() == batch->records.size());
  VERGE_ASSERT(again->header.source() == batch->header.source());
  return 0;
}

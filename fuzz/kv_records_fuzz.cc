// What is on the disk may be damaged: records of keys, names of the index of expiries and totals are read from any
// bytes. What can be read is written again and must read the same.
#include <cstdint>
#include <cstdlib>
#include <string>
#include <string_view>

#include "kv/records.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace verge::kv;
  const std::string_view input(reinterpret_cast<const char*>(data), size);
  const auto require = [](bool holds) {
    if (!holds) abort();
  };
  if (const auto record = read_record(input); record && !record->is_apart && record->value_bytes <= kInlineBytesMax) {
    const std::string again = record_of({std::string(record->value), std::string(record->metadata), record->expires_s});
    const auto read = read_record(again);
    require(read && read->value == record->value && read->metadata == record->metadata &&
            read->expires_s == record->expires_s);
  }
  if (const auto expiry = read_expiry_name(input)) {
    require(expiry_name(expiry->expires_s, expiry->space, expiry->key) == input);
  }
  if (const auto totals = read_totals(input)) require(totals_record(*totals) == input);
  return 0;
}

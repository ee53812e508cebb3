// What RocksStore keeps under which names (docs/formats/kv.md). No I/O.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "kv/key_value_store.h"

namespace verge::kv {

// Longer values stand apart from what is said of them, so that a list, and a write over them, need not read them.
inline constexpr size_t kInlineBytesMax = 4096;

// What is said of a key.
struct Record {
  int64_t expires_s = 0;
  uint64_t value_bytes = 0;
  std::string_view metadata;
  bool is_apart = false;   // the value is
  std::string_view value;  // where it is not
};

std::string record_of(const Item& item);
// Nothing: the bytes are no record.
std::optional<Record> read_record(std::string_view bytes);

std::string entry_name(std::string_view space, std::string_view key);
std::string value_name(std::string_view space, std::string_view key);
// In the order of the times.
std::string expiry_name(int64_t expires_s, std::string_view space, std::string_view key);
std::string totals_name(std::string_view space);
// The first name behind all that begin with `prefix`, which ends in a byte below 0xff or has one.
std::string end_of(std::string prefix);

struct Expiry {
  int64_t expires_s = 0;
  std::string_view space;
  std::string_view key;
};
std::optional<Expiry> read_expiry_name(std::string_view name);
inline constexpr char kEntries = 'e';
inline constexpr char kValues = 'v';
inline constexpr char kExpiries = 'x';
inline constexpr char kTotals = 's';

struct Totals {
  uint64_t bytes = 0;
  uint64_t keys = 0;
};
std::string totals_record(const Totals& totals);
std::optional<Totals> read_totals(std::string_view bytes);

// What counts against a namespace's bound.
uint64_t stored_bytes(std::string_view key, const Item& item);
uint64_t stored_bytes(std::string_view key, const Record& record);

[[nodiscard]] std::unexpected<Error> space_is_full(std::string_view space, uint64_t bytes_max);

}  // namespace verge::kv

#include "kv/records.h"

#include <algorithm>
#include <bit>

#include <fmt/format.h>

#include "base/bytes.h"
#include "base/text.h"

namespace verge::kv {
namespace {

constexpr uint8_t kVersion = 1;

std::string name_of(char kind, std::string_view space, std::string_view key) {
  std::string name;
  name.reserve(space.size() + key.size() + 2);
  name.push_back(kind);
  name.append(space).push_back('\0');
  name.append(key);
  return name;
}

}  // namespace

std::string record_of(const Item& item) {
  const bool is_apart = item.value.size() > kInlineBytesMax;
  std::string out;
  out.reserve(24 + item.metadata.size() + (is_apart ? 0 : item.value.size()));
  append_fixed(out, kVersion);
  append_varint(out, static_cast<uint64_t>(item.expires_s));
  append_varint(out, item.value.size());
  append_sized(out, item.metadata);
  append_fixed(out, static_cast<uint8_t>(is_apart));
  if (!is_apart) out.append(item.value);
  return out;
}

std::optional<Record> read_record(std::string_view bytes) {
  ByteReader reader(bytes);
  Record record;
  if (reader.fixed<uint8_t>() != kVersion) return std::nullopt;
  const uint64_t expires_s = reader.varint();
  record.expires_s = static_cast<int64_t>(expires_s);
  record.value_bytes = reader.varint();
  record.metadata = reader.sized();
  const auto is_apart = reader.fixed<uint8_t>();
  if (!reader.ok() || is_apart > 1 || expires_s > INT64_MAX) return std::nullopt;
  record.is_apart = is_apart == 1;
  record.value = reader.rest();
  if (record.value.size() != (record.is_apart ? 0 : record.value_bytes)) return std::nullopt;
  return record;
}

std::string entry_name(std::string_view space, std::string_view key) { return name_of(kEntries, space, key); }
std::string value_name(std::string_view space, std::string_view key) { return name_of(kValues, space, key); }

std::string expiry_name(int64_t expires_s, std::string_view space, std::string_view key) {
  const uint64_t big_endian = std::byteswap(static_cast<uint64_t>(expires_s));
  std::string name(1, kExpiries);
  append_fixed(name, big_endian);
  return name.append(name_of('\0', space, key), 1);
}

std::optional<Expiry> read_expiry_name(std::string_view name) {
  ByteReader reader(name);
  if (reader.fixed<uint8_t>() != static_cast<uint8_t>(kExpiries)) return std::nullopt;
  const uint64_t expires_s = std::byteswap(reader.fixed<uint64_t>());
  const std::string_view rest = reader.rest();
  const size_t zero = rest.find('\0');
  if (!reader.ok() || zero == std::string_view::npos || expires_s > INT64_MAX) return std::nullopt;
  return Expiry{static_cast<int64_t>(expires_s), rest.substr(0, zero), rest.substr(zero + 1)};
}

std::string totals_name(std::string_view space) { return std::string(1, kTotals).append(space); }

std::string end_of(std::string prefix) {
  while (!prefix.empty() && static_cast<uint8_t>(prefix.back()) == 0xff) prefix.pop_back();
  if (!prefix.empty()) ++prefix.back();
  return prefix;
}

std::string totals_record(const Totals& totals) {
  std::string out;
  append_fixed(out, totals.bytes);
  append_fixed(out, totals.keys);
  return out;
}

std::optional<Totals> read_totals(std::string_view bytes) {
  ByteReader reader(bytes);
  Totals totals{.bytes = reader.fixed<uint64_t>()};
  totals.keys = reader.fixed<uint64_t>();
  if (!reader.ok() || !reader.empty()) return std::nullopt;
  return totals;
}

uint64_t stored_bytes(std::string_view key, const Item& item) {
  return key.size() + item.value.size() + item.metadata.size();
}

uint64_t stored_bytes(std::string_view key, const Record& record) {
  return key.size() + record.value_bytes + record.metadata.size();
}

std::unexpected<Error> space_is_full(std::string_view space, uint64_t bytes_max) {
  return fail("kv.namespace-full",
              fmt::format("namespace {} has its {} and takes no more", space, format_size(bytes_max)),
              "delete keys, or raise kv.bytes_max");
}

}  // namespace verge::kv

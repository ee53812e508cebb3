#include "workers/realm_code_cache.h"

#include <cstring>

#include "base/hash.h"

namespace verge::workers {
namespace {

constexpr std::string_view kMagic = "VGCC";
constexpr std::uint32_t kVersion = 1;
constexpr std::size_t kHeaderBytes = 12;
constexpr std::size_t kEntryBytes = 24;

template <class T>
T read(std::span<const std::byte> bytes, std::size_t at) {
  T value;
  std::memcpy(&value, bytes.data() + at, sizeof(value));
  return value;
}

template <class T>
void put(std::vector<std::byte>& out, T value) {
  const auto* raw = reinterpret_cast<const std::byte*>(&value);
  out.insert(out.end(), raw, raw + sizeof(value));
}

std::size_t aligned(std::size_t at) { return (at + 7) & ~std::size_t{7}; }

}  // namespace

CodeCacheReader::CodeCacheReader(std::span<const std::byte> bytes) {
  if (bytes.size() < kHeaderBytes || std::memcmp(bytes.data(), kMagic.data(), kMagic.size()) != 0) return;
  if (read<std::uint32_t>(bytes, 4) != kVersion) return;
  const auto count = read<std::uint32_t>(bytes, 8);
  if (count > (bytes.size() - kHeaderBytes) / kEntryBytes) return;
  bytes_ = bytes;
  count_ = count;
}

std::span<const std::byte> CodeCacheReader::find(std::string_view name, std::uint64_t source_hash) const {
  const std::uint64_t name_hash = hash64(name);
  for (std::size_t index = 0; index < count_; ++index) {
    const std::size_t at = kHeaderBytes + index * kEntryBytes;
    if (read<std::uint64_t>(bytes_, at) != name_hash || read<std::uint64_t>(bytes_, at + 8) != source_hash) continue;
    const std::size_t offset = read<std::uint32_t>(bytes_, at + 16);
    const std::size_t length = read<std::uint32_t>(bytes_, at + 20);
    if (offset > bytes_.size() || length > bytes_.size() - offset) return {};
    return bytes_.subspan(offset, length);
  }
  return {};
}

void CodeCacheWriter::add(std::string_view name, std::uint64_t source_hash, std::span<const std::uint8_t> blob) {
  entries_.push_back({hash64(name), source_hash, {blob.begin(), blob.end()}});
}

std::vector<std::byte> CodeCacheWriter::finish() const {
  std::vector<std::byte> out;
  for (const char c : kMagic) out.push_back(static_cast<std::byte>(c));
  put(out, kVersion);
  put(out, static_cast<std::uint32_t>(entries_.size()));
  std::size_t at = aligned(kHeaderBytes + entries_.size() * kEntryBytes);
  for (const Entry& entry : entries_) {
    put(out, entry.name_hash);
    put(out, entry.source_hash);
    put(out, static_cast<std::uint32_t>(at));
    put(out, static_cast<std::uint32_t>(entry.blob.size()));
    at = aligned(at + entry.blob.size());
  }
  for (const Entry& entry : entries_) {
    out.resize(aligned(out.size()));
    const auto* raw = reinterpret_cast<const std::byte*>(entry.blob.data());
    out.insert(out.end(), raw, raw + entry.blob.size());
  }
  return out;
}

}  // namespace verge::workers

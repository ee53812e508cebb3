// The code cache of a program: what V8 compiled, one blob a module (docs/formats/code-cache.md). V8 checks its own
// version and flags; whose source a blob belongs to is checked here.
//
//   "VGCC" | u32 version | u32 count | count × (u64 hash of the name, u64 hash of the source, u32 offset, u32 length)
//   | blobs, each at an offset that is a multiple of 8
//
// Little-endian; hashes are XXH3. Anything that does not hold reads as "no cache".
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string_view>
#include <vector>

namespace verge::workers {

class CodeCacheReader {
 public:
  explicit CodeCacheReader(std::span<const std::byte> bytes);
  // Empty: there is none for that source.
  [[nodiscard]] std::span<const std::byte> find(std::string_view name, std::uint64_t source_hash) const;

 private:
  std::span<const std::byte> bytes_;
  std::uint32_t count_ = 0;
};

class CodeCacheWriter {
 public:
  void add(std::string_view name, std::uint64_t source_hash, std::span<const std::uint8_t> blob);
  [[nodiscard]] std::vector<std::byte> finish() const;

 private:
  struct Entry {
    std::uint64_t name_hash;
    std::uint64_t source_hash;
    std::vector<std::uint8_t> blob;
  };
  std::vector<Entry> entries_;
};

}  // namespace verge::workers

#include "compress/zstd_frame.h"

#include <zstd.h>

#include "base/assert.h"

namespace verge::compress {

std::string zstd_frame(std::string_view bytes, int level) {
  std::string frame(ZSTD_compressBound(bytes.size()), '\0');
  const size_t size = ZSTD_compress(frame.data(), frame.size(), bytes.data(), bytes.size(), level);
  VERGE_ASSERT(ZSTD_isError(size) == 0);
  frame.resize(size);
  return frame;
}

std::optional<uint64_t> zstd_stated_bytes(std::string_view frame) {
  const unsigned long long size = ZSTD_getFrameContentSize(frame.data(), frame.size());
  if (size == ZSTD_CONTENTSIZE_ERROR || size == ZSTD_CONTENTSIZE_UNKNOWN) return std::nullopt;
  return size;
}

std::optional<std::string> zstd_content(std::string_view frame) {
  const std::optional<uint64_t> stated = zstd_stated_bytes(frame);
  if (!stated) return std::nullopt;
  std::string bytes(*stated, '\0');
  if (ZSTD_findFrameCompressedSize(frame.data(), frame.size()) != frame.size()) return std::nullopt;
  const size_t got = ZSTD_decompress(bytes.data(), bytes.size(), frame.data(), frame.size());
  if (ZSTD_isError(got) != 0 || got != *stated) return std::nullopt;
  return bytes;
}

}  // namespace verge::compress

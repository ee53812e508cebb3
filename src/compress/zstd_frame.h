// One zstd frame (RFC 8878) that states its content size, made and taken apart in one go: for messages that are whole.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace verge::compress {

// `level`: 1 (fast) to 19 (small).
std::string zstd_frame(std::string_view bytes, int level);

// What the frame says that it holds; nothing where it is none, or does not say.
std::optional<uint64_t> zstd_stated_bytes(std::string_view frame);

// Nothing when it is damaged, or does not hold what it states. The caller has bounded zstd_stated_bytes().
std::optional<std::string> zstd_content(std::string_view frame);

}  // namespace verge::compress

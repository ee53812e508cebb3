#include "node/dashboard.h"

#include <array>
#include <cstdint>

#include "compress/deflate_stream.h"

// Made by web/embed.mjs.
struct EmbeddedText {
  const char* bytes;
  uint64_t size;
};
struct EmbeddedFile {
  EmbeddedText path, type, tag, body;
};
extern "C" const EmbeddedFile verge_dashboard_files[];
extern "C" const uint64_t verge_dashboard_count;

namespace verge::node {

static std::string_view view(const EmbeddedText& text) { return {text.bytes, text.size}; }

std::string DashboardFile::plain() const {
  std::string made;
  const auto stream = compress::DeflateStream::decompressor(compress::DeflateFormat::kGzip);
  std::array<char, 16U << 10> room;
  std::string_view rest = body;
  for (auto outcome = compress::DeflateStream::Outcome::kOutputFull;
       stream && outcome == compress::DeflateStream::Outcome::kOutputFull;) {
    size_t bytes = 0;
    outcome = stream->step(rest, true, room, bytes);
    made.append(room.data(), bytes);
  }
  return made;
}

size_t dashboard_file_count() { return verge_dashboard_count; }

DashboardFile dashboard_file_at(size_t index) {
  const EmbeddedFile& file = verge_dashboard_files[index];
  return {.path = view(file.path), .type = view(file.type), .tag = view(file.tag), .body = view(file.body)};
}

std::optional<DashboardFile> dashboard_file(std::string_view path) {
  if (path == "/") path = "/index.html";
  for (size_t i = 0; i < dashboard_file_count(); ++i) {
    if (const DashboardFile file = dashboard_file_at(i); file.path == path) return file;
  }
  return std::nullopt;
}

}  // namespace verge::node

#include "storage/cut_off.h"

#include <algorithm>
#include <memory>
#include <optional>
#include <string_view>
#include <vector>

#include "storage/segment_header.h"

namespace verge::storage {
namespace {

constexpr std::string_view kSuffix = ".cut-off";
constexpr std::string_view kSegmentSuffix = ".log";
constexpr size_t kBytesMax = 4U << 20;
constexpr size_t kFilesMax = 4;

// Their paths, the oldest first: they are named after sequences of one width.
Result<std::vector<std::string>> list_cut_off(FileSystem& file_system, const std::string& directory) {
  const Result<std::vector<std::string>> names = file_system.list(directory);
  if (!names) return std::unexpected(names.error());
  std::vector<std::string> paths;
  for (const std::string& name : *names) {
    if (name.ends_with(kSuffix)) paths.push_back(directory + "/" + name);
  }
  std::ranges::sort(paths);
  return paths;
}

Result<void> write_cut_off(FileSystem& file_system, const std::string& path, std::string_view bytes) {
  const Result<std::unique_ptr<File>> file = file_system.open(path, OpenMode::kCreate);
  if (!file) return std::unexpected(file.error());
  const Result<void> written = (*file)->write_at(0, bytes);
  return written ? (*file)->sync() : written;
}

// One whose header is not whole may need any.
Result<bool> may_need(FileSystem& file_system, const std::string& path, KeyId key) {
  const Result<std::unique_ptr<File>> file = file_system.open(path, OpenMode::kRead);
  if (!file) return std::unexpected(file.error());
  const Result<std::optional<SegmentHeader>> read = read_segment_header(**file);
  if (!read) return std::unexpected(read.error());
  const std::optional<SegmentHeader>& header = *read;
  return !header || header->key == key;
}

}  // namespace

std::string keep_cut_off(FileSystem& file_system, const std::string& path, File& segment, uint64_t from) {
  std::string bytes(kSegmentHeaderBytes + kBytesMax, '\0');
  const Result<size_t> head = segment.salvage_at(0, bytes.data(), kSegmentHeaderBytes);
  const Result<size_t> rest = segment.salvage_at(from, bytes.data() + kSegmentHeaderBytes, kBytesMax);
  if (!head || !rest) return {};
  bytes.resize(bytes.find_last_not_of('\0') + 1);
  if (bytes.size() <= kSegmentHeaderBytes) return {};

  const std::string directory = path.substr(0, path.rfind('/'));
  std::string kept = path.substr(0, path.size() - kSegmentSuffix.size()) + std::string(kSuffix);
  if (!write_cut_off(file_system, kept, bytes)) {
    (void)file_system.remove(kept);
    return {};
  }
  if (const Result<std::vector<std::string>> all = list_cut_off(file_system, directory)) {
    for (size_t i = 0; i + kFilesMax < all->size(); ++i) (void)file_system.remove((*all)[i]);
  }
  return kept;
}

Result<void> remove_cut_off(FileSystem& file_system, const std::string& directory, std::optional<KeyId> key) {
  const Result<std::vector<std::string>> paths = list_cut_off(file_system, directory);
  if (!paths) return std::unexpected(paths.error());
  bool any = false;
  for (const std::string& path : *paths) {
    const Result<bool> is_meant = key ? may_need(file_system, path, *key) : true;
    if (!is_meant) return std::unexpected(is_meant.error());
    if (!*is_meant) continue;
    if (const Result<void> gone = file_system.remove(path); !gone) return gone;
    any = true;
  }
  return any ? file_system.sync_directory(directory) : Result<void>{};
}

}  // namespace verge::storage

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
  std::vector<std::string> paths;
  if (!names && names.error().code == "storage.missing") return paths;
  if (!names) return std::unexpected(names.error());
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

// Whether it is one of ours, and of the key where one is meant. One whose header is not whole may need any.
Result<bool> is_meant(FileSystem& file_system, const std::string& path, std::optional<KeyId> key) {
  const Result<std::unique_ptr<File>> file = file_system.open(path, OpenMode::kRead);
  // Something else has taken the name.
  if (!file && (file.error().code == "storage.foreign" || file.error().code == "storage.missing")) return false;
  if (!file) return std::unexpected(file.error());
  if (!key) return true;
  const Result<std::optional<SegmentHeader>> read = read_segment_header(**file);
  if (!read) return std::unexpected(read.error());
  const std::optional<SegmentHeader>& header = *read;
  return !header || header->key == *key;
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
  // Before the segment is cut: a power cut between must not leave neither.
  if (!write_cut_off(file_system, kept, bytes) || !file_system.sync_directory(directory)) {
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
    const Result<bool> goes = is_meant(file_system, path, key);
    if (!goes) return std::unexpected(goes.error());
    if (!*goes) continue;
    if (const Result<void> gone = file_system.remove(path); !gone) return gone;
    any = true;
  }
  return any ? file_system.sync_directory(directory) : Result<void>{};
}

}  // namespace verge::storage

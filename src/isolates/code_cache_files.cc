#include "isolates/code_cache_files.h"

#include <algorithm>
#include <array>
#include <filesystem>
#include <vector>

#include <fmt/format.h>

#include "base/assert.h"
#include "base/bytes.h"
#include "base/hash.h"
#include "base/log.h"
#include "crypto/hkdf.h"

namespace verge::isolates {
namespace {

namespace fs = std::filesystem;

constexpr std::string_view kMagic = "VGCF";
constexpr uint32_t kVersion = 1;
constexpr size_t kHeadBytes = 16;
constexpr size_t kFileBytesMax = 64U << 20;
constexpr std::string_view kSuffix = ".code";

}  // namespace

Result<std::unique_ptr<CodeCacheFiles>> CodeCacheFiles::open(std::string directory) {
  std::unique_ptr<CodeCacheFiles> made(new CodeCacheFiles(std::move(directory)));
  if (const Result<void> ready = made->files_.make_directory(made->directory_); !ready) {
    return std::unexpected(ready.error());
  }
  made->prune();
  made->writer_ = std::thread([files = made.get()] { files->write(); });
  return made;
}

CodeCacheFiles::CodeCacheFiles(std::string directory) : directory_(std::move(directory)), files_(directory_) {}

CodeCacheFiles::~CodeCacheFiles() {
  if (!writer_.joinable()) return;
  {
    const std::lock_guard lock(mutex_);
    ends_ = true;
  }
  changed_.notify_one();
  writer_.join();
}

std::string CodeCacheFiles::path_of(const WorkerCode& code) const {
  // Each part with its length, so that no two codes give the same text.
  std::string text;
  append_sized(text, code.name);
  append_fixed(text, static_cast<uint8_t>(code.kind));
  for (const ModuleSource& module : code.modules) {
    append_sized(text, module.name);
    append_fixed(text, static_cast<uint8_t>(module.type));
    append_sized(text, module.source);
  }
  std::array<char, 32> digest{};
  const Result<void> made = crypto::hkdf_sha256(text, code.owner, "code cache", digest);
  VERGE_ASSERT(made.has_value());
  std::string path = directory_ + "/";
  for (const char byte : digest) path += fmt::format("{:02x}", static_cast<uint8_t>(byte));
  return path.append(kSuffix);
}

std::string CodeCacheFiles::find(const WorkerCode& code) {
  Result<std::string> read = files_.read_file(path_of(code), kFileBytesMax);
  if (!read) return {};
  ByteReader reader(*read);
  const bool is_ours = reader.bytes(kMagic.size()) == kMagic && reader.fixed<uint32_t>() == kVersion;
  const auto hash = reader.fixed<uint64_t>();
  const std::string_view compiled = reader.rest();
  if (!is_ours || !reader.ok() || hash64(compiled) != hash) return {};
  return std::string(compiled);
}

void CodeCacheFiles::keep(const WorkerCode& code, std::shared_ptr<const std::string> compiled) {
  std::string path = path_of(code);
  {
    const std::lock_guard lock(mutex_);
    if (waiting_.size() >= kWaitingMax) return;
    waiting_.emplace_back(std::move(path), std::move(compiled));
  }
  changed_.notify_one();
}

void CodeCacheFiles::write() {
  std::unique_lock lock(mutex_);
  while (true) {
    changed_.wait(lock, [this] { return ends_ || !waiting_.empty(); });
    if (waiting_.empty()) return;
    const auto [path, compiled] = std::move(waiting_.front());
    waiting_.pop_front();
    lock.unlock();
    std::string content;
    content.reserve(kHeadBytes + compiled->size());
    content.append(kMagic);
    append_fixed(content, kVersion);
    append_fixed(content, hash64(*compiled));
    content.append(*compiled);
    if (const Result<void> written = files_.replace_file(path, content); !written) {
      log_warning("workers", "a code cache was not kept: {}", written.error().line());
    }
    lock.lock();
  }
}

void CodeCacheFiles::prune() {
  struct Found {
    fs::path path;
    fs::file_time_type written;
    uint64_t bytes;
  };
  std::vector<Found> found;
  std::error_code problem;
  for (const fs::directory_entry& entry : fs::directory_iterator(directory_, problem)) {
    if (entry.path().extension() != kSuffix || !entry.is_regular_file(problem)) continue;
    found.push_back({entry.path(), entry.last_write_time(problem), entry.file_size(problem)});
  }
  std::ranges::sort(found, std::ranges::greater(), &Found::written);
  uint64_t bytes = 0;
  for (const Found& one : found) {
    bytes += one.bytes;
    if (bytes > kBytesMax) fs::remove(one.path, problem);
  }
}

}  // namespace verge::isolates

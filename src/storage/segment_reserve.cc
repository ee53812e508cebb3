#include "storage/segment_reserve.h"

#include <algorithm>
#include <charconv>

#include <fmt/format.h>

namespace verge::storage {
namespace {

constexpr size_t kZerosBytes = 1U << 20;
constexpr uint64_t kNumberMax = 1ULL << 62;

}  // namespace

Result<void> SegmentReserve::open(std::vector<SetAside>& foreign) {
  if (const Result<void> made = file_system_.make_directory(directory_); !made) return made;
  const Result<std::vector<std::string>> left = file_system_.list(directory_);
  if (!left) return std::unexpected(left.error());
  for (const std::string& name : *left) {
    const std::string path = directory_ + "/" + name;
    if (path == held_back_path()) {
      const Result<std::unique_ptr<File>> file = file_system_.open(path, OpenMode::kRead);
      const Result<uint64_t> size = file ? (*file)->size() : std::unexpected(file.error());
      holds_back_ = size && *size == segment_bytes_;
      // Of another size: it is nothing but space.
      if (!holds_back_ && !file_system_.remove(path)) (void)file_system_.set_aside(path);
      continue;
    }
    uint64_t number = 0;
    const auto [stop, problem] = std::from_chars(name.data(), name.data() + name.size(), number);
    if (problem != std::errc{} || stop != name.data() + name.size() || number > kNumberMax) {
      foreign.push_back({path, {}, path + " is none of the node's files"});
      continue;
    }
    last_number_ = std::max(last_number_, number);
    const Result<void> removed = file_system_.remove(path);
    if (!removed && removed.error().code != "storage.foreign") return removed;
    if (!removed) foreign.push_back({path, {}, removed.error().what});
  }
  return {};
}

std::string SegmentReserve::new_path() {
  const std::lock_guard lock(mutex_);
  return fmt::format("{}/{}", directory_, ++last_number_);
}

std::unique_ptr<File> SegmentReserve::take(const std::string& path) {
  std::string from;
  {
    const std::lock_guard lock(mutex_);
    if (ready_.empty()) return nullptr;
    from = std::move(ready_.back());
    ready_.pop_back();
  }
  if (!file_system_.rename(from, path)) return nullptr;
  Result<std::unique_ptr<File>> file = file_system_.open(path, OpenMode::kWrite);
  return file ? std::move(*file) : nullptr;
}

bool SegmentReserve::give(const std::string& path) {
  if (ready() >= kReadyMax) return false;
  std::string to = new_path();
  if (!file_system_.rename(path, to)) return false;
  const std::lock_guard lock(mutex_);
  ready_.push_back(std::move(to));
  return true;
}

void SegmentReserve::drop() {
  std::vector<std::string> dropped;
  {
    const std::lock_guard lock(mutex_);
    dropped.swap(ready_);
  }
  for (const std::string& path : dropped) (void)file_system_.remove(path);  // else the next start removes it
}

Result<void> SegmentReserve::hold_back() {
  const std::lock_guard alone(holding_back_);
  if (holds_back_) return {};
  Result<std::unique_ptr<File>> file = file_system_.open(held_back_path(), OpenMode::kCreate);
  if (!file) return std::unexpected(file.error());
  Result<void> done = (*file)->allocate(segment_bytes_);
  if (done) done = (*file)->sync();
  file->reset();
  if (!done) {
    (void)file_system_.remove(held_back_path());
    return done;
  }
  holds_back_ = true;
  return {};
}

bool SegmentReserve::release() {
  if (!holds_back_) return false;
  std::string to = new_path();
  if (!file_system_.rename(held_back_path(), to)) return false;
  holds_back_ = false;
  const std::lock_guard lock(mutex_);
  ready_.push_back(std::move(to));
  return true;
}

void SegmentReserve::hold_back_ready() {
  const std::lock_guard alone(holding_back_);
  if (holds_back_) return;
  const std::lock_guard lock(mutex_);
  if (ready_.empty() || !file_system_.rename(ready_.back(), held_back_path())) return;
  ready_.pop_back();
  holds_back_ = true;
}

Result<void> SegmentReserve::prepare() {
  if (const Result<void> held = hold_back(); !held) return held;
  if (ready() >= kReadyMax) return {};
  std::string path = new_path();
  Result<std::unique_ptr<File>> file = file_system_.open(path, OpenMode::kCreate);
  if (!file) return std::unexpected(file.error());
  Result<void> done = (*file)->allocate(segment_bytes_);
  const std::string zeros(std::min<uint64_t>(kZerosBytes, segment_bytes_), '\0');
  for (uint64_t at = 0; done && at < segment_bytes_; at += zeros.size()) {
    done = (*file)->write_at(at, std::string_view(zeros).substr(0, segment_bytes_ - at));
  }
  if (done) done = (*file)->sync();
  if (!done) {
    file->reset();
    (void)file_system_.remove(path);
    return done;
  }
  const std::lock_guard lock(mutex_);
  ready_.push_back(std::move(path));
  return {};
}

size_t SegmentReserve::ready() const {
  const std::lock_guard lock(mutex_);
  return ready_.size();
}

}  // namespace verge::storage

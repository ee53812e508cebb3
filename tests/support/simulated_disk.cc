#include "tests/support/simulated_disk.h"

#include <algorithm>
#include <cstring>

namespace verge::tests {
namespace {

constexpr size_t kSector = 512;

void apply(std::string& content, uint64_t offset, std::string_view bytes) {
  if (content.size() < offset + bytes.size()) content.resize(offset + bytes.size(), '\0');
  std::memcpy(content.data() + offset, bytes.data(), bytes.size());
}

}  // namespace

class SimulatedFile final : public storage::File {
 public:
  SimulatedFile(SimulatedDisk& disk, std::shared_ptr<SimulatedDisk::Content> content, std::string path)
      : disk_(disk), content_(std::move(content)), path_(std::move(path)) {}

  Result<size_t> read_at(uint64_t offset, char* into, size_t size) override {
    if (++disk_.reads_ == disk_.fail_read_at_) return fail("storage.io", "simulated failure to read " + path_);
    const std::string& now = content_->now;
    if (offset >= now.size()) return 0;
    const size_t count = std::min(size, now.size() - offset);
    const auto spoiled = content_->spoiled.lower_bound(offset / kSector);
    if (count > 0 && spoiled != content_->spoiled.end() && *spoiled <= (offset + count - 1) / kSector) {
      return fail("storage.io", "a simulated bad sector of " + path_);
    }
    std::memcpy(into, now.data() + offset, count);
    disk_.read_bytes_ += count;
    return count;
  }

  Result<void> write_at(uint64_t offset, std::string_view bytes) override {
    const Result<void> allowed = disk_.operate(path_);
    // A failed write leaves some of its bytes.
    if (!allowed) bytes = bytes.substr(0, disk_.random_.below(bytes.size() + 1));
    for (uint64_t at = offset / kSector; at * kSector < offset + bytes.size(); ++at) content_->spoiled.erase(at);
    apply(content_->now, offset, bytes);
    content_->unsynced.push_back({offset, std::string(bytes)});
    return allowed;
  }

  Result<void> sync() override {
    if (const Result<void> allowed = disk_.operate(path_); !allowed) {
      // As on Linux: the pages are clean now though they may never have been written.
      content_->unsynced.clear();
      if (disk_.random_.chance(0.5)) content_->synced = content_->now;
      return allowed;
    }
    content_->synced = content_->now;
    content_->unsynced.clear();
    return {};
  }

  Result<uint64_t> size() override { return content_->now.size(); }

  Result<void> allocate(uint64_t bytes) override {
    if (const Result<void> allowed = disk_.operate(path_); !allowed) return allowed;
    if (content_->now.size() >= bytes) return {};
    if (disk_.full_) return fail("storage.full", "simulated full disk");
    content_->now.resize(bytes, '\0');
    return {};
  }

  Result<void> truncate(uint64_t bytes) override {
    if (const Result<void> allowed = disk_.operate(path_); !allowed) return allowed;
    content_->now.resize(bytes, '\0');
    // Truncation reaches the disk with the metadata, sooner or later: here at once or with the next sync.
    if (disk_.random_.chance(0.5)) content_->synced.resize(std::min<size_t>(content_->synced.size(), bytes));
    return {};
  }

 private:
  SimulatedDisk& disk_;
  std::shared_ptr<SimulatedDisk::Content> content_;
  const std::string path_;
};

Result<void> SimulatedDisk::operate(const std::string& path) {
  ++operations_;
  if (fail_at_ == 0 || operations_ < fail_at_ || (operations_ > fail_at_ && !fail_sticky_)) return {};
  return fail(fail_code_, "simulated failure at " + path);
}

void SimulatedDisk::crash() {
  // Each unsynced directory change survives or not on its own.
  Entries left = synced_entries_;
  for (const auto& [path, content] : entries_) {
    const auto before = synced_entries_.find(path);
    if ((before == synced_entries_.end() || before->second != content) && random_.chance(0.5)) left[path] = content;
  }
  for (const auto& [path, content] : synced_entries_) {
    if (!entries_.contains(path) && random_.chance(0.5)) left.erase(path);
  }
  entries_ = left;
  synced_entries_ = left;
  for (auto& [path, shared] : entries_) {
    // Whoever has the file open from before sees a ghost.
    auto content = std::make_shared<Content>();
    content->synced = shared->synced;
    content->spoiled = shared->spoiled;
    const double kept = random_.unit();
    for (const Write& write : shared->unsynced) {
      for (size_t at = 0; at < write.bytes.size(); at += kSector) {
        if (random_.chance(kept))
          apply(content->synced, write.offset + at, std::string_view(write.bytes).substr(at, kSector));
      }
    }
    content->now = content->synced;
    shared = content;
    synced_entries_[path] = content;
  }
}

void SimulatedDisk::flip_bit(const std::string& path, uint64_t offset) {
  Content& content = *entries_.at(path);
  const uint64_t at = offset % content.now.size();
  content.now[at] = static_cast<char>(content.now[at] ^ 1 << random_.below(8));
  content.synced = content.now;
}

void SimulatedDisk::spoil_sector(const std::string& path, uint64_t offset) {
  entries_.at(path)->spoiled.insert(offset / kSector);
}

void SimulatedDisk::overwrite(const std::string& path, std::string content) {
  Content& held = *entries_.at(path);
  held.now = held.synced = std::move(content);
  held.unsynced.clear();
  synced_entries_[path] = entries_.at(path);
}

SimulatedDisk::Copy SimulatedDisk::copy() const {
  Copy copy;
  for (const auto& [path, content] : entries_) copy[path] = content->now;
  return copy;
}

void SimulatedDisk::put_back(const Copy& copy) {
  entries_.clear();
  for (const auto& [path, content] : copy) {
    entries_[path] = std::make_shared<Content>();
    entries_[path]->now = entries_[path]->synced = content;
  }
  synced_entries_ = entries_;
}

std::vector<std::string> SimulatedDisk::paths() const {
  std::vector<std::string> paths;
  for (const auto& [path, content] : entries_) paths.push_back(path);
  return paths;
}

Result<std::unique_ptr<storage::File>> SimulatedDisk::open(const std::string& path, storage::OpenMode mode) {
  auto found = entries_.find(path);
  if (mode == storage::OpenMode::kCreate) {
    if (const Result<void> allowed = operate(path); !allowed) return std::unexpected(allowed.error());
    found = entries_.insert_or_assign(path, std::make_shared<Content>()).first;
  }
  if (found == entries_.end()) return fail("storage.missing", "no file " + path);
  return std::make_unique<SimulatedFile>(*this, found->second, path);
}

Result<std::vector<std::string>> SimulatedDisk::list(const std::string& directory) {
  std::vector<std::string> names;
  for (const auto& [path, content] : entries_) {
    if (path.starts_with(directory + "/") && path.find('/', directory.size() + 1) == std::string::npos) {
      names.push_back(path.substr(directory.size() + 1));
    }
  }
  return names;
}

// Directories are there as soon as something is in them; to make one can fail all the same.
Result<void> SimulatedDisk::make_directory(const std::string& path) {
  if (fail_directory_ > 0 && --fail_directory_ == 0) return fail("storage.full", "simulated failure to make " + path);
  return operate(path);
}

Result<void> SimulatedDisk::rename(const std::string& from, const std::string& to) {
  if (const Result<void> allowed = operate(from); !allowed) return allowed;
  const auto found = entries_.find(from);
  if (found == entries_.end()) return fail("storage.missing", "no file " + from);
  entries_[to] = found->second;
  entries_.erase(from);
  return {};
}

Result<void> SimulatedDisk::remove(const std::string& path) {
  if (const Result<void> allowed = operate(path); !allowed) return allowed;
  entries_.erase(path);
  return {};
}

Result<void> SimulatedDisk::sync_directory(const std::string& path) {
  if (const Result<void> allowed = operate(path); !allowed) return allowed;
  const auto inside = [&](const std::string& entry) {
    return entry.starts_with(path + "/") && entry.find('/', path.size() + 1) == std::string::npos;
  };
  std::erase_if(synced_entries_,
                [&](const auto& entry) { return inside(entry.first) && !entries_.contains(entry.first); });
  for (const auto& [entry, content] : entries_) {
    if (inside(entry)) synced_entries_[entry] = content;
  }
  return {};
}

}  // namespace verge::tests

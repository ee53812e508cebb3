// SegmentReserve: files that are ready to become segments, of the full size and already written.
//
// The problem: fdatasync(2) of a write into space that was only reserved must also record that the space is written
// now, which costs as much again as the write (measured on ext4: batches of 16 KiB, 2 to 10 times fewer commits a
// second). So space is written before it is needed: segments that are done with are kept for the next, and when there
// are none, prepare() fills a new file with zeros ahead of time. What a kept file still holds is void: frames are bound
// to their segment by its salt. (Zeroing kept files again was the alternative; it would write every byte twice.)
//
// One file more is held back, of space that is reserved and not written: where the disk is full, and what comes next is
// worth it, it is the last segment that can be begun.
//
// Crash safety: nothing here is worth anything after a crash; open() removes what an earlier run left: files whose
// names are numbers. The file held back (`held-back`) stays, so that a start on a full disk still has it.
//
// Threading: prepare() from one thread beside all else from another.
#pragma once

#include <atomic>
#include <cstdint>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include "base/error.h"
#include "storage/file_system.h"

namespace verge::storage {

class SegmentReserve {
 public:
  static constexpr size_t kReadyMax = 2;

  SegmentReserve(FileSystem& file_system, std::string directory, uint64_t segment_bytes)
      : file_system_(file_system), directory_(std::move(directory)), segment_bytes_(segment_bytes) {}

  // What is there and is none of its files is left alone, and added to `foreign`.
  Result<void> open(std::vector<SetAside>& foreign);

  // Moves a ready file to `path`, open for writing; null when none is ready or it cannot be moved. The caller syncs the
  // directory of `path`.
  std::unique_ptr<File> take(const std::string& path);
  // Takes over a file of segment_bytes, all of them written. False: not wanted, the caller removes it. The caller syncs
  // the directory it came from.
  bool give(const std::string& path);
  // Removes what is ready: its content must not become a part of new segments.
  void drop();
  // Makes one file ready, unless there are enough; before it, the one to hold back.
  Result<void> prepare();
  [[nodiscard]] bool holds_back() const { return holds_back_; }
  // Makes what was held back ready. False: there is none.
  bool release();
  // Holds back one that is ready, where none is held back.
  void hold_back_ready();

  [[nodiscard]] size_t ready() const;
  [[nodiscard]] uint64_t segment_bytes() const { return segment_bytes_; }

 private:
  std::string new_path();
  [[nodiscard]] std::string held_back_path() const { return directory_ + "/held-back"; }
  Result<void> hold_back();

  FileSystem& file_system_;
  const std::string directory_;
  const uint64_t segment_bytes_;
  mutable std::mutex mutex_;
  std::vector<std::string> ready_;  // guarded by mutex_
  uint64_t last_number_ = 0;        // likewise
  std::mutex holding_back_;         // while the file held back is made
  std::atomic<bool> holds_back_{false};
};

}  // namespace verge::storage

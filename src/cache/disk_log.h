// DiskLog: answers on a disk, in segments that are written in sequence and go as a whole, found by way of a DiskIndex.
//
// Answers are appended to a segment, many with one write, and the place of each to the segment's index file; when space
// is short the oldest segment goes, but for what was used since it was written, which is written again (at most half of
// it): FIFO with reinsertion, which resists scans and writes everything in sequence, as flash likes it. A start reads
// the index files only, 32 bytes an answer, and is warm.
//
// Nothing is synced: what a power cut tears fails its checksum and is not served. After SIGKILL all is there that was
// written. Formats: docs/formats/cache.md.
//
// Threads: one writes; all others read, and use the index.
#pragma once

#include <atomic>
#include <cstdint>
#include <deque>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/error.h"
#include "base/hash.h"
#include "cache/disk_index.h"
#include "cache/disk_record.h"
#include "storage/file_system.h"

namespace verge::cache {

struct DiskLogOptions {
  uint64_t bytes_max = 1U << 30;
  uint64_t segment_bytes = 0;  // 0: a sixty-fourth of all, 4 MiB to 256 MiB; larger answers are not written
  size_t answers_max = 0;      // 0: one a KiB, 16 million at most
};

struct DiskLogCounters {
  std::atomic<uint64_t> bytes{0};      // on the disk
  std::atomic<uint64_t> written{0};    // answers
  std::atomic<uint64_t> rewritten{0};  // because they were used
  std::atomic<uint64_t> damaged{0};    // not what was written, and passed over
  std::atomic<uint64_t> failures{0};   // of the disk
};

class DiskLog {
 public:
  using AnswerPointer = std::shared_ptr<const Answer>;
  // Whether an answer to the URL is in use elsewhere, so that it is written again though nobody read it from here.
  using IsInUse = std::function<bool(std::string_view url)>;

  // A damaged directory opens; what cannot be used in it is not there, and if nothing says what was in it all of it
  // goes
  // (`was_anew`). `file_system` outlives the log. Errors: those of the disk.
  static Result<std::unique_ptr<DiskLog>> open(storage::FileSystem& file_system, std::string directory,
                                               const DiskLogOptions& options, IsInUse is_in_use, bool& was_anew);

  [[nodiscard]] uint64_t hash_of(std::string_view url) const { return hash64(url, seed_); }
  [[nodiscard]] DiskIndex& index() { return *index_; }
  [[nodiscard]] const DiskIndex& index() const { return *index_; }
  [[nodiscard]] const DiskLogCounters& counters() const { return counters_; }
  [[nodiscard]] uint64_t segment_bytes() const { return options_.segment_bytes; }

  // Of a group that is written together.
  struct Item {
    AnswerPointer answer;       // complete; null: the answers to the URL before are void, after a restart too
    uint64_t url = 0;           // its hash
    std::function<bool()> may;  // asked when it is about to be noted: whether it still counts
  };
  // Answers are found once this has returned. After a failure some are not, and it goes on in another segment. Error:
  // the first one met.
  Result<void> write(std::span<const Item> items);

  // The answer at that place, if it is one to `url`: whole. Nothing where there is none; then the index has forgotten
  // the place, unless the disk failed. `is_wanted`: asked of its head, before its body is read.
  AnswerPointer read(std::string_view url, DiskPlace place, const std::function<bool(const AnswerParts&)>& is_wanted);

 private:
  struct Segment {
    uint32_t number = 0;
    uint64_t bytes = 0;  // of its data
    uint64_t index_bytes = 0;
    std::shared_ptr<storage::File> data;
  };
  struct Note;

  DiskLog(storage::FileSystem& file_system, std::string directory, const DiskLogOptions& options, IsInUse is_in_use);

  [[nodiscard]] std::string path_of(uint32_t segment, std::string_view suffix) const;
  Result<bool> read_meta();
  Result<void> begin_anew();
  Result<void> recover();
  Result<void> recover_segment(uint32_t number);
  Result<void> remove_segment_files(uint32_t number);

  Result<void> append(const Answer& answer, uint64_t url, std::vector<Note>& notes);
  Result<void> append_raw(std::string_view record, uint64_t url, uint32_t variant, std::vector<Note>& notes);
  Result<void> write_out();
  Result<void> write_notes(std::vector<Note>& notes);
  Result<void> room_for(uint64_t bytes, std::vector<Note>& notes);
  Result<void> begin_segment();
  void remove_oldest();
  Result<void> remove_gone();
  void rewrite_used(uint32_t number);
  std::shared_ptr<storage::File> file_of(uint32_t segment);
  AnswerPointer damaged(uint64_t url, DiskPlace place);

  storage::FileSystem& file_system_;
  const std::string directory_;
  DiskLogOptions options_;
  const IsInUse is_in_use_;
  uint64_t seed_ = 0;
  std::unique_ptr<DiskIndex> index_;
  DiskLogCounters counters_;

  mutable std::mutex mutex_;  // of segments_: to look up and change, not to read and write
  std::deque<Segment> segments_;

  // Of the writing thread.
  std::unique_ptr<storage::File> index_file_;
  std::deque<uint32_t> going_;  // segments whose files are still to be removed
  std::string buffer_;          // records that are not written yet
  uint64_t buffer_at_ = 0;      // where they go in the last segment
  bool is_rewriting_ = false;
};

}  // namespace verge::cache

// PurgeJournal: purges on the disk, so that what was purged does not come back from the disk tier with a restart.
//
// Each purge is appended when it is made, which waits for no disk, and durable once sync() has returned. A start reads
// them in order, and writes the file anew with what still counts; so does a sync() once the file has grown to twice
// that. A record that is torn or damaged ends the file: what followed is lost, and with
// it the knowledge of what was purged, so that the caller must take everything on the disk for purged. A file that ends
// within a record is the trace of a crash: that purge was not answered. Format: docs/formats/cache.md.
//
// Threads: all functions from any.
#pragma once

#include <memory>
#include <mutex>
#include <string>

#include "base/error.h"
#include "cache/purges.h"
#include "storage/file_system.h"

namespace verge::cache {

class PurgeJournal {
 public:
  // Restores the purges in `path` into `purges`, and is told of new ones from then on. The journal outlives the
  // use of `purges`. `is_whole`: nothing is missing; where it is, the journal is empty. Errors:
  // those of the disk. `compact_above`: bytes, below which it is never written anew meanwhile.
  static Result<std::unique_ptr<PurgeJournal>> open(storage::FileSystem& file_system, const std::string& path,
                                                    Purges& purges, bool& is_whole, uint64_t compact_above = 16U << 20);

  // When all purges made before are durable. After an error they are in effect, but may be forgotten by a restart.
  Result<void> sync();

 private:
  PurgeJournal(storage::FileSystem& file_system, std::string path, const Purges& purges, uint64_t compact_above)
      : file_system_(file_system), path_(std::move(path)), purges_(purges), least_compacted_(compact_above) {}

  void note(const PurgeRecord& record);
  void compact();

  storage::FileSystem& file_system_;
  const std::string path_;
  const Purges& purges_;
  const uint64_t least_compacted_;
  std::mutex sync_mutex_;                // taken before the other
  std::mutex mutex_;                     // that of `purges` is taken before it
  std::unique_ptr<storage::File> file_;  // changed under both
  uint64_t bytes_ = 0;
  uint64_t compact_above_ = 0;
  bool is_compacting_ = false;
  std::string noted_meanwhile_;  // while it is written anew
  Result<void> failed_;          // since some note could not be written, no sync is good
};

}  // namespace verge::cache

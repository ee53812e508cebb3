// Inspection: what is in a spool's directory, read from the files alone. Reads only; the node may be running, but then
// what is found may be older than what it says itself.
#pragma once

#include <array>
#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "base/clock.h"
#include "base/error.h"
#include "base/interval_set.h"
#include "model/event.h"
#include "model/priority.h"
#include "spool/dead_letter.h"
#include "spool/ledger.h"
#include "storage/file_system.h"
#include "storage/segmented_log.h"

namespace verge::spool {

struct StreamContent {
  uint64_t records = 0;            // not delivered
  uint64_t delivered_records = 0;  // delivered, and still on the disk
  uint64_t bytes = 0;              // of the files
  uint64_t segments = 0;
  std::optional<WallTime> oldest;  // the event time of the first record that is not delivered
  std::vector<storage::DamagedRange> damaged;
};

struct SpoolContent {
  std::array<StreamContent, kPriorities.size()> streams;
  uint64_t dead_letters = 0;
  std::vector<storage::DamagedRange> damaged_dead_letters;
  bool has_cursors = false;  // sound ones; without them all counts as not delivered
  bool has_incarnation = false;
  std::optional<Error> ledger_problem;  // why it cannot be read, if it is there
  bool has_ledger = false;              // a sound one
  uint64_t ledger_sources = 0;
  uint64_t ledger_stretches = 0;
  bool has_lives_file = false;
  std::optional<size_t> lives;  // of a sound one: those that gave what is here
};

struct SegmentContent {
  Priority stream = Priority::kNormal;
  storage::SegmentFile file;
  uint64_t records = 0;
  uint64_t undelivered = 0;
};

struct InspectedRecord {
  Priority stream = Priority::kNormal;
  uint64_t sequence = 0;
  bool is_delivered = false;
  std::string_view source;  // as the ledger names it; empty: none
  uint64_t source_sequence = 0;
  EventView event;
  std::string_view bytes;  // of the event
};

class Inspection {
 public:
  // Errors: spool.none when there is no spool.
  // `keys` outlives it. What cannot be read for want of a key is an error of each of the functions below
  // (storage.key-missing), and never left out.
  static Result<Inspection> open(storage::FileSystem& file_system, std::string spool_directory,
                                 const storage::KeyRing& keys);

  // Reads every record, and the ledger.
  Result<SpoolContent> content();
  Result<std::vector<SegmentContent>> segments();
  // Every record of the streams in order of importance, until `take` says false. What is no event is left out.
  Result<void> for_each(std::optional<Priority> stream, const std::function<bool(const InspectedRecord&)>& take);
  Result<void> for_each_dead_letter(const std::function<bool(const DeadLetter&)>& take);

 private:
  LedgerCoverage read_ledger(SpoolContent& content);

  Inspection(storage::FileSystem& file_system, std::string directory, const storage::KeyRing& keys)
      : file_system_(file_system), directory_(std::move(directory)), keys_(keys) {}

  storage::FileSystem& file_system_;
  std::string directory_;
  const storage::KeyRing& keys_;
  bool has_cursors_ = false;
  bool has_incarnation_ = false;
  std::array<IntervalSet, kPriorities.size()> delivered_;
};

}  // namespace verge::spool

// Spool: the durable priority queue of a node. Everything that must not be lost is here, from its acknowledgement until
// the parent has it (on a node without a parent: for good).
//
// One log a priority, so that each can be read, sent and cut on its own; a ledger of what sources have given, so that
// repetitions are recognised; a cursor a stream, of what the parent has. Submissions are committed in groups: all that
// came since the last commit is written, then synced once a stream, then answered.
//
// Under spool/: critical/ high/ normal/ low/ dead-letters/ (logs), reserve/ (files for them), ledger (snapshot),
// cursors, incarnation, lives. Formats: docs/formats/spool.md. This class does its I/O through a FileSystem and knows
// no threads: SpoolWriter gives it one.
#pragma once

#include <array>
#include <memory>
#include <string>
#include <vector>

#include "base/clock.h"
#include "base/error.h"
#include "base/interval_set.h"
#include "base/random.h"
#include "model/node_id.h"
#include "model/priority.h"
#include "spool/awaited_deliveries.h"
#include "spool/dead_letter.h"
#include "spool/ledger.h"
#include "spool/lives.h"
#include "spool/stream_options.h"
#include "storage/file_system.h"
#include "storage/key_ring.h"
#include "storage/segmented_log.h"

namespace verge::spool {

inline constexpr size_t kStreams = kPriorities.size();

// All that hold records: the four streams', and that of dead letters.
std::vector<std::string> log_directories(const std::string& spool_directory);

struct SpoolOptions {
  uint64_t bytes_max = 4ULL << 30;     // of all logs together
  uint64_t critical_reserve = 0;       // of it, for critical records only; 0: a sixteenth
  uint64_t segment_bytes = 16U << 20;  // a log file
  size_t sources_max = 65536;
  size_t stretches_max = Ledger::kStretchesMax;  // of the ledger
  std::array<StreamOptions, kPriorities.size()> streams{};
  Random* identities = nullptr;  // incarnations and lives are drawn from it; null: from the operating system's entropy
};

// Records to be made durable together, and what became of each.
struct Submission {
  struct Item {
    Priority priority = Priority::kNormal;
    std::string source;  // empty: the record is new by definition
    uint64_t source_sequence = 0;
    std::string event;                       // as append_event() wrote it
    std::shared_ptr<DeliveryWait> delivery;  // who waits for the parent to have it; null: nobody
    uint64_t sequence = 0;                   // filled by the commit where it was stored
  };
  enum class Fate : uint8_t {
    kStored,
    kKnown,
    kRefused,
    kDropped,  // not stored, by the stream's policy: done with
  };

  std::vector<Item> items;
  // A source of which everything below `floor` is done with (never to come again).
  std::string floor_source;
  uint64_t floor = 0;

  // Filled by the commit: one fate an item, and the reason if any was refused.
  std::vector<Fate> fates;
  Error error;
};

struct StreamState {
  uint64_t delivered_through = 0;  // the parent has all sequences up to this one
  uint64_t undelivered = 0;        // sequences that it does not have
  uint64_t end = 1;                // the first sequence that is not durable yet
  uint64_t bytes = 0;              // on the disk
  uint64_t appended_bytes = 0;     // of events since the start
  uint64_t dropped = 0;            // records that went for want of space, by policy, since the start
};

class Spool {
 public:
  struct Recovery {
    std::vector<storage::DamagedRange> damaged;
    // Files that could not be read and were replaced, or not be written, with what that means: spool.ledger-lost,
    // spool.incarnation-lost, spool.lives-lost, spool.life-not-noted.
    std::vector<Error> replaced;
    // What is not the spool's, and was where its own files are or are to be.
    std::vector<storage::SetAside> set_aside;
  };

  // `keys` outlives the spool and is changed by change_keys() only. A damaged spool opens. Error storage.key-missing:
  // something in it can be read only with a key that is not in the ring; then nothing was changed.
  static Result<std::unique_ptr<Spool>> open(storage::FileSystem& file_system, std::string directory,
                                             storage::KeyRing& keys, const SpoolOptions& options, Recovery& recovery);

  // A stretch of records that went with its key.
  struct Erased {
    std::string_view log;  // the stream's name, or "dead letters"
    IntervalSet::Interval sequences;
    uint64_t undelivered = 0;
  };
  // Gives up what only that key can read, in a spool that is not open: such frames are gone for good afterwards, and
  // the spool opens without the key.
  static Result<std::vector<Erased>> erase_key(storage::FileSystem& file_system, std::string directory,
                                               storage::KeyRing& keys, const SpoolOptions& options, storage::KeyId key,
                                               Recovery& recovery);

  // Makes all submissions of the group durable and fills in their fates. Never fails as a whole.
  void commit(std::vector<Submission*>& group);

  // The parent has these sequences of the stream, or they will never come. Frees the segments that are done with.
  Result<void> delivered(Priority stream, IntervalSet::Interval sequences);
  [[nodiscard]] const IntervalSet& delivered_of(Priority stream) const {
    return streams_[static_cast<size_t>(stream)].delivered;
  }
  // Keeps the record apart, durably, and counts it as delivered. Error spool.dead-letters-full: they have a sixteenth
  // of bytes_max, and none goes unasked. After an error it does not count as delivered, though a later start may find
  // the letter.
  Result<void> bury(const DeadLetter& letter);
  // Gives up all that is in the stream, delivered or not. On return its files are gone durably. How many records the
  // parent did not have; after an error some of the oldest may be gone.
  Result<uint64_t> discard(Priority stream);
  // Puts every dead letter back into its stream, as a new record, and forgets it. Returns how many. After an error some
  // may be back, which a second call recognises. `damaged`: those that could not be read, and are forgotten too.
  Result<uint64_t> replay_dead_letters(std::vector<storage::DamagedRange>& damaged);
  Result<void> forget_dead_letters();
  // What is written from now on is encrypted with the ring's new key, beginning with a new segment in each log that is
  // in use; segments of before go as soon as they are delivered. Error storage.key-missing: the new keys lack one that
  // something here needs; then nothing has changed.
  Result<void> change_keys(const storage::Keys& keys);
  [[nodiscard]] const storage::KeyRing& keys() const { return keys_; }
  // Writes the cursors and the ledger; call before a clean end.
  Result<void> checkpoint();

  // The age clock's seconds: of what is committed from now on, and as it was noted last.
  void set_age(uint32_t seconds) { age_s_ = seconds; }
  [[nodiscard]] uint32_t age() const { return age_s_; }

  // Whether there is room for records again, by the limit and on the disk: for a segment more of any stream, which it
  // tries, or, where a segment was begun since, in it.
  bool has_room();

  // Whether prepare_segment() should be called soon, so that the next segment is ready when it is needed.
  [[nodiscard]] bool needs_segment() const;
  // Makes a file ready to become a segment. Slow; may be called from one other thread, beside everything else.
  Result<void> prepare_segment() { return reserve_.prepare(); }

  [[nodiscard]] StreamState state(Priority stream) const;
  [[nodiscard]] uint64_t bytes() const;
  // More than half of the space is used that all streams have.
  [[nodiscard]] bool is_short_of_space() const { return bytes() > space_for(Priority::kLow) / 2; }
  // The spool's own name for itself. To the parent it is its lives.
  [[nodiscard]] const NodeId& incarnation() const { return incarnation_; }
  [[nodiscard]] const Lives& lives() const { return lives_; }
  [[nodiscard]] const Ledger& ledger() const { return ledger_; }
  [[nodiscard]] uint64_t dead_letters() const { return dead_letters_; }
  [[nodiscard]] static std::string stream_directory(const std::string& spool_directory, Priority stream);
  [[nodiscard]] static std::string dead_letter_directory(const std::string& spool_directory);

 private:
  struct Stream {
    std::unique_ptr<storage::SegmentedLog> log;
    uint64_t covered = 0;  // the last snapshot of the ledger knows all before this sequence
    IntervalSet delivered;
    uint64_t durable_end = 1;
    uint64_t dropped = 0;
    uint64_t lacked = 0;   // the largest record that the disk had no space for since there was room last
    uint64_t sampled = 0;  // records that were offered while the stream is thinned out

    [[nodiscard]] uint64_t delivered_through() const { return delivered.first_gap(1, UINT64_MAX).begin - 1; }
    // Above all that was ever delivered.
    [[nodiscard]] uint64_t delivered_end() const {
      return delivered.intervals().empty() ? 1 : delivered.intervals().back().end;
    }
    uint64_t appended_bytes = 0;
  };
  // A stream's share of a group: the items whose fate hangs on one frame.
  struct Pending;

  Spool(storage::FileSystem& file_system, std::string directory, storage::KeyRing& keys, const SpoolOptions& options);

  [[nodiscard]] Result<void> check_keys(const storage::KeyRing& keys) const;
  Result<void> open_log(Priority priority, uint64_t covered, Recovery& recovery);
  void renew_segments();
  Result<void> roll(storage::SegmentedLog& log);
  Result<void> make_log_directory(const std::string& path, Recovery& recovery);
  void make_room_on_disk(const std::vector<Submission*>& group);
  Result<void> free_delivered(Stream& its);

  Result<std::string> read_patiently(const std::string& path, size_t bytes_max);
  Result<void> read_incarnation(Recovery& recovery);
  Result<void> new_incarnation();
  [[nodiscard]] NodeId draw_identity() const;
  Result<void> begin_life(bool is_fresh, Recovery& recovery);
  void set_aside(const std::string& path, const std::string& why, Recovery& recovery);
  void read_cursors(Recovery& recovery);
  Result<void> write_cursors();
  void make_cursor_slots();
  Result<LedgerCoverage> read_ledger(Recovery& recovery);
  Result<void> write_ledger();
  Result<void> replay(Priority stream, uint64_t from);
  Result<void> open_dead_letters(Recovery& recovery);
  [[nodiscard]] uint64_t space_for(Priority stream) const;
  [[nodiscard]] size_t frame_body_target() const;
  [[nodiscard]] bool may_drop(Priority stream) const;
  [[nodiscard]] bool has_begun_again() const;
  bool fits_on_disk();
  bool make_room(Priority stream);
  bool drop_oldest(Priority stream);
  bool is_thinned_out(Priority stream, uint64_t bytes);
  void append_frame(Pending& pending);
  void settle(std::array<Pending, kStreams>& pending);
  void make_durable(Pending& pending);
  void refuse(Pending& pending, const Error& error);
  Stream& stream(Priority priority) { return streams_[static_cast<size_t>(priority)]; }

  storage::FileSystem& file_system_;
  const std::string directory_;
  storage::KeyRing& keys_;
  const SpoolOptions options_;
  storage::SegmentReserve reserve_;
  std::array<Stream, kStreams> streams_;
  std::unique_ptr<storage::SegmentedLog> dead_letter_log_;
  uint64_t dead_letters_ = 0;  // in it
  Ledger ledger_;
  NodeId incarnation_;
  Lives lives_;
  uint32_t age_s_ = 0;
  bool ledger_changed_ = false;  // since the last snapshot
  uint64_t segments_at_snapshot_ = 0;
  std::unique_ptr<storage::File> cursor_file_;
  uint64_t cursors_generation_ = 0;
};

}  // namespace verge::spool

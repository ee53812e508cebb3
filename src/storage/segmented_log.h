// SegmentedLog: an append-only, checksummed log of frames, in files of bounded size.
//
// The problem: a queue on a disk. What was synced must be there after any crash, what was half written must be
// recognised, the front must be removable in constant time, and the start must not read the whole. A key-value store
// would do all but the last two: its tombstones are what queues drown in.
//
// The approach: frames of consecutive sequence numbers, each with a checksum seeded by its segment's salt, appended to
// preallocated files named after their first sequence. Whole files go when all in them is done with, and come back as
// new ones by way of a SegmentReserve. 32 zero bytes follow the last frame, so that what a file held in an earlier life
// is not taken for damage. A start scans the last file only, cuts it after its last good frame, and appends to a new
// one, so that no old byte is ever mistaken for a new frame. After a failed write or sync it also goes on in a new
// file, whose header says where the frames of the one before end: what was refused, and will be sent again, is void
// even if it can be read. Format: docs/formats/log.md.
//
// A segment is encrypted or not, as the ring of keys says when it is begun; a log may hold both. Only reading and
// writing frames needs keys: checksums are over what is stored, so that damage is told from a missing key, and a start
// mends the one without the other.
//
// Invariants: sequences rise; they may have gaps, where a write failed or a tail was damaged, but are never used twice.
// A frame is readable whole or not at all. An append is durable when sync() has returned.
//
// Threading: one thread appends, syncs and removes. LogReader may read the same files from other threads.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/error.h"
#include "base/interval_set.h"
#include "storage/file_system.h"
#include "storage/frame.h"
#include "storage/frame_cipher.h"
#include "storage/key_ring.h"
#include "storage/segment_header.h"
#include "storage/segment_reserve.h"

namespace verge::storage {

// A range of sequences of which some or all could not be read back.
struct DamagedRange {
  std::string path;
  uint64_t offset = 0;          // of the first bad byte
  uint64_t first_sequence = 0;  // lost: from here …
  uint64_t end_sequence = 0;    // … to before here; equal when not even the headers of its frames can be read
  // At the log's end, where a write that a crash cut off, and of which nothing was durable, looks the same.
  bool may_be_unfinished = false;
  std::string kept;  // where the bytes that a start cut off for it are now; empty where none are
};

// Behind the last frame that can be read.
struct LogEnd {
  std::string path;
  uint64_t offset = 0;
  uint64_t sequence = 0;  // the next one
  uint32_t stamp = 0;     // of that frame; 0 where the file has none
};

struct SegmentFile {
  std::string path;
  uint64_t first_sequence = 0;
  uint64_t bytes = 0;
  KeyId key = 0;
};

// The segments of a directory in order, without their sizes and keys. What has another name than 20 digits and ".log"
// is left alone and not listed.
Result<std::vector<SegmentFile>> list_segments(FileSystem& file_system, const std::string& directory);

// Which keys the frames of a directory's segments need, by how many segments. No directory has none, and a file whose
// header cannot be read says none.
Result<std::map<KeyId, size_t>> keys_in_use(FileSystem& file_system, const std::string& directory);

class SegmentedLog {
 public:
  struct Recovery {
    std::vector<DamagedRange> damaged;
    std::vector<SetAside> set_aside;
    // From here to the log's next_sequence() nothing was ever readable.
    uint64_t end = 1;
    std::optional<LogEnd> readable_end;  // nothing where there is no file
  };

  // Opens or creates. What has the name of a segment and is no file, or no segment, is set aside. `sequence_floor`:
  // sequences below it are known to have been used. A damaged log opens; what was lost is in `recovery`. No key is
  // needed. `reserve` and `keys` outlive the log; the reserve's segment_bytes is the size of a file.
  static Result<std::unique_ptr<SegmentedLog>> open(FileSystem& file_system, std::string directory,
                                                    SegmentReserve& reserve, const KeyRing& keys,
                                                    uint64_t sequence_floor, Recovery& recovery);

  // Begins a new segment if the one in use has no room for a frame with a body of `bytes`, so that an append of that
  // size finds it. What fails here has used up no sequence.
  Result<void> make_room_for(size_t bytes);
  // Appends a frame of `count` records; its first sequence is next_sequence(). `frame`: kFrameHeaderBytes of room, then
  // the body. `stamp` is the caller's. After a failure its sequences are used up, and the frame must be taken as not
  // appended (though a later start may find it).
  Result<void> append(uint32_t count, uint32_t stamp, std::string frame);
  // Makes all appended frames durable. After a failure, frames appended since the last success must be taken as lost,
  // except those below durable_end().
  Result<void> sync();
  // Frames below are durable: those of the last sync(), and those that filled a segment before the next was begun.
  [[nodiscard]] uint64_t durable_end() const { return durable_through_; }

  // Ends the active segment, so that it can be removed.
  Result<void> roll();
  // Ends the last segment if its key is another than that of new ones, so that the key can fall out of use.
  Result<void> renew();
  // Whether any segment has another key than new ones.
  [[nodiscard]] bool has_other_keys() const;
  // Cuts the segments of that key down to their headers, which still say where frames of others end, and removes those
  // at the front. The ranges of sequences that they had, which are lost with it.
  Result<std::vector<IntervalSet::Interval>> erase(KeyId key);

  // Removes the segments all of whose sequences are below `sequence`. Returns how many.
  Result<size_t> remove_before(uint64_t sequence);
  // Removes the first segment, whatever is in it, unless it is the only one. The sequences of the frames that it had;
  // nothing when it could not be removed.
  std::optional<IntervalSet::Interval> remove_oldest();
  [[nodiscard]] bool can_remove_before(uint64_t sequence) const;

  [[nodiscard]] uint64_t next_sequence() const { return next_sequence_; }
  // The lowest sequence that may be readable; next_sequence() when empty.
  [[nodiscard]] uint64_t first_sequence() const;
  // Written, without the space that is reserved.
  [[nodiscard]] uint64_t bytes() const;
  // Whether the active segment is so full that the next should be ready.
  [[nodiscard]] bool needs_next() const { return active_ && active_end_ > segments_.back().bytes / 2; }
  // How many bytes of a frame's body the active segment still takes; 0 where the next frame begins another one.
  [[nodiscard]] uint64_t room() const;
  // How many segments were begun; changes when one was filled.
  [[nodiscard]] uint64_t segments_begun() const { return segments_begun_; }
  [[nodiscard]] const std::string& directory() const { return directory_; }

 private:
  SegmentedLog(FileSystem& file_system, std::string directory, SegmentReserve& reserve, const KeyRing& keys)
      : file_system_(file_system), directory_(std::move(directory)), reserve_(reserve), keys_(keys) {}

  Result<void> recover(uint64_t sequence_floor, Recovery& recovery);
  Result<std::optional<uint64_t>> recover_segment(SegmentFile& segment, Recovery& recovery, bool& damaged);
  Result<void> drop_headless(size_t index, Recovery& recovery);
  Result<void> set_aside(size_t index, std::string why, Recovery& recovery);
  Result<void> remove_segment(size_t index);
  Result<void> begin_segment(uint64_t bytes_needed);
  void seal();
  void cut_off_unsynced();
  Result<uint64_t> frames_end(size_t index);
  [[nodiscard]] std::unexpected<Error> write_failed() const;

  FileSystem& file_system_;
  const std::string directory_;
  SegmentReserve& reserve_;
  const KeyRing& keys_;
  std::vector<SegmentFile> segments_;  // the last is the active one if active_ is set
  std::unique_ptr<File> active_;
  std::optional<FrameSealer> sealer_;  // of the active segment; none: it is not encrypted
  uint64_t active_salt_ = 0;
  uint64_t active_end_ = 0;       // where the next frame goes
  uint64_t synced_end_ = 0;       // what of the active segment is durable
  uint64_t written_through_ = 1;  // the sequence after the last frame that was written
  uint64_t durable_through_ = 1;  // the sequence after the last frame that is durable
  bool failed_ = false;           // the active segment is not to be written any more
  bool lost_ = false;             // frames in a segment since left could not be made durable: the next sync() says so
  uint64_t next_sequence_ = 1;
  uint64_t segments_begun_ = 0;
  uint32_t last_stamp_ = 0;  // of the frames that were there at the start
};

// Reads frames in order, from any thread, while the log is being written.
class LogReader {
 public:
  static constexpr uint64_t kAsFarAsReadable = UINT64_MAX;

  LogReader(FileSystem& file_system, std::string directory, const KeyRing& keys)
      : file_system_(file_system), directory_(std::move(directory)), keys_(keys) {}

  // The next read begins with the frame that holds `sequence`, or the first one after it.
  void seek(uint64_t sequence);

  // The next frame that begins below `end_sequence`; nothing when there is none (yet). Its body is good until the next
  // call. Damaged stretches are passed over, and noted; a segment whose key is not there is not, but an error.
  // All frames below `end_sequence` are durable, so that what cannot be read there is damaged; with kAsFarAsReadable
  // that is not said, and the last frame may be one half written.
  Result<std::optional<FrameView>> next(uint64_t end_sequence);

  // Where it stands; nothing where it found no file.
  [[nodiscard]] std::optional<LogEnd> position() const {
    return file_ ? std::optional<LogEnd>({.path = path_, .offset = offset_, .sequence = expected_}) : std::nullopt;
  }

  // The damage that was passed over since the last call.
  std::vector<DamagedRange> take_damaged() { return std::exchange(damaged_, {}); }

 private:
  bool open_segment_for(uint64_t sequence, uint64_t end_sequence, Error& problem);
  // Where the frames of the open segment end; unknown until there is a later segment.
  Result<uint64_t> frames_end();
  void note_damage(uint64_t end_sequence);
  // Decrypts the frame that was read. False when it is not what was written.
  Result<bool> open_body(FrameView& view);

  FileSystem& file_system_;
  const std::string directory_;
  const KeyRing& keys_;
  uint64_t wanted_ = 1;  // frames that end at or below it are passed over
  std::unique_ptr<File> file_;
  std::string path_;
  SegmentHeader header_;                     // of the open segment
  std::optional<crypto::Aes256Gcm> cipher_;  // likewise, once it was needed
  uint64_t expected_ = 0;                    // the sequence after the last good frame of the open segment
  std::optional<uint64_t> frames_end_;
  std::optional<uint64_t> next_segment_;
  uint64_t offset_ = 0;
  std::string frame_;
  std::vector<DamagedRange> damaged_;
};

}  // namespace verge::storage

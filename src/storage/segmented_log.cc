#include "storage/segmented_log.h"

#include <algorithm>
#include <charconv>
#include <limits>

#include <fmt/format.h>

#include "base/assert.h"
#include "base/random.h"
#include "storage/cut_off.h"
#include "storage/segment_header.h"

namespace verge::storage {
namespace {

constexpr std::string_view kSuffix = ".log";
// After a damaged tail, so many sequences are skipped: any of them may have been seen by a receiver.
constexpr uint64_t kSequenceSkip = 1U << 20;

// Higher ones are no sequences: nothing could be added to them.
constexpr uint64_t kSequenceMax = 1ULL << 62;
// A file whose name alone says that so many were used is none of ours: to count on from it would lead to the others.
constexpr uint64_t kSequencePlausible = 1ULL << 61;

std::string segment_name(uint64_t first_sequence) { return fmt::format("{:020}{}", first_sequence, kSuffix); }

std::string segment_path(const std::string& directory, uint64_t first_sequence) {
  return directory + "/" + segment_name(first_sequence);
}

// Where there is none any more, or something else that is no segment of ours.
bool is_no_file(const Error& error) { return error.code == "storage.missing" || error.code == "storage.foreign"; }

// Whether there is more than the header: a frame, or what is left of one.
Result<bool> begins_with_frame(File& file) {
  char raw[kFrameHeaderBytes];
  const Result<size_t> got = file.salvage_at(kSegmentHeaderBytes, raw, sizeof(raw));
  if (!got) return std::unexpected(got.error());
  return *got == sizeof(raw) && std::ranges::any_of(raw, [](char byte) { return byte != 0; });
}

}  // namespace

Result<std::vector<SegmentFile>> list_segments(FileSystem& file_system, const std::string& directory) {
  const Result<std::vector<std::string>> names = file_system.list(directory);
  if (!names) return std::unexpected(names.error());
  std::vector<SegmentFile> segments;
  for (const std::string& name : *names) {
    uint64_t first = 0;
    const auto [stop, problem] = std::from_chars(name.data(), name.data() + name.size(), first);
    if (problem != std::errc{} || first > kSequenceMax || name != segment_name(first)) continue;
    segments.push_back({directory + "/" + name, first, 0});
  }
  std::ranges::sort(segments, {}, &SegmentFile::first_sequence);
  return segments;
}

Result<std::map<KeyId, size_t>> keys_in_use(FileSystem& file_system, const std::string& directory) {
  std::map<KeyId, size_t> keys;
  const Result<std::vector<SegmentFile>> segments = list_segments(file_system, directory);
  if (!segments && is_no_file(segments.error())) return keys;
  if (!segments) return std::unexpected(segments.error());
  for (const SegmentFile& segment : *segments) {
    const Result<std::unique_ptr<File>> file = file_system.open(segment.path, OpenMode::kRead);
    if (!file && is_no_file(file.error())) continue;
    if (!file) return std::unexpected(file.error());
    const Result<std::optional<SegmentHeader>> read = read_segment_header(**file);
    if (!read) continue;  // said where it is read for what is in it
    const std::optional<SegmentHeader>& header = *read;
    if (!header || header->key == 0 || header->first_sequence != segment.first_sequence) continue;
    const Result<bool> frames = begins_with_frame(**file);
    if (!frames || *frames) ++keys[header->key];
  }
  return keys;
}

Result<std::unique_ptr<SegmentedLog>> SegmentedLog::open(FileSystem& file_system, std::string directory,
                                                         SegmentReserve& reserve, const KeyRing& keys,
                                                         uint64_t sequence_floor, Recovery& recovery) {
  if (const Result<void> made = file_system.make_directory(directory); !made) return std::unexpected(made.error());
  std::unique_ptr<SegmentedLog> log(new SegmentedLog(file_system, std::move(directory), reserve, keys));
  if (const Result<void> recovered = log->recover(sequence_floor, recovery); !recovered) {
    return std::unexpected(recovered.error());
  }
  return log;
}

// Scans the last segment and cuts it after its last good frame. Files without a header, which a crash can leave before
// their first sync, are set aside.
Result<void> SegmentedLog::recover(uint64_t sequence_floor, Recovery& recovery) {
  Result<std::vector<SegmentFile>> segments = list_segments(file_system_, directory_);
  if (!segments) return std::unexpected(segments.error());
  segments_ = std::move(*segments);
  for (size_t i = 0; i < segments_.size();) {
    const Result<std::unique_ptr<File>> file = file_system_.open(segments_[i].path, OpenMode::kRead);
    if (!file && file.error().code == "storage.foreign") {
      const Result<void> aside = set_aside(i, file.error().what, recovery);
      if (!aside) return aside;
      continue;
    }
    if (!file) return std::unexpected(file.error());
    SegmentFile& segment = segments_[i];
    const Result<uint64_t> size = (*file)->size();
    if (!size) return std::unexpected(size.error());
    segment.bytes = *size;
    const Result<std::optional<SegmentHeader>> header = read_segment_header(**file);
    const std::optional<SegmentHeader> sound = header ? *header : std::nullopt;
    if (sound) segment.key = sound->key;
    if (segment.first_sequence > kSequencePlausible && !(sound && sound->first_sequence == segment.first_sequence)) {
      const Result<void> aside = set_aside(i, segment.path + " is named for a sequence that never was", recovery);
      if (!aside) return aside;
      continue;
    }
    ++i;
  }
  next_sequence_ = std::max<uint64_t>(1, sequence_floor);
  bool damaged = false;
  bool found_header = false;
  while (!segments_.empty() && !found_header) {
    const Result<std::optional<uint64_t>> end = recover_segment(segments_.back(), recovery, damaged);
    if (!end) return std::unexpected(end.error());
    found_header = end->has_value();
    if (found_header) {
      recovery.readable_end = {segments_.back().path, segments_.back().bytes, **end, last_stamp_};
      next_sequence_ = std::max(next_sequence_, **end);
      continue;
    }
    if (const Result<void> aside = drop_headless(segments_.size() - 1, recovery); !aside) return aside;
  }
  recovery.end = next_sequence_;
  if (damaged) next_sequence_ += kSequenceSkip;
  // Its name, likewise.
  return segments_.empty() ? Result<void>{} : file_system_.sync_directory(directory_);
}

// The sequence after the last one in the segment; nothing when it has no header.
Result<std::optional<uint64_t>> SegmentedLog::recover_segment(SegmentFile& segment, Recovery& recovery, bool& damaged) {
  const Result<std::unique_ptr<File>> file = file_system_.open(segment.path, OpenMode::kWrite);
  if (!file) return std::unexpected(file.error());
  const Result<std::optional<SegmentHeader>> read = read_segment_header(**file);
  if (!read) return std::unexpected(read.error());
  const std::optional<SegmentHeader>& header = *read;
  if (header && header->first_sequence != segment.first_sequence) {
    // A file out of the reserve that had its new name and not its new header yet: nothing was stored in it. But what
    // its name says was used before it may be gone, delivered.
    next_sequence_ = std::max(next_sequence_, segment.first_sequence);
    return std::nullopt;
  }
  if (!header) {
    const Result<uint64_t> lost_end = claimed_end(**file, kSegmentHeaderBytes, segment.first_sequence);
    if (!lost_end) return std::unexpected(lost_end.error());
    recovery.damaged.push_back(
        {segment.path, 0, segment.first_sequence, *lost_end, /*may_be_unfinished=*/true, /*kept=*/{}});
    next_sequence_ = std::max(next_sequence_, *lost_end);
    damaged = true;
    return std::nullopt;
  }
  uint64_t end = kSegmentHeaderBytes;
  uint64_t expected = segment.first_sequence;
  std::string scratch;
  FrameView view;
  while (true) {
    const Result<FrameState> state = read_frame(**file, end, header->salt, scratch, view);
    if (!state) return std::unexpected(state.error());
    if (*state != FrameState::kGood) {
      // Zeros are the end, or a frame whose head was lost: then others follow.
      const Result<std::optional<uint64_t>> found = next_good_frame(**file, end, header->salt, scratch, view);
      if (!found) return std::unexpected(found.error());
      if (*state == FrameState::kNone && !*found) break;
      damaged = true;
      if (!*found) {
        const Result<uint64_t> lost_end = claimed_end(**file, end, expected);
        if (!lost_end) return std::unexpected(lost_end.error());
        recovery.damaged.push_back({segment.path, end, expected, *lost_end, /*may_be_unfinished=*/true,
                                    keep_cut_off(file_system_, segment.path, **file, end)});
        next_sequence_ = std::max(next_sequence_, *lost_end);
        break;
      }
      recovery.damaged.push_back({segment.path, end, expected, view.first_sequence});
      end = **found;
    }
    expected = view.first_sequence + view.count;
    last_stamp_ = view.stamp;
    end += frame_aligned(kFrameHeaderBytes + view.body.size());
  }
  if (const Result<void> cut = (*file)->truncate(end); !cut) return std::unexpected(cut.error());
  // What a process wrote that was killed before its sync can be read here without being on the disk.
  if (const Result<void> synced = (*file)->sync(); !synced) return std::unexpected(synced.error());
  segment.bytes = end;
  // A segment without frames still says where those of the one before it end.
  durable_through_ = end == kSegmentHeaderBytes ? header->previous_end : expected;
  written_through_ = durable_through_;
  return expected;
}

// A file without a header of its own. One that is empty, or has the header of another segment, is a remnant of our own;
// any other may hold something, or be somebody else's, and is kept under another name.
Result<void> SegmentedLog::drop_headless(size_t index, Recovery& recovery) {
  const std::string path = segments_[index].path;
  bool is_empty = true;
  if (const Result<std::unique_ptr<File>> file = file_system_.open(path, OpenMode::kRead)) {
    std::string start(kSegmentHeaderBytes + kFrameHeaderBytes, '\0');
    const Result<size_t> got = (*file)->salvage_at(0, start.data(), start.size());
    const Result<std::optional<SegmentHeader>> header = read_segment_header(**file);
    is_empty = got && header && (header->has_value() || start.find_first_not_of('\0') == std::string::npos);
  }
  if (is_empty) return remove_segment(index);
  return set_aside(index, path + " has no header of a segment", recovery);
}

Result<void> SegmentedLog::set_aside(size_t index, std::string why, Recovery& recovery) {
  const std::string path = segments_[index].path;
  const Result<std::string> now = file_system_.set_aside(path);
  if (!now) return std::unexpected(now.error());
  recovery.set_aside.push_back({path, *now, std::move(why)});
  segments_.erase(segments_.begin() + static_cast<ptrdiff_t>(index));
  return {};
}

// Durably: a segment must not come back when a later one is gone, which says where its frames end. Where new segments
// are encrypted, what was not is no space for them: it would lie open behind their last frame.
Result<void> SegmentedLog::remove_segment(size_t index) {
  const SegmentFile& segment = segments_[index];
  const bool may_be_used_again =
      segment.bytes == reserve_.segment_bytes() && (segment.key != 0 || keys_.writing() == 0);
  if (!may_be_used_again || !reserve_.give(segment.path)) {
    const Result<void> gone = file_system_.remove(segment.path);
    if (!gone && gone.error().code != "storage.missing") return gone;
  }
  segments_.erase(segments_.begin() + static_cast<ptrdiff_t>(index));
  return file_system_.sync_directory(directory_);
}

// Where there is no space for it, the one in use stays so.
Result<void> SegmentedLog::begin_segment(uint64_t bytes_needed) {
  // An empty segment of that name, left by a failure, still says where the frames before it end: it is not made anew.
  if (!segments_.empty() && segments_.back().first_sequence == next_sequence_) ++next_sequence_;
  const std::string path = segment_path(directory_, next_sequence_);
  const uint64_t bytes = std::max(reserve_.segment_bytes(), bytes_needed + kSegmentHeaderBytes);
  std::unique_ptr<File> file = bytes == reserve_.segment_bytes() ? reserve_.take(path) : nullptr;
  if (!file) {
    Result<std::unique_ptr<File>> fresh = file_system_.open(path, OpenMode::kCreate);
    if (!fresh) return std::unexpected(fresh.error());
    file = std::move(*fresh);
    if (const Result<void> allocated = file->allocate(bytes); !allocated) {
      file.reset();
      (void)file_system_.remove(path);  // else it stays as an empty segment, which the next start removes
      return allocated;
    }
  }
  seal();
  SegmentHeader header{.first_sequence = next_sequence_, .salt = system_seed(), .previous_end = durable_through_};
  std::optional<FrameSealer> sealer;
  Result<void> done;
  if (const KeyId key = keys_.writing(); key != 0) {
    header.key = key;
    header.more_salt = system_seed();
    Result<crypto::Aes256Gcm> cipher = keys_.cipher(key, header.key_salt(), crypto::Aes256Gcm::Use::kSeal);
    if (cipher) {
      sealer.emplace(*std::move(cipher));
    } else {
      done = std::unexpected(cipher.error());
    }
  }
  // The header is made durable by the sync of the first frame, before which nothing hangs on it.
  if (done) done = file->write_at(0, header.bytes() + end_mark());
  if (done) done = file_system_.sync_directory(directory_);
  if (!done) {
    file.reset();
    (void)file_system_.remove(path);  // likewise
    return done;
  }
  active_ = std::move(file);
  active_salt_ = header.salt;
  sealer_ = std::move(sealer);
  active_end_ = kSegmentHeaderBytes;
  synced_end_ = kSegmentHeaderBytes;
  failed_ = false;
  segments_.push_back({path, next_sequence_, bytes, header.key});
  ++segments_begun_;
  return {};
}

// Makes the active segment's frames durable, and gives back what it reserved and did not use if that is much. Frames
// that cannot be made durable are cut off: their records will be refused, sent again and must not be found twice.
void SegmentedLog::seal() {
  if (!active_) return;
  bool cut = failed_ || active_end_ < segments_.back().bytes / 4 * 3;
  if (active_end_ > synced_end_) {
    if (failed_ || !active_->sync()) {
      lost_ = true;
      active_end_ = synced_end_;
      cut = true;
    } else {
      durable_through_ = written_through_;
    }
  }
  if (cut && active_->truncate(active_end_)) segments_.back().bytes = active_end_;
  active_.reset();
  sealer_.reset();
}

std::unexpected<Error> SegmentedLog::write_failed() const {
  return fail("storage.io", fmt::format("a write to {} failed", directory_), "check the disk (dmesg, smartctl)");
}

Result<void> SegmentedLog::make_room_for(size_t bytes) {
  const size_t frame_size = frame_aligned(kFrameHeaderBytes + bytes + kFrameSealBytes);
  const bool is_other_key = active_ && segments_.back().key != keys_.writing();
  if (active_ && !failed_ && !is_other_key && active_end_ + frame_size <= segments_.back().bytes) return {};
  return begin_segment(frame_size);
}

uint64_t SegmentedLog::room() const {
  constexpr uint64_t kFrame = frame_aligned(kFrameHeaderBytes + kFrameSealBytes);
  if (!active_ || failed_ || segments_.back().key != keys_.writing()) return 0;
  return segments_.back().bytes - std::min(segments_.back().bytes, active_end_ + kFrame);
}

Result<void> SegmentedLog::append(uint32_t count, uint32_t stamp, std::string frame) {
  VERGE_ASSERT(count > 0 && frame.size() >= kFrameHeaderBytes);
  VERGE_ASSERT(frame.size() + kFrameSealBytes - kFrameHeaderBytes <= kFrameBytesMax);
  const KeyId key = keys_.writing();
  if (key != 0) frame.resize(frame.size() + kFrameSealBytes, '\0');
  const size_t frame_size = frame_aligned(frame.size());
  const bool is_other_key = active_ && segments_.back().key != key;
  if (!active_ || failed_ || is_other_key || active_end_ + frame_size > segments_.back().bytes) {
    if (const Result<void> begun = begin_segment(frame_size); !begun) return begun;
  }
  VERGE_ASSERT(sealer_.has_value() == (key != 0));  // the ring's keys change on this thread
  // What would follow frames that are lost is to be refused with them, not to be found without them.
  if (lost_) return write_failed();
  const uint64_t first = next_sequence_;
  next_sequence_ += count;
  write_frame_header(frame, first, count, stamp, active_salt_);
  if (sealer_ && !sealer_->seal(active_end_, frame)) {
    failed_ = true;
    return fail("crypto.unavailable", fmt::format("a frame for {} could not be encrypted", directory_),
                "check this system's OpenSSL and its free memory");
  }
  write_frame_checksum(frame, active_salt_);
  frame.resize(frame_size, '\0');
  if (active_end_ + frame_size + kFrameHeaderBytes <= segments_.back().bytes) frame.append(end_mark());
  const Result<void> written = active_->write_at(active_end_, frame);
  if (!written) {
    failed_ = true;
    return written;
  }
  active_end_ += frame_size;
  written_through_ = next_sequence_;
  return {};
}

Result<void> SegmentedLog::sync() {
  if (lost_ || failed_ || !active_) {
    lost_ = false;
    failed_ = true;
    cut_off_unsynced();  // told: no later sync is to fail for these
    return write_failed();
  }
  const Result<void> synced = active_->sync();
  if (synced) {
    synced_end_ = active_end_;
    durable_through_ = written_through_;
  } else {
    failed_ = true;  // the kernel may have dropped the pages of a failed sync: this file is not trusted with more
    cut_off_unsynced();
  }
  return synced;
}

// What was refused is not to be found by a process that starts before the next segment says where these frames end: it
// may be readable then, and yet never get to the disk.
void SegmentedLog::cut_off_unsynced() {
  active_end_ = synced_end_;
  if (active_ && active_->truncate(active_end_)) segments_.back().bytes = active_end_;
}

Result<void> SegmentedLog::roll() {
  if (segments_.empty() || segments_.back().first_sequence == next_sequence_) return {};
  return begin_segment(0);
}

Result<void> SegmentedLog::renew() {
  if (segments_.empty() || segments_.back().key == keys_.writing()) return {};
  return begin_segment(0);
}

bool SegmentedLog::has_other_keys() const {
  return std::ranges::any_of(segments_, [&](const SegmentFile& segment) { return segment.key != keys_.writing(); });
}

// Where the frames of a segment that is not the last one end: the next one's header says it.
Result<uint64_t> SegmentedLog::frames_end(size_t index) {
  const SegmentFile& next = segments_[index + 1];
  const Result<std::unique_ptr<File>> file = file_system_.open(next.path, OpenMode::kRead);
  if (!file) return std::unexpected(file.error());
  const Result<std::optional<SegmentHeader>> read = read_segment_header(**file);
  if (!read) return std::unexpected(read.error());
  const std::optional<SegmentHeader>& header = *read;
  return header ? header->previous_end : next.first_sequence;
}

Result<std::vector<IntervalSet::Interval>> SegmentedLog::erase(KeyId key) {
  std::vector<IntervalSet::Interval> lost;
  // The last segment says which sequences were used, so it is not one of those that go.
  if (!segments_.empty() && segments_.back().key == key) {
    if (const Result<void> begun = begin_segment(0); !begun) return std::unexpected(begun.error());
  }
  for (size_t i = 0; i + 1 < segments_.size(); ++i) {
    SegmentFile& segment = segments_[i];
    if (segment.key != key) continue;
    const Result<uint64_t> end = frames_end(i);
    if (!end) return std::unexpected(end.error());
    const Result<std::unique_ptr<File>> file = file_system_.open(segment.path, OpenMode::kWrite);
    if (!file) return std::unexpected(file.error());
    Result<void> cut = (*file)->truncate(kSegmentHeaderBytes);
    if (cut) cut = (*file)->sync();
    if (!cut) return std::unexpected(cut.error());
    segment.bytes = kSegmentHeaderBytes;
    if (segment.first_sequence < *end) lost.push_back({segment.first_sequence, *end});
  }
  while (segments_.size() > 1 && segments_.front().key == key) {
    if (const Result<void> gone = remove_segment(0); !gone) return std::unexpected(gone.error());
  }
  if (const Result<void> gone = remove_cut_off(file_system_, directory_, key); !gone) {
    return std::unexpected(gone.error());
  }
  return lost;
}

bool SegmentedLog::can_remove_before(uint64_t sequence) const {
  // All sequences of a segment are below the first of the next. The last one stays: it says which sequences were used.
  return segments_.size() > 1 && segments_[1].first_sequence <= sequence;
}

Result<size_t> SegmentedLog::remove_before(uint64_t sequence) {
  size_t removed = 0;
  for (; can_remove_before(sequence); ++removed) {
    if (const Result<void> gone = remove_segment(0); !gone) return std::unexpected(gone.error());
  }
  return removed;
}

std::optional<IntervalSet::Interval> SegmentedLog::remove_oldest() {
  if (segments_.size() < 2) return std::nullopt;
  const uint64_t first = segments_.front().first_sequence;
  const uint64_t end = frames_end(0).value_or(segments_[1].first_sequence);
  const size_t before = segments_.size();
  // Where its removal cannot be made durable it is gone from here all the same.
  (void)remove_segment(0);
  if (segments_.size() == before) return std::nullopt;
  return IntervalSet::Interval{first, std::max(first, end)};
}

uint64_t SegmentedLog::first_sequence() const {
  return segments_.empty() ? next_sequence_ : segments_.front().first_sequence;
}

uint64_t SegmentedLog::bytes() const {
  uint64_t total = 0;
  for (const SegmentFile& segment : segments_) total += segment.bytes;
  return active_ ? total - segments_.back().bytes + active_end_ : total;
}

void LogReader::seek(uint64_t sequence) {
  wanted_ = sequence;
  file_.reset();
}

// Opens the segment that holds `sequence`: the last one that begins at or below it, else the first one above. False
// when there is none.
bool LogReader::open_segment_for(uint64_t sequence, uint64_t end_sequence, Error& problem) {
  const Result<std::vector<SegmentFile>> segments = list_segments(file_system_, directory_);
  if (!segments) {
    problem = segments.error();
    return false;
  }
  const auto above = std::ranges::upper_bound(*segments, sequence, {}, &SegmentFile::first_sequence);
  auto chosen = above == segments->begin() ? above : above - 1;
  std::optional<SegmentFile> headless;
  for (; chosen != segments->end(); ++chosen) {
    Result<std::unique_ptr<File>> file = file_system_.open(chosen->path, OpenMode::kRead);
    if (!file && is_no_file(file.error())) continue;
    if (!file) {
      problem = file.error();
      return false;
    }
    const Result<std::optional<SegmentHeader>> read = read_segment_header(**file);
    if (!read) {
      problem = read.error();
      return false;
    }
    const std::optional<SegmentHeader>& header = *read;
    if (!header || header->first_sequence != chosen->first_sequence) {
      if (!header && !headless) headless = *chosen;
      continue;
    }
    // What was in a file without a header the next one knows: where durable frames ended before it.
    if (headless && header->previous_end > headless->first_sequence) {
      damaged_.push_back({headless->path, 0, headless->first_sequence, header->previous_end});
    }
    file_ = std::move(*file);
    path_ = chosen->path;
    header_ = *header;
    cipher_.reset();
    expected_ = header_.first_sequence;
    frames_end_.reset();
    next_segment_.reset();
    offset_ = kSegmentHeaderBytes;
    return true;
  }
  // No later one says it, but the caller does.
  if (headless && headless->first_sequence < end_sequence && end_sequence != kAsFarAsReadable) {
    damaged_.push_back({headless->path, 0, std::max(headless->first_sequence, sequence), end_sequence});
  }
  return false;
}

Result<uint64_t> LogReader::frames_end() {
  if (frames_end_) return *frames_end_;
  const Result<std::vector<SegmentFile>> segments = list_segments(file_system_, directory_);
  if (!segments) return std::unexpected(segments.error());
  auto later = std::ranges::upper_bound(*segments, header_.first_sequence, {}, &SegmentFile::first_sequence);
  for (; later != segments->end(); ++later) {
    const Result<std::unique_ptr<File>> file = file_system_.open(later->path, OpenMode::kRead);
    if (!file && is_no_file(file.error())) continue;
    if (!file) return std::unexpected(file.error());
    const Result<std::optional<SegmentHeader>> read = read_segment_header(**file);
    if (!read) return std::unexpected(read.error());
    const std::optional<SegmentHeader>& header = *read;
    if (!header || header->first_sequence != later->first_sequence)
      continue;  // being made, or a remnant of a failure to make it: nothing in it is durable
    next_segment_ = later->first_sequence;
    frames_end_ = header->previous_end;
    return *frames_end_;
  }
  return std::numeric_limits<uint64_t>::max();
}

Result<std::optional<FrameView>> LogReader::next(uint64_t end_sequence) {
  while (wanted_ < end_sequence) {
    Error problem;
    if (!file_ && !open_segment_for(wanted_, end_sequence, problem)) {
      if (!problem.code.empty() && problem.code != "storage.missing") return std::unexpected(problem);
      return std::nullopt;
    }
    // Looked up before the frame is read: a frame that is below the end now stays so.
    const Result<uint64_t> frames_end = this->frames_end();
    if (!frames_end) return std::unexpected(frames_end.error());
    FrameView view;
    Result<FrameState> state = read_frame(*file_, offset_, header_.salt, frame_, view);
    if (!state) return std::unexpected(state.error());
    // Zeros are the end of a segment, unless frames of it are missing.
    const bool is_end = *state == FrameState::kNone && next_segment_ && expected_ >= *frames_end;
    if (*state != FrameState::kGood && !is_end) {
      const Result<std::optional<uint64_t>> searched = next_good_frame(*file_, offset_, header_.salt, frame_, view);
      if (!searched) return std::unexpected(searched.error());
      const std::optional<uint64_t>& found = *searched;
      if (found && view.first_sequence < *frames_end) {
        note_damage(view.first_sequence);
        offset_ = *found;
        *state = FrameState::kGood;
      }
    }
    if (*state != FrameState::kGood || view.first_sequence >= *frames_end) {
      // The segment's end, or its end so far.
      if (next_segment_) note_damage(*frames_end);
      if (!next_segment_ && *state == FrameState::kBad) {
        if (end_sequence != kAsFarAsReadable) {
          note_damage(end_sequence);
        } else {
          const Result<uint64_t> lost_end = claimed_end(*file_, offset_, expected_);
          if (!lost_end) return std::unexpected(lost_end.error());
          damaged_.push_back({path_, offset_, expected_, *lost_end, /*may_be_unfinished=*/true, /*kept=*/{}});
        }
      }
      if (!next_segment_ || *next_segment_ >= end_sequence) return std::nullopt;
      wanted_ = std::max(wanted_, *next_segment_);
      file_.reset();
      continue;
    }
    if (view.first_sequence >= end_sequence) return std::nullopt;
    const size_t frame_size = frame_aligned(kFrameHeaderBytes + view.body.size());
    const uint64_t frame_end = view.first_sequence + view.count;
    bool is_sound = true;
    if (header_.key != 0 && frame_end > wanted_) {
      const Result<bool> opened = open_body(view);
      if (!opened) return std::unexpected(opened.error());
      is_sound = *opened;
      if (!is_sound) note_damage(frame_end);
    }
    offset_ += frame_size;
    expected_ = frame_end;
    if (expected_ <= wanted_) continue;
    wanted_ = expected_;
    if (is_sound) return view;
  }
  return std::nullopt;
}

Result<bool> LogReader::open_body(FrameView& view) {
  if (!cipher_) {
    Result<crypto::Aes256Gcm> cipher = keys_.cipher(header_.key, header_.key_salt(), crypto::Aes256Gcm::Use::kOpen);
    if (!cipher && cipher.error().code == "storage.key-missing") return missing_key(header_.key, path_, keys_);
    if (!cipher) return std::unexpected(cipher.error());
    cipher_.emplace(*std::move(cipher));
  }
  const std::optional<std::string_view> body = open_frame(*cipher_, offset_, frame_);
  if (body) view.body = *body;
  return body.has_value();
}

// Between the last good frame and `end_sequence` something was, and cannot be read. Not so where the file has been
// given to another segment meanwhile: then all in it was done with.
void LogReader::note_damage(uint64_t end_sequence) {
  if (expected_ >= end_sequence) return;
  if (const Result<std::optional<SegmentHeader>> read = read_segment_header(*file_)) {
    const std::optional<SegmentHeader>& header = *read;
    if (header && header->salt != header_.salt) return;
  }
  damaged_.push_back({path_, offset_, expected_, end_sequence});
  expected_ = end_sequence;
}

}  // namespace verge::storage

#include "storage/segmented_log.h"

#include <algorithm>
#include <charconv>
#include <cstring>
#include <limits>

#include <fmt/format.h>

#include "base/assert.h"
#include "base/bytes.h"
#include "base/hash.h"
#include "base/random.h"

namespace verge::storage {
namespace {

constexpr std::string_view kSegmentMagic = "VERGELOG";
constexpr uint32_t kFormatVersion = 1;
constexpr uint32_t kFrameMagic = 0x4d524656;  // "VFRM"
constexpr std::string_view kSuffix = ".log";
// After a damaged tail, so many sequences are skipped: any of them may have been seen by a receiver.
constexpr uint64_t kSequenceSkip = 1U << 20;

size_t aligned(size_t bytes) { return (bytes + kFrameAlignment - 1) / kFrameAlignment * kFrameAlignment; }

std::string segment_path(const std::string& directory, uint64_t first_sequence) {
  return fmt::format("{}/{:020}{}", directory, first_sequence, kSuffix);
}

struct SegmentHeader {
  uint64_t first_sequence = 0;
  uint64_t salt = 0;
  uint64_t previous_end = 0;  // frames of the segment before that begin here or later are void
};

std::string segment_header(const SegmentHeader& values) {
  std::string header(kSegmentMagic);
  append_fixed(header, kFormatVersion);
  append_fixed(header, static_cast<uint32_t>(kSegmentHeaderBytes));
  append_fixed(header, values.first_sequence);
  append_fixed(header, values.salt);
  append_fixed(header, values.previous_end);
  header.resize(kSegmentHeaderBytes - sizeof(uint64_t), '\0');
  append_fixed(header, hash64(header));
  return header;
}

// What follows the last frame, where there is room for another: no frame begins like this.
std::string end_mark() { return std::string(kFrameHeaderBytes, '\0'); }

// Nothing when the header is not intact; an error when it cannot be read.
Result<std::optional<SegmentHeader>> read_segment_header(File& file) {
  char raw[kSegmentHeaderBytes];
  const Result<size_t> got = file.read_at(0, raw, sizeof(raw));
  if (!got) return std::unexpected(got.error());
  if (*got != sizeof(raw)) return std::nullopt;
  const std::string_view header(raw, sizeof(raw));
  ByteReader check(header.substr(kSegmentHeaderBytes - sizeof(uint64_t)));
  if (check.fixed<uint64_t>() != hash64(header.substr(0, kSegmentHeaderBytes - sizeof(uint64_t)))) return std::nullopt;
  ByteReader reader(header);
  if (reader.bytes(kSegmentMagic.size()) != kSegmentMagic || reader.fixed<uint32_t>() != kFormatVersion)
    return std::nullopt;
  reader.fixed<uint32_t>();
  SegmentHeader values;
  values.first_sequence = reader.fixed<uint64_t>();
  values.salt = reader.fixed<uint64_t>();
  values.previous_end = reader.fixed<uint64_t>();
  return values;
}

// checksum u64 | magic u32 | body bytes u32 | count u32 | stamp u32 | first sequence u64 | body
void fill_frame_header(std::string& frame, uint64_t first_sequence, uint32_t count, uint32_t stamp, uint64_t salt) {
  write_fixed_at(frame, 8, kFrameMagic);
  write_fixed_at(frame, 12, static_cast<uint32_t>(frame.size() - kFrameHeaderBytes));
  write_fixed_at(frame, 16, count);
  write_fixed_at(frame, 20, stamp);
  write_fixed_at(frame, 24, first_sequence);
  write_fixed_at(frame, 0, hash64(std::string_view(frame).substr(sizeof(uint64_t)), salt));
}

enum class FrameState { kGood, kNone, kBad };  // kNone: zeros or the end of the file, as after the last frame

// Reads the frame at `offset` into `scratch`; `view` points there.
Result<FrameState> read_frame(File& file, uint64_t offset, uint64_t salt, std::string& scratch, FrameView& view) {
  scratch.resize(kFrameHeaderBytes);
  const Result<size_t> got = file.read_at(offset, scratch.data(), scratch.size());
  if (!got) return std::unexpected(got.error());
  if (*got < kFrameHeaderBytes) return FrameState::kNone;
  if (scratch.find_first_not_of('\0') == std::string::npos) return FrameState::kNone;
  ByteReader reader(scratch);
  const auto checksum = reader.fixed<uint64_t>();
  const auto magic = reader.fixed<uint32_t>();
  const auto body_bytes = reader.fixed<uint32_t>();
  view.count = reader.fixed<uint32_t>();
  view.stamp = reader.fixed<uint32_t>();
  view.first_sequence = reader.fixed<uint64_t>();
  if (magic != kFrameMagic || body_bytes > kFrameBytesMax || view.count == 0) return FrameState::kBad;
  scratch.resize(kFrameHeaderBytes + body_bytes);
  const Result<size_t> body = file.read_at(offset + kFrameHeaderBytes, scratch.data() + kFrameHeaderBytes, body_bytes);
  if (!body) return std::unexpected(body.error());
  if (*body != body_bytes) return FrameState::kBad;
  const std::string_view whole = scratch;
  if (hash64(whole.substr(sizeof(uint64_t)), salt) != checksum) return FrameState::kBad;
  view.body = whole.substr(kFrameHeaderBytes);
  return FrameState::kGood;
}

// Looks for a good frame after a bad one at `offset`. Reads in blocks; a frame's magic is searched on its alignment.
Result<std::optional<uint64_t>> next_good_frame(File& file, uint64_t offset, uint64_t salt, std::string& scratch,
                                                FrameView& view) {
  constexpr size_t kBlock = 256U << 10;
  std::string block;
  uint64_t at = (offset / kFrameAlignment + 1) * kFrameAlignment;
  while (true) {
    block.resize(kBlock);
    const Result<size_t> got = file.read_at(at, block.data(), block.size());
    if (!got) return std::unexpected(got.error());
    if (*got < kFrameHeaderBytes) return std::nullopt;
    for (size_t i = 0; i + kFrameHeaderBytes <= *got; i += kFrameAlignment) {
      uint32_t magic;
      std::memcpy(&magic, block.data() + i + sizeof(uint64_t), sizeof(magic));
      if (magic != kFrameMagic) continue;
      const Result<FrameState> state = read_frame(file, at + i, salt, scratch, view);
      if (!state) return std::unexpected(state.error());
      if (*state == FrameState::kGood) return at + i;
    }
    at += *got / kFrameAlignment * kFrameAlignment - kFrameAlignment;
    if (*got < kBlock) return std::nullopt;
  }
}

}  // namespace

Result<std::vector<SegmentFile>> list_segments(FileSystem& file_system, const std::string& directory) {
  const Result<std::vector<std::string>> names = file_system.list(directory);
  if (!names) return std::unexpected(names.error());
  std::vector<SegmentFile> segments;
  for (const std::string& name : *names) {
    uint64_t first = 0;
    const char* end = name.data() + name.size();
    const auto [stop, problem] = std::from_chars(name.data(), end, first);
    if (problem != std::errc{} || std::string_view(stop, end) != kSuffix) continue;
    segments.push_back({directory + "/" + name, first, 0});
  }
  std::ranges::sort(segments, {}, &SegmentFile::first_sequence);
  return segments;
}

Result<std::unique_ptr<SegmentedLog>> SegmentedLog::open(FileSystem& file_system, std::string directory,
                                                         SegmentReserve& reserve, uint64_t sequence_floor,
                                                         Recovery& recovery) {
  if (const Result<void> made = file_system.make_directory(directory); !made) return std::unexpected(made.error());
  std::unique_ptr<SegmentedLog> log(new SegmentedLog(file_system, std::move(directory), reserve));
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
  for (SegmentFile& segment : segments_) {
    const Result<std::unique_ptr<File>> file = file_system_.open(segment.path, OpenMode::kRead);
    if (!file) return std::unexpected(file.error());
    const Result<uint64_t> size = (*file)->size();
    if (!size) return std::unexpected(size.error());
    segment.bytes = *size;
  }
  next_sequence_ = std::max<uint64_t>(1, sequence_floor);
  bool damaged = false;
  bool found_header = false;
  while (!segments_.empty() && !found_header) {
    const Result<std::optional<uint64_t>> end = recover_segment(segments_.back(), recovery, damaged);
    if (!end) return std::unexpected(end.error());
    found_header = end->has_value();
    if (found_header) {
      next_sequence_ = std::max(next_sequence_, **end);
      continue;
    }
    if (const Result<void> aside = set_aside(segments_.size() - 1); !aside) return aside;
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
    // A file out of the reserve that had its new name and not its new header yet: nothing was stored in it.
    return std::nullopt;
  }
  if (!header) {
    recovery.damaged.push_back({segment.path, 0, segment.first_sequence, segment.first_sequence});
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
    if (*state == FrameState::kNone) break;
    if (*state == FrameState::kBad) {
      const Result<std::optional<uint64_t>> found = next_good_frame(**file, end, header->salt, scratch, view);
      if (!found) return std::unexpected(found.error());
      recovery.damaged.push_back({segment.path, end, expected, *found ? view.first_sequence : expected});
      damaged = true;
      if (!*found) break;
      end = **found;
    }
    expected = view.first_sequence + view.count;
    end += aligned(kFrameHeaderBytes + view.body.size());
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

// A file without a header of its own: one that may have held something is kept under another name for whoever wants to
// look into it.
Result<void> SegmentedLog::set_aside(size_t index) {
  const std::string path = segments_[index].path;
  bool is_empty = true;
  if (const Result<std::unique_ptr<File>> file = file_system_.open(path, OpenMode::kRead)) {
    std::string start(kSegmentHeaderBytes + kFrameHeaderBytes, '\0');
    const Result<size_t> got = (*file)->read_at(0, start.data(), start.size());
    const Result<std::optional<SegmentHeader>> header = read_segment_header(**file);
    is_empty = got && header &&
               (header->has_value() || start.find_first_not_of('\0', kSegmentHeaderBytes) == std::string::npos);
  }
  if (is_empty) return remove_segment(index);
  if (const Result<void> renamed = file_system_.rename(path, path + ".damaged"); !renamed) return renamed;
  segments_.erase(segments_.begin() + static_cast<ptrdiff_t>(index));
  return file_system_.sync_directory(directory_);
}

// Durably: a segment must not come back when a later one is gone, which says where its frames end.
Result<void> SegmentedLog::remove_segment(size_t index) {
  const SegmentFile& segment = segments_[index];
  if (segment.bytes != reserve_.segment_bytes() || !reserve_.give(segment.path)) {
    const Result<void> gone = file_system_.remove(segment.path);
    if (!gone && gone.error().code != "storage.missing") return gone;
  }
  segments_.erase(segments_.begin() + static_cast<ptrdiff_t>(index));
  return file_system_.sync_directory(directory_);
}

Result<void> SegmentedLog::begin_segment(uint64_t bytes_needed) {
  seal();
  // An empty segment of that name, left by a failure, still says where the frames before it end: it is not made anew.
  if (!segments_.empty() && segments_.back().first_sequence == next_sequence_) ++next_sequence_;
  const std::string path = segment_path(directory_, next_sequence_);
  const uint64_t bytes = std::max(reserve_.segment_bytes(), bytes_needed + kSegmentHeaderBytes);
  std::unique_ptr<File> file = bytes == reserve_.segment_bytes() ? reserve_.take(path) : nullptr;
  const uint64_t salt = system_seed();
  Result<void> done;
  if (!file) {
    Result<std::unique_ptr<File>> fresh = file_system_.open(path, OpenMode::kCreate);
    if (!fresh) return std::unexpected(fresh.error());
    file = std::move(*fresh);
    done = file->allocate(bytes);
  }
  // The header is made durable by the sync of the first frame, before which nothing hangs on it.
  const std::string header = segment_header({next_sequence_, salt, durable_through_}) + end_mark();
  if (done) done = file->write_at(0, header);
  if (done) done = file_system_.sync_directory(directory_);
  if (!done) {
    file.reset();
    if (!file_system_.remove(path)) {
      // It stays as an empty segment, which the next start removes.
    }
    return done;
  }
  active_ = std::move(file);
  active_salt_ = salt;
  active_end_ = kSegmentHeaderBytes;
  synced_end_ = kSegmentHeaderBytes;
  failed_ = false;
  segments_.push_back({path, next_sequence_, bytes});
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
}

std::unexpected<Error> SegmentedLog::write_failed() const {
  return fail("storage.io", fmt::format("a write to {} failed", directory_), "check the disk (dmesg, smartctl)");
}

Result<void> SegmentedLog::append(uint32_t count, uint32_t stamp, std::string frame) {
  VERGE_ASSERT(count > 0 && frame.size() >= kFrameHeaderBytes);
  VERGE_ASSERT(frame.size() - kFrameHeaderBytes <= kFrameBytesMax);
  const size_t frame_size = aligned(frame.size());
  if (!active_ || failed_ || active_end_ + frame_size > segments_.back().bytes) {
    if (const Result<void> begun = begin_segment(frame_size); !begun) return begun;
  }
  // What would follow frames that are lost is to be refused with them, not to be found without them.
  if (lost_) return write_failed();
  const uint64_t first = next_sequence_;
  next_sequence_ += count;
  fill_frame_header(frame, first, count, stamp, active_salt_);
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

Result<size_t> SegmentedLog::remove_oldest() {
  if (segments_.size() < 2) return 0;
  if (const Result<void> gone = remove_segment(0); !gone) return std::unexpected(gone.error());
  return 1;
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
    if (!file && file.error().code == "storage.missing") continue;  // removed since it was listed
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
    salt_ = header->salt;
    segment_first_ = chosen->first_sequence;
    expected_ = segment_first_;
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
  auto later = std::ranges::upper_bound(*segments, segment_first_, {}, &SegmentFile::first_sequence);
  for (; later != segments->end(); ++later) {
    const Result<std::unique_ptr<File>> file = file_system_.open(later->path, OpenMode::kRead);
    if (!file && file.error().code == "storage.missing") continue;  // removed since it was listed
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
    Result<FrameState> state = read_frame(*file_, offset_, salt_, frame_, view);
    if (!state) return std::unexpected(state.error());
    if (*state == FrameState::kBad) {
      const Result<std::optional<uint64_t>> found = next_good_frame(*file_, offset_, salt_, frame_, view);
      if (!found) return std::unexpected(found.error());
      if (*found && view.first_sequence < *frames_end) {
        note_damage(view.first_sequence);
        offset_ = **found;
        *state = FrameState::kGood;
      }
    }
    if (*state != FrameState::kGood || view.first_sequence >= *frames_end) {
      // The segment's end, or its end so far.
      if (next_segment_) note_damage(*frames_end);
      if (!next_segment_ && *state == FrameState::kBad && end_sequence != kAsFarAsReadable) note_damage(end_sequence);
      if (!next_segment_ || *next_segment_ >= end_sequence) return std::nullopt;
      wanted_ = std::max(wanted_, *next_segment_);
      file_.reset();
      continue;
    }
    if (view.first_sequence >= end_sequence) return std::nullopt;
    offset_ += aligned(kFrameHeaderBytes + view.body.size());
    expected_ = view.first_sequence + view.count;
    if (expected_ <= wanted_) continue;
    wanted_ = expected_;
    return view;
  }
  return std::nullopt;
}

// Between the last good frame and `end_sequence` something was, and cannot be read. Not so where the file has been
// given to another segment meanwhile: then all in it was done with.
void LogReader::note_damage(uint64_t end_sequence) {
  if (expected_ >= end_sequence) return;
  const Result<std::optional<SegmentHeader>> header = read_segment_header(*file_);
  if (header && *header && (*header)->salt != salt_) return;
  damaged_.push_back({path_, offset_, expected_, end_sequence});
  expected_ = end_sequence;
}

}  // namespace verge::storage

#include "cache/disk_log.h"

#include <algorithm>
#include <charconv>
#include <map>

#include <fmt/format.h>

#include "base/bytes.h"
#include "base/random.h"

namespace verge::cache {
namespace {

constexpr std::string_view kMetaMagic = "VERGECAC";
constexpr uint32_t kVersion = 1;
constexpr size_t kNoteBytes = 32;
constexpr size_t kBufferBytes = 1U << 20;
constexpr std::string_view kData = ".data";
constexpr std::string_view kIndex = ".index";
constexpr size_t kGoingMax = 4;
constexpr uint64_t kIndexFileMax = 4ULL << 30;

}  // namespace

// What the index file says of one record.
struct DiskLog::Note {
  enum Kind : uint32_t { kPut = 1, kForget = 2 };
  Kind kind = kPut;
  uint32_t variant = 0;
  uint64_t url = 0;
  uint32_t offset = 0;
  uint32_t length = 0;
  std::function<bool()> may;

  // kind u32 | variant u32 | url u64 | offset u32 | length u32 | checksum u64, seeded with the segment's number
  [[nodiscard]] std::string bytes(uint32_t segment) const {
    std::string bytes;
    append_fixed(bytes, static_cast<uint32_t>(kind));
    append_fixed(bytes, variant);
    append_fixed(bytes, url);
    append_fixed(bytes, offset);
    append_fixed(bytes, length);
    append_fixed(bytes, hash64(bytes, segment));
    return bytes;
  }

  // False when it is not what was written for this segment.
  bool read(std::string_view bytes, uint32_t segment) {
    ByteReader reader(bytes);
    kind = static_cast<Kind>(reader.fixed<uint32_t>());
    variant = reader.fixed<uint32_t>();
    url = reader.fixed<uint64_t>();
    offset = reader.fixed<uint32_t>();
    length = reader.fixed<uint32_t>();
    return reader.fixed<uint64_t>() == hash64(bytes.substr(0, kNoteBytes - sizeof(uint64_t)), segment) && reader.ok();
  }
};

DiskLog::DiskLog(storage::FileSystem& file_system, std::string directory, const DiskLogOptions& options,
                 IsInUse is_in_use)
    : file_system_(file_system), directory_(std::move(directory)), options_(options), is_in_use_(std::move(is_in_use)) {
  constexpr uint64_t kMiB = 1U << 20;
  if (options_.segment_bytes == 0) options_.segment_bytes = std::clamp(options_.bytes_max / 64, 4 * kMiB, 256 * kMiB);
  // Two at least: one to write to beside the one that goes.
  options_.segment_bytes = record_aligned(std::min(options_.segment_bytes, options_.bytes_max / 2));
  if (options_.answers_max == 0) options_.answers_max = std::min<uint64_t>(options_.bytes_max >> 10U, 16 * kMiB);
  index_ = std::make_unique<DiskIndex>(options_.answers_max);
}

Result<std::unique_ptr<DiskLog>> DiskLog::open(storage::FileSystem& file_system, std::string directory,
                                               const DiskLogOptions& options, IsInUse is_in_use, bool& was_anew) {
  std::unique_ptr<DiskLog> log(new DiskLog(file_system, std::move(directory), options, std::move(is_in_use)));
  if (const Result<void> made = file_system.make_directory(log->directory_); !made)
    return std::unexpected(made.error());
  const Result<bool> known = log->read_meta();
  if (!known) return std::unexpected(known.error());
  was_anew = !*known;
  const Result<void> opened = *known ? log->recover() : log->begin_anew();
  if (!opened) return std::unexpected(opened.error());
  return log;
}

std::string DiskLog::path_of(uint32_t segment, std::string_view suffix) const {
  return fmt::format("{}/{:010}{}", directory_, segment, suffix);
}

// magic | version u32 | 0 u32 | seed u64 | checksum u64
Result<bool> DiskLog::read_meta() {
  const Result<std::string> content = file_system_.read_file(directory_ + "/meta", 4096);
  if (!content && content.error().code == "storage.missing") return false;
  if (!content) return std::unexpected(content.error());
  ByteReader reader(*content);
  const bool is_ours = reader.bytes(kMetaMagic.size()) == kMetaMagic && reader.fixed<uint32_t>() == kVersion;
  reader.fixed<uint32_t>();
  seed_ = reader.fixed<uint64_t>();
  const size_t checked = content->size() - std::min(content->size(), reader.rest().size());
  return reader.fixed<uint64_t>() == hash64(std::string_view(*content).substr(0, checked)) && reader.ok() && is_ours;
}

Result<void> DiskLog::begin_anew() {
  const Result<std::vector<std::string>> names = file_system_.list(directory_);
  if (!names) return std::unexpected(names.error());
  for (const std::string& name : *names) {
    if (!name.ends_with(kData) && !name.ends_with(kIndex)) continue;
    if (const Result<void> gone = file_system_.remove(directory_ + "/" + name); !gone) return gone;
  }
  seed_ = system_seed();
  std::string meta(kMetaMagic);
  append_fixed(meta, kVersion);
  append_fixed(meta, uint32_t{0});
  append_fixed(meta, seed_);
  append_fixed(meta, hash64(meta));
  return file_system_.replace_file(directory_ + "/meta", meta);
}

Result<void> DiskLog::recover() {
  const Result<std::vector<std::string>> names = file_system_.list(directory_);
  if (!names) return std::unexpected(names.error());
  std::map<uint32_t, unsigned> found;  // with data 1, with index 2
  for (const std::string& name : *names) {
    uint32_t number = 0;
    const auto [end, problem] = std::from_chars(name.data(), name.data() + name.size(), number);
    if (problem != std::errc{} || number == 0) continue;
    const std::string_view suffix(end, name.data() + name.size());
    if (suffix == kData) found[number] |= 1U;
    if (suffix == kIndex) found[number] |= 2U;
  }
  for (const auto& [number, files] : found) {
    const Result<void> recovered = files == 3 ? recover_segment(number) : remove_segment_files(number);
    if (!recovered) return recovered;
  }
  if (!segments_.empty()) index_->forget_before(segments_.front().number);
  return {};
}

Result<void> DiskLog::remove_segment_files(uint32_t number) {
  for (const std::string_view suffix : {kIndex, kData}) {
    const Result<void> gone = file_system_.remove(path_of(number, suffix));
    if (!gone && gone.error().code != "storage.missing") return gone;
  }
  return {};
}

// New segments are written from now on: the last one stays as short as it is.
Result<void> DiskLog::recover_segment(uint32_t number) {
  Result<std::unique_ptr<storage::File>> data = file_system_.open(path_of(number, kData), storage::OpenMode::kWrite);
  if (!data) return std::unexpected(data.error());
  const Result<uint64_t> bytes = (*data)->size();
  if (!bytes) return std::unexpected(bytes.error());
  const Result<std::string> notes = file_system_.read_file(path_of(number, kIndex), kIndexFileMax);
  if (!notes) return std::unexpected(notes.error());
  Segment segment{.number = number, .bytes = *bytes, .index_bytes = notes->size(), .data = std::move(*data)};
  Note note;
  // One that is damaged is passed over, and not what follows: that may say that something is void.
  for (std::string_view rest = *notes; rest.size() >= kNoteBytes; rest.remove_prefix(kNoteBytes)) {
    if (!note.read(rest.substr(0, kNoteBytes), number)) continue;
    if (note.kind == Note::kForget) index_->forget(note.url);
    const uint64_t end = (uint64_t{note.offset} + note.length) * kRecordAlignment;
    if (note.kind == Note::kPut && end <= record_aligned(*bytes)) {
      index_->put(note.url, note.variant, {.segment = number, .offset = note.offset, .length = note.length});
    }
  }
  counters_.bytes += segment.bytes + segment.index_bytes;
  segments_.push_back(std::move(segment));
  return {};
}

// --- Writing

Result<void> DiskLog::write(std::span<const Item> items) {
  std::vector<Note> notes;
  Result<void> first_failure;
  const auto did = [&](const Result<void>& done) {
    if (done) return;
    ++counters_.failures;
    if (first_failure) first_failure = done;
    // The records of this group are not found, and what follows goes elsewhere.
    notes.clear();
    buffer_.clear();
    index_file_.reset();
  };
  for (const Item& item : items) {
    if (!item.answer) {
      // Also where nothing was ever written: a segment may be all that says so after a restart.
      Result<void> there = room_for(0, notes);
      if (there) {
        notes.push_back({.kind = Note::kForget, .variant = 0, .url = item.url, .offset = 0, .length = 0, .may = {}});
      }
      did(there);
      continue;
    }
    const size_t before = notes.size();
    did(append(*item.answer, item.url, notes));
    if (notes.size() > before) notes.back().may = item.may;
  }
  did(write_notes(notes));
  return first_failure;
}

Result<void> DiskLog::append(const Answer& answer, uint64_t url, std::vector<Note>& notes) {
  const std::string prefix = record_prefix(answer, url);
  const Body& body = *answer.body();
  const uint64_t bytes = record_aligned(prefix.size() + body.size());
  if (bytes > options_.segment_bytes) return {};
  if (const Result<void> room = room_for(bytes, notes); !room) return room;
  const uint64_t begin = buffer_at_ + buffer_.size();
  buffer_.append(prefix);
  for (uint64_t place = 0; place < body.size();) {
    const Body::Piece piece = body.read(place).piece;
    const std::string_view part = piece.bytes.view().substr(piece.offset, piece.size);
    if (part.empty()) break;
    place += part.size();
    buffer_.append(part);
    if (buffer_.size() < kBufferBytes) continue;
    if (const Result<void> written = write_out(); !written) return written;
  }
  buffer_.resize(record_aligned(buffer_at_ + buffer_.size()) - buffer_at_, '\0');
  notes.push_back({.kind = Note::kPut,
                   .variant = variant_of(answer),
                   .url = url,
                   .offset = static_cast<uint32_t>(begin / kRecordAlignment),
                   .length = static_cast<uint32_t>(bytes / kRecordAlignment),
                   .may = {}});
  return {};
}

Result<void> DiskLog::append_raw(std::string_view record, uint64_t url, uint32_t variant, std::vector<Note>& notes) {
  if (const Result<void> room = room_for(record.size(), notes); !room) return room;
  const uint64_t begin = buffer_at_ + buffer_.size();
  buffer_.append(record);
  notes.push_back({.kind = Note::kPut,
                   .variant = variant,
                   .url = url,
                   .offset = static_cast<uint32_t>(begin / kRecordAlignment),
                   .length = static_cast<uint32_t>(record.size() / kRecordAlignment),
                   .may = {}});
  return buffer_.size() < kBufferBytes ? Result<void>{} : write_out();
}

Result<void> DiskLog::write_out() {
  if (buffer_.empty()) return {};
  const Result<void> written = segments_.back().data->write_at(buffer_at_, buffer_);
  if (!written) return written;
  buffer_at_ += buffer_.size();
  counters_.bytes += buffer_.size();
  buffer_.clear();
  const std::lock_guard lock(mutex_);
  segments_.back().bytes = buffer_at_;
  return {};
}

// What is written is noted, and then found.
Result<void> DiskLog::write_notes(std::vector<Note>& notes) {
  if (const Result<void> written = write_out(); !written) return written;
  std::erase_if(notes, [](const Note& note) { return note.may && !note.may(); });
  if (notes.empty()) return {};
  Segment& segment = segments_.back();
  std::string bytes;
  for (const Note& note : notes) bytes.append(note.bytes(segment.number));
  if (const Result<void> written = index_file_->write_at(segment.index_bytes, bytes); !written) return written;
  segment.index_bytes += bytes.size();
  counters_.bytes += bytes.size();
  for (const Note& note : std::exchange(notes, {})) {
    if (note.kind == Note::kForget) index_->forget(note.url);
    if (note.kind != Note::kPut) continue;
    index_->put(note.url, note.variant, {.segment = segment.number, .offset = note.offset, .length = note.length});
    ++counters_.written;
  }
  return {};
}

// In the last segment; begins another where that is full. What was appended is noted in the one where it is.
Result<void> DiskLog::room_for(uint64_t bytes, std::vector<Note>& notes) {
  if (index_file_ && buffer_at_ + buffer_.size() + bytes <= options_.segment_bytes) return {};
  if (index_file_) {
    if (const Result<void> noted = write_notes(notes); !noted) return noted;
  }
  // Where files cannot be removed none are added for long.
  const Result<void> removed = remove_gone();
  if (!removed && going_.size() >= kGoingMax) return removed;
  if (const Result<void> begun = begin_segment(); !begun) return begun;
  while (!is_rewriting_ && segments_.size() > 1 && counters_.bytes + options_.segment_bytes > options_.bytes_max) {
    remove_oldest();
  }
  // What was rewritten may have taken the room.
  return room_for(bytes, notes);
}

Result<void> DiskLog::begin_segment() {
  const uint32_t number = segments_.empty() ? 1 : segments_.back().number + 1;
  Result<std::unique_ptr<storage::File>> data = file_system_.open(path_of(number, kData), storage::OpenMode::kCreate);
  if (!data) return std::unexpected(data.error());
  Result<std::unique_ptr<storage::File>> index = file_system_.open(path_of(number, kIndex), storage::OpenMode::kCreate);
  if (!index) {
    (void)file_system_.remove(path_of(number, kData));
    return std::unexpected(index.error());
  }
  index_file_ = std::move(*index);
  buffer_.clear();
  buffer_at_ = 0;
  const std::lock_guard lock(mutex_);
  segments_.push_back({.number = number, .bytes = 0, .index_bytes = 0, .data = std::move(*data)});
  return {};
}

void DiskLog::remove_oldest() {
  const uint32_t number = segments_.front().number;
  is_rewriting_ = true;
  rewrite_used(number);
  is_rewriting_ = false;
  Segment gone;
  {
    const std::lock_guard lock(mutex_);
    gone = std::move(segments_.front());
    segments_.pop_front();
  }
  index_->forget_before(segments_.front().number);
  counters_.bytes -= gone.bytes + gone.index_bytes;
  going_.push_back(number);
  (void)remove_gone();
}

// In their order: a segment that stays while a later one goes, which says what is void in it, would bring that back.
Result<void> DiskLog::remove_gone() {
  while (!going_.empty()) {
    if (const Result<void> removed = remove_segment_files(going_.front()); !removed) return removed;
    going_.pop_front();
  }
  return {};
}

void DiskLog::rewrite_used(uint32_t number) {
  const Result<std::string> content = file_system_.read_file(path_of(number, kIndex), kIndexFileMax);
  const std::shared_ptr<storage::File> data = file_of(number);
  if (!content || !data) return;
  std::vector<Note> notes;
  uint64_t left = options_.segment_bytes / 2;
  std::string record;
  Note note;
  for (std::string_view rest = *content; rest.size() >= kNoteBytes; rest.remove_prefix(kNoteBytes)) {
    if (!note.read(rest.substr(0, kNoteBytes), number)) continue;
    const DiskPlace place{.segment = number, .offset = note.offset, .length = note.length};
    const DiskIndex::Entry entry = index_->at(note.url, place);
    const uint64_t bytes = uint64_t{note.length} * kRecordAlignment;
    if (note.kind != Note::kPut || !entry.is_current || bytes > left) continue;
    record.resize(bytes);
    const Result<size_t> got = data->read_at(uint64_t{note.offset} * kRecordAlignment, record.data(), record.size());
    if (!got || *got != record.size()) continue;
    const std::optional<RecordHeader> header = read_record_header(record);
    if (!header || header->bytes() != bytes) continue;
    const auto head = read_record_head(*header, std::string_view(record).substr(0, header->prefix_bytes()));
    if (!head || !(entry.was_used || is_in_use_(head->parts.url))) continue;
    if (!append_raw(record, note.url, note.variant, notes)) return;
    // Forgotten meanwhile: not to be found again.
    notes.back().may = [this, url = note.url, place] { return index_->at(url, place).is_current; };
    left -= bytes;
    ++counters_.rewritten;
  }
  (void)write_notes(notes);
}

// --- Reading

std::shared_ptr<storage::File> DiskLog::file_of(uint32_t segment) {
  const std::lock_guard lock(mutex_);
  const auto found = std::ranges::lower_bound(segments_, segment, {}, &Segment::number);
  return found != segments_.end() && found->number == segment ? found->data : nullptr;
}

DiskLog::AnswerPointer DiskLog::damaged(uint64_t url, DiskPlace place) {
  ++counters_.damaged;
  index_->forget(url, place);
  return nullptr;
}

DiskLog::AnswerPointer DiskLog::read(std::string_view url, DiskPlace place,
                                     const std::function<bool(const AnswerParts&)>& is_wanted) {
  const uint64_t hash = hash_of(url);
  const std::shared_ptr<storage::File> file = file_of(place.segment);
  if (!file) return nullptr;
  const uint64_t begin = uint64_t{place.offset} * kRecordAlignment;
  const uint64_t bytes = uint64_t{place.length} * kRecordAlignment;
  // Small ones with one read; of large ones the body comes by the block.
  std::string start(std::min<uint64_t>(bytes, kRecordBlockBytes), '\0');
  const auto read = [&](uint64_t offset, char* into, size_t size) {
    const Result<size_t> got = file->read_at(offset, into, size);
    if (!got) ++counters_.failures;
    return got && *got == size;
  };
  if (!read(begin, start.data(), start.size())) return nullptr;
  const std::optional<RecordHeader> header = read_record_header(start);
  if (!header || header->bytes() != bytes) return damaged(hash, place);
  const uint64_t prefix_bytes = header->prefix_bytes();
  if (prefix_bytes > start.size()) {
    const size_t had = start.size();
    start.resize(prefix_bytes);
    if (!read(begin + had, start.data() + had, start.size() - had)) return nullptr;
  }
  std::optional<RecordHead> head = read_record_head(*header, std::string_view(start).substr(0, prefix_bytes));
  if (!head) return damaged(hash, place);
  // Another URL with the same hash is sound.
  if (head->parts.url != url || !is_wanted(head->parts)) return nullptr;
  const auto body = std::make_shared<Body>(header->body_bytes);
  std::string block;
  for (uint64_t number = 0; number < head->block_checksums.size(); ++number) {
    const uint64_t at = number * kRecordBlockBytes;
    const size_t size = std::min<uint64_t>(kRecordBlockBytes, header->body_bytes - at);
    std::string_view view;
    if (prefix_bytes + at + size <= start.size()) {
      view = std::string_view(start).substr(prefix_bytes + at, size);
    } else {
      block.resize(size);
      if (!read(begin + prefix_bytes + at, block.data(), size)) return nullptr;
      view = block;
    }
    if (block_checksum(view, number) != head->block_checksums[number]) return damaged(hash, place);
    body->append(Payload(view));
  }
  body->complete(head->trailers);
  head->parts.body = body;
  return std::make_shared<const Answer>(std::move(head->parts));
}

}  // namespace verge::cache

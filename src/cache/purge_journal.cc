#include "cache/purge_journal.h"

#include <algorithm>
#include <utility>

#include "base/bytes.h"
#include "base/hash.h"

namespace verge::cache {
namespace {

constexpr std::string_view kMagic = "VERGEPRG";
constexpr size_t kFileMax = 1U << 30;
constexpr size_t kRecordMax = 1U << 20;

// bytes u32 | body: kind u8, softly u8, generation u64, tag u64, prefix | checksum u64 of the body
void append_record(std::string& out, const PurgeRecord& record) {
  std::string body;
  append_fixed(body, static_cast<uint8_t>(record.kind));
  append_fixed(body, static_cast<uint8_t>(record.softly));
  append_fixed(body, record.generation);
  append_fixed(body, record.tag);
  body.append(record.prefix);
  append_fixed(out, static_cast<uint32_t>(body.size()));
  out.append(body);
  append_fixed(out, hash64(body));
}

enum class Reading : uint8_t { kRecord, kEnd, kCutOff, kDamaged };

Reading read_record(ByteReader& reader, PurgeRecord& record) {
  if (reader.empty()) return Reading::kEnd;
  if (reader.rest().size() < sizeof(uint32_t)) return Reading::kCutOff;
  const auto bytes = reader.fixed<uint32_t>();
  if (bytes > kRecordMax) return Reading::kDamaged;
  if (reader.rest().size() < bytes + sizeof(uint64_t)) return Reading::kCutOff;
  const std::string_view body = reader.bytes(bytes);
  if (reader.fixed<uint64_t>() != hash64(body)) return Reading::kDamaged;
  ByteReader fields(body);
  const auto kind = fields.fixed<uint8_t>();
  record.kind = static_cast<PurgeRecord::Kind>(kind);
  record.softly = fields.fixed<uint8_t>() != 0;
  record.generation = fields.fixed<uint64_t>();
  record.tag = fields.fixed<uint64_t>();
  record.prefix = fields.rest();
  return fields.ok() && kind <= static_cast<uint8_t>(PurgeRecord::Kind::kAll) ? Reading::kRecord : Reading::kDamaged;
}

// All that counts, as a file begins with it.
std::string content_of(const Purges& purges) {
  std::string content(kMagic);
  for (const PurgeRecord& record : purges.records()) append_record(content, record);
  return content;
}

}  // namespace

Result<std::unique_ptr<PurgeJournal>> PurgeJournal::open(storage::FileSystem& file_system, const std::string& path,
                                                         Purges& purges, bool& is_whole, uint64_t compact_above) {
  std::unique_ptr<PurgeJournal> journal(new PurgeJournal(file_system, path, purges, compact_above));
  const Result<std::string> content = file_system.read_file(path, kFileMax);
  is_whole = content && content->starts_with(kMagic);
  if (!content && content.error().code != "storage.missing") return std::unexpected(content.error());
  if (is_whole) {
    ByteReader reader(std::string_view(*content).substr(kMagic.size()));
    PurgeRecord record;
    Reading reading = Reading::kEnd;
    while ((reading = read_record(reader, record)) == Reading::kRecord) purges.restore(record);
    is_whole = reading != Reading::kDamaged;
  }
  const std::string fresh = content_of(purges);
  if (const Result<void> written = file_system.replace_file(path, fresh); !written) {
    return std::unexpected(written.error());
  }
  Result<std::unique_ptr<storage::File>> file = file_system.open(path, storage::OpenMode::kWrite);
  if (!file) return std::unexpected(file.error());
  journal->file_ = std::move(*file);
  journal->bytes_ = fresh.size();
  journal->compact_above_ = std::max(compact_above, 2 * journal->bytes_);
  purges.when_purged([&its = *journal](const PurgeRecord& record) { its.note(record); });
  return journal;
}

void PurgeJournal::note(const PurgeRecord& record) {
  std::string bytes;
  append_record(bytes, record);
  const std::lock_guard lock(mutex_);
  const Result<void> written = file_->write_at(bytes_, bytes);
  // What follows one that is missing would be read as if nothing were.
  if (!written && failed_) failed_ = written;
  if (failed_) bytes_ += bytes.size();
  if (is_compacting_) noted_meanwhile_.append(bytes);
}

Result<void> PurgeJournal::sync() {
  const std::lock_guard turn(sync_mutex_);
  // Its own lock is not held while the disk is waited for: event loops note purges.
  const Result<void> synced = file_->sync();
  bool has_grown = false;
  {
    const std::lock_guard lock(mutex_);
    if (!synced && failed_) failed_ = synced;
    if (!failed_) {
      // Nothing is known then but that something is missing: the next start is to find a journal that says so.
      (void)file_->truncate(0);
      (void)file_->sync();
      return failed_;
    }
    has_grown = bytes_ > compact_above_;
  }
  if (has_grown) compact();
  return {};
}

// Under the lock of syncs. A disk that fails leaves the file as it was.
void PurgeJournal::compact() {
  {
    const std::lock_guard lock(mutex_);
    is_compacting_ = true;
    compact_above_ *= 2;  // should it fail
  }
  const std::string fresh = content_of(purges_);
  const std::string path = path_ + ".new";
  Result<std::unique_ptr<storage::File>> file = file_system_.open(path, storage::OpenMode::kCreate);
  bool is_good = file && (*file)->write_at(0, fresh) && (*file)->sync();
  {
    const std::lock_guard lock(mutex_);
    const std::string meanwhile = std::exchange(noted_meanwhile_, {});
    is_compacting_ = false;
    is_good = is_good && failed_ && (*file)->write_at(fresh.size(), meanwhile) && file_system_.rename(path, path_);
    if (!is_good) return;
    file_ = std::move(*file);
    bytes_ = fresh.size() + meanwhile.size();
    compact_above_ = std::max(least_compacted_, 2 * bytes_);
  }
  Result<void> synced = file_->sync();
  if (synced) synced = file_system_.sync_directory(path_.substr(0, path_.rfind('/')));
  const std::lock_guard lock(mutex_);
  if (!synced && failed_) failed_ = synced;
}

}  // namespace verge::cache

#include "cache/purge_journal.h"

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

}  // namespace

Result<std::unique_ptr<PurgeJournal>> PurgeJournal::open(storage::FileSystem& file_system, const std::string& path,
                                                         Purges& purges, bool& is_whole) {
  std::unique_ptr<PurgeJournal> journal(new PurgeJournal());
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
  std::string fresh(kMagic);
  for (const PurgeRecord& record : purges.records()) append_record(fresh, record);
  if (const Result<void> written = file_system.replace_file(path, fresh); !written) {
    return std::unexpected(written.error());
  }
  Result<std::unique_ptr<storage::File>> file = file_system.open(path, storage::OpenMode::kWrite);
  if (!file) return std::unexpected(file.error());
  journal->file_ = std::move(*file);
  journal->bytes_ = fresh.size();
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
}

Result<void> PurgeJournal::sync() {
  const std::lock_guard lock(mutex_);
  if (!failed_) {
    // Nothing is known then but that something is missing: the next start is to find a journal that says so.
    (void)file_->truncate(0);
    (void)file_->sync();
    return failed_;
  }
  const Result<void> synced = file_->sync();
  if (!synced) failed_ = synced;
  return synced;
}

}  // namespace verge::cache

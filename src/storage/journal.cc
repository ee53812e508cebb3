#include "storage/journal.h"

#include <algorithm>

#include "base/bytes.h"
#include "base/log.h"
#include "storage/frame.h"

namespace verge::storage {
namespace {

constexpr uint64_t kSegmentBytes = 4U << 20;

}  // namespace

Journal::Journal(FileSystem& file_system, const std::string& directory, const KeyRing& keys, const Kind& kind)
    : file_system_(file_system),
      directory_(directory + "/journal"),
      keys_(keys),
      kind_(kind),
      reserve_(file_system, directory + "/reserve", kSegmentBytes) {}

Result<std::unique_ptr<Journal>> Journal::open(FileSystem& file_system, const std::string& directory,
                                               const KeyRing& keys, const Kind& kind) {
  std::unique_ptr<Journal> journal(new Journal(file_system, directory, keys, kind));
  for (const std::string& path : {directory, directory + "/journal", directory + "/reserve"}) {
    if (const Result<void> made = file_system.make_directory(path); !made) return std::unexpected(made.error());
  }
  SegmentedLog::Recovery found;
  if (const Result<void> reserve = journal->reserve_.open(found.set_aside); !reserve) {
    return std::unexpected(reserve.error());
  }
  auto log = SegmentedLog::open(file_system, journal->directory_, journal->reserve_, keys, 1, found);
  if (!log) return std::unexpected(log.error());
  journal->log_ = std::move(*log);
  for (const DamagedRange& range : found.damaged) {
    if (range.may_be_unfinished) continue;
    log_error(kind.area, "{} is damaged at byte {}: {}", range.path, range.offset, kind.lost);
  }
  return journal;
}

Result<void> Journal::replay(const Take& take) {
  LogReader reader(file_system_, directory_, keys_);
  while (true) {
    const Result<std::optional<FrameView>> read = reader.next(log_->next_sequence());
    if (!read) return std::unexpected(read.error());
    const std::optional<FrameView>& frame = *read;
    if (!frame) return {};
    ByteReader in(frame->body);
    const auto version = in.fixed<uint8_t>();
    if (!in.ok() || !take(version, frame->body.substr(1))) {
      log_error(kind_.area, "{} holds records of another version; they are passed over", directory_);
    }
  }
}

Result<void> Journal::append(std::string_view records) {
  std::string frame(kFrameHeaderBytes, '\0');
  append_fixed(frame, kind_.version);
  frame.append(records);
  if (const Result<void> room = log_->make_room_for(frame.size() - kFrameHeaderBytes); !room) return room;
  return log_->append(1, 0, std::move(frame));
}

Result<void> Journal::write_image(const std::function<void(const Give& give)>& snapshot) {
  if (const Result<void> rolled = log_->roll(); !rolled) return rolled;
  const uint64_t begin = log_->next_sequence();
  const uint64_t before = log_->bytes();
  Result<void> appended;
  snapshot([&](std::string_view records) {
    appended = append(records);
    return appended.has_value();
  });
  if (!appended) return appended;
  if (const Result<void> synced = log_->sync(); !synced) return synced;
  image_bytes_ = log_->bytes() - before;
  return remove_before(begin);
}

bool Journal::is_long() const { return log_->bytes() > std::max(kind_.bytes_min, kImageFactor * image_bytes_); }

Result<void> Journal::remove_before(uint64_t sequence) {
  if (const Result<size_t> removed = log_->remove_before(sequence); !removed) return std::unexpected(removed.error());
  return {};
}

}  // namespace verge::storage

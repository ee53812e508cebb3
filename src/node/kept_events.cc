#include "node/kept_events.h"

#include <algorithm>
#include <optional>
#include <utility>

#include <fmt/format.h>
#include <pthread.h>

#include "base/bytes.h"
#include "base/log.h"
#include "compress/zstd_frame.h"
#include "node/worker_thread.h"
#include "storage/frame.h"

namespace verge::node {
namespace {

constexpr uint8_t kVersion = 1;
constexpr int kLevel = 6;
constexpr size_t kBatch = 1;  // of kKeptClasses
constexpr uint64_t kSegmentsLeast = 8;
constexpr uint64_t kSegmentBytesMin = 1U << 20;
constexpr uint64_t kSegmentBytesMax = 16U << 20;
constexpr size_t kGatheredBytes = 256U << 10;
constexpr uint64_t kFrameContentMax = 64U << 20;

std::string log_of(const std::string& directory, size_t number) {
  return fmt::format("{}/{}/log", directory, kKeptClasses[number]);
}

}  // namespace

Result<std::unique_ptr<KeptEvents>> KeptEvents::open(storage::FileSystem& file_system, const std::string& directory,
                                                     const storage::KeyRing& keys, const Clock& clock,
                                                     const KeptOptions& options) {
  std::unique_ptr<KeptEvents> kept(new KeptEvents(file_system, directory, keys, clock, options));
  const uint64_t segment = std::clamp(options.bytes_max / kSegmentsLeast, kSegmentBytesMin, kSegmentBytesMax);
  if (const Result<void> made = file_system.make_directory(directory); !made) return std::unexpected(made.error());
  for (size_t i = 0; i < kKeptClasses.size(); ++i) {
    const std::string own = fmt::format("{}/{}", directory, kKeptClasses[i]);
    for (const std::string& path : {own, own + "/log", own + "/reserve"}) {
      if (const Result<void> made = file_system.make_directory(path); !made) return std::unexpected(made.error());
    }
    kept->classes_[i] = std::make_unique<Class>(file_system, own, segment);
    Class& its = *kept->classes_[i];
    storage::SegmentedLog::Recovery found;
    if (const Result<void> reserve = its.reserve.open(found.set_aside); !reserve) {
      return std::unexpected(reserve.error());
    }
    auto log = storage::SegmentedLog::open(file_system, own + "/log", its.reserve, keys, 1, found);
    if (!log) return std::unexpected(log.error());
    its.log = std::move(*log);
    for (const storage::DamagedRange& range : found.damaged) {
      if (range.may_be_unfinished) continue;
      log_error("rules", "{} is damaged at byte {}: some of what rules kept is lost", range.path, range.offset);
    }
  }
  if (kept->classes_[0]->log->bytes() + kept->classes_[kBatch]->log->bytes() > 0) kept->start();
  return kept;
}

void KeptEvents::start() {
  thread_ = std::thread([this] { run(); });
}

void KeptEvents::keep(rules::Handling handling, const EventView& event) {
  const size_t number = handling == rules::Handling::kHot ? 0 : kBatch;
  const std::lock_guard lock(mutex_);
  if (is_stopping_ ||
      waiting_[0].events.size() + waiting_[kBatch].events.size() + event.payload.size() > kWaitingBytesMax) {
    ++counters_.dropped;
    return;
  }
  if (!thread_.joinable()) start();
  const bool is_first = waiting_[0].count + waiting_[kBatch].count == 0;
  Waiting& waiting = waiting_[number];
  append_event(waiting.events, event);
  ++waiting.count;
  if (is_first || number != kBatch || waiting.events.size() >= kGatheredBytes) wake_.notify_one();
}

void KeptEvents::stop() {
  {
    const std::lock_guard lock(mutex_);
    is_stopping_ = true;
    if (!thread_.joinable()) return;
  }
  wake_.notify_one();
  thread_.join();
}

void KeptEvents::run() {
  pthread_setname_np(pthread_self(), "kept");
  lower_own_priority();
  while (true) {
    std::array<Waiting, kKeptClasses.size()> taken;
    bool is_stopping = false;
    {
      std::unique_lock lock(mutex_);
      wake_.wait_for(lock, kAgeLook, [&] { return is_stopping_ || waiting_[0].count + waiting_[kBatch].count > 0; });
      const auto is_urgent = [&] {
        return is_stopping_ || waiting_[0].count > 0 || waiting_[kBatch].events.size() >= kGatheredBytes;
      };
      if (waiting_[kBatch].count > 0) wake_.wait_for(lock, kPatience, is_urgent);
      taken = std::exchange(waiting_, {});
      is_stopping = is_stopping_;
    }
    for (size_t i = 0; i < taken.size(); ++i) {
      if (taken[i].count > 0) write(i, taken[i]);
      trim(i);
    }
    counters_.bytes = classes_[0]->log->bytes() + classes_[kBatch]->log->bytes();
    if (is_stopping) return;
  }
}

void KeptEvents::write(size_t number, const Waiting& waiting) {
  if (const Result<void> done = append(number, waiting); !done) {
    counters_.dropped += waiting.count;
    log_error("rules", "{} events that rules keep are lost: {}", waiting.count, done.error().line());
    return;
  }
  counters_.kept += waiting.count;
}

Result<void> KeptEvents::append(size_t number, const Waiting& waiting) {
  storage::SegmentedLog& log = *classes_[number]->log;
  std::string frame(storage::kFrameHeaderBytes, '\0');
  append_fixed(frame, kVersion);
  append_fixed(frame, static_cast<uint8_t>(number == kBatch));
  frame.append(number == kBatch ? compress::zstd_frame(waiting.events, kLevel) : waiting.events);
  if (const Result<void> room = log.make_room_for(frame.size() - storage::kFrameHeaderBytes); !room) return room;
  if (const Result<void> done = log.append(waiting.count, now_s(), std::move(frame)); !done) return done;
  return log.sync();
}

// Whole segments, once all that is in them is too old, or when there is too much.
void KeptEvents::trim(size_t number) {
  storage::SegmentedLog& log = *classes_[number]->log;
  while (log.bytes() > options_.bytes_max && log.remove_oldest()) ++counters_.expired;
  if (number != kBatch || options_.batch_for <= Duration(0)) return;
  const auto age_max = static_cast<uint64_t>(options_.batch_for / std::chrono::seconds(1));
  const uint64_t now = now_s();
  storage::LogReader reader(file_system_, log_of(directory_, number), keys_);
  uint64_t old_end = log.first_sequence();
  reader.seek(old_end);
  while (true) {
    const Result<std::optional<storage::FrameView>> read = reader.next(log.next_sequence());
    if (!read) break;
    const std::optional<storage::FrameView>& frame = *read;
    if (!frame || frame->stamp + age_max > now) break;
    old_end = frame->first_sequence + frame->count;
  }
  if (old_end == log.next_sequence() && !log.can_remove_before(old_end) && log.bytes() > 0) {
    if (log.first_sequence() == old_end || !log.roll()) return;
  }
  if (const Result<size_t> removed = log.remove_before(old_end); removed) counters_.expired += *removed;
}

Result<void> read_kept(storage::FileSystem& file_system, const std::string& directory, const storage::KeyRing& keys,
                       size_t number, uint64_t from,
                       const std::function<bool(uint64_t sequence, const EventView& event)>& found) {
  storage::LogReader reader(file_system, log_of(directory, number), keys);
  reader.seek(from);
  while (true) {
    const Result<std::optional<storage::FrameView>> read = reader.next(storage::LogReader::kAsFarAsReadable);
    if (!read) {
      if (read.error().code == "storage.missing") return {};
      return std::unexpected(read.error());
    }
    const std::optional<storage::FrameView>& next = *read;
    if (!next) return {};
    const storage::FrameView& frame = *next;
    ByteReader head(frame.body);
    const bool is_known = head.fixed<uint8_t>() == kVersion;
    const bool is_compressed = head.fixed<uint8_t>() != 0;
    if (!head.ok() || !is_known) continue;
    std::string_view events = frame.body.substr(2);
    std::optional<std::string> content;
    if (is_compressed) {
      const std::optional<uint64_t> size = compress::zstd_stated_bytes(events);
      if (size && *size <= kFrameContentMax) content = compress::zstd_content(events);
      if (!content) continue;
      events = *content;
    }
    ByteReader in(events);
    for (uint64_t sequence = frame.first_sequence; !in.empty(); ++sequence) {
      const std::optional<EventView> event = read_event(in);
      if (!event) break;
      if (sequence >= from && !found(sequence, *event)) return {};
    }
  }
}

}  // namespace verge::node

#include "cache/disk_tier.h"

#include <utility>

#include <pthread.h>

#include "base/log.h"

namespace verge::cache {

Result<std::unique_ptr<DiskTier>> DiskTier::open(storage::FileSystem& file_system, const std::string& directory,
                                                 const DiskOptions& options, Store& store, Purges& purges) {
  std::unique_ptr<DiskTier> tier(new DiskTier(options, store, purges));
  if (const Result<void> made = file_system.make_directory(directory); !made) return std::unexpected(made.error());
  bool knows_purges = false;
  Result<std::unique_ptr<PurgeJournal>> journal =
      PurgeJournal::open(file_system, directory + "/purges", purges, knows_purges);
  if (!journal) return std::unexpected(journal.error());
  tier->journal_ = std::move(*journal);
  if (!knows_purges) {
    // Anything in the log may have been purged.
    const Result<void> gone = file_system.remove(directory + "/meta");
    if (!gone && gone.error().code != "storage.missing") return std::unexpected(gone.error());
  }
  bool was_anew = false;
  Result<std::unique_ptr<DiskLog>> log = DiskLog::open(
      file_system, directory, options.log, [&store](std::string_view url) { return store.holds(url); }, was_anew);
  if (!log) return std::unexpected(log.error());
  tier->log_ = std::move(*log);
  if (!was_anew) log_info("cache", "{} answers are on the disk", tier->log_->index().count());
  tier->start();
  return tier;
}

void DiskTier::start() {
  writer_ = std::thread([this] {
    pthread_setname_np(pthread_self(), "cache-write");
    write_on();
  });
  for (size_t i = 0; i < options_.readers; ++i) {
    readers_.emplace_back([this] {
      pthread_setname_np(pthread_self(), "cache-read");
      read_on();
    });
  }
}

DiskTier::~DiskTier() {
  {
    const std::lock_guard lock(mutex_);
    stopping_ = true;
  }
  wake_writer_.notify_all();
  wake_readers_.notify_all();
  if (writer_.joinable()) writer_.join();
  for (std::thread& reader : readers_) reader.join();
}

// --- Writing

void DiskTier::put(const Store::AnswerPointer& answer, uint64_t started) {
  const uint64_t bytes = answer->overhead_bytes() + answer->body()->size();
  {
    const std::lock_guard lock(mutex_);
    if (bytes > log_->segment_bytes() || waiting_bytes_ + bytes > options_.waiting_bytes_max) {
      ++counters_.skipped;
      return;
    }
    waiting_bytes_ += bytes;
    waiting_.push_back({.answer = answer, .url = {}, .started = started, .bytes = bytes});
  }
  wake_writer_.notify_one();
}

void DiskTier::forget(std::string_view url) {
  log_->index().forget(log_->hash_of(url));
  {
    // However many wait: it must not be lost.
    const std::lock_guard lock(mutex_);
    waiting_.push_back({.answer = nullptr, .url = std::string(url), .started = 0, .bytes = 0});
  }
  wake_writer_.notify_one();
}

void DiskTier::sync_purges_soon() {
  {
    const std::lock_guard lock(mutex_);
    has_purges_to_sync_ = true;
  }
  wake_writer_.notify_one();
}

void DiskTier::flush() {
  std::unique_lock lock(mutex_);
  wrote_.wait(lock, [this] { return waiting_.empty() && !is_writing_; });
}

void DiskTier::write_on() {
  std::unique_lock lock(mutex_);
  while (true) {
    wake_writer_.wait(lock, [this] { return stopping_ || has_purges_to_sync_ || !waiting_.empty(); });
    const bool syncs = std::exchange(has_purges_to_sync_, false);
    if (waiting_.empty() && !syncs) return;
    const std::deque<Waiting> group = std::exchange(waiting_, {});
    is_writing_ = true;
    lock.unlock();
    if (syncs) sync_journal();
    if (!group.empty()) write(group);
    lock.lock();
    for (const Waiting& entry : group) waiting_bytes_ -= entry.bytes;
    is_writing_ = false;
    wrote_.notify_all();
  }
}

void DiskTier::sync_journal() {
  const Result<void> synced = journal_->sync();
  if (synced.has_value() == !is_forgetful_) return;
  is_forgetful_ = !synced;
  if (synced) return;
  log_warning("cache", "purges are in effect, but not kept over a restart: {}", synced.error().line());
}

void DiskTier::write(const std::deque<Waiting>& group) {
  std::vector<DiskLog::Item> items;
  items.reserve(group.size());
  for (const Waiting& entry : group) {
    if (!entry.answer) {
      items.push_back({.answer = nullptr, .url = log_->hash_of(entry.url), .may = {}});
      continue;
    }
    items.push_back({.answer = entry.answer, .url = log_->hash_of(entry.answer->url()), .may = [this, &entry] {
                       return store_.is_current(entry.answer->url(), entry.started);
                     }});
  }
  const Result<void> written = log_->write(items);
  if (written.has_value() == !is_failing_) return;
  is_failing_ = !written;
  if (written) {
    log_info("cache", "answers are written to the disk again");
  } else {
    log_warning("cache", "answers are not written to the disk: {}", written.error().line());
  }
}

// --- Reading

bool DiskTier::load(std::string_view url, const OwnedFields& request_fields, std::function<void()> done) {
  {
    const std::lock_guard lock(mutex_);
    if (loads_waiting_ >= options_.loads_max) return false;
    ++loads_waiting_;
    if (const auto same = loading_.find(url); same != loading_.end()) {
      same->second->done.push_back(std::move(done));
      return true;
    }
    auto load = std::make_shared<Load>(std::string(url), request_fields);
    load->done.push_back(std::move(done));
    loading_.emplace(load->url, load);
    loads_.push_back(std::move(load));
  }
  wake_readers_.notify_one();
  return true;
}

void DiskTier::read_on() {
  std::unique_lock lock(mutex_);
  while (true) {
    wake_readers_.wait(lock, [this] { return stopping_ || !loads_.empty(); });
    if (stopping_) return;  // who waits ends too
    const std::shared_ptr<Load> load = std::move(loads_.front());
    loads_.pop_front();
    lock.unlock();
    bring(*load);
    lock.lock();
    loading_.erase(load->url);
    const std::vector<std::function<void()>> done = std::exchange(load->done, {});
    loads_waiting_ -= done.size();
    lock.unlock();
    for (const std::function<void()>& one : done) one();
    lock.lock();
  }
}

void DiskTier::bring(const Load& load) {
  const uint64_t started = store_.begin_fetch();
  const uint64_t hash = log_->hash_of(load.url);
  const DiskIndex::Places found = log_->index().find(hash);
  for (size_t i = 0; i < found.count; ++i) {
    const DiskPlace place = found.places[i];
    uint64_t grown = 0;
    const auto is_wanted = [&](const AnswerParts& parts) {
      const std::string_view language = net::find_field(parts.fields.view(), "content-language").value_or("");
      if (!selects(parts.selectors, load.fields.view(), language)) return false;
      const uint64_t bytes = uint64_t{place.length} * kRecordAlignment;
      if (!store_.grow(bytes)) return false;
      grown = bytes;
      return true;
    };
    const Store::AnswerPointer answer = log_->read(load.url, place, is_wanted);
    bool is_there = false;
    if (answer && purges_.verdict(answer->marks()) == PurgeVerdict::kGone) {
      log_->index().forget(hash, place);
    } else if (answer) {
      is_there = store_.insert(answer, started);
    }
    store_.give_back(grown);
    if (!is_there) continue;
    ++counters_.read;
    // Parts are of use together.
    if (!answer->range()) return;
  }
}

}  // namespace verge::cache

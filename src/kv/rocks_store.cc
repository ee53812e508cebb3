#include "kv/rocks_store.h"

#include <algorithm>

#include <fmt/format.h>
#include <pthread.h>
#include <sys/statvfs.h>

#include "base/log.h"

namespace verge::kv {
namespace {

using Lookup = RocksDatabase::Lookup;

constexpr size_t kGroupBytesMax = 16U << 20;
constexpr size_t kSweptMax = 1000;  // in one group
constexpr Duration kLookAgainAfter = std::chrono::minutes(10);
// What a change takes beside its bytes.
constexpr size_t kChangeBytes = 256;

std::unexpected<Error> busy(std::string what) {
  return fail("kv.busy", std::move(what), "ask again in a moment, or ask for less at once");
}

std::unexpected<Error> not_open() {
  return fail("kv.storage", "keys and values could not be opened again after an error", "look at the log of the node");
}

}  // namespace

size_t RocksStore::Waiting::bytes() const {
  return kChangeBytes + change.key.size() + (change.item ? change.item->value.size() : 0);
}

RocksStore::RocksStore(std::string directory, const Clock& clock, const Options& options)
    : directory_(std::move(directory)), clock_(clock), options_(options), hot_(options.memory_bytes) {}

Result<std::unique_ptr<RocksStore>> RocksStore::open(const std::string& directory, const Clock& clock,
                                                     const Options& options) {
  std::unique_ptr<RocksStore> store(new RocksStore(directory, clock, options));
  if (const Result<void> opened = store->open_database(); !opened) return std::unexpected(opened.error());
  if (const Result<void> read = store->read_totals_of_all(); !read) return std::unexpected(read.error());
  RocksStore* its = store.get();
  its->reader_ = std::jthread([its](std::stop_token stop) {
    pthread_setname_np(pthread_self(), "kv-read");
    its->read_on(std::move(stop));
  });
  its->writer_ = std::jthread([its] {
    pthread_setname_np(pthread_self(), "kv-write");
    its->write_groups();
  });
  return store;
}

RocksStore::~RocksStore() {
  {
    const std::lock_guard lock(writing_mutex_);
    ends_ = true;
  }
  written_to_.notify_all();
  if (writer_.joinable()) writer_.join();
  reader_.request_stop();
  asked_.notify_all();
  if (reader_.joinable()) reader_.join();
}

Result<void> RocksStore::open_database() {
  Result<std::unique_ptr<RocksDatabase>> opened = RocksDatabase::open(directory_, {});
  if (!opened) return std::unexpected(opened.error());
  database_ = std::move(*opened);
  return {};
}

Result<void> RocksStore::read_totals_of_all() {
  bool is_sound = true;
  const std::lock_guard lock(totals_mutex_);
  totals_.clear();
  const std::string begin(1, kTotals);
  const Result<void> scanned = database_->view()->scan(begin, end_of(begin), [&](auto name, auto value) {
    const std::optional<Totals> totals = read_totals(value);
    is_sound &= totals.has_value();
    if (totals) totals_.emplace(name.substr(1), *totals);
    return is_sound;
  });
  if (!scanned) return scanned;
  if (!is_sound) return fail("kv.storage", "the totals of a namespace cannot be read", "restore it from an export");
  return {};
}

std::vector<SpaceTotals> RocksStore::totals() const {
  const std::lock_guard lock(totals_mutex_);
  std::vector<SpaceTotals> all;
  for (const auto& [name, totals] : totals_) all.push_back({name, totals.bytes, totals.keys, options_.bytes_max});
  return all;
}

// --- Reading

std::optional<ItemPointer> RocksStore::find(std::string_view space, std::string_view key) {
  const std::string name = entry_name(space, key);
  if (std::optional<ItemPointer> hot = hot_.find(name)) {
    if (*hot && is_expired((*hot)->expires_s)) return ItemPointer();
    return hot;
  }
  const HotItems::Ticket ticket = hot_.ticket(name);
  const std::shared_lock lock(database_mutex_, std::try_to_lock);
  if (!lock || !database_) return std::nullopt;
  std::string bytes;
  const Result<Lookup> found = database_->find(name, /*may_wait=*/false, bytes);
  if (!found || *found == Lookup::kUnknown) return std::nullopt;
  ItemPointer item;
  if (*found == Lookup::kFound) {
    const std::optional<Record> record = read_record(bytes);
    if (!record || record->is_apart) return std::nullopt;
    if (is_expired(record->expires_s)) return ItemPointer();
    item = std::make_shared<const Item>(
        Item{std::string(record->value), std::string(record->metadata), record->expires_s});
  }
  hot_.keep(name, item, ticket);
  return item;
}

void RocksStore::get(std::string space, std::string key, Done<ItemPointer> done) {
  // Shared by the work and the refusal, of which one happens.
  auto its = std::make_shared<Done<ItemPointer>>(std::move(done));
  ask_reader([this, space = std::move(space), key = std::move(key), its] { (*its)(read_item(space, key)); },
             [its](Error error) { (*its)(std::unexpected(std::move(error))); });
}

void RocksStore::list(ListRequest request, Done<Listing> done) {
  auto its = std::make_shared<Done<Listing>>(std::move(done));  // as above
  ask_reader([this, request = std::move(request), its] { (*its)(read_list(request)); },
             [its](Error error) { (*its)(std::unexpected(std::move(error))); });
}

void RocksStore::ask_reader(std::move_only_function<void()> work, std::move_only_function<void(Error)> refuse) {
  {
    const std::lock_guard lock(reading_mutex_);
    if (reads_.size() < kReadsMax) {
      reads_.push_back(std::move(work));
      asked_.notify_one();
      return;
    }
  }
  refuse(busy(fmt::format("{} reads wait for the disk already", kReadsMax)).error());
}

void RocksStore::read_on(std::stop_token stop) {
  std::unique_lock lock(reading_mutex_);
  while (asked_.wait(lock, stop, [this] { return !reads_.empty(); })) {
    std::move_only_function<void()> work = std::move(reads_.front());
    reads_.pop_front();
    lock.unlock();
    work();
    lock.lock();
  }
}

Result<ItemPointer> RocksStore::read_item(std::string_view space, std::string_view key) {
  const std::string name = entry_name(space, key);
  const HotItems::Ticket ticket = hot_.ticket(name);
  const std::shared_lock lock(database_mutex_);
  if (!database_) return not_open();
  const std::unique_ptr<RocksDatabase::View> view = database_->view();
  std::string bytes;
  const Result<Lookup> found = view->find(name, bytes);
  if (!found) return std::unexpected(found.error());
  ItemPointer made;
  if (*found == Lookup::kFound) {
    const std::optional<Record> record = read_record(bytes);
    if (!record) return fail("kv.storage", "the record of a key cannot be read", "put or delete the key");
    if (is_expired(record->expires_s)) return ItemPointer();
    Item item{std::string(record->value), std::string(record->metadata), record->expires_s};
    if (record->is_apart) {
      const Result<Lookup> value = view->find(value_name(space, key), item.value);
      if (!value) return std::unexpected(value.error());
      if (*value != Lookup::kFound || item.value.size() != record->value_bytes) {
        return fail("kv.storage", "the value of a key is not there", "put or delete the key");
      }
    }
    made = std::make_shared<const Item>(std::move(item));
  }
  hot_.keep(name, made, ticket);
  return made;
}

Result<Listing> RocksStore::read_list(const ListRequest& request) {
  const std::shared_lock lock(database_mutex_);
  if (!database_) return not_open();
  const std::string prefix = entry_name(request.space, request.prefix);
  const size_t key_at = entry_name(request.space, {}).size();
  // The name right behind that of a key has a zero more.
  const std::string after = entry_name(request.space, request.after).append(request.after.empty() ? 0 : 1, '\0');
  Listing listing;
  bool is_sound = true;
  size_t steps = 0;
  std::string last;
  const Result<void> scanned =
      database_->view()->scan(std::max(prefix, after), end_of(prefix), [&](auto name, auto value) {
        const std::optional<Record> record = read_record(value);
        is_sound &= record.has_value();
        const bool is_there = record && !is_expired(record->expires_s);
        if (steps++ == kListStepsMax || (is_there && listing.keys.size() == request.limit)) {
          listing.complete = false;
          listing.last = std::move(last);
          return false;
        }
        last = name.substr(key_at);
        if (is_there) listing.keys.push_back({last, std::string(record->metadata), record->expires_s});
        return true;
      });
  if (!scanned) return std::unexpected(scanned.error());
  if (!is_sound)
    return fail("kv.storage", "the record of a key cannot be read", "restore the namespace from an export");
  return listing;
}

// --- Writing

void RocksStore::write(Change change, Done<void> done) {
  Result<void> good = check_key(change.key);
  if (good && change.item) good = check_item(*change.item);
  if (good) {
    Waiting waiting{std::move(change), std::move(done)};
    const size_t bytes = waiting.bytes();
    const std::lock_guard lock(writing_mutex_);
    if (waiting_bytes_ + bytes <= kWaitingBytesMax) {
      waiting_bytes_ += bytes;
      waiting_.push_back(std::move(waiting));
      if (waiting_.size() == 1) written_to_.notify_one();
      return;
    }
    good = busy("more is written than the disk takes");
    done = std::move(waiting.done);
  }
  done(std::move(good));
}

void RocksStore::write_groups() {
  while (true) {
    std::vector<Waiting> group;
    {
      std::unique_lock lock(writing_mutex_);
      written_to_.wait_for(lock, until_next_expiry(), [this] { return !waiting_.empty() || ends_; });
      if (waiting_.empty() && ends_) return;
      for (size_t bytes = 0; !waiting_.empty() && bytes < kGroupBytesMax;) {
        bytes += waiting_.front().bytes();
        waiting_bytes_ -= waiting_.front().bytes();
        group.push_back(std::move(waiting_.front()));
        waiting_.pop_front();
      }
    }
    if (next_expiry_s_ <= now_s()) sweep();
    if (!group.empty()) commit(std::move(group));
  }
}

Duration RocksStore::until_next_expiry() const {
  if (next_expiry_s_ == INT64_MAX) return kLookAgainAfter;
  const Duration until = std::chrono::microseconds(next_expiry_s_ * 1'000'000 - clock_.wall().microseconds);
  return std::clamp<Duration>(until, std::chrono::milliseconds(1), kLookAgainAfter);
}

// Whether it may be written to. Opens it again after an error.
Result<void> RocksStore::see_to_database(uint64_t bytes_needed) {
  struct statvfs disk{};
  if (statvfs(directory_.c_str(), &disk) == 0) {
    const uint64_t left = static_cast<uint64_t>(disk.f_bavail) * disk.f_frsize;
    if (left < bytes_needed) {
      return fail("storage.full",
                  fmt::format("the disk of {} has too little space left for keys and values", directory_),
                  "make room on that disk");
    }
  }
  if (!is_broken_) return {};
  const std::lock_guard lock(database_mutex_);
  database_.reset();
  if (const Result<void> opened = open_database(); !opened) return opened;
  // What failed may be there all the same.
  if (const Result<void> read = read_totals_of_all(); !read) return read;
  for (const std::string& name : unsure_) hot_.forget(name);
  for (const auto& [space, totals] : totals_) tell_write(space);
  unsure_.clear();
  next_expiry_s_ = 0;
  is_broken_ = false;
  log_info("kv", "keys and values are written again");
  return {};
}

void RocksStore::commit(std::vector<Waiting> waiting) {
  uint64_t bytes = 0;
  for (const Waiting& one : waiting) bytes += one.bytes();
  Result<void> ready = see_to_database(kReserveBytes + bytes);
  if (!ready && ready.error().code == "storage.full") {
    std::erase_if(waiting, [&](Waiting& one) {
      if (one.change.item) one.done(ready);
      return one.change.item.has_value();
    });
    ready = see_to_database(kReserveBytes / 2 + waiting.size() * (kChangeBytes + kKeyBytesMax));
  }
  if (!ready) {
    for (Waiting& one : waiting) one.done(ready);
    return;
  }
  Group group;
  for (Waiting& one : waiting) {
    if (Result<void> added = add(group, one.change); !added) {
      one.done(std::move(added));
    } else {
      group.done.push_back(std::move(one.done));
    }
  }
  const Result<void> written = finish(group, /*durable=*/true);
  writes_ += written ? group.done.size() : 0;
  for (Done<void>& done : group.done) done(written);
}

Result<void> RocksStore::add(Group& group, Change& change) {
  const std::string name = entry_name(change.space, change.key);
  const Result<Former> former = former_of(group, name, change.key);
  if (!former) return std::unexpected(former.error());
  Totals& totals = totals_of(group, change.space);
  const uint64_t needed = change.item ? stored_bytes(change.key, *change.item) : 0;
  if (needed > former->bytes && totals.bytes - former->bytes + needed > options_.bytes_max) {
    return space_is_full(change.space, options_.bytes_max);
  }
  remove_former(group, change, *former);
  if (!change.item) {
    if (former->exists) group.batch.remove(name);
    group.formers[name] = {};
    return {};
  }
  Item& item = *change.item;
  const bool is_apart = item.value.size() > kInlineBytesMax;
  group.batch.put(name, record_of(item));
  if (item.expires_s != 0) {
    group.batch.put(expiry_name(item.expires_s, change.space, change.key), {});
    next_expiry_s_ = std::min(next_expiry_s_, item.expires_s);
  }
  if (is_apart) group.batch.put(value_name(change.space, change.key), std::move(item.value));
  totals.bytes += needed;
  ++totals.keys;
  group.formers[name] = {.exists = true, .is_apart = is_apart, .expires_s = item.expires_s, .bytes = needed};
  return {};
}

Result<RocksStore::Former> RocksStore::former_of(Group& group, std::string_view name, std::string_view key) {
  if (const auto known = group.formers.find(name); known != group.formers.end()) return known->second;
  std::string bytes;
  const Result<Lookup> found = database_->find(name, /*may_wait=*/true, bytes);
  if (!found) return std::unexpected(found.error());
  if (*found == Lookup::kMissing) return Former{};
  const std::optional<Record> record = read_record(bytes);
  if (!record) return Former{.exists = true};  // it counts for nothing, and goes
  return Former{.exists = true,
                .is_apart = record->is_apart,
                .expires_s = record->expires_s,
                .bytes = stored_bytes(key, *record)};
}

Totals& RocksStore::totals_of(Group& group, std::string_view space) {
  if (const auto known = group.totals.find(space); known != group.totals.end()) return known->second;
  const auto before = totals_.find(space);
  return group.totals.emplace(space, before == totals_.end() ? Totals{} : before->second).first->second;
}

// All of it but its record, which is written over or removed.
void RocksStore::remove_former(Group& group, const Change& change, const Former& former) {
  if (!former.exists) return;
  Totals& totals = totals_of(group, change.space);
  totals.bytes -= std::min(totals.bytes, former.bytes);
  totals.keys -= std::min<uint64_t>(totals.keys, 1);
  if (former.is_apart) group.batch.remove(value_name(change.space, change.key));
  if (former.expires_s != 0) group.batch.remove(expiry_name(former.expires_s, change.space, change.key));
}

Result<void> RocksStore::finish(Group& group, bool durable) {
  if (group.batch.empty()) return {};
  for (const auto& [space, totals] : group.totals) group.batch.put(totals_name(space), totals_record(totals));
  const Result<void> written = database_->write(group.batch, durable);
  groups_ += 1;
  if (!written) {
    is_broken_ = true;
    for (const auto& [name, former] : group.formers) unsure_.push_back(name);
    log_warning("kv", "{}", written.error().line());
    return written;
  }
  for (const auto& [name, former] : group.formers) hot_.forget(name);
  for (const auto& [space, totals] : group.totals) tell_write(space);
  const std::lock_guard lock(totals_mutex_);
  for (const auto& [space, totals] : group.totals) totals_[space] = totals;
  return {};
}

// Removes what has expired, in pieces, each with its totals.
void RocksStore::sweep() {
  const std::string begin(1, kExpiries);
  while (true) {
    if (const Result<void> ready = see_to_database(kReserveBytes / 2); !ready) {
      next_expiry_s_ = now_s() + 1;
      return;
    }
    std::vector<std::string> due;
    int64_t next = INT64_MAX;
    const int64_t now = now_s();
    const Result<void> scanned = database_->view()->scan(begin, end_of(begin), [&](auto name, auto) {
      const std::optional<Expiry> expiry = read_expiry_name(name);
      if (expiry && expiry->expires_s > now) {
        next = expiry->expires_s;
        return false;
      }
      due.emplace_back(name);
      return due.size() < kSweptMax;
    });
    Group group;
    for (const std::string& name : due) {
      const std::optional<Expiry> expiry = read_expiry_name(name);
      if (expiry) {
        Change change{.space = std::string(expiry->space), .key = std::string(expiry->key), .item = std::nullopt};
        const std::string entry = entry_name(change.space, change.key);
        const Result<Former> former = former_of(group, entry, change.key);
        if (former && former->exists && former->expires_s == expiry->expires_s) {
          remove_former(group, change, *former);
          group.batch.remove(entry);
          group.formers[entry] = {};
        }
      }
      group.batch.remove(name);
    }
    const Result<void> written = scanned ? finish(group, /*durable=*/false) : scanned;
    if (!written) {
      next_expiry_s_ = now + 1;
      return;
    }
    next_expiry_s_ = next;
    if (due.size() < kSweptMax) return;
  }
}

}  // namespace verge::kv

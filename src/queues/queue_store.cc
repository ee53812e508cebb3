#include "queues/queue_store.h"

#include <algorithm>
#include <set>
#include <utility>

#include <fmt/format.h>
#include <pthread.h>

#include "base/log.h"
#include "base/text.h"

namespace verge::queues {
namespace {

constexpr uint8_t kVersion = 1;

std::unexpected<Error> full(std::string_view queue, const QueueOptions& options) {
  return fail("queues.full",
              fmt::format("queue {} has its {} and takes no more", queue, format_size(options.bytes_max)),
              "consume faster, or raise the queue's bytes_max");
}

std::unexpected<Error> unknown(std::string_view queue) {
  return fail("queues.unknown", fmt::format("there is no queue {}", json_string(queue)), "add a [[queue]]");
}

int64_t milliseconds(Duration duration) {
  return std::chrono::duration_cast<std::chrono::milliseconds>(duration).count();
}

}  // namespace

Result<std::unique_ptr<QueueStore>> QueueStore::open(storage::FileSystem& file_system, const std::string& directory,
                                                     const storage::KeyRing& keys, const Clock& clock,
                                                     uint64_t log_bytes_min) {
  auto opened = storage::Journal::open(file_system, directory, keys,
                                       {.area = "queues",
                                        .lost = "some messages are lost, or come again",
                                        .version = kVersion,
                                        .bytes_min = log_bytes_min});
  if (!opened) return std::unexpected(opened.error());
  std::unique_ptr<QueueStore> store(new QueueStore(std::move(*opened), clock));
  const Result<void> replayed = store->journal_->replay(
      [&](uint8_t version, std::string_view records) { return version == kVersion && store->image_.apply(records); });
  if (!replayed) return std::unexpected(replayed.error());
  store->next_id_ = store->image_.last_id() + 1;
  store->thread_ = std::thread([its = store.get()] { its->run(); });
  return store;
}

QueueStore::~QueueStore() {
  {
    const std::lock_guard lock(mutex_);
    stopping_ = true;
  }
  wake_.notify_one();
  if (thread_.joinable()) thread_.join();
}

void QueueStore::configure(std::map<std::string, QueueOptions, std::less<>> options) {
  const std::lock_guard lock(mutex_);
  options_ = std::move(options);
}

void QueueStore::when_arrived(std::function<void(const std::string&)> arrived) {
  const std::lock_guard lock(mutex_);
  arrived_ = std::move(arrived);
}

// With the mutex.
void QueueStore::submit(Entry entry) {
  entries_.push_back(std::move(entry));
  if (entries_.size() == 1) wake_.notify_one();
}

void QueueStore::send(std::string_view queue, std::vector<NewMessage> messages, Done done) {
  Result<void> refused;
  uint64_t bytes = 0;
  for (const NewMessage& message : messages) {
    bytes += QueueImage::kMessageBytes + message.body.size();
    if (message.body.size() > kMessageBytesMax) {
      refused = fail("queues.message", fmt::format("a message of {} bytes is too large", message.body.size()),
                     fmt::format("send {} at most", format_size(kMessageBytesMax)));
    }
  }
  if (refused) {
    const std::lock_guard lock(mutex_);
    const auto options = options_.find(queue);
    const QueueImage::Queue* its = image_.find(queue);
    uint64_t& reserved = reserved_[std::string(queue)];
    if (options == options_.end()) {
      refused = unknown(queue);
    } else if ((its != nullptr ? its->bytes : 0) + reserved + bytes > options->second.bytes_max) {
      ++counts_[std::string(queue)].refused;
      refused = full(queue, options->second);
    } else {
      Entry entry{.done = std::move(done), .queue = std::string(queue), .bytes = bytes};
      const int64_t now = now_ms();
      for (NewMessage& message : messages) {
        append_sent(entry.records, queue,
                    {.id = next_id_++,
                     .sent_ms = now,
                     .due_ms = now + milliseconds(message.delay),
                     .kind = message.kind,
                     .body = std::make_shared<const std::string>(std::move(message.body))});
      }
      reserved += bytes;
      entry.sent = messages.size();
      entry.arrived = {entry.queue};
      submit(std::move(entry));
      return;
    }
  }
  done(std::move(refused));
}

QueueStore::Taken QueueStore::take(std::string_view queue, size_t messages_max, size_t bytes_max) {
  Taken taken;
  size_t bytes = 0;
  const int64_t now = now_ms();
  const std::lock_guard lock(mutex_);
  while (taken.messages.size() < messages_max) {
    const Message* message = image_.begin_delivery(queue, now);
    if (message == nullptr) break;
    if (!taken.messages.empty() && bytes + message->body->size() > bytes_max) {
      image_.end_delivery(queue, message->id);
      break;
    }
    bytes += message->body->size();
    taken.messages.push_back(*message);
  }
  const QueueImage::Queue* its = image_.find(queue);
  if (its != nullptr && !its->due.empty()) taken.next_due_ms = its->due.begin()->first;
  return taken;
}

QueueStore::Waiting QueueStore::waiting(std::string_view queue, size_t enough) const {
  Waiting found;
  const int64_t now = now_ms();
  const std::lock_guard lock(mutex_);
  const QueueImage::Queue* its = image_.find(queue);
  if (its == nullptr) return found;
  for (const auto& [due, id] : its->due) {
    if (due > now) {
      found.next_due_ms = due;
      break;
    }
    if (found.messages++ == 0) found.since_ms = due;
    if (found.messages == enough) break;
  }
  return found;
}

void QueueStore::settle(std::string_view queue, std::vector<Outcome> outcomes) {
  const std::lock_guard lock(mutex_);
  const QueueImage::Queue* its = image_.find(queue);
  if (its == nullptr) return;
  const auto known = options_.find(queue);
  const QueueOptions options = known == options_.end() ? QueueOptions() : known->second;
  Counts& counts = counts_[std::string(queue)];
  Entry entry;
  for (const Outcome& outcome : outcomes) {
    const auto message = its->messages.find(outcome.id);
    if (message == its->messages.end()) continue;
    entry.given_back.emplace_back(queue, outcome.id);
    settle_one(entry, queue, options, message->second, outcome, counts);
  }
  if (!entry.records.empty()) submit(std::move(entry));
}

void QueueStore::give_back(std::string_view queue, const std::vector<uint64_t>& ids) {
  const std::lock_guard lock(mutex_);
  for (const uint64_t id : ids) image_.end_delivery(queue, id);
}

void QueueStore::settle_one(Entry& entry, std::string_view queue, const QueueOptions& options, const Message& message,
                            const Outcome& outcome, Counts& counts) {
  const int64_t now = now_ms();
  if (!outcome.again) {
    ++counts.acknowledged;
    append_settled(entry.records, queue, message.id);
    return;
  }
  if (message.attempts < options.retries_max) {
    ++counts.retried;
    const Duration after = outcome.after.value_or(options.retry_delay);
    append_delayed(entry.records, queue, message.id, now + milliseconds(after), message.attempts + 1);
    entry.arrived.emplace_back(queue);
    return;
  }
  ++counts.dead;
  if (!options.dead_letters.empty()) {
    Message dead = message;
    dead.due_ms = now;
    dead.attempts = 0;
    append_sent(entry.records, options.dead_letters, dead);
    entry.arrived.push_back(options.dead_letters);
  } else {
    log_warning("queues", "message {} of queue {} failed {} times and is dropped", message.id, queue,
                message.attempts + 1);
  }
  append_settled(entry.records, queue, message.id);
}

std::vector<Message> QueueStore::peek(std::string_view queue, size_t messages_max) const {
  std::vector<Message> all;
  const std::lock_guard lock(mutex_);
  const QueueImage::Queue* its = image_.find(queue);
  if (its == nullptr) return all;
  for (const auto& [id, message] : its->messages) {
    if (all.size() == messages_max) break;
    all.push_back(message);
  }
  return all;
}

void QueueStore::move_all(std::string_view from, std::string_view to, Moved done) {
  // Shared by the entries of what is moved: a frame does not hold all.
  struct Moving {
    Moved done;
    size_t messages = 0;
    size_t entries = 0;
    Result<void> result{};

    void end() { done(result ? Result<size_t>(messages) : std::unexpected(result.error())); }
  };
  const auto moving = std::make_shared<Moving>(Moving{.done = std::move(done)});
  std::unique_lock lock(mutex_);
  const auto options = options_.find(to);
  if (options == options_.end()) {
    moving->result = unknown(to);
  }
  const QueueImage::Queue* target = image_.find(to);
  uint64_t& reserved = reserved_[std::string(to)];
  uint64_t taken = (target != nullptr ? target->bytes : 0) + reserved;
  const int64_t now = now_ms();
  Entry entry;
  const auto submit_entry = [&] {
    ++moving->entries;
    entry.queue = to;
    entry.arrived = {std::string(to)};
    // Called by the one thread, after the mutex was let go.
    entry.done = [moving, count = entry.given_back.size()](const Result<void>& moved) {
      if (moved) moving->messages += count;
      if (!moved) moving->result = moved;
      if (--moving->entries == 0) moving->end();
    };
    reserved += entry.bytes;
    submit(std::exchange(entry, {}));
  };
  // What is being delivered stays.
  while (moving->result) {
    const Message* next = image_.begin_delivery(from, INT64_MAX);
    if (next == nullptr) break;
    const uint64_t bytes = QueueImage::kMessageBytes + next->body->size();
    if (taken + bytes > options->second.bytes_max) {
      image_.end_delivery(from, next->id);
      if (entry.records.empty() && moving->entries == 0) moving->result = full(to, options->second);
      break;
    }
    taken += bytes;
    Message message = *next;
    message.due_ms = now;
    message.attempts = 0;
    append_sent(entry.records, to, message);
    append_settled(entry.records, from, message.id);
    entry.given_back.emplace_back(from, message.id);
    entry.bytes += bytes;
    if (entry.records.size() >= storage::Journal::kFrameBytes) submit_entry();
  }
  if (!entry.records.empty()) submit_entry();
  if (moving->entries > 0) return;
  lock.unlock();
  moving->end();
}

std::vector<QueueTotals> QueueStore::totals() const {
  const std::lock_guard lock(mutex_);
  std::map<std::string, QueueTotals> all;
  for (const auto& [name, options] : options_) all[name] = {.name = name, .bytes_max = options.bytes_max};
  for (const auto& [name, queue] : image_.queues()) {
    if (queue.messages.empty() && !all.contains(name)) continue;
    QueueTotals& totals = all[name];
    totals.name = name;
    totals.messages = queue.messages.size();
    totals.bytes = queue.bytes;
    if (!queue.messages.empty()) totals.oldest_ms = queue.messages.begin()->second.sent_ms;
  }
  for (const auto& [name, counts] : counts_) {
    const auto its = all.find(name);
    if (its == all.end()) continue;
    QueueTotals& totals = its->second;
    totals.sent = counts.sent;
    totals.acknowledged = counts.acknowledged;
    totals.retried = counts.retried;
    totals.dead = counts.dead;
    totals.refused = counts.refused;
  }
  std::vector<QueueTotals> listed;
  for (auto& [name, totals] : all) listed.push_back(std::move(totals));
  return listed;
}

// --- The journal

void QueueStore::run() {
  pthread_setname_np(pthread_self(), "queues");
  std::vector<Entry> group;
  while (true) {
    bool stopping = false;
    {
      std::unique_lock lock(mutex_);
      wake_.wait(lock, [&] { return !entries_.empty() || stopping_; });
      group.swap(entries_);
      stopping = stopping_;
    }
    if (!group.empty()) commit(group);
    group.clear();
    if (stopping) return;
  }
}

// All or nothing of a group.
void QueueStore::commit(std::vector<Entry>& entries) {
  Result<void> committed;
  if (is_behind_) committed = write_snapshot();
  if (committed)
    committed = journal_->append_group(entries, [](const Entry& one) { return std::string_view(one.records); });
  if (committed) committed = journal_->sync();
  std::set<std::string> arrived;
  std::function<void(const std::string&)> tell;
  {
    const std::lock_guard lock(mutex_);
    for (const Entry& entry : entries) {
      if (entry.bytes > 0) reserved_[entry.queue] -= entry.bytes;
      if (committed) {
        if (entry.sent > 0) counts_[entry.queue].sent += entry.sent;
        image_.apply(entry.records);
        arrived.insert(entry.arrived.begin(), entry.arrived.end());
      } else {
        // Delivered once more rather than lost.
        for (const auto& [queue, id] : entry.given_back) image_.end_delivery(queue, id);
      }
    }
    tell = arrived_;
  }
  if (committed) {
    commits_.add();
    if (journal_->is_long()) {
      if (const Result<void> written = write_snapshot(); !written) {
        log_warning("queues", "what is in queues cannot be written anew: {}", written.error().line());
      }
    }
  } else {
    // What of it can be read after a crash all the same is void then.
    is_behind_ = true;
    if (failed_.due(clock_.monotonic())) {
      log_error("queues", "queues cannot be made durable: {}", committed.error().line());
    }
  }
  for (Entry& entry : entries) {
    if (entry.done) entry.done(committed);
  }
  if (!tell) return;
  for (const std::string& queue : arrived) tell(queue);
}

Result<void> QueueStore::write_snapshot() {
  std::vector<std::string> pieces;
  {
    const std::lock_guard lock(mutex_);
    image_.snapshot(storage::Journal::kFrameBytes, [&](std::string_view piece) {
      pieces.emplace_back(piece);
      return true;
    });
  }
  const Result<void> written =
      journal_->write_image([&](const storage::Journal::Give& give) { (void)std::ranges::all_of(pieces, give); });
  if (written) is_behind_ = false;
  return written;
}

}  // namespace verge::queues

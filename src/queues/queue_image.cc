#include "queues/queue_image.h"

#include "base/bytes.h"

namespace verge::queues {
namespace {

enum class RecordKind : uint8_t { kSent = 1, kDelayed, kSettled };

void append_head(std::string& records, RecordKind kind, std::string_view queue, uint64_t id) {
  append_fixed(records, static_cast<uint8_t>(kind));
  append_sized(records, queue);
  append_varint(records, id);
}

uint64_t bytes_of(const Message& message) { return QueueImage::kMessageBytes + message.body->size(); }

}  // namespace

void append_sent(std::string& records, std::string_view queue, const Message& message) {
  append_head(records, RecordKind::kSent, queue, message.id);
  append_fixed(records, static_cast<uint64_t>(message.sent_ms));
  append_fixed(records, static_cast<uint64_t>(message.due_ms));
  append_varint(records, message.attempts);
  append_fixed(records, static_cast<uint8_t>(message.kind));
  append_sized(records, *message.body);
}

void append_delayed(std::string& records, std::string_view queue, uint64_t id, int64_t due_ms, uint32_t attempts) {
  append_head(records, RecordKind::kDelayed, queue, id);
  append_fixed(records, static_cast<uint64_t>(due_ms));
  append_varint(records, attempts);
}

void append_settled(std::string& records, std::string_view queue, uint64_t id) {
  append_head(records, RecordKind::kSettled, queue, id);
}

bool QueueImage::apply(std::string_view records) {
  ByteReader in(records);
  while (!in.empty()) {
    const auto kind = static_cast<RecordKind>(in.fixed<uint8_t>());
    const std::string_view name = in.sized();
    const uint64_t id = in.varint();
    Message message{.id = id};
    if (kind == RecordKind::kSent) {
      message.sent_ms = static_cast<int64_t>(in.fixed<uint64_t>());
      message.due_ms = static_cast<int64_t>(in.fixed<uint64_t>());
      message.attempts = static_cast<uint32_t>(in.varint());
      const auto content = in.fixed<uint8_t>();
      if (content > static_cast<uint8_t>(ContentKind::kBytes)) return false;
      message.kind = static_cast<ContentKind>(content);
      message.body = std::make_shared<const std::string>(in.sized());
    } else if (kind == RecordKind::kDelayed) {
      message.due_ms = static_cast<int64_t>(in.fixed<uint64_t>());
      message.attempts = static_cast<uint32_t>(in.varint());
    } else if (kind != RecordKind::kSettled) {
      return false;
    }
    // No queue is without a name: a snapshot's last record, which says the highest number, would settle a message
    // there.
    if (!in.ok() || (name.empty() && kind != RecordKind::kSettled)) return false;
    last_id_ = std::max(last_id_, id);
    auto place = queues_.find(name);
    if (place == queues_.end()) place = queues_.emplace(name, Queue{}).first;
    Queue& queue = place->second;
    auto known = queue.messages.find(id);
    if (kind == RecordKind::kSent) {
      // Where a crash cut off a snapshot it is there twice.
      if (known != queue.messages.end()) continue;
      queue.bytes += bytes_of(message);
      bytes_ += bytes_of(message);
      queue.due.emplace(message.due_ms, id);
      queue.messages.emplace(id, std::move(message));
      continue;
    }
    if (known == queue.messages.end()) continue;
    queue.due.erase({known->second.due_ms, id});
    if (kind == RecordKind::kDelayed) {
      known->second.due_ms = message.due_ms;
      known->second.attempts = message.attempts;
      queue.due.emplace(message.due_ms, id);
    } else {
      queue.bytes -= bytes_of(known->second);
      bytes_ -= bytes_of(known->second);
      queue.messages.erase(known);
    }
  }
  return true;
}

void QueueImage::snapshot(size_t batch_bytes, const std::function<bool(std::string_view)>& take) const {
  std::string batch;
  for (const auto& [name, queue] : queues_) {
    for (const auto& [id, message] : queue.messages) {
      append_sent(batch, name, message);
      if (batch.size() < batch_bytes) continue;
      if (!take(batch)) return;
      batch.clear();
    }
  }
  // That no number is used again is known even where nothing is left.
  append_settled(batch, {}, last_id_);
  take(batch);
}

const QueueImage::Queue* QueueImage::find(std::string_view queue) const {
  const auto found = queues_.find(queue);
  return found == queues_.end() ? nullptr : &found->second;
}

const Message* QueueImage::begin_delivery(std::string_view queue, int64_t now_ms) {
  const auto found = queues_.find(queue);
  if (found == queues_.end() || found->second.due.empty()) return nullptr;
  const auto first = found->second.due.begin();
  if (first->first > now_ms) return nullptr;
  const Message& message = found->second.messages.at(first->second);
  found->second.due.erase(first);
  return &message;
}

void QueueImage::end_delivery(std::string_view queue, uint64_t id) {
  const auto found = queues_.find(queue);
  if (found == queues_.end()) return;
  const auto message = found->second.messages.find(id);
  if (message != found->second.messages.end()) found->second.due.emplace(message->second.due_ms, id);
}

}  // namespace verge::queues

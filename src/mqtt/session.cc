#include "mqtt/session.h"

#include <algorithm>

#include "mqtt/encode.h"

namespace verge::mqtt {
namespace {

// Longer topics are sent as they are: aliases are kept.
constexpr size_t kAliasedTopicBytesMax = 1024;

}  // namespace

size_t Session::bytes_of(const Delivery& delivery) {
  return delivery.message->topic.size() + delivery.message->payload.size() + delivery.message->properties.size() + 64;
}

size_t Session::drop_newest(size_t bytes) {
  size_t dropped = 0;
  for (size_t freed = 0; freed < bytes && !queue_.empty(); ++dropped) {
    const size_t each = bytes_of(queue_.back());
    note_done(queue_.back().number);
    queue_.pop_back();
    queue_bytes_ -= each;
    freed += each;
  }
  if (dropped > 0) news.forget_all();
  return dropped;
}

void Session::attach(Connection& connection, Version version, const Wishes& wishes) {
  connection_ = &connection;
  version_ = version;
  receive_maximum_ = wishes.receive_maximum;
  packet_bytes_max_ = wishes.packet_bytes_max;
  aliases_.reset();  // aliases last as long as the connection [MQTT-3.3.2-7]
  if (wishes.topic_aliases_max == 0) return;
  aliases_ = std::make_unique<Aliases>();
  aliases_->max = wishes.topic_aliases_max;
}

void Session::detach(MonotonicTime now) {
  connection_ = nullptr;
  detached_at_ = now;
  news.forget_unacknowledged();
}

bool Session::has_expired(MonotonicTime now) const { return connection_ == nullptr && now - detached_at_ >= expiry_; }

Session::Fate Session::deliver(Delivery delivery, const Limits& limits, size_t output_waiting, MonotonicTime now,
                               std::string* output) {
  if (!fits(delivery)) return Fate::kDropped;
  if (delivery.qos == 0) {
    if (output == nullptr || output_waiting > limits.queue_bytes_max) return Fate::kDropped;
    send(delivery, false, now, *output);
    return Fate::kSent;
  }
  if (queue_bytes_ + bytes_of(delivery) > limits.queue_bytes_max) return Fate::kDropped;
  // While the oldest is not done with, and recorded so, its identifier is not to be had: one that would need it is not
  // taken either.
  const uint64_t next = last_number_ + 1;
  const uint64_t oldest = !inflight_.empty() ? inflight_.front().delivery.number
                          : !queue_.empty()  ? queue_.front().number
                                             : next;
  if (next - oldest >= kPacketIds) return Fate::kDropped;
  queue_bytes_ += bytes_of(delivery);
  delivery.number = ++last_number_;
  delivery.is_committed = durable_name_ == 0;
  queue_.push_back(std::move(delivery));
  if (output == nullptr || output_waiting > limits.queue_bytes_max) return Fate::kQueued;
  const size_t before = queue_.size();
  send_queued(limits, now, *output);
  return queue_.size() < before ? Fate::kSent : Fate::kQueued;
}

bool Session::can_take(const Delivery& delivery, const Limits& limits, size_t output_waiting) const {
  if (delivery.qos == 0) return output_waiting <= limits.queue_bytes_max;
  return queue_.empty() || queue_bytes_ + bytes_of(delivery) <= limits.queue_bytes_max;
}

void Session::resume(const Limits& limits, MonotonicTime now, std::string& output) {
  // The client may take less now than the connection before.
  dropped_ += inflight_.erase_if([this](const InFlight& waiting) {
    if (waiting.received || fits(waiting.delivery)) return false;
    inflight_bytes_ -= bytes_of(waiting.delivery);
    note_done(waiting.delivery.number);
    return true;
  });
  for (const InFlight& waiting : inflight_) {
    if (waiting.received && !waiting.recorded) {
      // PUBREL follows when it is.
    } else if (waiting.received) {
      append_acknowledgement(output, PacketType::kPubrel, {packet_id_of(waiting.delivery.number), Reason::kSuccess},
                             version_);
    } else {
      send(waiting.delivery, true, now, output);
    }
  }
  send_queued(limits, now, output);
}

bool Session::acknowledge(PacketType type, uint16_t packet_id, const Limits& limits, MonotonicTime now,
                          std::string& output) {
  const auto found = find_in_flight(packet_id);
  if (found == inflight_.end() || (type == PacketType::kPuback) != (found->delivery.qos == 1) ||
      (type == PacketType::kPubcomp) != found->received) {
    return false;
  }
  if (!found->received) inflight_bytes_ -= bytes_of(found->delivery);
  note_done(found->delivery.number);
  inflight_.erase(found);
  send_queued(limits, now, output);
  return true;
}

Session::Receipt Session::note_received(uint16_t packet_id) {
  const auto found = find_in_flight(packet_id);
  if (found == inflight_.end() || found->delivery.qos != 2) return Receipt::kUnknown;
  if (!found->received) {
    inflight_bytes_ -= bytes_of(found->delivery);
    found->received = true;
    found->recorded = durable_name_ == 0;
    found->delivery.message = nullptr;
  }
  // Where it came before, PUBREL may have been lost with a connection, or the record with the disk.
  return found->recorded ? Receipt::kRelease : Receipt::kRecord;
}

bool Session::note_recorded(uint64_t number) {
  if (inflight_.empty()) return false;
  const auto found = find_in_flight(packet_id_of(number));
  if (found == inflight_.end() || found->delivery.number != number || !found->received) return false;
  return !std::exchange(found->recorded, true);
}

std::vector<uint64_t> Session::unrecorded() const {
  std::vector<uint64_t> numbers;
  for (const InFlight& each : inflight_) {
    if (each.received && !each.recorded) numbers.push_back(each.delivery.number);
  }
  return numbers;
}

uint64_t Session::number_of(uint16_t packet_id) {
  const auto found = find_in_flight(packet_id);
  return found == inflight_.end() ? 0 : found->delivery.number;
}

LazyDeque<Delivery>::iterator Session::find_queued(uint64_t number) {
  const auto found = std::ranges::lower_bound(queue_, number, {}, &Delivery::number);
  return found != queue_.end() && found->number == number ? found : queue_.end();
}

bool Session::commit(uint64_t number) {
  const auto found = find_queued(number);
  if (found == queue_.end()) return false;
  found->is_committed = true;
  return true;
}

bool Session::withdraw(uint64_t number) {
  const auto found = find_queued(number);
  if (found == queue_.end()) return false;
  queue_bytes_ -= bytes_of(*found);
  queue_.erase(found);
  return true;
}

StoredSession Session::stored() const {
  StoredSession stored;
  stored.session = durable_name_;
  stored.client_id = client_id_;
  stored.user = user;
  stored.version = version_;
  stored.is_granted_in_part = is_granted_in_part;
  stored.expiry_s = static_cast<uint32_t>(std::chrono::duration_cast<std::chrono::seconds>(expiry_).count());
  stored.last_number = last_number_;
  return stored;
}

// What was not received may have been sent: up to the last that was received, which was in flight, all were.
void Session::restore(const StoredSession& stored, MonotonicTime since) {
  durable_name_ = stored.session;
  version_ = stored.version;
  user = stored.user;
  is_granted_in_part = stored.is_granted_in_part;
  expiry_ = std::chrono::seconds(stored.expiry_s);
  detached_at_ = since;
  last_number_ = stored.last_number;
  for (const uint16_t receipt : stored.receipts) receipts.restore(receipt);
  uint64_t last_received = 0;
  for (const auto& [number, waiting] : stored.waiting) {
    if (waiting.received) last_received = number;
  }
  for (const auto& [number, waiting] : stored.waiting) {
    Delivery delivery{.message = waiting.message,
                      .qos = waiting.qos,
                      .retain = waiting.retain,
                      .identifiers = waiting.identifiers,
                      .number = number,
                      .may_be_there = true};
    const size_t bytes = waiting.received ? 0 : bytes_of(delivery);
    if (number <= last_received) {
      inflight_bytes_ += bytes;
      inflight_.push_back(
          {.delivery = std::move(delivery), .received = waiting.received, .recorded = waiting.received});
    } else {
      queue_bytes_ += bytes;
      queue_.push_back(std::move(delivery));
    }
  }
}

// In order of their numbers, of which there are fewer than identifiers.
LazyDeque<Session::InFlight>::iterator Session::find_in_flight(uint16_t packet_id) {
  if (inflight_.empty()) return inflight_.end();
  const uint64_t first = inflight_.front().delivery.number;
  const uint64_t behind = (packet_id + kPacketIds - packet_id_of(first)) % kPacketIds;
  if (behind == 0) return inflight_.begin();
  const auto found = std::ranges::lower_bound(inflight_, first + behind, {},
                                              [](const InFlight& each) { return each.delivery.number; });
  return found != inflight_.end() && found->delivery.number == first + behind ? found : inflight_.end();
}

bool Session::fits(const Delivery& delivery) const {
  if (packet_bytes_max_ == 0) return true;
  const Message& message = *delivery.message;
  const Publish publish{
      .qos = delivery.qos, .topic = message.topic, .properties = {}, .payload = message.payload.view()};
  size_t properties_bytes = message.properties.size();
  if (message.expires != MonotonicTime::max()) properties_bytes += kMessageExpiryBytes;
  if (aliases_) properties_bytes += kTopicAliasBytes;
  for (const uint32_t identifier : delivery.identifiers) properties_bytes += subscription_identifier_bytes(identifier);
  return publish_packet_bytes(publish, version_, properties_bytes) <= packet_bytes_max_;
}

std::pair<uint16_t, bool> Session::alias_of(std::string_view topic) {
  if (const auto known = aliases_->by_topic.find(topic); known != aliases_->by_topic.end()) {
    return {known->second, true};
  }
  if (aliases_->by_topic.size() >= aliases_->max || topic.size() > kAliasedTopicBytesMax) return {0, false};
  const auto alias = static_cast<uint16_t>(aliases_->by_topic.size() + 1);
  aliases_->by_topic.emplace(topic, alias);
  return {alias, false};
}

void Session::send(const Delivery& delivery, bool duplicate, MonotonicTime now, std::string& output) {
  const Message& message = *delivery.message;
  Publish publish{.duplicate = duplicate,
                  .qos = delivery.qos,
                  .retain = delivery.retain,
                  .topic = message.topic,
                  .packet_id = delivery.qos == 0 ? uint16_t{0} : packet_id_of(delivery.number),
                  .properties = {},
                  .payload = message.payload.view()};
  const bool expires = message.expires != MonotonicTime::max();
  if (version_ == Version::k311 || (!expires && delivery.identifiers.empty() && !aliases_)) {
    append_publish(output, publish, version_, message.properties);
    return;
  }
  Properties own;
  own.subscription_identifiers = delivery.identifiers;
  if (expires) {
    const auto left = std::chrono::duration_cast<std::chrono::seconds>(message.expires - now).count();
    own.message_expiry_s = static_cast<uint32_t>(std::max<int64_t>(left, 0));
  }
  if (aliases_) {
    const auto [alias, is_known] = alias_of(message.topic);
    if (alias != 0) own.topic_alias = alias;
    if (is_known) publish.topic = {};
  }
  std::string properties;
  append_properties(properties, own);
  properties.append(message.properties);
  append_publish(output, publish, version_, properties);
}

size_t Session::send_queued(const Limits& limits, MonotonicTime now, std::string& output) {
  size_t sent = 0;
  const size_t window = std::min(receive_maximum_, limits.inflight_max);
  while (!queue_.empty() && inflight_.size() < window && inflight_bytes_ < limits.inflight_bytes_max) {
    // Until the oldest is done with, its identifier is not to be had.
    if (!inflight_.empty() && queue_.front().number - inflight_.front().delivery.number >= kPacketIds) break;
    if (!queue_.front().is_committed) break;
    Delivery delivery = std::move(queue_.front());
    queue_.pop_front();
    queue_bytes_ -= bytes_of(delivery);
    if (delivery.message->expires <= now && !delivery.may_be_there) {  // [MQTT-3.3.2-5]
      note_done(delivery.number);
      continue;
    }
    if (!fits(delivery)) {
      ++dropped_;
      note_done(delivery.number);
      continue;
    }
    send(delivery, delivery.may_be_there, now, output);
    inflight_bytes_ += bytes_of(delivery);
    inflight_.push_back({.delivery = std::move(delivery)});
    ++sent;
  }
  return sent;
}

}  // namespace verge::mqtt

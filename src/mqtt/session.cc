#include "mqtt/session.h"

#include <algorithm>

#include "mqtt/encode.h"

namespace verge::mqtt {

size_t Session::bytes_of(const Delivery& delivery) {
  return delivery.message->topic.size() + delivery.message->payload.size() + delivery.message->properties.size() + 64;
}

size_t Session::drop_newest(size_t bytes) {
  size_t dropped = 0;
  for (size_t freed = 0; freed < bytes && !queue_.empty(); ++dropped) {
    const size_t each = bytes_of(queue_.back());
    queue_.pop_back();
    queue_bytes_ -= each;
    freed += each;
  }
  return dropped;
}

void Session::attach(Connection& connection, Version version, uint16_t receive_maximum, uint32_t packet_bytes_max) {
  connection_ = &connection;
  version_ = version;
  receive_maximum_ = receive_maximum;
  packet_bytes_max_ = packet_bytes_max;
}

void Session::detach(MonotonicTime now) {
  connection_ = nullptr;
  detached_at_ = now;
}

bool Session::has_expired(MonotonicTime now) const { return connection_ == nullptr && now - detached_at_ >= expiry_; }

Session::Fate Session::deliver(Delivery delivery, const Limits& limits, size_t output_waiting, MonotonicTime now,
                               std::string* output) {
  if (!fits(delivery)) return Fate::kDropped;
  if (delivery.qos == 0) {
    if (output == nullptr || output_waiting > limits.queue_bytes_max) return Fate::kDropped;
    send(delivery, 0, false, now, *output);
    return Fate::kSent;
  }
  if (queue_bytes_ + bytes_of(delivery) > limits.queue_bytes_max) return Fate::kDropped;
  queue_bytes_ += bytes_of(delivery);
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
  dropped_ += std::erase_if(inflight_, [this](const InFlight& waiting) {
    if (fits(waiting.delivery)) return false;
    inflight_bytes_ -= bytes_of(waiting.delivery);
    return true;
  });
  for (const InFlight& waiting : inflight_) send(waiting.delivery, waiting.packet_id, true, now, output);
  send_queued(limits, now, output);
}

bool Session::acknowledge(uint16_t packet_id, const Limits& limits, MonotonicTime now, std::string& output) {
  const auto found = std::ranges::find(inflight_, packet_id, &InFlight::packet_id);
  if (found == inflight_.end()) return false;
  inflight_bytes_ -= bytes_of(found->delivery);
  inflight_.erase(found);
  send_queued(limits, now, output);
  return true;
}

bool Session::fits(const Delivery& delivery) const {
  if (packet_bytes_max_ == 0) return true;
  const Message& message = *delivery.message;
  const Publish publish{
      .qos = delivery.qos, .topic = message.topic, .properties = {}, .payload = message.payload.view()};
  size_t properties_bytes = message.properties.size();
  if (message.expires != MonotonicTime::max()) properties_bytes += kMessageExpiryBytes;
  for (const uint32_t identifier : delivery.identifiers) properties_bytes += subscription_identifier_bytes(identifier);
  return publish_packet_bytes(publish, version_, properties_bytes) <= packet_bytes_max_;
}

void Session::send(const Delivery& delivery, uint16_t packet_id, bool duplicate, MonotonicTime now,
                   std::string& output) const {
  const Message& message = *delivery.message;
  const Publish publish{.duplicate = duplicate,
                        .qos = delivery.qos,
                        .retain = delivery.retain,
                        .topic = message.topic,
                        .packet_id = packet_id,
                        .properties = {},
                        .payload = message.payload.view()};
  const bool expires = message.expires != MonotonicTime::max();
  if (version_ == Version::k311 || (!expires && delivery.identifiers.empty())) {
    append_publish(output, publish, version_, message.properties);
    return;
  }
  Properties own;
  own.subscription_identifiers = delivery.identifiers;
  if (expires) {
    const auto left = std::chrono::duration_cast<std::chrono::seconds>(message.expires - now).count();
    own.message_expiry_s = static_cast<uint32_t>(std::max<int64_t>(left, 0));
  }
  std::string properties;
  append_properties(properties, own);
  properties.append(message.properties);
  append_publish(output, publish, version_, properties);
}

void Session::send_queued(const Limits& limits, MonotonicTime now, std::string& output) {
  const size_t window = std::min(receive_maximum_, limits.inflight_max);
  while (!queue_.empty() && inflight_.size() < window && inflight_bytes_ < limits.inflight_bytes_max) {
    Delivery delivery = std::move(queue_.front());
    queue_.pop_front();
    queue_bytes_ -= bytes_of(delivery);
    if (delivery.message->expires <= now) continue;  // [MQTT-3.3.2-5]
    if (!fits(delivery)) {
      ++dropped_;
      continue;
    }
    const uint16_t packet_id = next_packet_id();
    send(delivery, packet_id, false, now, output);
    inflight_bytes_ += bytes_of(delivery);
    inflight_.push_back({packet_id, std::move(delivery)});
  }
}

uint16_t Session::next_packet_id() {
  do {
    ++last_packet_id_;
  } while (last_packet_id_ == 0 ||
           std::ranges::find(inflight_, last_packet_id_, &InFlight::packet_id) != inflight_.end());
  return last_packet_id_;
}

}  // namespace verge::mqtt

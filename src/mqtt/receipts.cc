#include "mqtt/receipts.h"

namespace verge::mqtt {
namespace {

constexpr size_t kWordBits = 64;

uint64_t bit_of(uint16_t packet_id) { return 1ULL << packet_id % kWordBits; }

}  // namespace

Receipts::State Receipts::state(uint16_t packet_id) const {
  if (awaited_.contains(packet_id)) return State::kAwaited;
  return is_kept(packet_id) ? State::kKept : State::kNone;
}

void Receipts::begin(uint16_t packet_id, const AckTicket& ticket) {
  forget_kept(packet_id);
  awaited_.insert_or_assign(packet_id, Awaited{.ticket = ticket, .repeated = std::nullopt});
}

void Receipts::repeat(uint16_t packet_id, const AckTicket& ticket) {
  if (const auto found = awaited_.find(packet_id); found != awaited_.end()) found->second.repeated = ticket;
}

std::optional<AckTicket> Receipts::settle(uint16_t packet_id, const AckTicket& ticket, bool kept) {
  const auto found = awaited_.find(packet_id);
  if (found == awaited_.end() || found->second.ticket.connection != ticket.connection ||
      found->second.ticket.number != ticket.number) {
    return std::nullopt;
  }
  const std::optional<AckTicket> repeated = found->second.repeated;
  awaited_.erase(found);
  if (kept) keep(packet_id);
  return repeated;
}

bool Receipts::release(uint16_t packet_id) { return awaited_.erase(packet_id) > 0 || forget_kept(packet_id); }

std::vector<std::pair<uint64_t, uint16_t>> Receipts::awaited_of(uint64_t connection) const {
  std::vector<std::pair<uint64_t, uint16_t>> found;
  for (const auto& [packet_id, awaited] : awaited_) {
    if (awaited.ticket.connection == connection) found.emplace_back(awaited.ticket.number, packet_id);
  }
  return found;
}

bool Receipts::is_kept(uint16_t packet_id) const {
  const size_t word = packet_id / kWordBits;
  return word < kept_.size() && (kept_[word] & bit_of(packet_id)) != 0;
}

void Receipts::keep(uint16_t packet_id) {
  if (is_kept(packet_id)) return;
  const size_t word = packet_id / kWordBits;
  if (word >= kept_.size()) kept_.resize(word + 1);
  kept_[word] |= bit_of(packet_id);
  ++kept_count_;
}

bool Receipts::forget_kept(uint16_t packet_id) {
  if (!is_kept(packet_id)) return false;
  kept_[packet_id / kWordBits] &= ~bit_of(packet_id);
  if (--kept_count_ == 0) std::vector<uint64_t>().swap(kept_);
  return true;
}

}  // namespace verge::mqtt

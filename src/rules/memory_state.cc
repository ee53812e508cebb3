// Memory as bytes, for what survives a restart. Format: docs/formats/rule-state.md.
#include <algorithm>

#include "rules/memory.h"

namespace verge::rules {
namespace {

constexpr uint8_t kVersion = 4;

void append_time(std::string& out, int64_t time_us) { append_fixed(out, static_cast<uint64_t>(time_us)); }
int64_t read_time(ByteReader& in) { return static_cast<int64_t>(in.fixed<uint64_t>()); }

}  // namespace

void append_input(std::string& out, const RuleInput& input) {
  append_fixed(out, input.rule);
  append_fixed(out, input.key_hash);
  append_time(out, input.received.microseconds);
  append_time(out, input.time_us);
  append_fixed(out, input.feed);
  append_varint(out, input.key_size);
  append_sized(out, input.bytes);
  append_sized(out, input.source);
  append_varint(out, input.sequence);
}

std::optional<RuleInput> read_input(ByteReader& in) {
  RuleInput input;
  input.rule = in.fixed<uint64_t>();
  input.key_hash = in.fixed<uint64_t>();
  input.received.microseconds = read_time(in);
  input.time_us = read_time(in);
  input.feed = in.fixed<uint8_t>();
  const uint64_t key_size = in.varint();
  input.bytes.assign(in.sized());
  input.source.assign(in.sized());
  input.sequence = in.varint();
  if (!in.ok() || key_size > input.bytes.size() || input.feed > 1) return std::nullopt;
  input.key_size = static_cast<uint32_t>(key_size);
  return input;
}

void Memory::append_to(std::string& out) const {
  append_fixed(out, kVersion);
  append_time(out, newest_us_);
  append_time(out, watermark_us_);
  append_time(out, last_arrival_us_);
  append_varint(out, rows_made_);
  known_.append_to(out);
  append_varint(out, waiting_.size());
  for (const auto& [time_us, input] : waiting_) {
    append_time(out, time_us);
    append_input(out, input);
  }
  append_join(out);
  append_partitions(out);
  if (window_ == nullptr) return;
  append_ended(out);
  window_->append_to(out);
}

void Memory::append_ended(std::string& out) const {
  append_varint(out, ended_.size());
  for (const Emission& emission : ended_) {
    append_time(out, emission.start_us);
    append_time(out, emission.end_us);
    append_sized(out, emission.key);
    append_accumulators(out, emission.accumulators);
  }
}

bool Memory::read_ended(ByteReader& in, const IsMine& mine) {
  for (uint64_t count = in.varint(); count > 0 && in.ok(); --count) {
    Emission emission{.accumulators = make_accumulators(plan().window_plan().aggregates)};
    emission.start_us = read_time(in);
    emission.end_us = read_time(in);
    emission.key = in.sized();
    if (!is_sane_time(emission.start_us) || !is_sane_time(emission.end_us)) return false;
    if (!read_accumulators(in, emission.accumulators)) return false;
    if (!mine(emission.key)) continue;
    ended_bytes_ += bytes_of(emission.key, emission.accumulators);
    ended_.push_back(std::move(emission));
  }
  return in.ok();
}

bool Memory::read(ByteReader& in, const IsMine& mine) {
  const uint8_t version = in.fixed<uint8_t>();
  if (version < 1 || version > kVersion) return false;
  for (int64_t* time_us : {&newest_us_, &watermark_us_, &last_arrival_us_}) {
    const int64_t read = read_time(in);
    if (!is_sane_time(read)) return false;
    *time_us = std::max(*time_us, read);
  }
  rows_made_ = std::max(rows_made_, in.varint());
  if (!known_.read(in)) return false;
  for (uint64_t count = in.varint(); count > 0 && in.ok(); --count) {
    const int64_t time_us = read_time(in);
    std::optional<RuleInput> input = read_input(in);
    if (!input || input->feed >= rule_->feeds.size() || !is_sane_time(time_us)) return false;
    if (!mine(input->key())) continue;
    waiting_bytes_ += sizeof(RuleInput) + 64 + input->bytes.size();
    waiting_.emplace(time_us, std::move(*input));
  }
  const bool is_good = in.ok() && read_join(in, mine, version) && read_partitions(in, mine, version) &&
                       (window_ == nullptr || ((version < 4 || read_ended(in, mine)) && window_->read(in, mine)));
  settle_budget();
  return is_good;
}

void Memory::append_join(std::string& out) const {
  for (const JoinSide& side : sides_) {
    append_varint(out, side.order.size());
    std::unordered_map<std::string_view, size_t> next;  // of each key's
    for (const auto& [time_us, key] : side.order) {
      append_time(out, time_us);
      append_sized(out, key);
      const Joined& joined = side.by_key.find(key)->second[next[key]++];
      append_sized(out, joined.values);
      append_fixed(out, static_cast<uint8_t>(joined.is_matched));
    }
  }
}

bool Memory::read_join(ByteReader& in, const IsMine& mine, uint8_t version) {
  for (JoinSide& side : sides_) {
    for (uint64_t count = in.varint(); count > 0 && in.ok(); --count) {
      const int64_t time_us = read_time(in);
      const std::string_view key = in.sized();
      const std::string_view values = in.sized();
      const bool is_matched = version > 2 && in.fixed<uint8_t>() != 0;
      if (!is_sane_time(time_us)) return false;
      if (!in.ok() || !mine(key)) continue;
      side.by_key[std::string(key)].push_back(
          {.time_us = time_us, .values = std::string(values), .is_matched = is_matched});
      side.order.emplace_back(time_us, key);
      joined_bytes_ += sizeof(int64_t) + 2 * sizeof(std::string) + 96 + values.size() + 2 * key.size();
    }
    // Of several loops' states: by time again. Each key's were one loop's, and in order.
    std::ranges::sort(side.order, {}, [](const auto& entry) { return entry.first; });
  }
  return in.ok();
}

void Memory::append_partitions(std::string& out) const {
  append_varint(out, partitions_.size());
  for (auto key = uses_.rbegin(); key != uses_.rend(); ++key) {
    const Partition& partition = partitions_.find(*key)->second;
    append_sized(out, *key);
    for (const auto& step : partition.steps) {
      std::string state;
      step->append_to(state);
      append_sized(out, state);
    }
    append_fixed(out, static_cast<uint8_t>(partition.due_us.has_value()));
    if (!partition.due_us) continue;
    append_time(out, *partition.due_us);
    append_sized(out, partition.slots);
  }
}

bool Memory::read_partitions(ByteReader& in, const IsMine& mine, uint8_t version) {
  for (uint64_t count = in.varint(); count > 0 && in.ok(); --count) {
    const std::string_view key = in.sized();
    const bool is_kept = in.ok() && mine(key);
    Partition* partition = is_kept ? partition_of(key, reached_us()) : nullptr;
    size_t bytes = 2 * key.size() + 256;
    for (size_t i = 0; i < plan().steps.size(); ++i) {
      ByteReader state(in.sized());
      if (partition == nullptr) continue;
      if (!partition->steps[i]->read(state)) return false;
      bytes += partition->steps[i]->bytes();
    }
    std::optional<int64_t> due_us;
    std::string_view slots;
    if (version > 1 && in.fixed<uint8_t>() != 0) {
      due_us = read_time(in);
      slots = in.sized();
      if (!is_sane_time(*due_us) || !plan().follows_clock) return false;
    }
    if (partition == nullptr) continue;
    if (partition->due_us) due_.erase({*partition->due_us, std::string(key)});
    if (due_us) due_.emplace(*due_us, key);
    partition->due_us = due_us;
    partition->slots.assign(slots);
    bytes += slots.size();
    partition_bytes_ += bytes - partition->bytes;
    partition->bytes = bytes;
  }
  return in.ok();
}

}  // namespace verge::rules

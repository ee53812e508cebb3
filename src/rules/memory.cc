#include "rules/memory.h"

#include <algorithm>

#include "rules/scope.h"

namespace verge::rules {
namespace {

constexpr size_t kWaitingBytes = sizeof(RuleInput) + 64;
constexpr size_t kJoinedBytes = sizeof(int64_t) + 2 * sizeof(std::string) + 96;
constexpr size_t kPartitionBytes = 256;
constexpr int64_t kMicrosecondsPerMillisecond = 1000;

}  // namespace

Memory::Memory(const Rule& rule, const Tables& tables, MemoryBudget& budget)
    : rule_(&rule), context_{.tables = &tables}, budget_(budget) {
  if (rule.has_window()) window_ = make_window(plan().window_plan().spec, plan().window_plan().aggregates);
}

Memory::~Memory() { budget_.used.fetch_sub(counted_, std::memory_order_relaxed); }

void Memory::rebind(const Rule& rule, const Tables& tables) {
  rule_ = &rule;
  context_.tables = &tables;
}

size_t Memory::bytes() const {
  return waiting_bytes_ + joined_bytes_ + partition_bytes_ + ended_bytes_ + (window_ ? window_->bytes() : 0);
}

bool Memory::is_empty() const {
  return waiting_.empty() && ended_.empty() && (window_ == nullptr || window_->is_empty()) && !next_unmatched_us();
}

bool Memory::has_room() const {
  const size_t now = bytes();
  return now < budget_.rule_max && budget_.used.load(std::memory_order_relaxed) - counted_ + now < budget_.total_max;
}

void Memory::settle_budget() {
  const size_t now = bytes();
  if (now >= counted_) {
    budget_.used.fetch_add(now - counted_, std::memory_order_relaxed);
  } else {
    budget_.used.fetch_sub(counted_ - now, std::memory_order_relaxed);
  }
  counted_ = now;
}

void Memory::accept(const RuleInput& input, int64_t now_us, Rows& rows) {
  rows_left_ = kRowsAReading;
  if (!input.source.empty()) {
    key_.assign(1, static_cast<char>('0' + input.feed));
    key_.append(input.source);
    if (!known_.enter(key_, input.sequence)) return;
  }
  if (plan().has_event_time) {
    accept_in_order(input, now_us, rows);
  } else {
    process(input, input.received.microseconds, now_us, rows);
  }
  settle_budget();
}

void Memory::accept_in_order(const RuleInput& input, int64_t now_us, Rows& rows) {
  last_arrival_us_ = now_us;
  int64_t time_us = input.time_us;
  if (time_us > input.received.microseconds + plan().ahead_us) {
    ++losses_.refused;
    return;
  }
  if (time_us < watermark_us_) {
    ++losses_.late;
    if (plan().late == LatePolicy::kDrop) return;
    time_us = watermark_us_;
  }
  newest_us_ = std::max(newest_us_, time_us);
  watermark_us_ = std::max(watermark_us_, newest_us_ - plan().delay_us);
  if (time_us <= watermark_us_ && waiting_.empty()) {
    process(input, time_us, watermark_us_, rows);
    return;
  }
  if (!has_room()) {
    ++losses_.refused;
    return release(rows);
  }
  waiting_.emplace(time_us, input);
  waiting_bytes_ += kWaitingBytes + input.bytes.size();
  release(rows);
}

void Memory::release(Rows& rows) {
  while (!waiting_.empty() && waiting_.begin()->first <= watermark_us_) {
    const auto first = waiting_.extract(waiting_.begin());
    waiting_bytes_ -= kWaitingBytes + first.mapped().bytes.size();
    process(first.mapped(), first.key(), first.key(), rows);
  }
  end_joins(watermark_us_, rows);
  follow_clock(watermark_us_, rows);
  if (window_ != nullptr) advance_window(watermark_us_, rows);
}

void Memory::process(const RuleInput& input, int64_t time_us, int64_t now_us, Rows& rows) {
  end_joins(time_us, rows);
  follow_clock(time_us, rows);
  if (window_ != nullptr && plan().has_event_time) advance_window(time_us, rows);
  slots_.assign(plan().slot_count, Value{});
  if (const std::optional<int64_t> within_us = plan().join_within_us) {
    join(input, time_us, *within_us, rows);
  } else {
    capture(input.values(), 0);
    step(input.key(), time_us, now_us, rows);
  }
}

void Memory::capture(std::string_view values, size_t feed) {
  ByteReader reader(values);
  for (const uint32_t slot : rule_->feeds[feed].capture_slots) slots_[slot] = read_encoded(reader);
}

void Memory::join(const RuleInput& input, int64_t time_us, int64_t within_us, Rows& rows) {
  const size_t feed = input.feed;
  JoinSide& other = sides_[1 - feed];
  const int64_t before_us = time_us - within_us;
  for (size_t side = 0; side < sides_.size(); ++side) forget_joined(side, before_us, rows);
  slots_.assign(plan().slot_count, Value{});
  if (!has_room()) {
    ++losses_.refused;
    return;
  }
  const auto matches = other.by_key.find(input.key());
  if (matches != other.by_key.end()) {
    for (Joined& match : matches->second) {
      match.is_matched = true;
      capture(input.values(), feed);
      capture(match.values, 1 - feed);
      step(input.key(), time_us, time_us, rows);
    }
  }
  JoinSide& mine = sides_[feed];
  mine.by_key[std::string(input.key())].push_back(
      {.time_us = time_us, .values = std::string(input.values()), .is_matched = matches != other.by_key.end()});
  mine.order.emplace_back(time_us, input.key());
  joined_bytes_ += kJoinedBytes + input.bytes.size() + input.key_size;
}

void Memory::forget_joined(size_t number, int64_t before_us, Rows& rows) {
  JoinSide& side = sides_[number];
  while (!side.order.empty() && side.order.front().first < before_us) {
    const auto entry = side.by_key.find(side.order.front().second);
    const Joined gone = std::move(entry->second.front());
    const std::string key = std::move(side.order.front().second);
    joined_bytes_ -= kJoinedBytes + 2 * key.size() + gone.values.size();
    entry->second.pop_front();
    if (entry->second.empty()) side.by_key.erase(entry);
    side.order.pop_front();
    if (number != 0 || gone.is_matched || !plan().keeps_unmatched) continue;
    const int64_t over_us = gone.time_us + plan().join_within_us.value_or(0);
    if (window_ != nullptr && plan().has_event_time) advance_window(over_us, rows);
    slots_.assign(plan().slot_count, Value{});
    capture(gone.values, 0);
    step(key, over_us, over_us, rows);
  }
}

void Memory::end_joins(int64_t time_us, Rows& rows) {
  if (plan().keeps_unmatched) forget_joined(0, time_us - plan().join_within_us.value_or(0), rows);
}

std::optional<int64_t> Memory::next_unmatched_us() const {
  if (!plan().keeps_unmatched || sides_[0].order.empty()) return std::nullopt;
  return sides_[0].order.front().first + plan().join_within_us.value_or(0) + 1;
}

void Memory::step(std::string_view key, int64_t time_us, int64_t now_us, Rows& rows) {
  machine_.arena().clear();
  if (!plan().steps.empty() && !remember(key, time_us)) return;
  const std::optional<Program>& condition = plan().condition;
  if (condition && !machine_.run(*condition, slots_, context_).is_true()) return;
  if (window_ != nullptr) {
    enter_window(time_us, now_us, rows);
  } else {
    take(rows, {.slots = slots_, .time_us = time_us});
  }
}

bool Memory::remember(std::string_view key, int64_t time_us) {
  if (const std::optional<std::vector<Program>>& partition = plan().partition) {
    key_.clear();
    for (const Program& part : *partition) append_encoded(key_, machine_.run(part, slots_, context_));
    key = key_;
  }
  Partition* partition = partition_of(key, time_us);
  if (partition == nullptr) {
    ++losses_.refused;
    return false;
  }
  take_steps(*partition, key, time_us, /*by_clock=*/false);
  return true;
}

void Memory::take_steps(Partition& partition, std::string_view key, int64_t time_us, bool by_clock) {
  size_t bytes = kPartitionBytes + 2 * key.size();
  for (size_t i = 0; i < plan().steps.size(); ++i) {
    const MemoryStep& step = plan().steps[i];
    if (!by_clock || step.follows_clock) {
      values_.clear();
      for (const Program& argument : step.arguments) values_.push_back(machine_.run(argument, slots_, context_));
      slots_[step.slot] = partition.steps[i]->next(values_, time_us, machine_.arena());
    }
    bytes += partition.steps[i]->bytes();
  }
  if (plan().follows_clock) schedule(partition, key);
  bytes += partition.slots.size();
  partition_bytes_ = partition_bytes_ - partition.bytes + bytes;
  partition.bytes = bytes;
}

void Memory::schedule(Partition& partition, std::string_view key) {
  std::optional<int64_t> due_us;
  for (const std::unique_ptr<Remembered>& step : partition.steps) {
    const std::optional<int64_t> its = step->due_us();
    if (its && (!due_us || *its < *due_us)) due_us = its;
  }
  if (due_us && !has_room()) {
    ++losses_.refused;
    due_us.reset();
  }
  if (due_us != partition.due_us) {
    if (partition.due_us) due_.erase({*partition.due_us, std::string(key)});
    if (due_us) due_.emplace(*due_us, key);
    partition.due_us = due_us;
  }
  partition.slots.clear();
  if (!due_us) return;
  for (const Value& value : slots_) append_encoded(partition.slots, value);
}

void Memory::follow_clock(int64_t before_us, Rows& rows) {
  while (!due_.empty() && due_.begin()->first < before_us) {
    const auto [at_us, key] = *due_.begin();
    Partition& partition = partitions_.find(key)->second;
    const std::string last = partition.slots;  // the slots are views of it
    ByteReader reader(last);
    slots_.clear();
    for (size_t i = 0; i < plan().slot_count; ++i) slots_.push_back(read_encoded(reader));
    machine_.arena().clear();
    const std::optional<Program>& condition = plan().condition;
    const bool was_chosen = window_ != nullptr && condition && machine_.run(*condition, slots_, context_).is_true();
    take_steps(partition, key, at_us, /*by_clock=*/true);
    if (was_chosen || (condition && !machine_.run(*condition, slots_, context_).is_true())) continue;
    if (window_ == nullptr) {
      take(rows, {.slots = slots_, .time_us = at_us});
      continue;
    }
    advance_window(at_us, rows);
    enter_window(at_us, at_us, rows);
  }
}

Memory::Partition* Memory::partition_of(std::string_view key, int64_t time_us) {
  const auto known = partitions_.find(key);
  if (known != partitions_.end()) {
    uses_.splice(uses_.begin(), uses_, known->second.use);
    known->second.used_us = time_us;
    return &known->second;
  }
  while (partitions_.size() == kPartitionsMax || !has_room()) {
    if (!forget_unused(time_us)) return nullptr;
  }
  Partition& added = partitions_[std::string(key)];
  added.used_us = time_us;
  for (const MemoryStep& step : plan().steps) {
    added.steps.push_back(make_remembered(step.function, step.duration_us));
  }
  uses_.emplace_front(key);
  added.use = uses_.begin();
  return &added;
}

bool Memory::forget_unused(int64_t time_us) {
  if (uses_.empty()) return false;
  const auto oldest = partitions_.find(uses_.back());
  const Partition& gone = oldest->second;
  if (time_us - gone.used_us < kUnusedMicroseconds) return false;
  partition_bytes_ -= gone.bytes;
  if (gone.due_us) due_.erase({*gone.due_us, oldest->first});
  partitions_.erase(oldest);
  uses_.pop_back();
  ++losses_.forgotten;
  return true;
}

void Memory::enter_window(int64_t time_us, int64_t now_us, Rows& rows) {
  const WindowPlan& window = plan().window_plan();
  key_.clear();
  for (const Program& part : window.keys) append_encoded(key_, machine_.run(part, slots_, context_));
  if (key_.size() > kKeyBytesMax) {
    ++losses_.errors;
    return;
  }
  values_.clear();
  for (const std::optional<Program>& reading : window.readings) {
    values_.push_back(reading ? machine_.run(*reading, slots_, context_) : Value::boolean(true));
    const bool is_long = (values_.back().is_text() || values_.back().kind() == Value::Kind::kJson) &&
                         values_.back().view().size() > kCapturedBytesMax;
    if (!is_long) continue;
    values_.back() = Value{};
    ++losses_.errors;
  }
  if (!window_->add({.time_us = time_us, .key = key_, .values = values_}, now_us, has_room(), emissions_)) {
    ++losses_.refused;
  }
  emit(rows);
}

void Memory::advance_window(int64_t time_us, Rows& rows) {
  if (!window_->may_wait() || ended_.size() < kRowsAStep) window_->advance(time_us, emissions_);
  emit(rows);
}

bool Memory::is_behind() const {
  if (!ended_.empty()) return true;
  if (window_ == nullptr || !window_->may_wait() || !plan().has_event_time) return false;
  const std::optional<int64_t> end_us = window_->next_end_us();
  return end_us && *end_us <= watermark_us_;
}

void Memory::emit(Rows& rows) {
  for (Emission& emission : emissions_) {
    ended_bytes_ += bytes_of(emission.key, emission.accumulators);
    ended_.push_back(std::move(emission));
  }
  emissions_.clear();
  if (ended_.empty()) return;
  const WindowPlan& window = plan().window_plan();
  std::vector<Value> slots;
  for (; !ended_.empty() && rows_left_ > 0; --rows_left_) {
    Emission emission = std::move(ended_.front());
    ended_.pop_front();
    ended_bytes_ -= bytes_of(emission.key, emission.accumulators);
    const uint64_t number = ++rows_made_;
    if (window.takes_long && rows.take_late(*rule_, emission, number)) continue;
    fill_slots(window, emission, slots);
    rows.take(*rule_, {.slots = slots, .time_us = emission.end_us, .is_of_window = true, .number = number});
  }
}

// In the order of WindowScope's slots.
void Memory::fill_slots(const WindowPlan& plan, const Emission& emission, std::vector<Value>& slots) {
  slots.clear();
  slots.push_back(Value::integer(emission.start_us / kMicrosecondsPerMillisecond));
  slots.push_back(Value::integer(emission.end_us / kMicrosecondsPerMillisecond));
  ByteReader key(emission.key);
  for (size_t i = 0; i < plan.keys.size(); ++i) slots.push_back(read_encoded(key));
  for (const Accumulator& accumulator : emission.accumulators) slots.push_back(accumulator.result());
}

void Memory::take(Rows& rows, Row row) {
  row.number = ++rows_made_;
  rows.take(*rule_, row);
}

void Memory::advance(int64_t now_us, Rows& rows) {
  rows_left_ = kRowsAStep;
  if (!plan().has_event_time) {
    reach(now_us, rows);
  } else if (is_behind()) {
    release(rows);
  } else if (!(is_empty() && due_.empty()) && now_us - last_arrival_us_ >= kIdleMicroseconds) {
    watermark_us_ = std::max(watermark_us_, newest_us_ + (now_us - last_arrival_us_) - plan().delay_us);
    release(rows);
  }
  settle_budget();
}

void Memory::reach(int64_t time_us, Rows& rows) {
  rows_left_ = kRowsAStep;
  if (plan().has_event_time) {
    watermark_us_ = std::max(watermark_us_, time_us);
    return release(rows);
  }
  last_arrival_us_ = std::max(last_arrival_us_, time_us);
  end_joins(time_us, rows);
  follow_clock(time_us, rows);
  if (window_ != nullptr) advance_window(time_us, rows);
}

void Memory::drain(Rows& rows) {
  rows_left_ = SIZE_MAX;
  while (!waiting_.empty()) {
    watermark_us_ = std::max(watermark_us_, waiting_.begin()->first);
    release(rows);
  }
  if (plan().keeps_unmatched) forget_joined(0, INT64_MAX, rows);
  while (window_ != nullptr && !(window_->is_empty() && ended_.empty())) {
    window_->drain(emissions_);
    emit(rows);
  }
  settle_budget();
}

bool Memory::is_due(int64_t now_us) const {
  const std::optional<int64_t> due = next_due_us();
  if (!due) return false;
  return *due <= now_us || (!plan().has_event_time && window_ != nullptr && window_->next_end_us() == due &&
                            *due - now_us > 2 * plan().window_plan().spec.size_us);
}

std::optional<int64_t> Memory::next_due_us() const {
  if (is_behind()) return 0;
  if (!plan().has_event_time) {
    std::optional<int64_t> next = window_ != nullptr ? window_->next_end_us() : std::nullopt;
    const std::optional<int64_t> by_clock = due_.empty() ? std::nullopt : std::optional(due_.begin()->first + 1);
    for (const std::optional<int64_t>& each : {by_clock, next_unmatched_us()}) {
      if (each && (!next || *each < *next)) next = each;
    }
    return next;
  }
  if (is_empty() && due_.empty()) return std::nullopt;
  return last_arrival_us_ + kIdleMicroseconds;
}

}  // namespace verge::rules

#include "rules/window.h"

#include <algorithm>
#include <utility>

#include "rules/operators.h"

namespace verge::rules {

void Accumulator::add(Aggregate aggregate, const Value& value) {
  if (value.is_null()) return;
  switch (aggregate) {
    case Aggregate::kCount:
      ++count_;
      return;
    case Aggregate::kSum:
    case Aggregate::kAvg:
      if (!value.is_numeric()) return;
      ++count_;
      sum_ += value.as_double();
      is_integer_ =
          is_integer_ && value.is_integer() && !__builtin_add_overflow(integer_sum_, value.as_integer(), &integer_sum_);
      return;
    case Aggregate::kMin:
    case Aggregate::kMax: {
      if (!value.is_numeric() && !value.is_text()) return;
      if (count_ > 0) {
        const std::optional<int> order = compare(value, kept());
        if (!order || (aggregate == Aggregate::kMin ? *order >= 0 : *order <= 0)) return;
      }
      ++count_;
      keep(value);
      return;
    }
    case Aggregate::kFirst:
      if (count_++ == 0) keep(value);
      return;
    case Aggregate::kLast:
      keep(value);
      return;
  }
}

Value Accumulator::result(Aggregate aggregate) const {
  switch (aggregate) {
    case Aggregate::kCount:
      return Value::integer(count_);
    case Aggregate::kSum:
      if (count_ == 0) return {};
      return is_integer_ ? Value::integer(integer_sum_) : Value::number(sum_);
    case Aggregate::kAvg:
      if (count_ == 0) return {};
      return Value::number((is_integer_ ? static_cast<double>(integer_sum_) : sum_) / static_cast<double>(count_));
    default:
      return kept();
  }
}

void Accumulator::keep(const Value& value) {
  kept_ = value;
  if (value.is_text() || value.kind() == Value::Kind::kJson) text_.assign(value.view());
}

Value Accumulator::kept() const {
  if (kept_.is_text()) return Value::text(text_);
  if (kept_.kind() == Value::Kind::kJson) return Value::json(text_);
  return kept_;
}

int64_t TumblingWindow::start_of(WallTime time) const {
  const int64_t past = time.microseconds % size_us_;
  return time.microseconds - (past < 0 ? past + size_us_ : past);
}

TumblingWindow::Group* TumblingWindow::group_of(Open& window, std::string_view key) {
  const auto known = window.by_key.find(key);
  if (known != window.by_key.end()) return known->second;
  if (groups_ == kWindowGroupsMax) return nullptr;
  ++groups_;
  Group& group = window.groups.emplace_back(Group{std::string(key), std::vector<Accumulator>(aggregates_.size())});
  window.by_key.emplace(group.key, &group);
  return &group;
}

bool TumblingWindow::add(const WindowInput& input, WallTime now) {
  int64_t start = start_of(input.received);
  if (start + size_us_ <= taken_through_us_ && start + size_us_ <= now.microseconds) start = start_of(now);
  if (groups_ == kWindowGroupsMax && !open_.contains(start)) return false;
  Group* group = group_of(open_[start], input.key());
  if (group == nullptr) return false;
  ByteReader reader(input.readings());
  for (size_t i = 0; i < aggregates_.size(); ++i) group->accumulators[i].add(aggregates_[i], read_encoded(reader));
  return true;
}

std::vector<TumblingWindow::Closed> TumblingWindow::take_closed(WallTime now) {
  std::vector<Closed> closed;
  for (auto window = open_.begin(); window != open_.end();) {
    const int64_t start = window->first;
    if (start + size_us_ > now.microseconds && start - now.microseconds <= size_us_) {
      ++window;
      continue;
    }
    if (start <= now.microseconds) taken_through_us_ = std::max(taken_through_us_, start + size_us_);
    groups_ -= window->second.groups.size();
    closed.push_back({start, std::move(window->second.groups)});
    window = open_.erase(window);
  }
  return closed;
}

std::vector<TumblingWindow::Closed> TumblingWindow::take_all() {
  std::vector<Closed> closed;
  for (auto& [start, window] : open_) closed.push_back({start, std::move(window.groups)});
  open_.clear();
  groups_ = 0;
  return closed;
}

std::optional<WallTime> TumblingWindow::next_close() const {
  if (open_.empty()) return std::nullopt;
  return WallTime{open_.begin()->first + size_us_};
}

}  // namespace verge::rules

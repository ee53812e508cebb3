#include "rules/aggregate.h"

#include <algorithm>
#include <array>
#include <bit>
#include <charconv>
#include <cmath>
#include <iterator>

#include <fmt/format.h>

#include "base/hash.h"
#include "base/text.h"
#include "rules/operators.h"
#include "series/information.h"
#include "series/reduction_choice.h"
#include "series/state.h"

namespace verge::rules {
namespace {

constexpr std::array<std::pair<std::string_view, Aggregate>, 15> kAggregates = {{
    {"count", Aggregate::kCount},
    {"sum", Aggregate::kSum},
    {"avg", Aggregate::kAvg},
    {"min", Aggregate::kMin},
    {"max", Aggregate::kMax},
    {"first", Aggregate::kFirst},
    {"last", Aggregate::kLast},
    {"stddev", Aggregate::kStddev},
    {"stddev_pop", Aggregate::kStddevPop},
    {"variance", Aggregate::kVariance},
    {"percentile", Aggregate::kPercentile},
    {"median", Aggregate::kMedian},
    {"slope", Aggregate::kSlope},
    {"information", Aggregate::kInformation},
    {"reduced", Aggregate::kReduced},
}};

template <class T>
bool read_state(ByteReader& in, T& object) {
  return series::load_state(in.sized(), object).has_value();
}

}  // namespace

std::optional<Aggregate> find_aggregate(std::string_view name) {
  for (const auto& [known, aggregate] : kAggregates) {
    if (known == name) return aggregate;
  }
  return std::nullopt;
}

std::string_view name_of(Aggregate aggregate) { return kAggregates[static_cast<size_t>(aggregate)].first; }

const std::vector<std::string>& aggregate_names() {
  static const std::vector<std::string> kNames = [] {
    std::vector<std::string> names;
    for (const auto& [name, aggregate] : kAggregates) names.emplace_back(name);
    return names;
  }();
  return kNames;
}

Accumulator::Accumulator(const AggregateCall& call) : call_(call) {
  switch (call.aggregate) {
    case Aggregate::kMin:
    case Aggregate::kMax:
    case Aggregate::kFirst:
    case Aggregate::kLast:
      seen_.emplace<Kept>();
      return;
    case Aggregate::kStddev:
    case Aggregate::kStddevPop:
    case Aggregate::kVariance:
      seen_.emplace<series::Moments>();
      return;
    case Aggregate::kPercentile:
    case Aggregate::kMedian:
      seen_.emplace<std::unique_ptr<Sketch>>(std::make_unique<Sketch>());
      return;
    case Aggregate::kSlope:
      seen_.emplace<series::Slope>();
      return;
    case Aggregate::kInformation:
      seen_.emplace<std::vector<double>>();
      return;
    case Aggregate::kReduced:
      seen_.emplace<std::unique_ptr<Series>>(std::make_unique<Series>());
      return;
    default:
      if (call.is_distinct) {
        seen_.emplace<std::unique_ptr<Distinct>>(std::make_unique<Distinct>());
      } else {
        seen_.emplace<Sum>();
      }
      return;
  }
}

void Accumulator::add(const Value& value, int64_t time_us) {
  if (value.is_null()) return;
  if (auto* distinct = std::get_if<std::unique_ptr<Distinct>>(&seen_)) {
    std::string encoded;
    append_encoded(encoded, value);
    return (*distinct)->count.add(hash64(encoded));
  }
  if (auto* sum = std::get_if<Sum>(&seen_)) {
    if (call_.aggregate == Aggregate::kCount) {
      ++sum->count;
    } else if (value.is_numeric()) {
      ++sum->count;
      sum->number += value.as_double();
      sum->is_integer = sum->is_integer && value.is_integer() &&
                        !__builtin_add_overflow(sum->integer, value.as_integer(), &sum->integer);
    }
    return;
  }
  if (auto* series = std::get_if<std::unique_ptr<Series>>(&seen_)) return add_reading(**series, value, time_us);
  if (call_.aggregate == Aggregate::kFirst || call_.aggregate == Aggregate::kLast) return keep(value);
  if (std::holds_alternative<Kept>(seen_)) return keep_extreme(value);
  if (!value.is_numeric()) return;
  const double number = value.as_double();
  if (auto* moments = std::get_if<series::Moments>(&seen_)) moments->add(number);
  if (auto* slope = std::get_if<series::Slope>(&seen_)) slope->add(time_us, number);
  if (auto* sketch = std::get_if<std::unique_ptr<Sketch>>(&seen_)) (*sketch)->sketch.add(number);
  if (auto* readings = std::get_if<std::vector<double>>(&seen_);
      readings && readings->size() < kInformationReadingsMax) {
    readings->push_back(number);
  }
}

// A reading and its score, as in [20.5,0.125].
void Accumulator::add_reading(Series& series, const Value& value, int64_t time_us) const {
  if (value.kind() != Value::Kind::kJson) return;
  const std::string_view text = value.view();
  double number = 0;
  double score = 0;
  const char* const end = text.data() + text.size();
  const auto [after, problem] = std::from_chars(text.data() + std::min<size_t>(1, text.size()), end, number);
  if (problem != std::errc{} || after == end || *after != ',' || !std::isfinite(number)) return;
  const bool is_scored = std::from_chars(after + 1, end, score).ec == std::errc{};
  if (series.values.size() == kReducedReadingsMax) {
    ++series.left_out;
    return;
  }
  series.is_made = false;
  if (is_scored && score >= kExactFromScore) series.exact.push_back(series.values.size());
  series.times_us.push_back(time_us);
  series.values.push_back(number);
}

void Accumulator::prepare() const {
  const auto* series = std::get_if<std::unique_ptr<Series>>(&seen_);
  if (series != nullptr && !(*series)->is_made && !(*series)->values.empty()) reduce(**series);
}

void Accumulator::reduce(Series& series) const {
  constexpr int64_t kMicroseconds = 1000;
  const bool is_ms = std::ranges::all_of(series.times_us, [](int64_t time) { return time % kMicroseconds == 0; });
  std::vector<std::string> times;
  for (const int64_t time : series.times_us) times.push_back(fmt::format("{}", is_ms ? time / kMicroseconds : time));
  const series::Window window{.time_name = is_ms ? "ms" : "us",
                              .value_name = "value",
                              .times = series::TimeColumn::of(times),
                              .values = series.values};
  const std::vector<size_t> exact(series.exact.begin(), series.exact.end());
  const double range = series::range_of(window.values);
  series::Choice choice;
  if (call_.bandwidth_bps > 0) {
    choice = series::best_within(window, series::bytes_until(call_.bandwidth_bps, call_.deadline_ms), exact);
  } else if (call_.share > 0 && range > 0 && std::isfinite(range)) {
    choice = series::smallest_within(window, call_.share * range, exact);
    choice.fits = true;
  } else {
    choice.reduction.method = series::Method::kLossless;
    choice.reduced = series::reduce(window, choice.reduction, {}, 0);
    choice.fits = true;
  }
  const auto number = [](double value) { return std::isfinite(value) ? fmt::format("{}", value) : "null"; };
  series.text = fmt::format(
      R"({{"reduced":"{}","method":"{}","readings":{},"exact":{},"error_bound":{},"range":{},"quality":{},"arrives":{})",
      base64(choice.reduced.record), series::name_of(choice.reduction.method), series.values.size(), exact.size(),
      number(choice.reduced.error_bound), number(range), number(choice.quality), choice.fits);
  if (series.left_out > 0) fmt::format_to(std::back_inserter(series.text), R"(,"left_out":{})", series.left_out);
  series.text.push_back('}');
  series.is_made = true;
}

void Accumulator::keep(const Value& value) {
  auto& kept = std::get<Kept>(seen_);
  if (kept.count++ > 0 && call_.aggregate == Aggregate::kFirst) return;
  kept.value = value;
  if (value.is_text() || value.kind() == Value::Kind::kJson) kept.text.assign(value.view());
}

void Accumulator::keep_extreme(const Value& value) {
  if (!value.is_numeric() && !value.is_text()) return;
  auto& kept = std::get<Kept>(seen_);
  if (kept.count > 0) {
    const std::optional<int> order = compare(value, this->kept());
    if (!order || (call_.aggregate == Aggregate::kMin ? *order >= 0 : *order <= 0)) return;
  }
  ++kept.count;
  kept.value = value;
  if (value.is_text()) kept.text.assign(value.view());
}

Value Accumulator::kept() const {
  const auto& kept = std::get<Kept>(seen_);
  if (kept.value.is_text()) return Value::text(kept.text);
  if (kept.value.kind() == Value::Kind::kJson) return Value::json(kept.text);
  return kept.value;
}

void Accumulator::merge(const Accumulator& later) {
  if (const auto* sum = std::get_if<Sum>(&later.seen_)) {
    auto& mine = std::get<Sum>(seen_);
    mine.count += sum->count;
    mine.number += sum->number;
    mine.is_integer =
        mine.is_integer && sum->is_integer && !__builtin_add_overflow(mine.integer, sum->integer, &mine.integer);
  } else if (const auto* kept = std::get_if<Kept>(&later.seen_)) {
    if (kept->count == 0) return;
    if (call_.aggregate == Aggregate::kFirst || call_.aggregate == Aggregate::kLast) {
      keep(later.kept());
    } else {
      keep_extreme(later.kept());
    }
  } else if (const auto* moments = std::get_if<series::Moments>(&later.seen_)) {
    std::get<series::Moments>(seen_).merge(*moments);
  } else if (const auto* slope = std::get_if<series::Slope>(&later.seen_)) {
    std::get<series::Slope>(seen_).merge(*slope);
  } else if (const auto* distinct = std::get_if<std::unique_ptr<Distinct>>(&later.seen_)) {
    std::get<std::unique_ptr<Distinct>>(seen_)->count.merge((*distinct)->count);
  } else if (const auto* sketch = std::get_if<std::unique_ptr<Sketch>>(&later.seen_)) {
    std::get<std::unique_ptr<Sketch>>(seen_)->sketch.merge((*sketch)->sketch);
  } else if (const auto* series = std::get_if<std::unique_ptr<Series>>(&later.seen_)) {
    Series& mine = *std::get<std::unique_ptr<Series>>(seen_);
    const size_t room = kReducedReadingsMax - mine.values.size();
    const size_t taken = std::min(room, (*series)->values.size());
    for (const uint64_t index : (*series)->exact) {
      if (index < taken) mine.exact.push_back(mine.values.size() + index);
    }
    const auto end = static_cast<ptrdiff_t>(taken);
    mine.times_us.insert(mine.times_us.end(), (*series)->times_us.begin(), (*series)->times_us.begin() + end);
    mine.values.insert(mine.values.end(), (*series)->values.begin(), (*series)->values.begin() + end);
    mine.is_made = false;
    mine.left_out += (*series)->left_out + (*series)->values.size() - taken;
  } else {
    auto& mine = std::get<std::vector<double>>(seen_);
    for (const double reading : std::get<std::vector<double>>(later.seen_)) {
      if (mine.size() < kInformationReadingsMax) mine.push_back(reading);
    }
  }
}

Value Accumulator::result() const {
  if (const auto* sum = std::get_if<Sum>(&seen_)) {
    if (call_.aggregate == Aggregate::kCount) return Value::integer(sum->count);
    if (sum->count == 0) return {};
    const double total = sum->is_integer ? static_cast<double>(sum->integer) : sum->number;
    if (call_.aggregate == Aggregate::kAvg) return Value::number(total / static_cast<double>(sum->count));
    return sum->is_integer ? Value::integer(sum->integer) : Value::number(sum->number);
  }
  if (std::holds_alternative<Kept>(seen_)) return kept();
  return numeric_result();
}

Value Accumulator::numeric_result() const {
  if (const auto* moments = std::get_if<series::Moments>(&seen_)) {
    const double deviation =
        call_.aggregate == Aggregate::kStddevPop ? moments->population_deviation() : moments->deviation();
    return Value::number(call_.aggregate == Aggregate::kVariance ? deviation * deviation : deviation);
  }
  if (const auto* slope = std::get_if<series::Slope>(&seen_)) return Value::number(slope->per_second());
  if (const auto* sketch = std::get_if<std::unique_ptr<Sketch>>(&seen_)) {
    return Value::number((*sketch)->sketch.quantile(call_.aggregate == Aggregate::kMedian ? 0.5 : call_.share));
  }
  if (const auto* distinct = std::get_if<std::unique_ptr<Distinct>>(&seen_)) {
    return Value::integer(static_cast<int64_t>((*distinct)->count.count()));
  }
  if (const auto* series = std::get_if<std::unique_ptr<Series>>(&seen_)) {
    prepare();
    return (*series)->values.empty() ? Value{} : Value::json((*series)->text);
  }
  const auto& readings = std::get<std::vector<double>>(seen_);
  return readings.empty() ? Value{} : Value::number(series::information(readings));
}

size_t Accumulator::bytes() const {
  if (const auto* kept = std::get_if<Kept>(&seen_)) return kept->text.capacity();
  if (const auto* distinct = std::get_if<std::unique_ptr<Distinct>>(&seen_)) {
    const size_t hashes = std::min<size_t>((*distinct)->count.count(), series::DistinctCount::kExactMax);
    return sizeof(Distinct) + hashes * sizeof(uint64_t);
  }
  if (const auto* sketch = std::get_if<std::unique_ptr<Sketch>>(&seen_)) {
    const size_t readings = std::min<size_t>((*sketch)->sketch.count(), series::QuantileSketch::kExactMax);
    return sizeof(Sketch) + readings * sizeof(double);
  }
  if (const auto* series = std::get_if<std::unique_ptr<Series>>(&seen_)) {
    const Series& held = **series;
    return sizeof(Series) + held.text.capacity() +
           (held.times_us.capacity() + held.values.capacity() + held.exact.capacity()) * sizeof(uint64_t);
  }
  if (const auto* readings = std::get_if<std::vector<double>>(&seen_)) return readings->capacity() * sizeof(double);
  return 0;
}

void Accumulator::append_to(std::string& out) const {
  if (const auto* sum = std::get_if<Sum>(&seen_)) {
    append_fixed(out, static_cast<uint64_t>(sum->count));
    append_fixed(out, static_cast<uint64_t>(sum->integer));
    append_fixed(out, std::bit_cast<uint64_t>(sum->number));
    append_fixed(out, static_cast<uint8_t>(sum->is_integer));
  } else if (const auto* kept = std::get_if<Kept>(&seen_)) {
    append_fixed(out, static_cast<uint64_t>(kept->count));
    append_encoded(out, this->kept());
  } else if (const auto* moments = std::get_if<series::Moments>(&seen_)) {
    append_sized(out, series::save_state(*moments));
  } else if (const auto* slope = std::get_if<series::Slope>(&seen_)) {
    append_sized(out, series::save_state(*slope));
  } else if (const auto* distinct = std::get_if<std::unique_ptr<Distinct>>(&seen_)) {
    (*distinct)->count.append_to(out);
  } else if (const auto* sketch = std::get_if<std::unique_ptr<Sketch>>(&seen_)) {
    (*sketch)->sketch.append_to(out);
  } else if (const auto* series = std::get_if<std::unique_ptr<Series>>(&seen_)) {
    const Series& held = **series;
    append_varint(out, held.values.size());
    for (size_t i = 0; i < held.values.size(); ++i) {
      append_fixed(out, static_cast<uint64_t>(held.times_us[i]));
      append_fixed(out, std::bit_cast<uint64_t>(held.values[i]));
    }
    append_varint(out, held.exact.size());
    for (const uint64_t index : held.exact) append_varint(out, index);
    append_varint(out, held.left_out);
  } else {
    const auto& readings = std::get<std::vector<double>>(seen_);
    append_varint(out, readings.size());
    for (const double reading : readings) append_fixed(out, std::bit_cast<uint64_t>(reading));
  }
}

bool Accumulator::read(ByteReader& in) {
  if (auto* sum = std::get_if<Sum>(&seen_)) {
    sum->count = static_cast<int64_t>(in.fixed<uint64_t>());
    sum->integer = static_cast<int64_t>(in.fixed<uint64_t>());
    sum->number = std::bit_cast<double>(in.fixed<uint64_t>());
    sum->is_integer = in.fixed<uint8_t>() != 0;
  } else if (auto* kept = std::get_if<Kept>(&seen_)) {
    kept->count = static_cast<int64_t>(in.fixed<uint64_t>());
    kept->value = read_encoded(in);
    if (kept->value.is_text() || kept->value.kind() == Value::Kind::kJson) kept->text.assign(kept->value.view());
  } else if (auto* moments = std::get_if<series::Moments>(&seen_)) {
    return read_state(in, *moments);
  } else if (auto* slope = std::get_if<series::Slope>(&seen_)) {
    return read_state(in, *slope);
  } else if (auto* distinct = std::get_if<std::unique_ptr<Distinct>>(&seen_)) {
    Result<series::DistinctCount> count = series::DistinctCount::read(in);
    if (!count) return false;
    (*distinct)->count = std::move(*count);
  } else if (auto* sketch = std::get_if<std::unique_ptr<Sketch>>(&seen_)) {
    Result<series::QuantileSketch> read = series::QuantileSketch::read(in);
    if (!read) return false;
    (*sketch)->sketch = std::move(*read);
  } else if (auto* series = std::get_if<std::unique_ptr<Series>>(&seen_)) {
    Series& held = **series;
    held = {};
    const uint64_t count = in.varint();
    if (count > kReducedReadingsMax) return false;
    for (uint64_t i = 0; i < count && in.ok(); ++i) {
      held.times_us.push_back(static_cast<int64_t>(in.fixed<uint64_t>()));
      held.values.push_back(std::bit_cast<double>(in.fixed<uint64_t>()));
      if (!std::isfinite(held.values.back())) return false;
    }
    const uint64_t exact = in.varint();
    for (uint64_t i = 0; i < exact && in.ok(); ++i) {
      const uint64_t index = in.varint();
      if (index >= count || (!held.exact.empty() && index <= held.exact.back())) return false;
      held.exact.push_back(index);
    }
    held.left_out = in.varint();
  } else {
    auto& readings = std::get<std::vector<double>>(seen_);
    const uint64_t count = in.varint();
    if (count > kInformationReadingsMax) return false;
    readings.clear();
    for (uint64_t i = 0; i < count && in.ok(); ++i) readings.push_back(std::bit_cast<double>(in.fixed<uint64_t>()));
  }
  return in.ok();
}

}  // namespace verge::rules

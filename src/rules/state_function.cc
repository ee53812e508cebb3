#include "rules/state_function.h"

#include <algorithm>
#include <array>
#include <bit>
#include <cmath>
#include <deque>
#include <iterator>

#include <fmt/format.h>

#include "base/clock.h"
#include "rules/fused_sensors.h"
#include "rules/operators.h"
#include "rules/window.h"
#include "rules/worth.h"
#include "series/anomaly.h"
#include "series/bounded_moments.h"
#include "series/control_charts.h"
#include "series/half_space_trees.h"
#include "series/information.h"
#include "series/moments.h"
#include "series/robust_z_score.h"
#include "series/seasonal_detector.h"
#include "series/sensor_fusion.h"
#include "series/state.h"

namespace verge::rules {
namespace {

constexpr std::array kStateFunctions = {
    StateSignature{"lag", StateFunction::kLag, 1, 3},
    StateSignature{"changed", StateFunction::kChanged, 1, 2},
    StateSignature{"delta", StateFunction::kDelta, 1, 1},
    StateSignature{"hysteresis", StateFunction::kHysteresis, 3, 3},
    StateSignature{"for", StateFunction::kFor, 1, 1},
    StateSignature{"anomaly", StateFunction::kAnomaly, 1, 1},
    StateSignature{"zscore", StateFunction::kZscore, 1, 1},
    StateSignature{"ewma", StateFunction::kEwma, 1, 1},
    StateSignature{"cusum", StateFunction::kCusum, 1, 1},
    StateSignature{"forest", StateFunction::kForest, 1, 1},
    StateSignature{"seasonal", StateFunction::kSeasonal, 1, 1},
    StateSignature{"information", StateFunction::kInformation, 1, 1},
    StateSignature{"fuse", StateFunction::kFuse, 4, 4 * kFusedMax + 1},
    StateSignature{"recent", StateFunction::kRecent, 1, 1},
    StateSignature{"summary", StateFunction::kSummary, 1, 1},
    StateSignature{"aftermath", StateFunction::kAftermath, 2, 2},
    StateSignature{"predict", StateFunction::kPredict, 1, 1},
    StateSignature{"bounded", StateFunction::kBounded, 5, 5},
};

constexpr size_t kDequeBytes = 640;  // that a std::deque holds before anything is in it
constexpr std::string_view kFuseFix =
    "write four arguments a sensor, fuse(x, least, largest, noise), as fuse(radar, 0, 160, 0.5, sonic, 0, 8, 0.02); "
    "then, if you like, their rates: array(20, 50)";

// The last values, encoded: they outlive their message.
class Lag final : public Remembered {
 public:
  Value next(std::span<const Value> arguments, int64_t, Arena& arena) override {
    const Value steps = arguments.size() > 1 ? arguments[1] : Value::integer(1);
    const bool is_good = steps.is_integer() && steps.as_integer() >= 1 && steps.as_integer() <= kLagMax;
    Value given = arguments.size() > 2 ? arguments[2] : Value{};
    const size_t back = is_good ? static_cast<size_t>(steps.as_integer()) : 1;
    if (is_good && back <= values_.size()) {
      ByteReader reader(arena.keep(values_[values_.size() - back]));
      given = read_encoded(reader);
    }
    std::string encoded;
    append_encoded(encoded, arguments[0]);
    bytes_ += encoded.size();
    values_.push_back(std::move(encoded));
    while (values_.size() > back) {
      bytes_ -= values_.front().size();
      values_.pop_front();
    }
    return is_good ? given : Value{};
  }
  [[nodiscard]] size_t bytes() const override {
    return sizeof(*this) + kDequeBytes + bytes_ + values_.size() * sizeof(std::string);
  }
  void append_to(std::string& out) const override {
    append_varint(out, values_.size());
    for (const std::string& value : values_) append_sized(out, value);
  }
  bool read(ByteReader& in) override {
    const uint64_t count = in.varint();
    if (count > static_cast<uint64_t>(kLagMax)) return false;
    for (uint64_t i = 0; i < count && in.ok(); ++i) {
      bytes_ += values_.emplace_back(in.sized()).size();
    }
    return in.ok();
  }

 private:
  std::deque<std::string> values_;  // the oldest first
  size_t bytes_ = 0;
};

// TRUE for the first reading and for one that differs from the last for which it was TRUE, by more than `by` if given.
// NULL is a value like others here.
class Changed final : public Remembered {
 public:
  Value next(std::span<const Value> arguments, int64_t, Arena&) override {
    const Value& value = arguments[0];
    if (is_known_ && arguments.size() == 2) {
      ByteReader reader(last_);
      const Value last = read_encoded(reader);
      if (value.is_numeric() && last.is_numeric()) {
        if (!arguments[1].is_numeric()) return {};
        if (std::fabs(value.as_double() - last.as_double()) <= arguments[1].as_double()) return Value::boolean(false);
      }
    }
    std::string encoded;
    append_encoded(encoded, value);
    if (is_known_ && encoded == last_) return Value::boolean(false);
    last_ = std::move(encoded);
    is_known_ = true;
    return Value::boolean(true);
  }
  [[nodiscard]] size_t bytes() const override { return sizeof(*this) + last_.capacity(); }
  void append_to(std::string& out) const override {
    append_fixed(out, static_cast<uint8_t>(is_known_));
    append_sized(out, last_);
  }
  bool read(ByteReader& in) override {
    is_known_ = in.fixed<uint8_t>() != 0;
    last_.assign(in.sized());
    return in.ok();
  }

 private:
  bool is_known_ = false;
  std::string last_;  // encoded
};

// The difference from the number before.
class Delta final : public Remembered {
 public:
  Value next(std::span<const Value> arguments, int64_t, Arena&) override {
    if (!arguments[0].is_numeric()) return {};
    const Value difference = subtract(arguments[0], last_);
    last_ = arguments[0];
    return difference;
  }
  [[nodiscard]] size_t bytes() const override { return sizeof(*this); }
  void append_to(std::string& out) const override { append_encoded(out, last_); }
  bool read(ByteReader& in) override {
    last_ = read_encoded(in);
    return in.ok() && (last_.is_numeric() || last_.is_null());
  }

 private:
  Value last_;  // a number or NULL
};

// From above the one bound until below the other.
class Hysteresis final : public Remembered {
 public:
  Value next(std::span<const Value> arguments, int64_t, Arena&) override {
    if (arguments[1].is_numeric() && arguments[2].is_numeric() && arguments[0].is_numeric()) {
      const double value = arguments[0].as_double();
      if (value > arguments[1].as_double()) is_on_ = true;
      if (value < arguments[2].as_double()) is_on_ = false;
    }
    return Value::boolean(is_on_);
  }
  [[nodiscard]] size_t bytes() const override { return sizeof(*this); }
  void append_to(std::string& out) const override { append_fixed(out, static_cast<uint8_t>(is_on_)); }
  bool read(ByteReader& in) override {
    is_on_ = in.fixed<uint8_t>() != 0;
    return in.ok();
  }

 private:
  bool is_on_ = false;
};

// TRUE once the condition was TRUE in every message, and no other came, for the duration.
class Lasting final : public Remembered {
 public:
  explicit Lasting(int64_t duration_us) : duration_us_(duration_us) {}
  Value next(std::span<const Value> arguments, int64_t time_us, Arena&) override {
    if (!arguments[0].is_true()) {
      is_on_ = false;
      return Value::boolean(false);
    }
    if (!is_on_) since_us_ = time_us;
    is_on_ = true;
    has_lasted_ = time_us - since_us_ >= duration_us_;
    return Value::boolean(has_lasted_);
  }
  [[nodiscard]] std::optional<int64_t> due_us() const override {
    return is_on_ && !has_lasted_ ? std::optional(since_us_ + duration_us_) : std::nullopt;
  }
  [[nodiscard]] size_t bytes() const override { return sizeof(*this); }
  void append_to(std::string& out) const override {
    append_fixed(out, static_cast<uint8_t>(is_on_));
    append_fixed(out, static_cast<uint64_t>(since_us_));
    append_fixed(out, static_cast<uint8_t>(has_lasted_));
  }
  bool read(ByteReader& in) override {
    is_on_ = in.fixed<uint8_t>() != 0;
    since_us_ = static_cast<int64_t>(in.fixed<uint64_t>());
    has_lasted_ = in.ok() && !in.empty() && in.fixed<uint8_t>() != 0;  // not there in version 1 of a memory
    return in.ok() && is_sane_time(since_us_);
  }

 private:
  int64_t duration_us_;
  bool is_on_ = false;
  bool has_lasted_ = false;
  int64_t since_us_ = 0;
};

// A detector of series/: NULL for what is no number.
template <class Detector>
class Scored final : public Remembered {
 public:
  Value next(std::span<const Value> arguments, int64_t time_us, Arena&) override {
    if (!arguments[0].is_numeric()) return {};
    if constexpr (requires { detector_.add(time_us, 0.0); }) {
      return Value::number(detector_.add(time_us, arguments[0].as_double()));
    } else {
      return Value::number(detector_.add(arguments[0].as_double()));
    }
  }
  [[nodiscard]] size_t bytes() const override { return bytes_; }
  void append_to(std::string& out) const override { append_sized(out, series::save_state(detector_)); }
  // What an earlier version learnt is not gone on from: it begins anew.
  bool read(ByteReader& in) override {
    const Result<void> loaded = series::load_state(in.sized(), detector_);
    return loaded || (in.ok() && loaded.error().code == "series.state-version");
  }

 private:
  Detector detector_;
  // What is held beside the object is held from the start.
  size_t bytes_ = sizeof(*this) + series::held_bytes(detector_);
};

// A command that can do no harm: within low..high, changing by at most so much a second, and `safe`, at once, where x
// is no number (as where what it was computed from is not to be trusted) or the bounds are none. It begins at `safe`.
class Bounded final : public Remembered {
 public:
  Value next(std::span<const Value> arguments, int64_t time_us, Arena&) override {
    if (!arguments[4].is_numeric()) return {};
    const double safe = arguments[4].as_double();
    const bool is_bounded =
        std::ranges::all_of(arguments.subspan(1, 3), [](const Value& each) { return each.is_numeric(); }) &&
        arguments[1].as_double() <= safe && safe <= arguments[2].as_double() && arguments[3].as_double() > 0;
    double command = safe;
    if (is_bounded) {
      const series::CommandBound bound{.low = arguments[1].as_double(),
                                       .high = arguments[2].as_double(),
                                       .rate_max = arguments[3].as_double(),
                                       .safe = safe};
      const double wanted = arguments[0].is_numeric() ? arguments[0].as_double() : std::nan("");
      const int64_t since_us = has_command_ ? std::clamp<int64_t>(time_us - at_us_, 0, kSinceMicrosecondsMax) : 0;
      command = bound.bound(wanted, has_command_ ? command_ : safe, std::chrono::microseconds(since_us), {}).command;
    }
    at_us_ = has_command_ ? std::max(at_us_, time_us) : time_us;
    has_command_ = true;
    command_ = command;
    return Value::number(command);
  }
  [[nodiscard]] size_t bytes() const override { return sizeof(*this); }
  void append_to(std::string& out) const override {
    append_fixed(out, static_cast<uint8_t>(has_command_));
    append_fixed(out, static_cast<uint64_t>(at_us_));
    append_fixed(out, std::bit_cast<uint64_t>(command_));
  }
  bool read(ByteReader& in) override {
    has_command_ = in.fixed<uint8_t>() != 0;
    at_us_ = static_cast<int64_t>(in.fixed<uint64_t>());
    command_ = std::bit_cast<double>(in.fixed<uint64_t>());
    return in.ok() && is_sane_time(at_us_) && std::isfinite(command_);
  }

 private:
  static constexpr int64_t kSinceMicrosecondsMax = 365LL * 86'400 * 1'000'000;

  bool has_command_ = false;
  int64_t at_us_ = 0;
  double command_ = 0;
};

std::string json_number(double number) { return std::isfinite(number) ? fmt::format("{}", number) : "null"; }

struct Reading {
  int64_t time_us = 0;
  double value = 0;
};

// At most kRecentMax readings, in order.
class Readings {
 public:
  void add(Reading reading) {
    readings_.push_back(reading);
    if (readings_.size() > kRecentMax) readings_.pop_front();
  }
  void clear() { readings_.clear(); }
  [[nodiscard]] const std::deque<Reading>& all() const { return readings_; }
  [[nodiscard]] size_t bytes() const { return kDequeBytes + readings_.size() * sizeof(Reading); }
  // [[ms, x], …]
  [[nodiscard]] std::string list() const {
    std::string out = "[";
    for (const Reading& reading : readings_) {
      fmt::format_to(std::back_inserter(out), "{}[{},{}]", out.size() > 1 ? "," : "", reading.time_us / 1000,
                     reading.value);
    }
    return out.append("]");
  }
  void append_to(std::string& out) const {
    append_varint(out, readings_.size());
    for (const Reading& reading : readings_) {
      append_fixed(out, static_cast<uint64_t>(reading.time_us));
      append_fixed(out, std::bit_cast<uint64_t>(reading.value));
    }
  }
  bool read(ByteReader& in) {
    readings_.clear();
    const uint64_t count = in.varint();
    if (count > kRecentMax) return false;
    for (uint64_t i = 0; i < count && in.ok(); ++i) {
      const auto time_us = static_cast<int64_t>(in.fixed<uint64_t>());
      const double value = std::bit_cast<double>(in.fixed<uint64_t>());
      if (!is_sane_time(time_us) || !std::isfinite(value)) return false;
      readings_.push_back({time_us, value});
    }
    return in.ok();
  }

 private:
  std::deque<Reading> readings_;
};

bool is_reading(const Value& value) { return value.is_numeric() && std::isfinite(value.as_double()); }

// The last readings, or what can be said of them.
class Recent final : public Remembered {
 public:
  explicit Recent(bool is_summary) : is_summary_(is_summary) {}
  Value next(std::span<const Value> arguments, int64_t time_us, Arena& arena) override {
    if (!is_reading(arguments[0])) return {};
    readings_.add({time_us, arguments[0].as_double()});
    return Value::json(arena.keep(is_summary_ ? summary() : readings_.list()));
  }
  [[nodiscard]] size_t bytes() const override { return sizeof(*this) + readings_.bytes(); }
  void append_to(std::string& out) const override { readings_.append_to(out); }
  bool read(ByteReader& in) override { return readings_.read(in); }

 private:
  [[nodiscard]] std::string summary() const {
    const std::deque<Reading>& readings = readings_.all();
    series::Moments moments;
    double least = readings.front().value;
    double largest = least;
    for (const Reading& reading : readings) {
      moments.add(reading.value);
      least = std::min(least, reading.value);
      largest = std::max(largest, reading.value);
    }
    const double deviation = readings.size() > 1 ? moments.deviation() : 0;
    return fmt::format(R"({{"count":{},"since_ms":{},"mean":{},"stddev":{},"min":{},"max":{},"last":{}}})",
                       readings.size(), readings.front().time_us / 1000, json_number(moments.mean()),
                       json_number(deviation), least, largest, readings.back().value);
  }

  bool is_summary_;
  Readings readings_;
};

// What follows a significant reading, given once it is there: kAftermathReadings after the last significant one.
class Aftermath final : public Remembered {
 public:
  Value next(std::span<const Value> arguments, int64_t time_us, Arena& arena) override {
    Value given;
    if (left_ > 0 && is_reading(arguments[1])) {
      readings_.add({time_us, arguments[1].as_double()});
      if (--left_ == 0 || readings_.all().size() == kRecentMax) {
        given = Value::json(arena.keep(readings_.list()));
        readings_.clear();
        left_ = 0;
      }
    }
    if (arguments[0].is_numeric() && is_significant(arguments[0].as_double())) left_ = kAftermathReadings;
    return given;
  }
  [[nodiscard]] size_t bytes() const override { return sizeof(*this) + readings_.bytes(); }
  void append_to(std::string& out) const override {
    append_varint(out, left_);
    readings_.append_to(out);
  }
  bool read(ByteReader& in) override {
    left_ = in.varint();
    return left_ <= kAftermathReadings && readings_.read(in);
  }

 private:
  uint64_t left_ = 0;  // that are still to come
  Readings readings_;
};

// Holt's linear exponential smoothing (1957) on the readings as they come: a level and its change from one to the next.
// Confidence is the share of the usual variance that the predictions until now have explained.
//
// The first readings are held until their medians say where to begin. Then a single reading that misses its prediction
// by more than ten times the usual moves it no further than that; where the next one misses likewise, the world has
// changed, and the level begins anew there.
class Predicted final : public Remembered {
 public:
  Value next(std::span<const Value> arguments, int64_t, Arena& arena) override {
    if (!arguments[0].is_numeric()) return {};
    const double value = std::clamp(arguments[0].as_double(), -series::kSizeMax, series::kSizeMax);
    if (count_ < kFirst) {
      first_[count_++] = value;
      level_ = value;
      if (count_ == kFirst) begin();
    } else {
      ++count_;
      learn(value);
    }
    const double confidence = count_ < kFirst || spread_ <= 0 ? 0 : std::clamp(1 - error_ / spread_, 0.0, 1.0);
    return Value::json(arena.keep(fmt::format(R"({{"value":{},"confidence":{}}})", level_ + change_, confidence)));
  }
  [[nodiscard]] size_t bytes() const override { return sizeof(*this); }
  void append_to(std::string& out) const override {
    append_fixed(out, count_);
    for (const double each : {level_, change_, error_, spread_, mean_})
      append_fixed(out, std::bit_cast<uint64_t>(each));
    append_fixed(out, static_cast<uint8_t>(has_missed_));
    for (const double each : first_) append_fixed(out, std::bit_cast<uint64_t>(each));
  }
  bool read(ByteReader& in) override {
    bool is_good = true;
    const auto read_number = [&](double& number) {
      number = std::bit_cast<double>(in.fixed<uint64_t>());
      is_good = is_good && std::fabs(number) <= kStateMax;
    };
    count_ = in.fixed<uint64_t>();
    for (double* each : {&level_, &change_, &error_, &spread_, &mean_}) read_number(*each);
    // An earlier version held no first readings, and what it learnt of very large ones was no number.
    const bool is_earlier = in.ok() && in.empty();
    if (is_earlier) {
      is_good = is_good && count_ >= kFirst;
    } else {
      has_missed_ = in.fixed<uint8_t>() != 0;
      for (double& each : first_) read_number(each);
    }
    if (!is_good) *this = Predicted();
    return in.ok() && (is_good || is_earlier);
  }

 private:
  static constexpr double kLevel = 0.5;
  static constexpr double kChange = 0.1;
  static constexpr double kUsual = 0.02;       // of the last 50 or so
  static constexpr double kMissMax = 10;       // times the usual miss
  static constexpr double kStateMax = 1e205;   // what comes of squares of what is learnt
  static constexpr double kOfMedian = 2.1981;  // a normal variable's variance by the median of its square
  static constexpr size_t kFirst = 10;

  template <size_t N>
  static double median(std::array<double, N> values) {
    std::ranges::nth_element(values, values.begin() + N / 2);
    return values[N / 2];
  }

  void begin() {
    std::array<double, kFirst - 1> changes{};
    for (size_t i = 0; i < changes.size(); ++i) changes[i] = first_[i + 1] - first_[i];
    change_ = median(changes);
    mean_ = median(first_);
    std::array<double, kFirst> squares{};
    for (size_t i = 0; i < kFirst; ++i) squares[i] = (first_[i] - mean_) * (first_[i] - mean_);
    spread_ = kOfMedian * median(squares);
    for (double& each : changes) each = (each - change_) * (each - change_);
    error_ = kOfMedian * median(changes);
  }

  void learn(double value) {
    const double before = level_;
    const double predicted = level_ + change_;
    const double usual =
        series::deviation_at_least(std::sqrt(error_), std::min(std::fabs(predicted), std::fabs(value)));
    const double believed = kMissMax * usual;
    const double missed = std::clamp(value - predicted, -believed, believed);
    const bool misses = std::fabs(value - predicted) > believed;
    error_ += (missed * missed - error_) * kUsual;
    if (misses && has_missed_) {
      level_ = value;
      mean_ = value;
      change_ = 0;
      has_missed_ = false;
      return;
    }
    has_missed_ = misses;
    level_ = predicted + kLevel * missed;
    change_ += kChange * (level_ - before - change_);
    const double from_mean = predicted + missed - mean_;
    spread_ += (from_mean * from_mean - spread_) * kUsual;
    mean_ += from_mean * kUsual;
  }

  uint64_t count_ = 0;
  double level_ = 0;
  double change_ = 0;
  double error_ = 0;   // mean square of what was missed
  double spread_ = 0;  // likewise about the mean
  double mean_ = 0;
  bool has_missed_ = false;  // the last reading, by far
  std::array<double, kFirst> first_{};
};

std::optional<ArgumentFault> check_sensors(std::span<const std::optional<double>> arguments) {
  for (size_t i = 0; i + FusedSensors::kArguments <= arguments.size(); i += FusedSensors::kArguments) {
    const std::optional<double>& least = arguments[i + 1];
    const std::optional<double>& largest = arguments[i + 2];
    const std::optional<double>& noise = arguments[i + 3];
    const std::optional<double>& rate = arguments[i + 4];
    if (least && largest && !(*least < *largest)) {
      return ArgumentFault{i + 1, "the least reading of a sensor is not below its largest", kFuseFix};
    }
    const series::Sensor sensor{.name = "", .range_min = 0, .range_max = 1, .rate_hz = 0, .noise = noise.value_or(1)};
    if (!sensor.is_sound()) {
      return ArgumentFault{i + 3, "the noise of a sensor is the standard deviation of its readings, 1e-100 to 1e100",
                           kFuseFix};
    }
    if (rate && *rate < 0) return ArgumentFault{i + 4, "the rate of a sensor is in readings a second", kFuseFix};
  }
  return std::nullopt;
}

std::optional<ArgumentFault> check_bounds(std::span<const std::optional<double>> arguments) {
  constexpr std::string_view kFix =
      "write bounded(x, low, high, change_per_second, safe), as bounded(x, 0, 100, 20, 0)";
  const std::optional<double>& low = arguments[1];
  const std::optional<double>& high = arguments[2];
  const std::optional<double>& safe = arguments[4];
  if (low && high && !(*low <= *high))
    return ArgumentFault{1, "the low bound of a command is above its high one", kFix};
  if (const std::optional<double>& rate = arguments[3]; rate && !(*rate > 0))
    return ArgumentFault{3, "a command changes by more than 0 a second", kFix};
  if (safe && ((low && *safe < *low) || (high && *safe > *high))) {
    return ArgumentFault{4, "the safe command is not within the bounds", kFix};
  }
  return std::nullopt;
}

}  // namespace

const StateSignature* find_state_function(std::string_view name) {
  const auto found = std::ranges::find(kStateFunctions, name, &StateSignature::name);
  return found == kStateFunctions.end() || found->function == StateFunction::kFor ? nullptr : &*found;
}

std::string_view name_of(StateFunction function) { return kStateFunctions[static_cast<size_t>(function)].name; }

const std::vector<std::string>& state_function_names() {
  static const std::vector<std::string> kNames = [] {
    std::vector<std::string> names;
    for (const StateSignature& signature : kStateFunctions) {
      if (signature.function != StateFunction::kFor) names.emplace_back(signature.name);
    }
    return names;
  }();
  return kNames;
}

std::optional<ArgumentFault> check_constants(StateFunction function, std::span<const std::optional<double>> arguments) {
  if (function == StateFunction::kFuse) return check_sensors(arguments);
  if (function == StateFunction::kBounded) return check_bounds(arguments);
  return std::nullopt;
}

bool is_detector(StateFunction function) {
  return function >= StateFunction::kAnomaly && function <= StateFunction::kSeasonal;
}

std::unique_ptr<Remembered> make_remembered(StateFunction function, int64_t duration_us) {
  static const SystemClock clock;
  switch (function) {
    case StateFunction::kLag:
      return std::make_unique<Lag>();
    case StateFunction::kChanged:
      return std::make_unique<Changed>();
    case StateFunction::kDelta:
      return std::make_unique<Delta>();
    case StateFunction::kHysteresis:
      return std::make_unique<Hysteresis>();
    case StateFunction::kFor:
      return std::make_unique<Lasting>(duration_us);
    case StateFunction::kAnomaly:
      return std::make_unique<Scored<series::AnomalyDetector>>();
    case StateFunction::kZscore:
      return std::make_unique<Scored<series::RobustZScore>>();
    case StateFunction::kEwma:
      return std::make_unique<Scored<series::EwmaChart>>();
    case StateFunction::kCusum:
      return std::make_unique<Scored<series::Cusum>>();
    case StateFunction::kForest:
      return std::make_unique<Scored<series::HalfSpaceTrees>>();
    case StateFunction::kSeasonal:
      return std::make_unique<Scored<series::SeasonalDetector>>();
    case StateFunction::kInformation:
      return std::make_unique<Scored<series::InformationWindow>>();
    case StateFunction::kFuse:
      return std::make_unique<FusedSensors>(clock);
    case StateFunction::kRecent:
      return std::make_unique<Recent>(/*is_summary=*/false);
    case StateFunction::kSummary:
      return std::make_unique<Recent>(/*is_summary=*/true);
    case StateFunction::kAftermath:
      return std::make_unique<Aftermath>();
    case StateFunction::kPredict:
      return std::make_unique<Predicted>();
    case StateFunction::kBounded:
      return std::make_unique<Bounded>();
  }
  return nullptr;
}

}  // namespace verge::rules

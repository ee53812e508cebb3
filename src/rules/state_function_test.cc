// Functions that remember, one by one: what they give for readings that no sensor should send, and what is left of
// them.
#include "rules/state_function.h"

#include <bit>
#include <cmath>
#include <limits>
#include <memory>
#include <string>
#include <vector>

#include <gtest/gtest.h>
#include <simdjson.h>

#include "base/bytes.h"
#include "base/random.h"
#include "rules/fused_sensors.h"

namespace verge::rules {
namespace {

constexpr int64_t kSecond = 1'000'000;
constexpr double kNaN = std::numeric_limits<double>::quiet_NaN();

// One call in one partition, told numbers; NaN stands for NULL.
class Call {
 public:
  explicit Call(StateFunction function) : function_(function), remembered_(make_remembered(function, 0)) {}
  explicit Call(const Clock& clock)
      : function_(StateFunction::kFuse), remembered_(std::make_unique<FusedSensors>(clock)) {}

  Value operator()(std::vector<double> arguments, int64_t time_us = 0) {
    std::vector<Value> values;
    for (const double each : arguments) values.push_back(std::isnan(each) ? Value{} : Value::number(each));
    return remembered_->next(values, time_us, arena_);
  }
  // A member of the object that it gives: a number, or 0 and 1 for false and true. Fails where it is no JSON.
  double member(std::string_view name, std::vector<double> arguments, int64_t time_us = 0) {
    const Value value = (*this)(std::move(arguments), time_us);
    if (value.is_null()) return kNaN;
    text_ = value.view();
    simdjson::dom::element found;
    if (parser_.parse(text_)[name].get(found) != simdjson::SUCCESS) {
      ADD_FAILURE() << "no " << name << " in " << text_;
      return kNaN;
    }
    bool flag = false;
    if (found.get(flag) == simdjson::SUCCESS) return flag ? 1 : 0;
    double number = kNaN;
    if (found.get(number) != simdjson::SUCCESS) ADD_FAILURE() << text_;
    return number;
  }
  [[nodiscard]] std::string state() const {
    std::string out;
    remembered_->append_to(out);
    return out;
  }
  bool read(std::string_view state) {
    remembered_ = make_remembered(function_, 0);
    ByteReader reader(state);
    return remembered_->read(reader) && reader.empty();
  }
  [[nodiscard]] const std::string& text() const { return text_; }

 private:
  StateFunction function_;
  std::unique_ptr<Remembered> remembered_;
  Arena arena_;
  simdjson::dom::parser parser_;
  std::string text_;
};

// Advances at every look.
class SlowClock final : public Clock {
 public:
  [[nodiscard]] MonotonicTime monotonic() const override { return MonotonicTime(now_ += step); }
  [[nodiscard]] WallTime wall() const override { return {}; }
  Duration step{};

 private:
  mutable Duration now_{};
};

TEST(Predict, IsSaneSoonAfterReadingsOfAnySize) {
  const double sizes[] = {1e3, 1e9, 1e100, 1e200, 1e308};
  for (uint64_t seed = 0; seed < 300; ++seed) {
    SCOPED_TRACE(testing::Message() << "seed " << seed);
    Random random(seed);
    Call predict(StateFunction::kPredict);
    for (uint64_t i = random.below(40); i > 0; --i) predict({20 + random.normal()});
    for (uint64_t i = 1 + random.below(3); i > 0; --i) {
      const double size = sizes[random.below(std::size(sizes))];
      predict.member("value", {random.chance(0.5) ? size : -size});
      Call restored(StateFunction::kPredict);
      ASSERT_TRUE(restored.read(predict.state()));
    }
    double predicted = 0;
    for (int i = 0; i < 12; ++i) predicted = predict.member("value", {20 + random.normal()});
    EXPECT_NEAR(predicted, 20, 15);
    for (int i = 0; i < 100; ++i) predicted = predict.member("value", {20 + random.normal()});
    EXPECT_NEAR(predicted, 20, 5);
  }
}

TEST(Predict, FollowsARampAndAStep) {
  Call predict(StateFunction::kPredict);
  for (int i = 0; i < 100; ++i) predict({2.0 * i});
  EXPECT_NEAR(predict.member("value", {200}), 202, 1e-6);
  EXPECT_GT(predict.member("confidence", {202}), 0.9);
  predict({1000});
  EXPECT_NEAR(predict.member("value", {1000}), 1000, 1e-6);
}

TEST(Predict, BeginsAnewWhereAnEarlierVersionLearntWhatIsNoNumber) {
  std::string earlier;
  append_fixed(earlier, uint64_t{50});
  for (const double each : {1e200, 1.0, std::numeric_limits<double>::infinity(), 1.0, 1.0})
    append_fixed(earlier, std::bit_cast<uint64_t>(each));
  Call predict(StateFunction::kPredict);
  EXPECT_TRUE(predict.read(earlier));
  EXPECT_EQ(predict.member("value", {7}), 7);
  std::string sane;
  append_fixed(sane, uint64_t{50});
  for (const double each : {20.0, 1.0, 1.0, 1.0, 20.0}) append_fixed(sane, std::bit_cast<uint64_t>(each));
  ASSERT_TRUE(predict.read(sane));
  EXPECT_NEAR(predict.member("value", {21}), 22, 1e-9);
  EXPECT_FALSE(predict.read(std::string_view(sane).substr(1)));
}

TEST(Detectors, BeginAnewWhereTheStateIsOfAnEarlierVersion) {
  Call anomaly(StateFunction::kAnomaly);
  std::string state = anomaly.state();
  ByteReader reader(state);
  std::string saved(reader.sized());
  saved[0] = 1;
  std::string earlier;
  append_sized(earlier, saved);
  EXPECT_TRUE(anomaly.read(earlier));
  saved[0] = static_cast<char>(2);
  std::string damaged;
  append_sized(damaged, saved.substr(0, saved.size() - 1));
  EXPECT_FALSE(anomaly.read(damaged));
}

TEST(Fuse, GivesJsonOrNullWhateverItIsTold) {
  const double odd[] = {0,     1,   -1,     5,       1e200,    1e-200, 1e100, 1e-100,
                        1e308, 1e9, -1e308, 1.7e308, -1.7e308, 5e-324, 0.02,  kNaN};
  size_t given = 0;
  for (uint64_t seed = 0; seed < 3000; ++seed) {
    Random random(seed);
    const auto one = [&] { return odd[random.below(std::size(odd))]; };
    const std::vector<double> first = {-1.7e308, 1.7e308, one(), one()};
    const std::vector<double> second = {one(), one(), one(), one()};
    Call fuse(StateFunction::kFuse);
    int64_t time_us = 0;
    for (int i = 0; i < 20; ++i) {
      time_us += static_cast<int64_t>(random.below(random.chance(0.2) ? 1'000'000'000'000 : kSecond));
      std::vector<double> arguments = {one()};
      arguments.insert(arguments.end(), first.begin(), first.end());
      if (seed % 3 == 0) {
        arguments.push_back(one());
        arguments.insert(arguments.end(), second.begin(), second.end());
      }
      const double value = fuse.member("value", arguments, time_us);
      if (std::isnan(value)) continue;
      ++given;
      ASSERT_TRUE(std::isfinite(value)) << "seed " << seed;
      ASSERT_EQ(fuse.text().find("nan"), std::string::npos) << "seed " << seed << ": " << fuse.text();
      ASSERT_EQ(fuse.text().find("inf"), std::string::npos) << "seed " << seed << ": " << fuse.text();
      Call restored(StateFunction::kFuse);
      ASSERT_TRUE(restored.read(fuse.state())) << "seed " << seed;
    }
  }
  EXPECT_GT(given, 1000U);
}

TEST(Fuse, SaysWhichSensorsAreSilent) {
  Call fuse(StateFunction::kFuse);
  const auto at = [&](double radar, double sonic, int64_t ms) {
    return std::string(fuse({radar, 0, 160, 0.5, 20, sonic, 0, 8, 0.02, 50}, ms * 1000).view());
  };
  EXPECT_NE(at(5, 5, 0).find(R"("silent":[])"), std::string::npos);
  EXPECT_NE(at(5, kNaN, 50).find(R"("silent":[])"), std::string::npos);
  EXPECT_NE(at(5, kNaN, 100).find(R"("silent":[2])"), std::string::npos);
  EXPECT_NE(at(kNaN, kNaN, 300).find(R"("silent":[1,2])"), std::string::npos);
  EXPECT_NE(at(kNaN, 5, 310).find(R"("silent":[1])"), std::string::npos);
  Call restored(StateFunction::kFuse);
  ASSERT_TRUE(restored.read(fuse.state()));
  EXPECT_NE(std::string(restored({kNaN, 0, 160, 0.5, 20, 5, 0, 8, 0.02, 50}, 320'000).view()).find(R"("silent":[1])"),
            std::string::npos);
}

TEST(Fuse, CountsWhatIsLateAndAnswersWithTheFallback) {
  SlowClock clock;
  Call fuse(clock);
  const std::vector<double> reading = {50, 0, 160, 0.5, 0};
  const double in_time = fuse.member("value", reading, 0);
  EXPECT_EQ(fuse.member("is_fallback", reading, 10'000), 0);
  const uint64_t before = late_fusions();
  clock.step = std::chrono::milliseconds(11);
  EXPECT_LT(fuse.member("value", reading, 20'000), in_time);
  EXPECT_EQ(fuse.member("is_fallback", reading, 30'000), 1);
  EXPECT_EQ(fuse.member("is_late", reading, 40'000), 1);
  EXPECT_EQ(late_fusions() - before, 3U);
}

TEST(Bounded, KeepsACommandWithinRangeAndRate) {
  Call bounded(StateFunction::kBounded);
  const auto at = [&](double wanted, double seconds) {
    return bounded({wanted, 0, 100, 20, 10}, static_cast<int64_t>(seconds * kSecond)).as_double();
  };
  EXPECT_EQ(at(50, 0), 10) << "it begins at the safe command";
  EXPECT_EQ(at(50, 1), 30);
  EXPECT_EQ(at(50, 2), 50);
  EXPECT_EQ(at(1e9, 3), 70);
  EXPECT_EQ(at(1e9, 60), 100);
  EXPECT_EQ(at(90, 61), 90);
  EXPECT_EQ(at(kNaN, 61.1), 10) << "the way to the safe command is not slowed down";
  EXPECT_NEAR(at(90, 62.1), 30, 1e-3);
  EXPECT_NEAR(at(90, 50), 30, 1e-3) << "time that went back";
}

TEST(Bounded, IsSafeWhereBoundsAreNone) {
  Call bounded(StateFunction::kBounded);
  EXPECT_EQ(bounded({50, 0, 100, 20, 10}).as_double(), 10);
  EXPECT_EQ(bounded({50, 0, kNaN, 20, 10}, kSecond).as_double(), 10);
  EXPECT_EQ(bounded({50, 100, 0, 20, 10}, kSecond).as_double(), 10);
  EXPECT_EQ(bounded({50, 0, 100, 0, 10}, kSecond).as_double(), 10);
  EXPECT_EQ(bounded({50, 20, 100, 20, 10}, kSecond).as_double(), 10);
  EXPECT_TRUE(bounded({50, 0, 100, 20, kNaN}, kSecond).is_null());
}

TEST(Bounded, NoCommandLeavesItsBounds) {
  for (uint64_t seed = 0; seed < 200; ++seed) {
    Random random(seed);
    Call bounded(StateFunction::kBounded);
    double before = 0;
    int64_t time_us = 0;
    for (int i = 0; i < 50; ++i) {
      const int64_t step_us = static_cast<int64_t>(random.below(kSecond));
      time_us += step_us;
      const double wanted = random.chance(0.1) ? kNaN : std::pow(10, 300 * random.unit()) * random.normal();
      const double command = bounded({wanted, -5, 5, 2, 0}, time_us).as_double();
      ASSERT_TRUE(command >= -5 && command <= 5) << "seed " << seed;
      const double most = 2 * static_cast<double>(step_us) / kSecond + 1e-9;
      ASSERT_TRUE(command == 0 || std::fabs(command - before) <= most) << "seed " << seed;
      before = command;
    }
  }
}

}  // namespace
}  // namespace verge::rules

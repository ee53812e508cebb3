#include "series/reduction_choice.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <functional>
#include <optional>

#include "series/semantic.h"

namespace verge::series {
namespace {

constexpr std::array kBounded = {Method::kQuantization, Method::kDoor, Method::kDeadband, Method::kSemantic,
                                 Method::kTransform};
// Settings run from the finest to the coarsest in steps of a factor of 2^(1/4).
constexpr int kSettings = 81;
constexpr double kFinestShare = 1e-6;  // of the range
constexpr double kSettingFactor = 1.189207115002721;

double scale_of(const Window& window) {
  const double range = range_of(window.values);
  return range > 0 && std::isfinite(range) ? range : 1;
}

Choice tried(const Window& window, const Reduction& reduction, std::span<const size_t> exact, size_t season) {
  Choice choice;
  choice.reduction = reduction;
  choice.reduced = reduce(window, reduction, exact, season);
  choice.quality = std::clamp(1 - std::sqrt(choice.reduced.mean_square) / scale_of(window), 0.0, 1.0);
  return choice;
}

// Settings are tried by halving: a coarser one is (nearly always) smaller. Nothing where not even the coarsest fits;
// then `smallest` may be it.
std::optional<Choice> finest_that_fits(const std::function<Choice(int)>& at, int settings, size_t bytes_max,
                                       Choice& smallest) {
  std::optional<Choice> best;
  int fine = 0;
  int coarse = settings - 1;
  while (fine <= coarse) {
    const int middle = best || fine > 0 ? (fine + coarse) / 2 : coarse;  // the coarsest first
    Choice choice = at(middle);
    if (choice.reduced.record.size() < smallest.reduced.record.size()) smallest = choice;
    if (choice.reduced.record.size() <= bytes_max) {
      coarse = middle - 1;
      best = std::move(choice);
    } else if (middle == settings - 1) {
      return std::nullopt;
    } else {
      fine = middle + 1;
    }
  }
  return best;
}

}  // namespace

Choice smallest_within(const Window& window, double tolerance, std::span<const size_t> exact) {
  const size_t season = dominant_season(window.values);
  Choice smallest = tried(window, {.method = Method::kLossless}, exact, season);
  for (const Method method : kBounded) {
    Choice choice = tried(window, {.method = method, .tolerance = tolerance}, exact, season);
    if (choice.reduced.record.size() < smallest.reduced.record.size()) smallest = std::move(choice);
  }
  smallest.fits = true;
  return smallest;
}

Choice best_within(const Window& window, size_t bytes_max, std::span<const size_t> exact) {
  const size_t season = dominant_season(window.values);
  Choice smallest;
  for (const Method method : {Method::kRaw, Method::kLossless}) {
    Choice choice = tried(window, {.method = method}, exact, season);
    choice.fits = choice.reduced.record.size() <= bytes_max;
    if (choice.fits) return choice;
    if (method == Method::kRaw || choice.reduced.record.size() < smallest.reduced.record.size()) smallest = choice;
  }
  const double scale = scale_of(window);
  std::optional<Choice> best;
  const auto consider = [&](const std::function<Choice(int)>& at, int settings) {
    std::optional<Choice> choice = finest_that_fits(at, settings, bytes_max, smallest);
    if (choice && (!best || choice->quality > best->quality)) best = std::move(choice);
  };
  for (const Method method : kBounded) {
    consider(
        [&](int setting) {
          const double tolerance = scale * kFinestShare * std::pow(kSettingFactor, setting);
          return tried(window, {.method = method, .tolerance = tolerance, .is_bounded = false}, exact, season);
        },
        kSettings);
  }
  const int halvings = std::bit_width(window.values.size()) * 4;
  consider(
      [&](int setting) {
        const double kept = static_cast<double>(window.values.size()) / std::pow(kSettingFactor, setting);
        return tried(window,
                     {.method = Method::kSampling,
                      .tolerance = scale / 1000,
                      .kept = std::max<size_t>(2, static_cast<size_t>(kept)),
                      .is_bounded = false},
                     exact, season);
      },
      halvings);
  if (!best) return smallest;
  best->fits = true;
  return *best;
}

size_t bytes_until(double bits_per_second, double milliseconds) {
  const double bytes = std::floor(bits_per_second * milliseconds / 8000);
  return bytes >= 1e15 ? size_t{1'000'000'000'000'000} : bytes > 0 ? static_cast<size_t>(bytes) : 0;
}

}  // namespace verge::series

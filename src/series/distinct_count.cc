#include "series/distinct_count.h"

#include <algorithm>
#include <array>
#include <bit>
#include <cmath>

namespace verge::series {
namespace {

constexpr uint8_t kVersion = 1;
constexpr size_t kRegisters = size_t{1} << DistinctCount::kRegisterBits;
constexpr unsigned kRankBits = 64 - DistinctCount::kRegisterBits;  // ranks are 1 .. kRankBits + 1

// Ertl 2017, "New cardinality estimation algorithms for HyperLogLog sketches", algorithms 5 and 6.
double sigma(double x) {
  if (x == 1) return HUGE_VAL;
  double y = 1;
  double z = x;
  double before = 0;
  do {
    x *= x;
    before = z;
    z += x * y;
    y += y;
  } while (z != before);
  return z;
}

double tau(double x) {
  if (x == 0 || x == 1) return 0;
  double y = 1;
  double z = 1 - x;
  double before = 0;
  do {
    x = std::sqrt(x);
    before = z;
    y *= 0.5;
    z -= (1 - x) * (1 - x) * y;
  } while (z != before);
  return z / 3;
}

}  // namespace

void DistinctCount::add(uint64_t hash) {
  if (!is_exact()) return add_to_registers(hash);
  const auto place = std::ranges::lower_bound(hashes_, hash);
  if (place != hashes_.end() && *place == hash) return;
  if (hashes_.size() < kExactMax) {
    hashes_.insert(place, hash);
    return;
  }
  leave_exact();
  add_to_registers(hash);
}

void DistinctCount::leave_exact() {
  if (!is_exact()) return;
  registers_.assign(kRegisters, 0);
  for (const uint64_t hash : hashes_) add_to_registers(hash);
  hashes_.clear();
  hashes_.shrink_to_fit();
}

void DistinctCount::add_to_registers(uint64_t hash) {
  const size_t at = hash >> kRankBits;
  const uint64_t rest = hash << kRegisterBits;
  const auto rank =
      static_cast<uint8_t>(std::min<unsigned>(static_cast<unsigned>(std::countl_zero(rest)), kRankBits) + 1);
  registers_[at] = std::max(registers_[at], rank);
}

void DistinctCount::merge(const DistinctCount& other) {
  if (other.is_exact()) {
    for (const uint64_t hash : other.hashes_) add(hash);
    return;
  }
  leave_exact();
  for (size_t i = 0; i < kRegisters; ++i) registers_[i] = std::max(registers_[i], other.registers_[i]);
}

uint64_t DistinctCount::count() const {
  return is_exact() ? hashes_.size() : static_cast<uint64_t>(std::llround(estimate()));
}

double DistinctCount::estimate() const {
  std::array<double, kRankBits + 2> with_rank{};
  for (const uint8_t rank : registers_) with_rank[rank] += 1;
  constexpr double kCount = kRegisters;
  double sum = kCount * tau(1 - with_rank[kRankBits + 1] / kCount);
  for (unsigned rank = kRankBits; rank >= 1; --rank) sum = 0.5 * (sum + with_rank[rank]);
  sum += kCount * sigma(with_rank[0] / kCount);
  return kCount * kCount / (2 * std::log(2.0) * sum);
}

void DistinctCount::append_to(std::string& out) const {
  out.push_back(static_cast<char>(kVersion));
  out.push_back(is_exact() ? '\0' : '\1');
  if (!is_exact()) {
    out.append(registers_.begin(), registers_.end());
    return;
  }
  append_varint(out, hashes_.size());
  for (const uint64_t hash : hashes_) append_fixed(out, hash);
}

Result<DistinctCount> DistinctCount::read(ByteReader& in) {
  DistinctCount distinct;
  const auto damaged = [] {
    return fail("series.state-damaged", "the saved count is damaged or of another version", "begin with a fresh state");
  };
  if (in.fixed<uint8_t>() != kVersion) return damaged();
  if (in.fixed<uint8_t>() != 0) {
    const std::string_view registers = in.bytes(kRegisters);
    if (!in.ok()) return damaged();
    distinct.registers_.assign(registers.begin(), registers.end());
    if (std::ranges::any_of(distinct.registers_, [](uint8_t rank) { return rank > kRankBits + 1; })) return damaged();
    return distinct;
  }
  const uint64_t size = in.varint();
  if (!in.ok() || size > kExactMax) return damaged();
  for (uint64_t i = 0; i < size; ++i) distinct.hashes_.push_back(in.fixed<uint64_t>());
  const bool is_rising = std::ranges::adjacent_find(distinct.hashes_, std::greater_equal<>()) == distinct.hashes_.end();
  if (!in.ok() || !is_rising) return damaged();
  return distinct;
}

}  // namespace verge::series

// A small seeded generator (xoshiro256**, Blackman and Vigna 2018) and the operating system's entropy. A seed replays
// a run exactly; nothing here is for secrets except system_entropy().
#pragma once

#include <cstdint>
#include <string>

namespace verge {

class Random {
 public:
  explicit Random(uint64_t seed);
  uint64_t next();
  // Uniform in [0, bound); bound > 0.
  uint64_t below(uint64_t bound) {
    return static_cast<uint64_t>((static_cast<unsigned __int128>(next()) * bound) >> 64);
  }
  // Uniform in [0, 1).
  double unit() { return static_cast<double>(next() >> 11) * 0x1.0p-53; }
  bool chance(double probability) { return unit() < probability; }
  // Normal with mean 0 and standard deviation 1.
  double normal();

 private:
  uint64_t state_[4];
};

// Bytes from getrandom(2), fit for identifiers and secrets.
std::string system_entropy(size_t bytes);
uint64_t system_seed();

}  // namespace verge

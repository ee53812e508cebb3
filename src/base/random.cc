#include "base/random.h"

#include <bit>
#include <cmath>
#include <cstring>
#include <numbers>

#include <sys/random.h>

#include "base/assert.h"

namespace verge {

Random::Random(uint64_t seed) {
  for (uint64_t& word : state_) {  // splitmix64, as the authors of xoshiro advise for seeding
    seed += 0x9e3779b97f4a7c15ULL;
    uint64_t mixed = seed;
    mixed = (mixed ^ (mixed >> 30)) * 0xbf58476d1ce4e5b9ULL;
    mixed = (mixed ^ (mixed >> 27)) * 0x94d049bb133111ebULL;
    word = mixed ^ (mixed >> 31);
  }
}

uint64_t Random::next() {
  const uint64_t result = std::rotl(state_[1] * 5, 7) * 9;
  const uint64_t shifted = state_[1] << 17;
  state_[2] ^= state_[0];
  state_[3] ^= state_[1];
  state_[1] ^= state_[2];
  state_[0] ^= state_[3];
  state_[2] ^= shifted;
  state_[3] = std::rotl(state_[3], 45);
  return result;
}

double Random::normal() {
  const double radius = std::sqrt(-2.0 * std::log(1.0 - unit()));
  return radius * std::cos(2.0 * std::numbers::pi * unit());
}

std::string system_entropy(size_t bytes) {
  std::string out(bytes, '\0');
  size_t filled = 0;
  while (filled < bytes) {
    const ssize_t got = getrandom(out.data() + filled, bytes - filled, 0);
    VERGE_ASSERT(got > 0);
    filled += static_cast<size_t>(got);
  }
  return out;
}

uint64_t system_seed() {
  const std::string bytes = system_entropy(sizeof(uint64_t));
  uint64_t seed;
  std::memcpy(&seed, bytes.data(), sizeof(seed));
  return seed;
}

}  // namespace verge

// Numbers that look drawn by chance and are a function of a counter: a stream that is read again is scored the same.
#pragma once

#include <cstdint>

namespace verge::series {

// splitmix64's output function (Steele, Lea, Flood 2014).
inline uint64_t scattered(uint64_t counter) {
  uint64_t mixed = (counter + 1) * 0x9e3779b97f4a7c15U;
  mixed = (mixed ^ (mixed >> 30)) * 0xbf58476d1ce4e5b9U;
  mixed = (mixed ^ (mixed >> 27)) * 0x94d049bb133111ebU;
  return mixed ^ (mixed >> 31);
}

}  // namespace verge::series

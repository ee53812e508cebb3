// How many different values a window has: exact up to 512, from then on estimated with a standard error of 1.6 %.
//
// Values are given as 64-bit hashes (base/hash.h), whose collisions do not matter at such counts. Beyond the exact part
// it is a HyperLogLog of 4,096 registers (Flajolet et al. 2007) with Ertl's estimator (2017), which needs no
// corrections by range. Counts merge into what one count of all values would be.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

#include "base/bytes.h"
#include "base/error.h"

namespace verge::series {

class DistinctCount {
 public:
  static constexpr size_t kExactMax = 512;
  static constexpr unsigned kRegisterBits = 12;

  void add(uint64_t hash);
  void merge(const DistinctCount& other);

  [[nodiscard]] bool is_exact() const { return registers_.empty(); }
  [[nodiscard]] uint64_t count() const;

  void append_to(std::string& out) const;
  static Result<DistinctCount> read(ByteReader& in);

 private:
  void add_to_registers(uint64_t hash);
  void leave_exact();
  [[nodiscard]] double estimate() const;

  std::vector<uint64_t> hashes_;    // sorted, while there are no registers
  std::vector<uint8_t> registers_;  // the longest run of zeros, plus 1, of the hashes of each
};

}  // namespace verge::series

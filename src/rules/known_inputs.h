// KnownInputs: which numbered messages a rule has already taken, so that one that is sent again is taken once.
//
// A loop sees a part of what a device sends: the numbers of its messages have gaps here though the device left none
// out. What a device may send again is what it has under way, so that many stretches are kept of one that is heard of.
//
// Bounds: kSourcesMax senders, the one unheard of for longest is forgotten first; kStretchesMax stretches of numbers a
// sender, the lowest quarter is forgotten first; kStretchesTotalMax of all, those of the senders unheard of for longest
// first. A repetition of what was forgotten is taken again; nothing new is ever left out.
#pragma once

#include <cstdint>
#include <list>
#include <string>
#include <string_view>
#include <unordered_map>

#include "base/bytes.h"
#include "base/interval_set.h"

namespace verge::rules {

class KnownInputs {
 public:
  static constexpr size_t kSourcesMax = 16'384;
  static constexpr size_t kStretchesMax = 1024;
  static constexpr size_t kStretchesTotalMax = 131'072;  // 16 bytes each

  // False when it was taken before.
  bool enter(std::string_view source, uint64_t sequence);

  [[nodiscard]] size_t stretches() const { return stretches_; }
  void append_to(std::string& out) const;
  // Adds what append_to() wrote; false when it is something else.
  bool read(ByteReader& in);

 private:
  struct Source {
    std::string name;
    IntervalSet taken;
  };

  Source& source_of(std::string_view name);
  void forget_last();
  void keep_bounds(Source& source, size_t stretches_before);

  size_t stretches_ = 0;      // of all
  std::list<Source> by_use_;  // the one heard of last first
  std::unordered_map<std::string_view, std::list<Source>::iterator> places_;
};

}  // namespace verge::rules

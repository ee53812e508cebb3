// Ledger: what each source has already given us, so that nothing is stored twice. A source is a child's stream (node
// id, spool incarnation, priority) or a device that numbers its messages.
//
// Durable by way of the log: every record from a source carries source and sequence, and a start reads those of the
// records written since the last snapshot. A snapshot is written before any segment is removed.
// Bounds: `sources_max` devices and as many children's streams, the longest unused is forgotten first (a repetition
// from it would be stored again); kIntervalsMax stretches a source. Beyond that a child's records are refused until
// some holes are filled; of a device, whose numbers may have gaps for good, the lowest stretch is forgotten likewise.
#pragma once

#include <cstdint>
#include <list>
#include <string>
#include <string_view>
#include <unordered_map>

#include "base/error.h"
#include "base/hash.h"
#include "base/interval_set.h"

namespace verge::spool {

class Ledger {
 public:
  static constexpr size_t kIntervalsMax = 4096;

  enum class Entry { kNew, kKnown, kTooManyHoles };

  explicit Ledger(size_t sources_max) : sources_max_(sources_max) {}

  // Notes that `sequence` came from `source`.
  Entry enter(std::string_view source, uint64_t sequence);
  [[nodiscard]] bool contains(std::string_view source, uint64_t sequence) const;
  // Takes an entry back that could not be stored.
  void withdraw(std::string_view source, uint64_t sequence);
  void raise_floor(std::string_view source, uint64_t floor);

  [[nodiscard]] size_t sources() const { return entries_.size(); }
  // The stretches of the source that has most.
  [[nodiscard]] size_t intervals_most() const;

  // docs/formats/spool.md, without the file's header and checksum.
  void write(std::string& out) const;
  // Adds what write() wrote. False when the bytes are not that.
  bool read(std::string_view bytes);

 private:
  struct Source {
    std::string name;
    IntervalSet seen;
  };
  IntervalSet& seen_of(std::string_view source);
  [[nodiscard]] static bool is_device(std::string_view source) { return source.starts_with('d'); }

  const size_t sources_max_;
  std::list<Source> children_;  // most recently used first
  std::list<Source> devices_;   // likewise
  std::unordered_map<std::string_view, std::list<Source>::iterator, StringHash> entries_;
};

}  // namespace verge::spool

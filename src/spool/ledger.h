// Ledger: what each source has already given us, so that nothing is stored twice. A source is a child's stream (node
// id, spool incarnation, priority) or a device that numbers its messages.
//
// Durable by way of the log: every record from a source carries source and sequence, and a start reads those of the
// records written since the last snapshot. A snapshot is written before any segment is removed.
// Bounds: `sources_max` devices and as many children's streams, the longest unused is forgotten first (a repetition
// from it would be stored again); kIntervalsMax stretches a source, and `stretches_max` of all children, as of all
// others, together. Beyond that a child's records are refused until some holes are filled: it has them, and what is in
// order makes none. Of a device, whose numbers may have gaps for good, the lowest stretch is forgotten, and for all
// together the longest unused device. Nothing new is ever taken for known.
#pragma once

#include <array>
#include <cstdint>
#include <functional>
#include <list>
#include <optional>
#include <string>
#include <string_view>
#include <unordered_map>

#include "base/error.h"
#include "base/hash.h"
#include "base/interval_set.h"
#include "model/priority.h"

namespace verge::spool {

class Ledger {
 public:
  static constexpr size_t kIntervalsMax = 4096;
  static constexpr size_t kStretchesMax = 2U << 20;  // 16 bytes each

  static constexpr size_t kFileBytesMax = 1U << 30;
  static std::string path(const std::string& spool_directory) { return spool_directory + "/ledger"; }

  enum class Entry { kNew, kKnown, kTooManyHoles };

  explicit Ledger(size_t sources_max, size_t stretches_max = kStretchesMax)
      : sources_max_(sources_max), stretches_max_(stretches_max) {}

  // Notes that `sequence` came from `source`.
  Entry enter(std::string_view source, uint64_t sequence);
  [[nodiscard]] bool contains(std::string_view source, uint64_t sequence) const;
  // Takes an entry back that could not be stored.
  void withdraw(std::string_view source, uint64_t sequence);
  void raise_floor(std::string_view source, uint64_t floor);

  [[nodiscard]] size_t sources() const { return entries_.size(); }
  // Of all sources.
  [[nodiscard]] size_t stretches() const { return children_.stretches + others_.stretches; }
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
  // Those that share a bound.
  struct Group {
    std::list<Source> by_use;  // most recently used first
    size_t stretches = 0;      // of all of them
  };

  Group& group_of(std::string_view source) { return is_child(source) ? children_ : others_; }
  IntervalSet& seen_of(std::string_view source);
  // Changes what was seen of the source.
  void change(std::string_view source, const std::function<void(IntervalSet& seen)>& change);
  void forget_longest_unused(Group& group);
  void make_room_for_stretch(std::string_view device);
  // All but children number with gaps that nothing ever fills: devices ('d') and dead letters ('l').
  [[nodiscard]] static bool is_child(std::string_view source) { return source.starts_with('n'); }

  const size_t sources_max_;
  const size_t stretches_max_;
  Group children_;
  Group others_;
  std::unordered_map<std::string_view, std::list<Source>::iterator, StringHash> entries_;
};

// The file `ledger`: by stream, the first sequence that it does not know; then what the ledger has.
using LedgerCoverage = std::array<uint64_t, kPriorities.size()>;
std::string ledger_file(const LedgerCoverage& covered, const Ledger& ledger);
// Nothing when these are not the bytes of such a file; then `into` may have a part of them.
std::optional<LedgerCoverage> read_ledger_file(std::string_view content, Ledger& into);

}  // namespace verge::spool

// Lives: under which identity the parent knows a spool's records. Each start of the spool begins a life, with a random
// identity of its own for the sequences that are given from then on.
//
// The problem: to the parent a sequence that it has seen is a repetition. A data directory that is put back as it was
// earlier, or runs in two copies, gives sequences again that its parent knows, and what is new would count as
// delivered. No disk can tell that it was put back; but whatever was put back is started, and what it gives from then
// on has an identity that nobody has seen (docs/decisions/0033-lives.md).
//
// Kept in the file `lives` (docs/formats/spool.md): two slots, written in turn and in place, since a disk may be full
// when a node starts; the sound one with the higher generation counts.
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/error.h"
#include "model/node_id.h"
#include "model/priority.h"
#include "storage/file_system.h"

namespace verge::spool {

class Lives {
 public:
  static constexpr size_t kSlotBytes = 16384;
  // Those that gave what is still here. Of more, the oldest two become one: what of it was under way may
  // come to the parent twice.
  static constexpr size_t kMost = 256;

  using Sequences = std::array<uint64_t, kPriorities.size()>;  // one a stream
  struct Life {
    NodeId id;
    Sequences begin{};  // the first sequence of each stream that it gave, or would have
    bool operator==(const Life&) const = default;
  };

  // Of a spool that was opened.
  struct Start {
    NodeId id;              // of the life that begins, never used before
    NodeId first_id;        // of what was given before there were lives
    Sequences next{};       // what is given from now on begins here
    Sequences done{};       // nothing below is on the disk any more, whatever a power cut brings back
    bool is_fresh = false;  // nothing was ever given under first_id: that is the life's
  };
  // Reads what was noted, begins a life and notes it durably. Where the disk has no space for that, or what was noted
  // cannot be read, that is added to `said`: spool.life-not-noted (the one before goes on), spool.lives-lost. Errors:
  // any other failure to note it; then it is not known what a later start will find.
  static Result<Lives> start(storage::FileSystem& file_system, const std::string& spool_directory, const Start& start,
                             std::vector<Error>& said);

  // From `next` on sequences are a new life's. Lives that gave nothing, and those all of whose sequences are below
  // `done`, are forgotten.
  void begin(const NodeId& id, const Sequences& next, const Sequences& done);

  // Which life gave the sequence, and the first one after it that another did (UINT64_MAX: none). There is one at
  // least.
  struct Part {
    NodeId id;
    uint64_t end = UINT64_MAX;
  };
  [[nodiscard]] Part part_of(Priority stream, uint64_t sequence) const;
  [[nodiscard]] const std::vector<Life>& all() const { return lives_; }

  static std::string path(const std::string& spool_directory) { return spool_directory + "/lives"; }
  // Nothing when there is no sound slot.
  [[nodiscard]] static std::optional<Lives> parse(std::string_view content);
  // What the file is made of: both slots.
  [[nodiscard]] std::string content() const { return slot() + slot(); }

 private:
  [[nodiscard]] std::string slot() const;
  // In place of the older slot where both are there; else in place of the whole file.
  [[nodiscard]] Result<void> note(storage::FileSystem& file_system, const std::string& path) const;

  uint64_t generation_ = 0;
  std::vector<Life> lives_;  // oldest first
};

}  // namespace verge::spool

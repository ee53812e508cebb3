// Sliding and COUNT windows: the last readings of a group, by time or by number, emitted with a reading.
//
// Where there is no room for another group, the one of a COUNT window that was silent for longest, and for
// kSilentMicroseconds at least, ends with what it has.
//
// The readings are kept, encoded, and aggregated anew for each emission; of a COUNT window whose step is its count
// nothing needs to be kept but the aggregates.
#pragma once

#include <deque>
#include <list>
#include <unordered_map>

#include "base/hash.h"
#include "rules/window.h"

namespace verge::rules {

inline constexpr int64_t kSilentMicroseconds = 600'000'000;

class RecentWindow final : public Window {
 public:
  RecentWindow(const WindowSpec& spec, std::vector<AggregateCall> aggregates)
      : spec_(spec), aggregates_(std::move(aggregates)) {}

  [[nodiscard]] bool add(const WindowReading& reading, int64_t now_us, bool has_room,
                         std::vector<Emission>& out) override;
  // Forgets the groups of sliding windows that have no reading left.
  void advance(int64_t now_us, std::vector<Emission>& out) override;
  // Of a COUNT window, what has begun and is not full.
  void drain(std::vector<Emission>& out) override;
  // When groups that fell silent are to be forgotten.
  [[nodiscard]] std::optional<int64_t> next_end_us() const override {
    if (spec_.kind != WindowKind::kSliding || groups_.empty()) return std::nullopt;
    return looked_us_ + spec_.size_us;
  }
  [[nodiscard]] size_t bytes() const override { return bytes_; }
  [[nodiscard]] bool is_empty() const override { return groups_.empty(); }
  void append_to(std::string& out) const override;
  bool read(ByteReader& in, const IsMine& mine) override;

 private:
  struct Kept {
    int64_t time_us = 0;
    std::string values;  // encoded
  };
  struct Group {
    std::deque<Kept> readings;
    uint64_t since_emission = 0;  // readings of a COUNT window
    int64_t start_us = 0;         // of the one that runs, where only aggregates are kept
    int64_t last_us = 0;          // when a reading came last
    Accumulators accumulators;    // likewise of the one that runs
    std::list<std::string_view>::iterator use;
  };
  using Groups = std::unordered_map<std::string, Group, StringHash, std::equal_to<>>;

  [[nodiscard]] bool keeps_readings() const { return spec_.kind == WindowKind::kSliding || spec_.every < spec_.count; }
  void keep(Group& group, const WindowReading& reading);
  void drop_first(Group& group);
  // Makes room where a COUNT window has a group that was silent for long: what it has is emitted. False: there is none.
  bool end_silent(int64_t now_us, std::vector<Emission>& out);
  void forget(Groups::iterator group);
  // What a COUNT window has begun of the group.
  void emit_begun(Groups::value_type& group, std::vector<Emission>& out) const;
  [[nodiscard]] Emission aggregated(const Groups::value_type& group) const;
  void count(Groups::iterator group, const WindowReading& reading, std::vector<Emission>& out);
  void forget_silent(int64_t now_us);

  const WindowSpec spec_;
  const std::vector<AggregateCall> aggregates_;
  Groups groups_;
  std::list<std::string_view> uses_;  // their keys, the last used first
  size_t bytes_ = 0;
  int64_t looked_us_ = INT64_MIN / 2;  // when groups were looked through last
};

}  // namespace verge::rules

// Session windows: a group's readings with no gap between them as long as `gap`, and no longer than `longest` in all.
#pragma once

#include <set>
#include <unordered_map>

#include "base/hash.h"
#include "rules/window.h"

namespace verge::rules {

class SessionWindow final : public Window {
 public:
  SessionWindow(int64_t gap_us, int64_t longest_us, std::vector<AggregateCall> aggregates)
      : gap_us_(gap_us), longest_us_(longest_us), aggregates_(std::move(aggregates)) {}

  [[nodiscard]] bool add(const WindowReading& reading, int64_t now_us, bool has_room,
                         std::vector<Emission>& out) override;
  void advance(int64_t now_us, std::vector<Emission>& out) override;
  void drain(std::vector<Emission>& out) override;
  [[nodiscard]] std::optional<int64_t> next_end_us() const override;
  [[nodiscard]] size_t bytes() const override { return bytes_; }
  [[nodiscard]] bool is_empty() const override { return sessions_.empty(); }
  void append_to(std::string& out) const override;
  bool read(ByteReader& in, const IsMine& mine) override;

 private:
  struct Session {
    int64_t start_us = 0;
    int64_t last_us = 0;
    uint64_t number = 0;  // in the order of their beginnings
    Accumulators accumulators;
  };
  using Sessions = std::unordered_map<std::string, Session, StringHash, std::equal_to<>>;

  // When it ends unless a reading comes.
  [[nodiscard]] int64_t end_of(const Session& session) const;
  void note_end(const Sessions::value_type& session) {
    ends_.emplace(end_of(session.second), session.second.number, &session.first);
  }
  void forget_end(const Sessions::value_type& session) {
    ends_.erase({end_of(session.second), session.second.number, &session.first});
  }
  void emit(Sessions::iterator session, std::vector<Emission>& out);

  const int64_t gap_us_;
  const int64_t longest_us_;
  const std::vector<AggregateCall> aggregates_;
  Sessions sessions_;
  std::set<std::tuple<int64_t, uint64_t, const std::string*>> ends_;
  uint64_t begun_ = 0;
  size_t bytes_ = 0;
};

}  // namespace verge::rules

#include "rules/session_window.h"

#include <algorithm>

namespace verge::rules {

int64_t SessionWindow::end_of(const Session& session) const {
  return std::min(session.last_us + gap_us_, session.start_us + longest_us_);
}

bool SessionWindow::add(const WindowReading& reading, int64_t, bool has_room, std::vector<Emission>& out) {
  auto known = sessions_.find(reading.key);
  if (known != sessions_.end() && reading.time_us >= end_of(known->second)) {
    emit(known, out);
    known = sessions_.end();
  }
  if (known == sessions_.end()) {
    if (sessions_.size() == kWindowGroupsMax || !has_room) return false;
    known =
        sessions_
            .emplace(reading.key, Session{reading.time_us, reading.time_us, begun_++, make_accumulators(aggregates_)})
            .first;
    bytes_ += bytes_of(known->first, known->second.accumulators);
  } else {
    forget_end(*known);
  }
  Session& session = known->second;
  session.last_us = std::max(session.last_us, reading.time_us);
  session.start_us = std::min(session.start_us, reading.time_us);
  note_end(*known);
  const size_t before = bytes_of(known->first, session.accumulators);
  add_reading(session.accumulators, reading.values, reading.time_us);
  bytes_ += bytes_of(known->first, session.accumulators) - before;
  return true;
}

void SessionWindow::emit(Sessions::iterator session, std::vector<Emission>& out) {
  forget_end(*session);
  bytes_ -= bytes_of(session->first, session->second.accumulators);
  out.push_back(
      {session->second.start_us, end_of(session->second), session->first, std::move(session->second.accumulators)});
  sessions_.erase(session);
}

void SessionWindow::advance(int64_t now_us, std::vector<Emission>& out) {
  while (!ends_.empty() && std::get<0>(*ends_.begin()) <= now_us) {
    emit(sessions_.find(*std::get<2>(*ends_.begin())), out);
  }
}

void SessionWindow::drain(std::vector<Emission>& out) {
  while (!ends_.empty()) emit(sessions_.find(*std::get<2>(*ends_.begin())), out);
}

std::optional<int64_t> SessionWindow::next_end_us() const {
  if (ends_.empty()) return std::nullopt;
  return std::get<0>(*ends_.begin());
}

void SessionWindow::append_to(std::string& out) const {
  append_varint(out, sessions_.size());
  for (const auto& [end, number, key] : ends_) {
    const Session& session = sessions_.find(*key)->second;
    append_sized(out, *key);
    append_fixed(out, static_cast<uint64_t>(session.start_us));
    append_fixed(out, static_cast<uint64_t>(session.last_us));
    append_accumulators(out, session.accumulators);
  }
}

bool SessionWindow::read(ByteReader& in, const IsMine& mine) {
  for (uint64_t count = in.varint(); count > 0 && in.ok(); --count) {
    const std::string_view key = in.sized();
    Session session{.accumulators = make_accumulators(aggregates_)};
    session.start_us = static_cast<int64_t>(in.fixed<uint64_t>());
    session.last_us = static_cast<int64_t>(in.fixed<uint64_t>());
    session.number = begun_++;
    if (!is_sane_time(session.start_us) || !is_sane_time(session.last_us)) return false;
    if (!read_accumulators(in, session.accumulators)) return false;
    if (!mine(key)) continue;
    const auto [added, is_new] = sessions_.emplace(key, std::move(session));
    if (!is_new) return false;
    note_end(*added);
    bytes_ += bytes_of(added->first, added->second.accumulators);
  }
  return in.ok();
}

}  // namespace verge::rules

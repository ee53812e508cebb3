#include "planner/dependencies.h"

#include <algorithm>

namespace verge::planner {

Dependencies::Dependencies(size_t sites) : sites_(sites), newest_(sites, none()), waiting_(sites) {}

DependencySet Dependencies::none() {
  DependencySet set;
  set.fill(kNone);
  return set;
}

void Dependencies::unite(DependencySet& into, const DependencySet& other) {
  for (size_t site = 0; site < into.size(); ++site) {
    if (other[site] == kNone) continue;
    into[site] = into[site] == kNone ? other[site] : std::max(into[site], other[site]);
  }
}

DependencySet Dependencies::observe(size_t site, uint32_t operation, size_t owner, const DependencySet& asked) {
  DependencySet answer = asked;
  unite(answer, newest_[site]);
  if (answer[owner] == operation) answer[owner] = asked[owner];
  uint32_t& newest = newest_[site][owner];
  newest = newest == kNone ? operation : std::max(newest, operation);
  return answer;
}

Dependencies::Known& Dependencies::known(uint32_t operation) {
  if (operation >= slot_of_.size()) slot_of_.resize(operation + operation / 2 + 64, kNone);
  if (slot_of_[operation] == kNone) {
    slot_of_[operation] = static_cast<uint32_t>(known_.size());
    known_.emplace_back();
  }
  return known_[slot_of_[operation]];
}

void Dependencies::commit(size_t site, uint32_t operation, size_t owner, const DependencySet& depends_on) {
  Known& entry = known(operation);
  entry.depends_on = depends_on;
  entry.is_decided = true;
  entry.owner = static_cast<uint8_t>(owner);
  waiting_[site].push_back(operation);
}

// Whether everything that the operation depends on is committed at the site; seen_ then holds all of it.
bool Dependencies::is_complete(size_t site, uint32_t operation) {
  ++visit_;
  seen_.clear();
  stack_.assign(1, operation);
  while (!stack_.empty()) {
    const uint32_t next = stack_.back();
    stack_.pop_back();
    Known& entry = known(next);
    if (entry.visited == visit_ || (entry.executed_at >> site & 1U) != 0) continue;
    entry.visited = visit_;
    if (!entry.is_decided || (entry.committed_at >> site & 1U) == 0) return false;
    seen_.push_back(next);
    for (size_t other = 0; other < sites_; ++other) {
      if (entry.depends_on[other] != kNone) stack_.push_back(entry.depends_on[other]);
    }
  }
  return true;
}

void Dependencies::mark_executed(size_t site) {
  for (const uint32_t operation : seen_) known(operation).executed_at |= uint64_t{1} << site;
}

void Dependencies::learn(size_t site, uint32_t operation, std::vector<uint32_t>& executable) {
  known(operation).committed_at |= uint64_t{1} << site;
  std::vector<uint32_t>& waiting = waiting_[site];
  std::erase_if(waiting, [&](uint32_t own) {
    if (!is_complete(site, own)) return false;
    mark_executed(site);
    executable.push_back(own);
    return true;
  });
}

}  // namespace verge::planner

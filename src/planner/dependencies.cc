#include "planner/dependencies.h"

#include <algorithm>

namespace verge::planner {
namespace {

void raise(uint32_t& to, uint32_t position) {
  if (position != kNone && (to == kNone || to < position)) to = position;
}

}  // namespace

Dependencies::Dependencies(size_t sites) : sites_(sites), newest_(sites, none()), orders_(sites), known_(sites) {
  for (Known& known : known_) {
    known.is_committed.resize(sites);
    known.committed.resize(sites);
    known.reach = none();
  }
}

DependencySet Dependencies::none() {
  DependencySet set;
  set.fill(kNone);
  return set;
}

void Dependencies::unite(DependencySet& into, const DependencySet& other) {
  for (size_t site = 0; site < into.size(); ++site) raise(into[site], other[site]);
}

uint32_t Dependencies::position_of(uint32_t operation, size_t owner) {
  if (operation >= positions_.size()) positions_.resize(operation + operation / 2 + 64, kNone);
  uint32_t& position = positions_[operation];
  if (position == kNone) {
    Order& order = orders_[owner];
    position = static_cast<uint32_t>(order.operations.size());
    order.operations.push_back(operation);
    order.reached.push_back(none());
    order.is_decided.push_back(false);
  }
  return position;
}

DependencySet Dependencies::observe(size_t site, uint32_t operation, size_t owner, const DependencySet& asked) {
  const uint32_t position = position_of(operation, owner);
  DependencySet answer = asked;
  unite(answer, newest_[site]);
  if (answer[owner] == position) answer[owner] = asked[owner];
  raise(newest_[site][owner], position);
  return answer;
}

void Dependencies::commit(uint32_t operation, size_t owner, const DependencySet& depends_on) {
  Order& order = orders_[owner];
  const uint32_t position = position_of(operation, owner);
  order.reached[position] = depends_on;
  order.is_decided[position] = true;
  for (; order.decided < order.operations.size() && order.is_decided[order.decided]; ++order.decided) {
    if (order.decided > 0) unite(order.reached[order.decided], order.reached[order.decided - 1]);
  }
}

void Dependencies::learn(size_t site, uint32_t operation, size_t owner, std::vector<uint32_t>& executable) {
  Known& known = known_[site];
  const uint32_t position = position_of(operation, owner);
  std::vector<bool>& is_committed = known.is_committed[owner];
  if (position >= is_committed.size()) is_committed.resize(position + position / 2 + 64);
  is_committed[position] = true;
  size_t& committed = known.committed[owner];
  while (committed < is_committed.size() && is_committed[committed]) ++committed;
  while (is_complete(site)) executable.push_back(orders_[site].operations[known.executed++]);
}

// Whether the site's own next operation is committed there, and everything that it reaches. What it reaches the one
// after it reaches too, and what is committed stays so: the vector goes on from where it stood.
bool Dependencies::is_complete(size_t site) {
  Known& known = known_[site];
  if (known.executed >= known.committed[site]) return false;
  raise(known.reach[site], static_cast<uint32_t>(known.executed));
  for (bool has_grown = true; has_grown;) {
    const DependencySet before = known.reach;
    for (size_t leader = 0; leader < sites_; ++leader) {
      const uint32_t last = known.reach[leader];
      if (last == kNone) continue;
      if (last >= known.committed[leader]) return false;
      unite(known.reach, orders_[leader].reached[last]);
    }
    has_grown = known.reach != before;
  }
  return true;
}

}  // namespace verge::planner

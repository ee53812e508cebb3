#include "cache/pending_fetches.h"

namespace verge::cache {

bool PendingFetches::begin(std::string_view url, const Settled& settled) {
  const std::lock_guard lock(mutex_);
  const auto pending = urls_.find(url);
  if (pending == urls_.end()) {
    urls_.emplace(url, std::vector<Settled>());
    return true;
  }
  pending->second.push_back(settled);
  return false;
}

bool PendingFetches::begin_alone(std::string_view url) {
  const std::lock_guard lock(mutex_);
  return urls_.try_emplace(std::string(url)).second;
}

void PendingFetches::settle(std::string_view url, const Outcome& outcome) {
  std::vector<Settled> waiting;
  {
    const std::lock_guard lock(mutex_);
    const auto pending = urls_.find(url);
    if (pending == urls_.end()) return;
    waiting = std::move(pending->second);
    urls_.erase(pending);
  }
  for (const Settled& settled : waiting) settled(outcome);
}

size_t PendingFetches::size() const {
  const std::lock_guard lock(mutex_);
  return urls_.size();
}

}  // namespace verge::cache

// Which URLs are being fetched, so that many requests for one make one request to the origin (request collapsing).
//
// The first to ask fetches; the others wait until the head of the answer is there. If it may be stored they read it
// while it arrives; if not, each goes to the origin for itself, and the store notes that the next ones need not wait.
// If no head came, that is so for all of them: an origin that fails is not asked once for each.
//
// Threads: all functions from any.
#pragma once

#include <functional>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "base/error.h"
#include "base/hash.h"
#include "cache/store.h"

namespace verge::cache {

class PendingFetches {
 public:
  // What became of a fetch.
  struct Outcome {
    Store::AnswerPointer answer;   // that is there now; null: it cannot be shared
    std::optional<Error> failure;  // no head came
  };
  // Called once, on the thread that settles.
  using Settled = std::function<void(const Outcome&)>;

  // True: the caller fetches, and calls settle() when the head is there or never will be. Else `settled` is kept.
  bool begin(std::string_view url, const Settled& settled);
  // True when nobody is at it: the caller fetches and settles. For what nobody waits for.
  bool begin_alone(std::string_view url);
  void settle(std::string_view url, const Outcome& outcome);
  [[nodiscard]] size_t size() const;

 private:
  mutable std::mutex mutex_;
  std::unordered_map<std::string, std::vector<Settled>, StringHash, std::equal_to<>> urls_;
};

}  // namespace verge::cache

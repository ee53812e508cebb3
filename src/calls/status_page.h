// The page of memory that an isolate process writes and its node reads (docs/formats/isolate-frames.md, "The page"):
// what runs there now, for telling whose fault an end was and which calls had not begun.
//
// The process is not trusted: what it writes here decides who gets which error message, never whether a limit holds.
#pragma once

#include <atomic>
#include <cstdint>

namespace verge::calls {

enum class EndReason : uint32_t { kUnknown, kMemory, kCpu, kBreach };

inline constexpr uint32_t kLacksLandlock = 1;
inline constexpr uint32_t kLacksSeccomp = 2;
inline constexpr uint32_t kLacksIdlePriority = 4;
inline constexpr uint32_t kLacksTurns = 8;  // nobody in it gives way

struct StatusPage {
  std::atomic<uint32_t> begun_call;
  std::atomic<uint32_t> running_call;  // 0: none
  std::atomic<uint64_t> entries;       // odd while code runs
  std::atomic<uint64_t> running_worker;
  std::atomic<EndReason> end_reason;
  std::atomic<uint32_t> lacks;
};
static_assert(sizeof(StatusPage) == 32 && std::atomic<uint64_t>::is_always_lock_free);
inline constexpr size_t kStatusPageBytes = 4096;

}  // namespace verge::calls

// The messages between a node and its zygote (docs/formats/isolate-frames.md, "The zygote").
#pragma once

#include <cstdint>

namespace verge::calls {

// The descriptor that a zygote is started with.
inline constexpr int kControlDescriptor = 3;

struct ControlRequest {
  enum What : uint32_t { kFork = 1, kFurther = 2 };
  uint32_t what;
  uint32_t number;
  uint64_t data_bytes;
};
static_assert(sizeof(ControlRequest) == 16);

struct ControlAnswer {
  enum What : uint32_t { kForked = 1, kEnded = 2 };
  uint32_t what;
  uint32_t number;   // of the request
  uint32_t process;  // 0: there is none
  uint32_t status;   // kEnded: as waitpid(2) gives it
};
static_assert(sizeof(ControlAnswer) == 16);

}  // namespace verge::calls

// The records of sessions in a log that anything may have happened to: what is read makes an image, which written again
// is the same.
#include <cstdint>
#include <cstdlib>
#include <string>
#include <string_view>

#include "mqtt/session_image.h"

using namespace verge::mqtt;

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* bytes, size_t size) {
  constexpr Clocks kNow{.wall_us = 1'700'000'000'000'000, .monotonic = {}};
  SessionImage image;
  image.apply({reinterpret_cast<const char*>(bytes), size}, {}, kNow);
  SessionImage again;
  image.snapshot(1000, kNow, [&](std::string_view batch) {
    if (!again.apply(batch, {}, kNow)) abort();
    return true;
  });
  if (again.sessions().size() != image.sessions().size()) abort();
  if (again.retained().size() != image.retained().size()) abort();
  for (const auto& [name, session] : image.sessions()) {
    const auto found = again.sessions().find(name);
    if (found == again.sessions().end() || found->second.waiting.size() != session.waiting.size() ||
        found->second.receipts != session.receipts || (found->second.will != nullptr) != (session.will != nullptr) ||
        found->second.subscriptions.size() != session.subscriptions.size()) {
      abort();
    }
  }
  return 0;
}

// What is on the disk may be damaged: records of queues are read from any bytes. What they make is written as a
// snapshot, which must make the same.
#include <cstdint>
#include <cstdlib>
#include <string>
#include <string_view>

#include "queues/queue_image.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace verge::queues;
  QueueImage image, again;
  static_cast<void>(image.apply({reinterpret_cast<const char*>(data), size}));
  image.snapshot(64, [&](std::string_view records) {
    if (!again.apply(records)) abort();
    return true;
  });
  if (again.bytes() != image.bytes() || again.last_id() != image.last_id()) abort();
  for (const auto& [name, queue] : image.queues()) {
    const QueueImage::Queue* its = again.find(name);
    if ((its == nullptr ? 0 : its->messages.size()) != queue.messages.size()) abort();
    if (queue.due.size() != queue.messages.size()) abort();
  }
  return 0;
}

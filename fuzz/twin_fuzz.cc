// Requests about a twin: whatever they are, what is made of them is a document that the next request can be about, in
// which the same request changes nothing more than the version.
#include <cstdint>
#include <cstdlib>
#include <string>
#include <string_view>

#include "mqtt/twin_document.h"

using namespace verge::mqtt;

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* bytes, size_t size) {
  const std::string_view input(reinterpret_cast<const char*>(bytes), size);
  // Two requests, divided by the first zero byte.
  const size_t end = input.find('\0');
  const std::string_view first = input.substr(0, end);
  const std::string_view second = end == std::string_view::npos ? first : input.substr(end + 1);
  constexpr size_t kBytesMax = 1U << 20;
  const auto made = changed_twin("d", {}, first, 1, kBytesMax);
  if (!made) return 0;
  if (!check_twin("d", made->document, {})) abort();
  (void)twin_accepted("d", made->document, first);
  const auto again = changed_twin("d", made->document, R"({"reported":{}})", 1, kBytesMax);
  if (!again && again.error().code != "twin.too-large") abort();
  if (again && again->is_delta_new) abort();
  const auto changed = changed_twin("d", made->document, second, 1, kBytesMax);
  if (!changed) (void)twin_rejected(changed.error(), second);
  return 0;
}

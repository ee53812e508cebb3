// The header that says what is known after a message: whatever text is read as a set is the text of that set.
#include <cstdint>
#include <cstdlib>
#include <string_view>

#include "jetstream/known_set.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  const auto known = verge::jetstream::read_known(text);
  if (!known) return 0;
  if (verge::jetstream::write_known(*known) != text) std::abort();
  if (known->intervals().size() > verge::jetstream::kKnownRangesMax) std::abort();
  return 0;
}

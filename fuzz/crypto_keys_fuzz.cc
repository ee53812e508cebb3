// Keys from outside: whatever the bytes are, what is taken for a key can be given out and taken in again, as the same.
#include <cstdint>
#include <cstdlib>
#include <string_view>

#include "workers/crypto_keys.h"

using namespace verge::workers;

namespace {

void check(bool holds) {
  if (!holds) std::abort();
}

void check_key(Family family, const Outcome<CryptoKeyPointer>& key) {
  if (!key) return;
  const CryptoKey& its = **key;
  const auto numbers = export_numbers(its);
  const auto der = its.is_private() ? export_pkcs8(its) : export_spki(its);
  check(numbers && der);
  const auto again = its.is_private() ? import_pkcs8(family, *der) : import_spki(family, *der);
  check(again && export_numbers(**again) == *numbers);
  const auto by_numbers = import_numbers(family, *numbers);
  check(by_numbers && export_numbers(**by_numbers) == *numbers);
}

}  // namespace

// The first byte chooses the family and the form.
extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  if (size == 0) return 0;
  const auto family = static_cast<Family>(1 + data[0] % 6);
  const std::string_view bytes(reinterpret_cast<const char*>(data) + 1, size - 1);
  switch (data[0] / 6 % 3) {
    case 0:
      check_key(family, import_spki(family, bytes));
      break;
    case 1:
      check_key(family, import_pkcs8(family, bytes));
      break;
    default:
      if (family != Family::Rsa) check_key(family, import_raw(family, bytes));
  }
  return 0;
}

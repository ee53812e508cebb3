// What a client says in an exchange by SCRAM, and lines of the password file: whatever comes, nobody is let in who does
// not know the password, and what is taken for the keys of a password can be computed with.
#include <cstdint>
#include <cstdlib>
#include <string_view>

#include "crypto/scram.h"

using namespace verge::crypto;

namespace {

void check(bool holds) {
  if (!holds) std::abort();
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const std::string_view input(reinterpret_cast<const char*>(data), size);
  if (const auto keys = parse_scram(input)) check(keys->iterations > 0 && !keys->salt.empty());
  static const ScramKeys kKeys = *derive_scram("pencil", "salt", 1);
  ScramExchange exchange([](std::string_view) { return std::optional(kKeys); },
                         [](std::string_view) { return std::string("salt"); }, "nonce");
  // First and final message, with a line end between.
  const size_t end = input.find('\n');
  const std::string challenge = exchange.take(input.substr(0, end));
  check(challenge.empty() == (exchange.state() == ScramExchange::State::kFailed));
  if (end == std::string_view::npos || challenge.empty()) return 0;
  check(!exchange.user().empty());
  exchange.take(input.substr(end + 1));
  check(exchange.state() == ScramExchange::State::kFailed);  // the proof depends on a hash that the input is part of
  return 0;
}

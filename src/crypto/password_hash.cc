#include "crypto/password_hash.h"

#include <array>
#include <charconv>
#include <optional>
#include <vector>

#include <fmt/format.h>
#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/rand.h>

namespace verge::crypto {
namespace {

constexpr size_t kSaltBytes = 16;
constexpr size_t kHashBytes = 32;
constexpr uint64_t kMemoryMax = 64ULL << 20;

struct Cost {
  uint64_t log_n = 14;
  uint64_t r = 8;
  uint64_t p = 1;
};

struct Parsed {
  Cost cost;
  std::string salt;
  std::string hash;
};

std::string to_base64(std::string_view bytes) {
  std::string text(4 * ((bytes.size() + 2) / 3) + 1, '\0');
  const int size =
      EVP_EncodeBlock(reinterpret_cast<unsigned char*>(text.data()),
                      reinterpret_cast<const unsigned char*>(bytes.data()), static_cast<int>(bytes.size()));
  text.resize(static_cast<size_t>(size));
  while (text.ends_with('=')) text.pop_back();
  return text;
}

std::optional<std::string> from_base64(std::string_view text) {
  std::string padded(text);
  if (text.empty() || text.size() > 1024 || text.find('=') != std::string_view::npos || text.size() % 4 == 1) {
    return std::nullopt;
  }
  const size_t padding = (4 - padded.size() % 4) % 4;
  padded.append(padding, '=');
  std::string bytes(padded.size() / 4 * 3, '\0');
  const int size =
      EVP_DecodeBlock(reinterpret_cast<unsigned char*>(bytes.data()),
                      reinterpret_cast<const unsigned char*>(padded.data()), static_cast<int>(padded.size()));
  if (size < 0) return std::nullopt;
  bytes.resize(static_cast<size_t>(size) - padding);
  return bytes;
}

bool derive(std::string_view password, std::string_view salt, const Cost& cost, std::string& out) {
  return EVP_PBE_scrypt(password.data(), password.size(), reinterpret_cast<const unsigned char*>(salt.data()),
                        salt.size(), 1ULL << cost.log_n, cost.r, cost.p, 2 * kMemoryMax,
                        reinterpret_cast<unsigned char*>(out.data()), out.size()) == 1;
}

// "name=12" off the front, and the comma behind it.
bool take_number(std::string_view& text, std::string_view name, uint64_t& number) {
  if (!text.starts_with(name)) return false;
  text.remove_prefix(name.size());
  const auto [end, problem] = std::from_chars(text.data(), text.data() + text.size(), number);
  if (problem != std::errc{}) return false;
  text.remove_prefix(static_cast<size_t>(end - text.data()));
  if (text.starts_with(',')) text.remove_prefix(1);
  return true;
}

std::optional<Parsed> parse(std::string_view text) {
  constexpr std::string_view kPrefix = "$scrypt$";
  if (!text.starts_with(kPrefix)) return std::nullopt;
  text.remove_prefix(kPrefix.size());
  const size_t salt_at = text.find('$');
  const size_t hash_at = salt_at == std::string_view::npos ? salt_at : text.find('$', salt_at + 1);
  if (hash_at == std::string_view::npos) return std::nullopt;
  Parsed parsed;
  std::string_view costs = text.substr(0, salt_at);
  if (!take_number(costs, "ln=", parsed.cost.log_n) || !take_number(costs, "r=", parsed.cost.r) ||
      !take_number(costs, "p=", parsed.cost.p) || !costs.empty()) {
    return std::nullopt;
  }
  const auto& [log_n, r, p] = parsed.cost;
  if (log_n < 1 || log_n > 24 || r < 1 || r > 64 || p < 1 || p > 16 || (128 * r << log_n) > kMemoryMax) {
    return std::nullopt;
  }
  std::optional<std::string> salt = from_base64(text.substr(salt_at + 1, hash_at - salt_at - 1));
  std::optional<std::string> hash = from_base64(text.substr(hash_at + 1));
  if (!salt || !hash || hash->size() < 16) return std::nullopt;
  parsed.salt = std::move(*salt);
  parsed.hash = std::move(*hash);
  return parsed;
}

}  // namespace

Result<std::string> hash_password(std::string_view password) {
  std::array<unsigned char, kSaltBytes> random{};
  const Cost cost;
  std::string hash(kHashBytes, '\0');
  const bool has_salt = RAND_bytes(random.data(), static_cast<int>(random.size())) == 1;
  const std::string salt(random.begin(), random.end());
  if (!has_salt || !derive(password, salt, cost, hash)) {
    return fail("crypto.unavailable", "this system's OpenSSL offers no scrypt",
                "check its configuration (openssl.cnf, OPENSSL_CONF): the default provider must be active");
  }
  return fmt::format("$scrypt$ln={},r={},p={}${}${}", cost.log_n, cost.r, cost.p, to_base64(salt), to_base64(hash));
}

bool is_password_hash(std::string_view text) { return parse(text).has_value(); }

bool verify_password(std::string_view hash, std::string_view password) {
  const std::optional<Parsed> parsed = parse(hash);
  if (!parsed) return false;
  std::string derived(parsed->hash.size(), '\0');
  return derive(password, parsed->salt, parsed->cost, derived) &&
         CRYPTO_memcmp(derived.data(), parsed->hash.data(), derived.size()) == 0;
}

}  // namespace verge::crypto

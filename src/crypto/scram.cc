#include "crypto/scram.h"

#include <algorithm>
#include <array>
#include <charconv>

#include <fmt/format.h>
#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <openssl/rand.h>

#include "base/text.h"

namespace verge::crypto {
namespace {

constexpr size_t kHashBytes = 32;
constexpr size_t kSaltBytes = 16;
constexpr size_t kNonceBytes = 18;
constexpr size_t kUserBytesMax = 1024;
constexpr size_t kNonceBytesMax = 256;  // of the client's
constexpr uint32_t kIterationsMax = 1'000'000;
constexpr std::string_view kPrefix = "SCRAM-SHA-256$";

const unsigned char* raw(std::string_view bytes) { return reinterpret_cast<const unsigned char*>(bytes.data()); }
unsigned char* raw(std::string& bytes) { return reinterpret_cast<unsigned char*>(bytes.data()); }

// Empty when the library refuses: that is nobody's key.
std::string hmac(std::string_view key, std::string_view message) {
  std::string code(kHashBytes, '\0');
  const bool made = HMAC(EVP_sha256(), key.data(), static_cast<int>(key.size()), raw(message), message.size(),
                         raw(code), nullptr) != nullptr;
  return made ? code : std::string();
}

std::string sha256(std::string_view message) {
  std::string digest(kHashBytes, '\0');
  const bool made = EVP_Digest(message.data(), message.size(), raw(digest), nullptr, EVP_sha256(), nullptr) == 1;
  return made ? digest : std::string();
}

std::string random_bytes(size_t count) {
  std::string bytes(count, '\0');
  return RAND_bytes(raw(bytes), static_cast<int>(count)) == 1 ? bytes : std::string();
}

bool are_equal(std::string_view a, std::string_view b) {
  return a.size() == b.size() && CRYPTO_memcmp(a.data(), b.data(), a.size()) == 0;
}

bool is_printable(std::string_view text) {
  return std::ranges::all_of(text, [](char c) { return c >= 0x20 && c < 0x7f; });
}

std::unexpected<Error> unavailable() {
  return verge::fail("crypto.unavailable", "this system's OpenSSL offers no PBKDF2 with SHA-256",
                     "check its configuration (openssl.cnf, OPENSSL_CONF): the default provider must be active");
}

// "r=…" off the front, and the comma behind it; nothing where it is another attribute.
std::optional<std::string_view> take_attribute(std::string_view& rest, char name) {
  if (rest.size() < 2 || rest[0] != name || rest[1] != '=') return std::nullopt;
  const size_t end = std::min(rest.find(','), rest.size());
  const std::string_view value = rest.substr(2, end - 2);
  rest.remove_prefix(std::min(end + 1, rest.size()));
  return value;
}

// ',' and '=' are written =2C and =3D.
std::optional<std::string> parse_name(std::string_view text) {
  std::string name;
  for (size_t i = 0; i < text.size(); ++i) {
    if (text[i] != '=') {
      name.push_back(text[i]);
      continue;
    }
    const std::string_view code = text.substr(i, 3);
    if (code != "=2C" && code != "=3D") return std::nullopt;
    name.push_back(code == "=2C" ? ',' : '=');
    i += 2;
  }
  if (name.empty() || name.size() > kUserBytesMax || !is_utf8(name)) return std::nullopt;
  return name;
}

}  // namespace

Result<ScramKeys> derive_scram(std::string_view password, std::string_view salt, uint32_t iterations) {
  std::string salted(kHashBytes, '\0');
  if (PKCS5_PBKDF2_HMAC(password.data(), static_cast<int>(password.size()), raw(salt), static_cast<int>(salt.size()),
                        static_cast<int>(iterations), EVP_sha256(), static_cast<int>(salted.size()),
                        raw(salted)) != 1) {
    return unavailable();
  }
  ScramKeys keys{.salt = std::string(salt),
                 .iterations = iterations,
                 .stored_key = sha256(hmac(salted, "Client Key")),
                 .server_key = hmac(salted, "Server Key")};
  if (keys.stored_key.empty() || keys.server_key.empty()) return unavailable();
  return keys;
}

Result<std::string> hash_scram_password(std::string_view password) {
  if (password.empty() || !is_printable(password)) {
    return verge::fail("crypto.password", "a password for SCRAM has printable ASCII characters",
                       "choose one without umlauts and the like");
  }
  const std::string salt = random_bytes(kSaltBytes);
  if (salt.empty()) return unavailable();
  const Result<ScramKeys> keys = derive_scram(password, salt, kScramIterations);
  if (!keys) return std::unexpected(keys.error());
  return fmt::format("{}{}:{}${}:{}", kPrefix, keys->iterations, base64(keys->salt), base64(keys->stored_key),
                     base64(keys->server_key));
}

std::optional<ScramKeys> parse_scram(std::string_view text) {
  if (!text.starts_with(kPrefix)) return std::nullopt;
  text.remove_prefix(kPrefix.size());
  const size_t colon = text.find(':');
  const size_t dollar = text.find('$');
  const size_t last = text.rfind(':');
  if (colon == std::string_view::npos || dollar == std::string_view::npos || colon > dollar || last < dollar) {
    return std::nullopt;
  }
  ScramKeys keys;
  const auto [end, problem] = std::from_chars(text.data(), text.data() + colon, keys.iterations);
  const bool is_count = problem == std::errc{} && end == text.data() + colon;
  if (!is_count || keys.iterations == 0 || keys.iterations > kIterationsMax) return std::nullopt;
  const auto salt = from_base64(text.substr(colon + 1, dollar - colon - 1));
  const auto stored_key = from_base64(text.substr(dollar + 1, last - dollar - 1));
  const auto server_key = from_base64(text.substr(last + 1));
  if (!salt || salt->empty() || !stored_key || stored_key->size() != kHashBytes || !server_key ||
      server_key->size() != kHashBytes) {
    return std::nullopt;
  }
  keys.salt = *salt;
  keys.stored_key = *stored_key;
  keys.server_key = *server_key;
  return keys;
}

bool verify_scram(const ScramKeys& keys, std::string_view password) {
  const Result<ScramKeys> derived = derive_scram(password, keys.salt, keys.iterations);
  return derived && are_equal(derived->stored_key, keys.stored_key);
}

ScramExchange::ScramExchange(Find find, std::function<std::string(std::string_view user)> made_up, std::string nonce)
    : find_(std::move(find)), made_up_(std::move(made_up)), nonce_(std::move(nonce)) {
  if (nonce_.empty()) nonce_ = base64(random_bytes(kNonceBytes));
  if (nonce_.empty()) state_ = State::kFailed;
}

std::string ScramExchange::fail() {
  state_ = State::kFailed;
  return {};
}

std::string ScramExchange::take(std::string_view message) {
  switch (state_) {
    case State::kFirst:
      return take_first(message);
    case State::kFinal:
      return take_final(message);
    default:
      return fail();
  }
}

// RFC 5802 section 7: gs2-header, then "n=USER,r=NONCE" and what extends it. "y": the client would bind to a channel,
// and was told that this side does not.
std::string ScramExchange::take_first(std::string_view message) {
  if (!message.starts_with("n,,") && !message.starts_with("y,,")) return fail();
  header_ = message.substr(0, 3);
  const std::string_view bare = message.substr(3);
  std::string_view rest = bare;
  const auto name = take_attribute(rest, 'n');
  const auto nonce = take_attribute(rest, 'r');
  if (!name || !nonce || nonce->empty() || nonce->size() > kNonceBytesMax || !is_printable(*nonce)) return fail();
  std::optional<std::string> user = parse_name(*name);
  if (!user) return fail();
  user_ = std::move(*user);
  std::optional<ScramKeys> keys = find_(user_);
  is_known_ = keys.has_value();
  if (!keys) {
    keys = ScramKeys{.salt = made_up_(user_),
                     .iterations = kScramIterations,
                     .stored_key = std::string(kHashBytes, '\0'),
                     .server_key = std::string(kHashBytes, '\0')};
  }
  keys_ = std::move(*keys);
  nonce_.insert(0, *nonce);
  std::string answer = fmt::format("r={},s={},i={}", nonce_, base64(keys_.salt), keys_.iterations);
  messages_ = fmt::format("{},{}", bare, answer);
  state_ = State::kFinal;
  return answer;
}

// "c=BASE64 OF THE GS2-HEADER,r=NONCE,…,p=PROOF".
std::string ScramExchange::take_final(std::string_view message) {
  const size_t proof_at = message.rfind(",p=");
  if (proof_at == std::string_view::npos) return fail();
  std::string_view rest = message.substr(0, proof_at);
  const auto binding = take_attribute(rest, 'c');
  const auto nonce = take_attribute(rest, 'r');
  if (!binding || *binding != base64(header_) || !nonce || *nonce != nonce_) return fail();
  const std::optional<std::string> proof = from_base64(message.substr(proof_at + 3));
  if (!proof || proof->size() != kHashBytes) return fail();
  messages_.append(",").append(message.substr(0, proof_at));
  std::string client_key = hmac(keys_.stored_key, messages_);
  if (client_key.empty()) return fail();
  for (size_t i = 0; i < client_key.size(); ++i) client_key[i] = static_cast<char>(client_key[i] ^ (*proof)[i]);
  if (!are_equal(sha256(client_key), keys_.stored_key) || !is_known_) return fail();
  state_ = State::kDone;
  return "v=" + base64(hmac(keys_.server_key, messages_));
}

}  // namespace verge::crypto

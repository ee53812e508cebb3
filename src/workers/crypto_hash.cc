#define OPENSSL_SUPPRESS_DEPRECATED  // the states of hashes, which nothing else in OpenSSL 3 gives as plain memory
#include "workers/crypto_hash.h"

#include <algorithm>

#include <openssl/crypto.h>
#include <openssl/sha.h>

namespace verge::workers {
namespace {

constexpr std::size_t kPieceBytes = 256u << 10;
constexpr std::uint64_t kRoundsBetweenLooks = 512;

std::string_view view_of(const unsigned char* bytes, std::size_t size) {
  return {reinterpret_cast<const char*>(bytes), size};
}

template <class State>
State* as(std::array<std::byte, 216>& state) {
  static_assert(sizeof(State) <= 216 && alignof(State) <= 8);
  return reinterpret_cast<State*>(state.data());
}

// The key's block, each byte with `mask`.
Hash half(HashName name, std::string_view key, unsigned char mask) {
  std::array<unsigned char, SHA512_CBLOCK> block{};
  const std::size_t block_bytes = hash_block_bytes(name);
  if (key.size() > block_bytes) {
    Hash hash(name);
    hash.add(key);
    hash.finish(block.data());
  } else {
    std::ranges::copy(key, block.begin());
  }
  for (unsigned char& byte : block) byte ^= mask;
  Hash hash(name);
  hash.add(view_of(block.data(), block_bytes));
  OPENSSL_cleanse(block.data(), block.size());
  return hash;
}

}  // namespace

std::size_t hash_bytes(HashName name) {
  switch (name) {
    case HashName::Sha1:
      return SHA_DIGEST_LENGTH;
    case HashName::Sha256:
      return SHA256_DIGEST_LENGTH;
    case HashName::Sha384:
      return SHA384_DIGEST_LENGTH;
    case HashName::Sha512:
      return SHA512_DIGEST_LENGTH;
  }
  return 0;
}

std::size_t hash_block_bytes(HashName name) {
  return name == HashName::Sha1 || name == HashName::Sha256 ? SHA_CBLOCK : SHA512_CBLOCK;
}

Hash::Hash(HashName name) : state_(), name_(name) {
  switch (name) {
    case HashName::Sha1:
      SHA1_Init(as<SHA_CTX>(state_));
      break;
    case HashName::Sha256:
      SHA256_Init(as<SHA256_CTX>(state_));
      break;
    case HashName::Sha384:
      SHA384_Init(as<SHA512_CTX>(state_));
      break;
    case HashName::Sha512:
      SHA512_Init(as<SHA512_CTX>(state_));
      break;
  }
}

void Hash::add(std::string_view bytes) {
  if (bytes.empty()) return;
  switch (name_) {
    case HashName::Sha1:
      SHA1_Update(as<SHA_CTX>(state_), bytes.data(), bytes.size());
      break;
    case HashName::Sha256:
      SHA256_Update(as<SHA256_CTX>(state_), bytes.data(), bytes.size());
      break;
    case HashName::Sha384:
    case HashName::Sha512:
      SHA512_Update(as<SHA512_CTX>(state_), bytes.data(), bytes.size());
      break;
  }
}

void Hash::finish(unsigned char* out) {
  switch (name_) {
    case HashName::Sha1:
      SHA1_Final(out, as<SHA_CTX>(state_));
      break;
    case HashName::Sha256:
      SHA256_Final(out, as<SHA256_CTX>(state_));
      break;
    case HashName::Sha384:
    case HashName::Sha512:  // the state knows how much of it is wanted
      SHA512_Final(out, as<SHA512_CTX>(state_));
      break;
  }
}

Hmac::Hmac(HashName name, std::string_view key) : inner_(half(name, key, 0x36)), outer_(half(name, key, 0x5C)) {}

Hmac::~Hmac() {
  OPENSSL_cleanse(&inner_, sizeof(inner_));
  OPENSSL_cleanse(&outer_, sizeof(outer_));
}

void Hmac::end(Hash& inner, unsigned char* out) const {
  inner.finish(out);
  Hash outer = outer_;
  outer.add(view_of(out, hash_bytes(outer.name())));
  outer.finish(out);
}

std::string Hmac::sign(std::string_view message) const {
  Hash inner = begin();
  inner.add(message);
  std::string code(hash_bytes(name()), '\0');
  end(inner, reinterpret_cast<unsigned char*>(code.data()));
  return code;
}

bool Hmac::verify(std::string_view message, std::string_view signature) const {
  Hash inner = begin();
  inner.add(message);
  std::array<unsigned char, kHashBytesMax> code;
  end(inner, code.data());
  return equal_in_constant_time(view_of(code.data(), hash_bytes(name())), signature);
}

std::optional<std::string> digest(HashName name, std::string_view bytes, const Stop& stop) {
  Hash hash(name);
  while (bytes.size() > kPieceBytes) {
    hash.add(bytes.substr(0, kPieceBytes));
    bytes.remove_prefix(kPieceBytes);
    if (stop()) return std::nullopt;
  }
  hash.add(bytes);
  std::string out(hash_bytes(name), '\0');
  hash.finish(reinterpret_cast<unsigned char*>(out.data()));
  return out;
}

std::optional<std::string> hkdf(HashName name, std::string_view secret, std::string_view salt, std::string_view info,
                                std::size_t bytes) {
  const std::size_t step = hash_bytes(name);
  if (bytes > 255 * step) return std::nullopt;
  const Hmac expand(name, Hmac(name, salt).sign(secret));
  std::string out;
  out.reserve(bytes + step);
  std::string last;
  for (unsigned char count = 1; out.size() < bytes; ++count) {
    Hash inner = expand.begin();
    inner.add(last);
    inner.add(info);
    inner.add(view_of(&count, 1));
    last.resize(step);
    expand.end(inner, reinterpret_cast<unsigned char*>(last.data()));
    out += last;
  }
  wipe(last);
  out.resize(bytes);
  return out;
}

std::optional<std::string> pbkdf2(HashName name, std::string_view password, std::string_view salt,
                                  std::uint64_t iterations, std::size_t bytes, const Stop& stop) {
  const Hmac hmac(name, password);
  const std::size_t step = hash_bytes(name);
  std::string out;
  out.reserve(bytes + step);
  std::array<unsigned char, kHashBytesMax> last;
  std::array<unsigned char, kHashBytesMax> sum;
  for (std::uint32_t block = 1; out.size() < bytes; ++block) {
    const std::array<unsigned char, 4> number = {
        static_cast<unsigned char>(block >> 24), static_cast<unsigned char>(block >> 16),
        static_cast<unsigned char>(block >> 8), static_cast<unsigned char>(block)};
    Hash inner = hmac.begin();
    inner.add(salt);
    inner.add(view_of(number.data(), number.size()));
    hmac.end(inner, last.data());
    sum = last;
    for (std::uint64_t round = 1; round < iterations; ++round) {
      Hash next = hmac.begin();
      next.add(view_of(last.data(), step));
      hmac.end(next, last.data());
      for (std::size_t at = 0; at < step; ++at) sum[at] ^= last[at];
      if (round % kRoundsBetweenLooks == 0 && stop()) return std::nullopt;
    }
    out.append(view_of(sum.data(), step));
    if (block % kRoundsBetweenLooks == 0 && stop()) return std::nullopt;
  }
  out.resize(bytes);
  return out;
}

bool equal_in_constant_time(std::string_view one, std::string_view other) {
  return one.size() == other.size() && CRYPTO_memcmp(one.data(), other.data(), one.size()) == 0;
}

void wipe(std::string& secret) {
  OPENSSL_cleanse(secret.data(), secret.size());
  secret.clear();
}

}  // namespace verge::workers

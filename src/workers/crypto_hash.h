// What is made of hash functions alone: SHA-1 and SHA-2 (FIPS 180-4), HMAC (RFC 2104), HKDF (RFC 5869), PBKDF2
// (RFC 8018). On OpenSSL's own state of a hash, which is plain memory: it is copied where a keyed hash begins anew,
// which makes an HMAC of a short message four blocks and no allocation, and PBKDF2 can be stopped between two rounds.
//
// Threading: one thread an object; functions from any.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <string_view>

namespace verge::workers {

enum class HashName : std::uint8_t { Sha1, Sha256, Sha384, Sha512 };
inline constexpr std::size_t kHashBytesMax = 64;
std::size_t hash_bytes(HashName name);
std::size_t hash_block_bytes(HashName name);

// Asked now and then by what may run long: true ends it.
using Stop = std::function<bool()>;

class Hash {
 public:
  explicit Hash(HashName name);
  void add(std::string_view bytes);
  // hash_bytes(name) bytes; once.
  void finish(unsigned char* out);
  [[nodiscard]] HashName name() const { return name_; }

 private:
  alignas(8) std::array<std::byte, 216> state_;
  HashName name_;
};

// A key made ready: its two halves are hashed once.
class Hmac {
 public:
  Hmac(HashName name, std::string_view key);
  Hmac(const Hmac&) = default;
  Hmac& operator=(const Hmac&) = default;
  ~Hmac();  // wipes them
  [[nodiscard]] std::string sign(std::string_view message) const;
  // In a time that depends on lengths only.
  [[nodiscard]] bool verify(std::string_view message, std::string_view signature) const;
  // The two halves, for what hashes in pieces: begin() is fed, and end() makes the code of it.
  [[nodiscard]] Hash begin() const { return inner_; }
  void end(Hash& inner, unsigned char* out) const;
  [[nodiscard]] HashName name() const { return inner_.name(); }

 private:
  Hash inner_;
  Hash outer_;
};

// Nothing: it was stopped. Asked every 256 KiB.
std::optional<std::string> digest(HashName name, std::string_view bytes, const Stop& stop);
// Nothing: more than 255 hashes are wanted.
std::optional<std::string> hkdf(HashName name, std::string_view secret, std::string_view salt, std::string_view info,
                                std::size_t bytes);
// Nothing: it was stopped. Asked every 512 rounds. `iterations` is 1 or more.
std::optional<std::string> pbkdf2(HashName name, std::string_view password, std::string_view salt,
                                  std::uint64_t iterations, std::size_t bytes, const Stop& stop);

// In a time that depends on the lengths only. False where these differ.
bool equal_in_constant_time(std::string_view one, std::string_view other);
void wipe(std::string& secret);

}  // namespace verge::workers

#include "workers/crypto_ciphers.h"

#include <algorithm>
#include <array>

#include <openssl/crypto.h>
#include <openssl/evp.h>

namespace verge::workers {
namespace {

constexpr std::size_t kBlock = 16;
constexpr std::size_t kPieceBytes = 256u << 10;
// Longer nonces of GCM OpenSSL does not take.
constexpr std::size_t kOpensslNonceMax = 128;
constexpr std::size_t kGcmNonce = 12;

enum class Mode : std::size_t { Gcm, Cbc, Ctr, Wrap, Ecb };
constexpr std::array kModes = {"GCM", "CBC", "CTR", "WRAP", "ECB"};

struct Free {
  void operator()(EVP_CIPHER_CTX* context) const { EVP_CIPHER_CTX_free(context); }
};
using Context = std::unique_ptr<EVP_CIPHER_CTX, Free>;
using Block = std::array<unsigned char, kBlock>;

const unsigned char* bytes_of(std::string_view text) { return reinterpret_cast<const unsigned char*>(text.data()); }
unsigned char* space_of(std::string& text, std::size_t at = 0) {
  return reinterpret_cast<unsigned char*>(text.data()) + at;
}
std::unexpected<Fault> failed() { return std::unexpected(Fault::Operation); }

// Fetched once for the process, and never freed.
const EVP_CIPHER* cipher_of(Mode mode, std::size_t key_bytes) {
  static const auto all = [] {
    std::array<std::array<const EVP_CIPHER*, 3>, kModes.size()> fetched{};
    for (std::size_t at = 0; at < kModes.size(); ++at) {
      for (std::size_t size = 0; size < 3; ++size) {
        const std::string name = "AES-" + std::to_string(128 + 64 * size) + "-" + kModes[at];
        fetched[at][size] = EVP_CIPHER_fetch(nullptr, name.c_str(), nullptr);
      }
    }
    return fetched;
  }();
  if (key_bytes != 16 && key_bytes != 24 && key_bytes != 32) return nullptr;
  return all[static_cast<std::size_t>(mode)][(key_bytes - 16) / 8];
}

Context context_of(Mode mode, std::string_view key, const unsigned char* vector, bool encrypts) {
  Context context(EVP_CIPHER_CTX_new());
  const EVP_CIPHER* cipher = cipher_of(mode, key.size());
  if (mode == Mode::Wrap) EVP_CIPHER_CTX_set_flags(context.get(), EVP_CIPHER_CTX_FLAG_WRAP_ALLOW);
  if (cipher == nullptr ||
      EVP_CipherInit_ex2(context.get(), cipher, bytes_of(key), vector, encrypts ? 1 : 0, nullptr) != 1) {
    context.reset();
  }
  return context;
}

// Appends to `out` what becomes of `text`.
Outcome<void> update(EVP_CIPHER_CTX* context, std::string_view text, std::string& out, const Stop& stop) {
  std::size_t at = out.size();
  out.resize(at + text.size() + kBlock);
  while (!text.empty()) {
    const std::string_view piece = text.substr(0, kPieceBytes);
    text.remove_prefix(piece.size());
    int written = 0;
    if (EVP_CipherUpdate(context, space_of(out, at), &written, bytes_of(piece), static_cast<int>(piece.size())) != 1) {
      return failed();
    }
    at += static_cast<std::size_t>(written);
    if (!text.empty() && stop()) return std::unexpected(Fault::Stopped);
  }
  out.resize(at);
  return {};
}

Outcome<void> finish(EVP_CIPHER_CTX* context, std::string& out) {
  Block last{};
  int written = 0;
  if (EVP_CipherFinal_ex(context, last.data(), &written) != 1) return failed();
  out.append(reinterpret_cast<const char*>(last.data()), static_cast<std::size_t>(written));
  return {};
}

// --- GCM with a long nonce

Block block_of(std::string_view bytes) {
  Block block{};
  std::ranges::copy(bytes.substr(0, kBlock), block.begin());
  return block;
}

// SP 800-38D 6.4, GHASH, in a time that depends on lengths only.
class Ghash {
 public:
  explicit Ghash(const Block& key) : key_(key) {}
  void add_padded(std::string_view bytes) {
    for (; !bytes.empty(); bytes.remove_prefix(std::min(kBlock, bytes.size()))) add(block_of(bytes));
  }
  void add_lengths(std::uint64_t first_bytes, std::uint64_t second_bytes) {
    Block block{};
    for (unsigned at = 0; at < 8; ++at) {
      block[at] = static_cast<unsigned char>((first_bytes * 8) >> (56 - 8 * at));
      block[8 + at] = static_cast<unsigned char>((second_bytes * 8) >> (56 - 8 * at));
    }
    add(block);
  }
  [[nodiscard]] const Block& value() const { return value_; }

 private:
  void add(const Block& block) {
    for (std::size_t at = 0; at < kBlock; ++at) value_[at] ^= block[at];
    Block product{};
    Block shifted = key_;
    for (unsigned bit = 0; bit < 128; ++bit) {
      const auto mask = static_cast<unsigned char>(-((value_[bit / 8] >> (7 - bit % 8)) & 1));
      for (std::size_t at = 0; at < kBlock; ++at) product[at] ^= shifted[at] & mask;
      const auto carry = static_cast<unsigned char>(-(shifted[kBlock - 1] & 1));
      for (std::size_t at = kBlock - 1; at > 0; --at) {
        shifted[at] = static_cast<unsigned char>(shifted[at] >> 1 | shifted[at - 1] << 7);
      }
      shifted[0] = static_cast<unsigned char>(shifted[0] >> 1) ^ (carry & 0xE1);
    }
    value_ = product;
  }

  const Block key_;
  Block value_{};
};

std::string_view view_of(const Block& block) { return {reinterpret_cast<const char*>(block.data()), kBlock}; }

Outcome<std::string> gcm_with_long_nonce(bool encrypts, std::string_view key, std::string_view nonce,
                                         std::string_view associated, std::size_t tag_bytes, std::string_view text,
                                         const Stop& stop) {
  const Context context = context_of(Mode::Ecb, key, nullptr, true);
  Block hash_key{};
  int written = 0;
  const Block zeros{};
  if (!context || EVP_CipherUpdate(context.get(), hash_key.data(), &written, zeros.data(), kBlock) != 1) {
    return failed();
  }
  Ghash of_nonce(hash_key);
  of_nonce.add_padded(nonce);
  of_nonce.add_lengths(0, nonce.size());
  const Block first = of_nonce.value();
  Block counter = first;
  for (std::size_t at = kBlock; at-- > kBlock - 4;) {
    if (++counter[at] != 0) break;
  }
  std::string_view tag;
  if (!encrypts) {
    tag = text.substr(text.size() - tag_bytes);
    text.remove_suffix(tag_bytes);
  }
  Outcome<std::string> out = aes_ctr(key, view_of(counter), 32, text, stop);
  if (!out) return out;
  Ghash of_text(hash_key);
  of_text.add_padded(associated);
  of_text.add_padded(encrypts ? std::string_view(*out) : text);
  of_text.add_lengths(associated.size(), text.size());
  Outcome<std::string> its = aes_ctr(key, view_of(first), 32, view_of(of_text.value()), stop);
  if (!its) return its;
  its->resize(tag_bytes);
  if (encrypts) return *out + *its;
  if (!equal_in_constant_time(*its, tag)) return failed();
  return out;
}

}  // namespace

void prepare_ciphers() { cipher_of(Mode::Gcm, 16); }

Outcome<std::string> aes_gcm(bool encrypts, std::string_view key, std::string_view nonce, std::string_view associated,
                             unsigned tag_bits, std::string_view text, const Stop& stop) {
  const std::size_t tag_bytes = tag_bits / 8;
  if (nonce.empty() || (!encrypts && text.size() < tag_bytes)) return failed();
  if (nonce.size() > kOpensslNonceMax) {
    return gcm_with_long_nonce(encrypts, key, nonce, associated, tag_bytes, text, stop);
  }
  const bool is_usual = nonce.size() == kGcmNonce;
  const Context context = context_of(Mode::Gcm, key, is_usual ? bytes_of(nonce) : nullptr, encrypts);
  if (!context) return failed();
  if (!is_usual &&
      (EVP_CIPHER_CTX_ctrl(context.get(), EVP_CTRL_AEAD_SET_IVLEN, static_cast<int>(nonce.size()), nullptr) != 1 ||
       EVP_CipherInit_ex2(context.get(), nullptr, nullptr, bytes_of(nonce), -1, nullptr) != 1)) {
    return failed();
  }
  std::string tag;
  if (!encrypts) {
    tag = text.substr(text.size() - tag_bytes);
    text.remove_suffix(tag_bytes);
    if (EVP_CIPHER_CTX_ctrl(context.get(), EVP_CTRL_AEAD_SET_TAG, static_cast<int>(tag_bytes), tag.data()) != 1) {
      return failed();
    }
  }
  int written = 0;
  if (!associated.empty() && EVP_CipherUpdate(context.get(), nullptr, &written, bytes_of(associated),
                                              static_cast<int>(associated.size())) != 1) {
    return failed();
  }
  std::string out;
  if (const auto done = update(context.get(), text, out, stop); !done) return std::unexpected(done.error());
  if (const auto done = finish(context.get(), out); !done) return std::unexpected(done.error());
  if (!encrypts) return out;
  tag.resize(tag_bytes);
  if (EVP_CIPHER_CTX_ctrl(context.get(), EVP_CTRL_AEAD_GET_TAG, static_cast<int>(tag_bytes), tag.data()) != 1) {
    return failed();
  }
  return out + tag;
}

Outcome<std::string> aes_cbc(bool encrypts, std::string_view key, std::string_view vector, std::string_view text,
                             const Stop& stop) {
  const Context context = context_of(Mode::Cbc, key, bytes_of(vector), encrypts);
  if (!context || (!encrypts && (text.empty() || text.size() % kBlock != 0))) return failed();
  std::string out;
  if (const auto done = update(context.get(), text, out, stop); !done) return std::unexpected(done.error());
  if (const auto done = finish(context.get(), out); !done) return std::unexpected(done.error());
  return out;
}

Outcome<std::string> aes_ctr(std::string_view key, std::string_view counter, unsigned counter_bits,
                             std::string_view text, const Stop& stop) {
  // OpenSSL counts with all 128 bits. Where fewer count, what comes after they wrap is encrypted from zero on.
  Block after = block_of(counter);
  std::size_t until_wrap = SIZE_MAX;
  if (counter_bits < 128) {
    std::uint64_t left = 0;  // blocks until the counter wraps, as far as a text can be long
    bool is_far = false;
    for (unsigned bit = 0; bit < counter_bits; ++bit) {
      auto& byte = after[kBlock - 1 - bit / 8];
      const auto mask = static_cast<unsigned char>(1 << (bit % 8));
      if ((byte & mask) == 0) {
        if (bit < 48) {
          left += std::uint64_t{1} << bit;
        } else {
          is_far = true;
        }
      }
      byte &= static_cast<unsigned char>(~mask);
    }
    ++left;
    if (!is_far) until_wrap = left * kBlock;
    const std::uint64_t blocks = (text.size() + kBlock - 1) / kBlock;
    if (counter_bits < 48 && blocks > std::uint64_t{1} << counter_bits) return failed();  // a counter comes twice
  }
  std::string out;
  const std::string_view head = text.substr(0, until_wrap);
  const Context context = context_of(Mode::Ctr, key, bytes_of(counter), true);
  if (!context) return failed();
  if (const auto done = update(context.get(), head, out, stop); !done) return std::unexpected(done.error());
  if (head.size() == text.size()) return out;
  const Context rest = context_of(Mode::Ctr, key, after.data(), true);
  if (!rest) return failed();
  if (const auto done = update(rest.get(), text.substr(head.size()), out, stop); !done) {
    return std::unexpected(done.error());
  }
  return out;
}

Outcome<std::string> aes_kw(bool wraps, std::string_view key, std::string_view text) {
  const std::size_t least = wraps ? 16 : 24;
  if (text.size() < least || text.size() % 8 != 0) return failed();
  const Context context = context_of(Mode::Wrap, key, nullptr, wraps);
  std::string out(text.size() + kBlock, '\0');
  int written = 0;
  if (!context ||
      EVP_CipherUpdate(context.get(), space_of(out), &written, bytes_of(text), static_cast<int>(text.size())) != 1 ||
      written <= 0) {
    return failed();
  }
  out.resize(static_cast<std::size_t>(written));
  return out;
}

}  // namespace verge::workers

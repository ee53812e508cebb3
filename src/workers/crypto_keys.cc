#include "workers/crypto_keys.h"

#include <algorithm>
#include <array>

#include <openssl/bn.h>
#include <openssl/core_names.h>
#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/param_build.h>
#include <openssl/rand.h>
#include <openssl/rsa.h>
#include <openssl/x509.h>

namespace verge::workers {
namespace {

constexpr std::size_t kOkpBytes = 32;
constexpr std::size_t kExponentBytesMax = 8;
// In the order of import_numbers().
constexpr std::array kRsaParts = {OSSL_PKEY_PARAM_RSA_N,         OSSL_PKEY_PARAM_RSA_E,
                                  OSSL_PKEY_PARAM_RSA_D,         OSSL_PKEY_PARAM_RSA_FACTOR1,
                                  OSSL_PKEY_PARAM_RSA_FACTOR2,   OSSL_PKEY_PARAM_RSA_EXPONENT1,
                                  OSSL_PKEY_PARAM_RSA_EXPONENT2, OSSL_PKEY_PARAM_RSA_COEFFICIENT1};
constexpr std::size_t kRsaPublicParts = 2;

struct Free {
  void operator()(EVP_PKEY* key) const { EVP_PKEY_free(key); }
  void operator()(EVP_PKEY_CTX* context) const { EVP_PKEY_CTX_free(context); }
  void operator()(BIGNUM* number) const { BN_clear_free(number); }
  void operator()(BN_CTX* context) const { BN_CTX_free(context); }
  void operator()(OSSL_PARAM_BLD* builder) const { OSSL_PARAM_BLD_free(builder); }
  void operator()(OSSL_PARAM* parameters) const { OSSL_PARAM_free(parameters); }
  void operator()(PKCS8_PRIV_KEY_INFO* info) const { PKCS8_PRIV_KEY_INFO_free(info); }
};
template <class T>
using Owned = std::unique_ptr<T, Free>;

const unsigned char* bytes_of(std::string_view text) { return reinterpret_cast<const unsigned char*>(text.data()); }
unsigned char* space_of(std::string& text) { return reinterpret_cast<unsigned char*>(text.data()); }

std::unexpected<Fault> not_data() { return std::unexpected(Fault::Data); }

const char* name_of(Family family) {
  switch (family) {
    case Family::Rsa:
      return "RSA";
    case Family::Ed25519:
      return "ED25519";
    case Family::X25519:
      return "X25519";
    default:
      return "EC";
  }
}

const char* group_of(Family family) {
  return family == Family::P256 ? "prime256v1" : family == Family::P384 ? "secp384r1" : "secp521r1";
}

Owned<BIGNUM> number_of(std::string_view bytes) {
  return Owned<BIGNUM>(BN_bin2bn(bytes_of(bytes), static_cast<int>(bytes.size()), nullptr));
}

Owned<BIGNUM> number_of(const EVP_PKEY* key, const char* name) {
  BIGNUM* number = nullptr;
  EVP_PKEY_get_bn_param(key, name, &number);
  return Owned<BIGNUM>(number);
}

// `size`: with zeros before; 0: as short as it is.
std::string bytes_of_number(const BIGNUM* number, std::size_t size) {
  std::string bytes(size == 0 ? static_cast<std::size_t>(BN_num_bytes(number)) : size, '\0');
  if (BN_bn2binpad(number, space_of(bytes), static_cast<int>(bytes.size())) < 0) return {};
  return bytes;
}

CryptoKeyPointer key_of(Family family, bool is_private, Owned<EVP_PKEY> key) {
  return std::make_shared<const CryptoKey>(family, is_private, key.release());
}

Owned<EVP_PKEY> from_parameters(Family family, bool is_private, OSSL_PARAM_BLD* builder) {
  const Owned<OSSL_PARAM> parameters(OSSL_PARAM_BLD_to_param(builder));
  const Owned<EVP_PKEY_CTX> context(EVP_PKEY_CTX_new_from_name(nullptr, name_of(family), nullptr));
  EVP_PKEY* made = nullptr;
  if (parameters && context && EVP_PKEY_fromdata_init(context.get()) == 1) {
    EVP_PKEY_fromdata(context.get(), &made, is_private ? EVP_PKEY_KEYPAIR : EVP_PKEY_PUBLIC_KEY, parameters.get());
  }
  return Owned<EVP_PKEY>(made);
}

bool halves_match(EVP_PKEY* key) {
  const Owned<EVP_PKEY_CTX> context(EVP_PKEY_CTX_new_from_pkey(nullptr, key, nullptr));
  return context && EVP_PKEY_private_check(context.get()) == 1 && EVP_PKEY_pairwise_check(context.get()) == 1;
}

// --- Each family

// `point`: as SEC 1 2.3.3 has it, compressed or not; empty: of the private number. `number`: empty for a public key.
Outcome<CryptoKeyPointer> curve_key(Family family, std::string_view point, std::string_view number) {
  const bool is_private = !number.empty();
  const Owned<OSSL_PARAM_BLD> builder(OSSL_PARAM_BLD_new());
  const Owned<BIGNUM> private_number(is_private ? number_of(number).release() : nullptr);
  OSSL_PARAM_BLD_push_utf8_string(builder.get(), OSSL_PKEY_PARAM_GROUP_NAME, group_of(family), 0);
  OSSL_PARAM_BLD_push_octet_string(builder.get(), OSSL_PKEY_PARAM_PUB_KEY, point.data(), point.size());
  if (is_private) {
    BN_set_flags(private_number.get(), BN_FLG_CONSTTIME);
    OSSL_PARAM_BLD_push_BN_pad(builder.get(), OSSL_PKEY_PARAM_PRIV_KEY, private_number.get(), curve_bytes(family));
  }
  Owned<EVP_PKEY> key = from_parameters(family, is_private, builder.get());
  if (!key || (is_private && !halves_match(key.get()))) return not_data();
  return key_of(family, is_private, std::move(key));
}

std::string point_of(const EVP_PKEY* key, Family family) {
  const Owned<BIGNUM> x = number_of(key, OSSL_PKEY_PARAM_EC_PUB_X);
  const Owned<BIGNUM> y = number_of(key, OSSL_PKEY_PARAM_EC_PUB_Y);
  if (!x || !y) return {};
  return "\x04" + bytes_of_number(x.get(), curve_bytes(family)) + bytes_of_number(y.get(), curve_bytes(family));
}

// The key is made anew: whichever form its point came in, it is exported uncompressed.
Outcome<CryptoKeyPointer> adopt_curve_key(Family family, bool is_private, Owned<EVP_PKEY> key) {
  std::array<char, 64> text{};
  if (EVP_PKEY_get_utf8_string_param(key.get(), OSSL_PKEY_PARAM_GROUP_NAME, text.data(), text.size(), nullptr) != 1 ||
      std::string_view(text.data()) != group_of(family)) {
    return not_data();
  }
  if (EVP_PKEY_get_utf8_string_param(key.get(), OSSL_PKEY_PARAM_EC_ENCODING, text.data(), text.size(), nullptr) == 1 &&
      std::string_view(text.data()) != OSSL_PKEY_EC_ENCODING_GROUP) {
    return not_data();
  }
  const std::string point = point_of(key.get(), family);
  if (point.empty()) return not_data();
  if (!is_private) return curve_key(family, point, {});
  const Owned<BIGNUM> number = number_of(key.get(), OSSL_PKEY_PARAM_PRIV_KEY);
  if (!number) return not_data();
  std::string bytes = bytes_of_number(number.get(), curve_bytes(family));
  Outcome<CryptoKeyPointer> made = curve_key(family, point, bytes);
  wipe(bytes);
  return made;
}

bool is_good_exponent(const BIGNUM* exponent) {
  return exponent != nullptr && BN_is_odd(exponent) && !BN_is_one(exponent) &&
         BN_num_bytes(exponent) <= static_cast<int>(kExponentBytesMax);
}

Outcome<CryptoKeyPointer> adopt_rsa_key(bool is_private, Owned<EVP_PKEY> key) {
  const Owned<BIGNUM> modulus = number_of(key.get(), OSSL_PKEY_PARAM_RSA_N);
  const Owned<BIGNUM> exponent = number_of(key.get(), OSSL_PKEY_PARAM_RSA_E);
  if (!modulus || !BN_is_odd(modulus.get()) || BN_num_bits(modulus.get()) > static_cast<int>(kRsaBitsMax) ||
      !is_good_exponent(exponent.get())) {
    return not_data();
  }
  if (is_private) {
    const Owned<BIGNUM> p = number_of(key.get(), OSSL_PKEY_PARAM_RSA_FACTOR1);
    const Owned<BIGNUM> q = number_of(key.get(), OSSL_PKEY_PARAM_RSA_FACTOR2);
    const Owned<BIGNUM> third = number_of(key.get(), OSSL_PKEY_PARAM_RSA_FACTOR3);
    const Owned<BIGNUM> product(BN_new());
    const Owned<BN_CTX> context(BN_CTX_new());
    if (!p || !q || third || BN_mul(product.get(), p.get(), q.get(), context.get()) != 1 ||
        BN_cmp(product.get(), modulus.get()) != 0) {
      return not_data();
    }
  }
  return key_of(Family::Rsa, is_private, std::move(key));
}

Outcome<CryptoKeyPointer> rsa_key(const std::vector<std::string>& numbers) {
  const bool is_private = numbers.size() > kRsaPublicParts;
  if (numbers.size() != kRsaPublicParts && numbers.size() != kRsaParts.size()) return not_data();
  const Owned<OSSL_PARAM_BLD> builder(OSSL_PARAM_BLD_new());
  std::vector<Owned<BIGNUM>> kept;
  for (std::size_t at = 0; at < numbers.size(); ++at) {
    kept.push_back(number_of(numbers[at]));
    if (BN_is_zero(kept.back().get()) || BN_num_bits(kept.back().get()) > static_cast<int>(kRsaBitsMax)) {
      return not_data();
    }
    OSSL_PARAM_BLD_push_BN(builder.get(), kRsaParts[at], kept.back().get());
  }
  Owned<EVP_PKEY> key = from_parameters(Family::Rsa, is_private, builder.get());
  if (!key) return not_data();
  return adopt_rsa_key(is_private, std::move(key));
}

Outcome<CryptoKeyPointer> okp_key(Family family, std::string_view public_bytes, std::string_view private_bytes) {
  const bool is_private = !private_bytes.empty();
  const std::string_view bytes = is_private ? private_bytes : public_bytes;
  if (bytes.size() != kOkpBytes || (is_private && public_bytes.size() != kOkpBytes)) return not_data();
  Owned<EVP_PKEY> key(
      is_private ? EVP_PKEY_new_raw_private_key_ex(nullptr, name_of(family), nullptr, bytes_of(bytes), bytes.size())
                 : EVP_PKEY_new_raw_public_key_ex(nullptr, name_of(family), nullptr, bytes_of(bytes), bytes.size()));
  if (!key) return not_data();
  if (is_private) {
    std::array<unsigned char, kOkpBytes> its{};
    std::size_t size = its.size();
    if (EVP_PKEY_get_raw_public_key(key.get(), its.data(), &size) != 1 ||
        !std::ranges::equal(its, std::span(bytes_of(public_bytes), kOkpBytes))) {
      return not_data();
    }
  }
  return key_of(family, is_private, std::move(key));
}

Outcome<CryptoKeyPointer> adopt(Family family, bool is_private, Owned<EVP_PKEY> key) {
  if (!key || EVP_PKEY_is_a(key.get(), name_of(family)) != 1) return not_data();
  if (family == Family::Rsa) return adopt_rsa_key(is_private, std::move(key));
  if (is_curve(family)) return adopt_curve_key(family, is_private, std::move(key));
  return key_of(family, is_private, std::move(key));
}

// Between two candidates.
int look(EVP_PKEY_CTX* context) {
  const auto* stop = static_cast<const Stop*>(EVP_PKEY_CTX_get_app_data(context));
  return (*stop)() ? 0 : 1;
}

}  // namespace

std::size_t curve_bytes(Family family) {
  return family == Family::P256 ? 32 : family == Family::P384 ? 48 : family == Family::P521 ? 66 : kOkpBytes;
}

CryptoKey::CryptoKey(std::string secret, std::optional<HashName> hash)
    : family_(Family::Secret), is_private_(true), secret_(std::move(secret)) {
  if (hash) hmac_.emplace(*hash, secret_);
}

CryptoKey::CryptoKey(Family family, bool is_private, evp_pkey_st* owned)
    : family_(family), is_private_(is_private), pkey_(owned) {}

CryptoKey::~CryptoKey() {
  wipe(secret_);
  EVP_PKEY_free(pkey_);
}

std::size_t CryptoKey::bits() const {
  return pkey_ == nullptr ? secret_.size() * 8 : static_cast<std::size_t>(EVP_PKEY_get_bits(pkey_));
}

Outcome<CryptoKeyPointer> import_spki(Family family, std::string_view der) {
  const unsigned char* at = bytes_of(der);
  Owned<EVP_PKEY> key(d2i_PUBKEY(nullptr, &at, static_cast<long>(der.size())));
  if (at != bytes_of(der) + der.size()) return not_data();
  return adopt(family, false, std::move(key));
}

Outcome<CryptoKeyPointer> import_pkcs8(Family family, std::string_view der) {
  const unsigned char* at = bytes_of(der);
  const Owned<PKCS8_PRIV_KEY_INFO> info(d2i_PKCS8_PRIV_KEY_INFO(nullptr, &at, static_cast<long>(der.size())));
  if (!info || at != bytes_of(der) + der.size()) return not_data();
  return adopt(family, true, Owned<EVP_PKEY>(EVP_PKCS82PKEY(info.get())));
}

Outcome<CryptoKeyPointer> import_raw(Family family, std::string_view bytes) {
  if (is_curve(family)) {
    const bool has_size = bytes.size() == 1 + 2 * curve_bytes(family) || bytes.size() == 1 + curve_bytes(family);
    if (!has_size) return not_data();
    Outcome<CryptoKeyPointer> made = curve_key(family, bytes, {});
    if (!made || bytes.front() == '\x04') return made;
    return curve_key(family, point_of((*made)->pkey(), family), {});
  }
  return okp_key(family, bytes, {});
}

Outcome<CryptoKeyPointer> import_numbers(Family family, const std::vector<std::string>& numbers) {
  if (family == Family::Rsa) return rsa_key(numbers);
  const std::size_t size = curve_bytes(family);
  if (std::ranges::any_of(numbers, [size](const std::string& number) { return number.size() != size; })) {
    return not_data();
  }
  if (is_curve(family)) {
    if (numbers.size() < 2) return not_data();
    return curve_key(family, "\x04" + numbers[0] + numbers[1], numbers.size() > 2 ? numbers[2] : "");
  }
  if (numbers.empty()) return not_data();
  return okp_key(family, numbers[0], numbers.size() > 1 ? numbers[1] : "");
}

Outcome<std::string> export_spki(const CryptoKey& key) {
  unsigned char* der = nullptr;
  const int size = i2d_PUBKEY(key.pkey(), &der);
  if (size <= 0) return std::unexpected(Fault::Operation);
  std::string out(reinterpret_cast<const char*>(der), static_cast<std::size_t>(size));
  OPENSSL_free(der);
  return out;
}

Outcome<std::string> export_pkcs8(const CryptoKey& key) {
  const Owned<PKCS8_PRIV_KEY_INFO> info(EVP_PKEY2PKCS8(key.pkey()));
  unsigned char* der = nullptr;
  const int size = info ? i2d_PKCS8_PRIV_KEY_INFO(info.get(), &der) : 0;
  if (size <= 0) return std::unexpected(Fault::Operation);
  std::string out(reinterpret_cast<const char*>(der), static_cast<std::size_t>(size));
  OPENSSL_clear_free(der, static_cast<std::size_t>(size));
  return out;
}

Outcome<std::string> export_raw(const CryptoKey& key) {
  if (key.family() == Family::Secret) return std::string(key.secret());
  if (is_curve(key.family())) return point_of(key.pkey(), key.family());
  std::string bytes(kOkpBytes, '\0');
  std::size_t size = bytes.size();
  if (EVP_PKEY_get_raw_public_key(key.pkey(), space_of(bytes), &size) != 1) return std::unexpected(Fault::Operation);
  return bytes;
}

Outcome<std::vector<std::string>> export_numbers(const CryptoKey& key) {
  std::vector<std::string> numbers;
  if (key.family() == Family::Rsa) {
    const std::size_t count = key.is_private() ? kRsaParts.size() : kRsaPublicParts;
    for (std::size_t at = 0; at < count; ++at) {
      const Owned<BIGNUM> number = number_of(key.pkey(), kRsaParts[at]);
      if (!number) return std::unexpected(Fault::Operation);
      numbers.push_back(bytes_of_number(number.get(), 0));
    }
    return numbers;
  }
  const std::size_t size = curve_bytes(key.family());
  if (is_curve(key.family())) {
    const std::string point = point_of(key.pkey(), key.family());
    if (point.empty()) return std::unexpected(Fault::Operation);
    numbers = {point.substr(1, size), point.substr(1 + size)};
    if (!key.is_private()) return numbers;
    const Owned<BIGNUM> number = number_of(key.pkey(), OSSL_PKEY_PARAM_PRIV_KEY);
    if (!number) return std::unexpected(Fault::Operation);
    numbers.push_back(bytes_of_number(number.get(), size));
    return numbers;
  }
  const Outcome<std::string> raw = export_raw(key);
  if (!raw) return std::unexpected(raw.error());
  numbers.push_back(*raw);
  if (!key.is_private()) return numbers;
  std::string bytes(kOkpBytes, '\0');
  std::size_t got = bytes.size();
  if (EVP_PKEY_get_raw_private_key(key.pkey(), space_of(bytes), &got) != 1) return std::unexpected(Fault::Operation);
  numbers.push_back(std::move(bytes));
  return numbers;
}

Outcome<CryptoKeyPair> generate_pair(Family family, std::size_t bits, std::string_view exponent, const Stop& stop) {
  const Owned<EVP_PKEY_CTX> context(EVP_PKEY_CTX_new_from_name(nullptr, name_of(family), nullptr));
  if (!context || EVP_PKEY_keygen_init(context.get()) != 1) return std::unexpected(Fault::Operation);
  if (family == Family::Rsa) {
    const Owned<BIGNUM> number = number_of(exponent);
    if (!is_good_exponent(number.get()) || bits > kRsaBitsMax ||
        EVP_PKEY_CTX_set_rsa_keygen_bits(context.get(), static_cast<int>(bits)) != 1 ||
        EVP_PKEY_CTX_set1_rsa_keygen_pubexp(context.get(), number.get()) != 1) {
      return std::unexpected(Fault::Operation);
    }
  } else if (is_curve(family) && EVP_PKEY_CTX_set_group_name(context.get(), group_of(family)) != 1) {
    return std::unexpected(Fault::Operation);
  }
  EVP_PKEY_CTX_set_app_data(context.get(), const_cast<Stop*>(&stop));  // look() only calls it
  EVP_PKEY_CTX_set_cb(context.get(), look);
  EVP_PKEY* made = nullptr;
  if (EVP_PKEY_generate(context.get(), &made) != 1) {
    return std::unexpected(stop() ? Fault::Stopped : Fault::Operation);
  }
  Owned<EVP_PKEY> key(made);
  EVP_PKEY_up_ref(key.get());
  return CryptoKeyPair{key_of(family, false, Owned<EVP_PKEY>(key.get())), key_of(family, true, std::move(key))};
}

Outcome<std::string> random_secret(std::size_t bytes) {
  std::string secret(bytes, '\0');
  if (RAND_priv_bytes(space_of(secret), static_cast<int>(bytes)) != 1) return std::unexpected(Fault::Operation);
  return secret;
}

}  // namespace verge::workers

// Keys in each form they come and go in, and what is not taken for one.
#include "workers/crypto_keys.h"

#include <array>

#include <gtest/gtest.h>

#include "workers/crypto_task.h"

namespace verge::workers {
namespace {

const Stop kNever = [] { return false; };
constexpr std::string_view kExponent = std::string_view("\x01\x00\x01", 3);
constexpr std::array kFamilies = {Family::Rsa,  Family::P256,    Family::P384,
                                  Family::P521, Family::Ed25519, Family::X25519};

CryptoKeyPair pair_of(Family family) {
  const auto pair = generate_pair(family, 1024, kExponent, kNever);
  EXPECT_TRUE(pair.has_value());
  return pair.value_or(CryptoKeyPair{});
}

Fault fault_of(const Outcome<CryptoKeyPointer>& key) { return key ? Fault::Stopped : key.error(); }

TEST(CryptoKeys, EachFormGivesTheSameKeyBack) {
  for (const Family family : kFamilies) {
    SCOPED_TRACE(static_cast<int>(family));
    const CryptoKeyPair pair = pair_of(family);
    const std::string spki = export_spki(*pair.public_key).value_or("");
    const std::string pkcs8 = export_pkcs8(*pair.private_key).value_or("");
    const auto from_spki = import_spki(family, spki);
    const auto from_pkcs8 = import_pkcs8(family, pkcs8);
    ASSERT_TRUE(from_spki && from_pkcs8);
    EXPECT_EQ(export_spki(**from_spki), spki);
    EXPECT_EQ(export_pkcs8(**from_pkcs8), pkcs8);
    EXPECT_EQ(export_spki(**from_pkcs8), spki);
    const auto public_numbers = export_numbers(*pair.public_key);
    const auto private_numbers = export_numbers(*pair.private_key);
    ASSERT_TRUE(public_numbers && private_numbers);
    EXPECT_LT(public_numbers->size(), private_numbers->size());
    const auto from_public = import_numbers(family, *public_numbers);
    const auto from_private = import_numbers(family, *private_numbers);
    ASSERT_TRUE(from_public && from_private);
    EXPECT_EQ(export_spki(**from_public), spki);
    EXPECT_EQ(export_pkcs8(**from_private), pkcs8);
    if (family == Family::Rsa) continue;
    const auto from_raw = import_raw(family, export_raw(*pair.public_key).value_or(""));
    ASSERT_TRUE(from_raw);
    EXPECT_EQ(export_spki(**from_raw), spki);
  }
}

TEST(CryptoKeys, WhatFollowsTheKeyOrIsMissingMakesItNone) {
  for (const Family family : kFamilies) {
    const CryptoKeyPair pair = pair_of(family);
    const std::string spki = export_spki(*pair.public_key).value_or("");
    const std::string pkcs8 = export_pkcs8(*pair.private_key).value_or("");
    EXPECT_EQ(fault_of(import_spki(family, spki + '\0')), Fault::Data);
    EXPECT_EQ(fault_of(import_pkcs8(family, pkcs8 + '\0')), Fault::Data);
    for (const std::size_t size : {std::size_t{0}, std::size_t{1}, spki.size() - 1}) {
      EXPECT_EQ(fault_of(import_spki(family, std::string_view(spki).substr(0, size))), Fault::Data);
    }
    for (const Family other : kFamilies) {
      if (other == family) continue;
      EXPECT_EQ(fault_of(import_spki(other, spki)), Fault::Data);
      EXPECT_EQ(fault_of(import_pkcs8(other, pkcs8)), Fault::Data);
    }
  }
}

TEST(CryptoKeys, HalvesOfTwoPairsAreNoPair) {
  for (const Family family : kFamilies) {
    auto one = export_numbers(*pair_of(family).private_key);
    const auto other = export_numbers(*pair_of(family).private_key);
    ASSERT_TRUE(one && other);
    // RSA: another prime; a curve: another private number.
    const std::size_t at = family == Family::Rsa ? 3 : one->size() - 1;
    (*one)[at] = (*other)[at];
    EXPECT_EQ(fault_of(import_numbers(family, *one)), Fault::Data) << static_cast<int>(family);
  }
}

TEST(CryptoKeys, PointsBesideTheCurveAreRefused) {
  for (const Family family : {Family::P256, Family::P384, Family::P521}) {
    std::string point = export_raw(*pair_of(family).public_key).value_or("");
    point.back() = static_cast<char>(point.back() ^ 1);
    EXPECT_EQ(fault_of(import_raw(family, point)), Fault::Data);
    EXPECT_EQ(fault_of(import_raw(family, std::string(1, '\0'))), Fault::Data) << "the point at infinity";
  }
}

TEST(CryptoKeys, CompressedPointsAreExportedWhole) {
  const CryptoKeyPair pair = pair_of(Family::P256);
  const std::string point = export_raw(*pair.public_key).value_or("");
  std::string compressed = point.substr(0, 33);
  compressed[0] = static_cast<char>(2 + (point.back() & 1));
  const auto key = import_raw(Family::P256, compressed);
  ASSERT_TRUE(key);
  EXPECT_EQ(export_raw(**key), point);
}

TEST(CryptoKeys, BoundsOfRsa) {
  EXPECT_FALSE(generate_pair(Family::Rsa, kRsaBitsMax + 1, kExponent, kNever));
  for (const std::string_view exponent : {std::string_view(""), std::string_view("\x01"), std::string_view("\x04"),
                                          std::string_view("\x01\x01\x01\x01\x01\x01\x01\x01\x01")}) {
    EXPECT_FALSE(generate_pair(Family::Rsa, 1024, exponent, kNever)) << exponent.size();
  }
  std::string modulus(kRsaBitsMax / 8 + 1, '\xFF');
  EXPECT_EQ(fault_of(import_numbers(Family::Rsa, {modulus, std::string(kExponent)})), Fault::Data);
  int looks = 0;
  const auto stopped = generate_pair(Family::Rsa, kRsaBitsMax, kExponent, [&looks] { return ++looks > 2; });
  ASSERT_FALSE(stopped);
  EXPECT_EQ(stopped.error(), Fault::Stopped);
}

TEST(CryptoTask, SignaturesOfEachKind) {
  struct Kind {
    Family family;
    CryptoOperation sign, verify;
  };
  for (const Kind& kind : {Kind{Family::Rsa, CryptoOperation::RsaSign, CryptoOperation::RsaVerify},
                           Kind{Family::Rsa, CryptoOperation::PssSign, CryptoOperation::PssVerify},
                           Kind{Family::P256, CryptoOperation::EcdsaSign, CryptoOperation::EcdsaVerify},
                           Kind{Family::P521, CryptoOperation::EcdsaSign, CryptoOperation::EcdsaVerify},
                           Kind{Family::Ed25519, CryptoOperation::Ed25519Sign, CryptoOperation::Ed25519Verify}}) {
    const CryptoKeyPair pair = pair_of(kind.family);
    const auto signature =
        perform({.operation = kind.sign, .key = pair.private_key, .data = "message", .number = 20}, kNever);
    ASSERT_TRUE(signature);
    CryptoTask check{
        .operation = kind.verify, .key = pair.public_key, .data = "message", .first = signature->bytes, .number = 20};
    EXPECT_TRUE(perform(check, kNever).value_or(CryptoResult{}).is_valid);
    check.data = "massage";
    EXPECT_FALSE(perform(check, kNever).value_or(CryptoResult{.is_valid = true}).is_valid);
    check.data = "message";
    check.first.remove_suffix(1);
    EXPECT_FALSE(perform(check, kNever).value_or(CryptoResult{.is_valid = true}).is_valid);
  }
}

TEST(CryptoTask, WhatIsSlow) {
  const auto key = std::make_shared<const CryptoKey>("secret", std::nullopt);
  EXPECT_FALSE(is_slow({.operation = CryptoOperation::Pbkdf2, .key = key, .number = 32, .second_number = 2000}));
  EXPECT_TRUE(is_slow({.operation = CryptoOperation::Pbkdf2, .key = key, .number = 32, .second_number = 2001}));
  EXPECT_TRUE(is_slow({.operation = CryptoOperation::Pbkdf2, .key = key, .number = 1U << 20, .second_number = 1}));
  EXPECT_TRUE(is_slow({.operation = CryptoOperation::GenerateRsa}));
  EXPECT_FALSE(is_slow({.operation = CryptoOperation::GenerateP256}));
  const std::string much(1U << 20, 'a');
  EXPECT_TRUE(is_slow({.operation = CryptoOperation::Digest, .data = much}));
}

}  // namespace
}  // namespace verge::workers

#include "crypto/scram.h"

#include <gtest/gtest.h>

#include "base/random.h"
#include "base/text.h"
#include "tests/support/value_of.h"

namespace verge::crypto {
namespace {

using State = ScramExchange::State;

// RFC 7677 section 3.
constexpr std::string_view kSalt = "W22ZaJ0SNY7soEsUEjb6gQ==";
constexpr std::string_view kFirst = "n,,n=user,r=rOprNGfwEbeRWgbNEkqO";
constexpr std::string_view kChallenge =
    "r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,s=W22ZaJ0SNY7soEsUEjb6gQ==,i=4096";
constexpr std::string_view kFinal =
    "c=biws,r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,p=dHzbZapWIk4jUhN+Ute9ytag9zjfMHgsqmmiz7AndVQ=";
constexpr std::string_view kVerifier = "v=6rriTRBi23WpRR/wtup+mMhUZUn/dB5nLTJRsjl95G4=";

ScramExchange exchange() {
  return ScramExchange(
      [](std::string_view user) -> std::optional<ScramKeys> {
        if (user != "user" && user != "a,b=c") return std::nullopt;
        return *derive_scram("pencil", tests::value_of(from_base64(kSalt)), 4096);
      },
      [](std::string_view user) { return "salt of " + std::string(user); }, "%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0");
}

TEST(Scram, SpeaksAsTheExampleOfTheStandard) {
  ScramExchange its = exchange();
  EXPECT_EQ(its.take(kFirst), kChallenge);
  EXPECT_EQ(its.state(), State::kFinal);
  EXPECT_EQ(its.take(kFinal), kVerifier);
  EXPECT_EQ(its.state(), State::kDone);
  EXPECT_EQ(its.user(), "user");
  EXPECT_EQ(its.take(kFinal), "");
  EXPECT_EQ(its.state(), State::kFailed);
}

TEST(Scram, OneWrongBitIsNoProof) {
  for (size_t at = 0; at < kFinal.size(); ++at) {
    for (unsigned bit = 0; bit < 7; ++bit) {
      ScramExchange its = exchange();
      its.take(kFirst);
      std::string wrong(kFinal);
      wrong[at] = static_cast<char>(wrong[at] ^ (1U << bit));
      EXPECT_EQ(its.take(wrong), "") << wrong;
      EXPECT_EQ(its.state(), State::kFailed);
    }
  }
}

TEST(Scram, WhomNobodyKnowsIsToldNoSooner) {
  ScramExchange its = exchange();
  EXPECT_EQ(its.take("n,,n=nobody,r=abc"),
            "r=abc%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,s=" + base64("salt of nobody") + ",i=16384");
  EXPECT_EQ(its.take("c=biws,r=abc%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,p=" + base64(std::string(32, '\0'))), "");
  EXPECT_EQ(its.state(), State::kFailed);
}

TEST(Scram, NamesMayHaveCommas) {
  ScramExchange its = exchange();
  EXPECT_NE(its.take("y,,n=a=2Cb=3Dc,r=abc,x=extension"), "");
  EXPECT_EQ(its.user(), "a,b=c");
}

TEST(Scram, WhatIsNoFirstMessageFails) {
  for (const std::string_view wrong : {"", "n", "n,,", "n,,n=user", "n,,r=abc,n=user", "n,,n=,r=abc", "n,,n=user,r=",
                                       "p=tls-unique,,n=user,r=abc", "n,a=other,n=user,r=abc", "n,,m=must,n=user,r=abc",
                                       "n,,n=us=er,r=abc", "n,,n=user,r=a\x7f", "n,,n=\xff,r=abc"}) {
    ScramExchange its = exchange();
    EXPECT_EQ(its.take(wrong), "") << wrong;
    EXPECT_EQ(its.state(), State::kFailed) << wrong;
  }
}

TEST(Scram, AnyBytesAreTakenCalmly) {
  const uint64_t seed = system_seed();
  SCOPED_TRACE(seed);
  Random random(seed);
  for (int i = 0; i < 2000; ++i) {
    ScramExchange its = exchange();
    if (random.below(2) == 0) its.take(kFirst);
    const std::string right(its.state() == State::kFirst ? kFirst : kFinal);
    std::string message = right;
    for (uint64_t changes = 1 + random.below(4); changes > 0; --changes) {
      message[random.below(message.size())] = static_cast<char>(random.below(256));
    }
    message.resize(random.below(message.size() + 1));
    if (message == right) continue;
    its.take(message);
    EXPECT_NE(its.state(), State::kDone);
  }
}

TEST(Scram, KeepsAPasswordAsText) {
  const Result<std::string> text = hash_scram_password("correct horse");
  ASSERT_TRUE(text);
  EXPECT_TRUE(text->starts_with("SCRAM-SHA-256$16384:"));
  EXPECT_NE(*text, *hash_scram_password("correct horse")) << "each has a salt of its own";
  const ScramKeys keys = tests::value_of(parse_scram(*text));
  EXPECT_TRUE(verify_scram(keys, "correct horse"));
  EXPECT_FALSE(verify_scram(keys, "wrong horse"));
  for (const std::string_view wrong :
       {std::string_view(""), std::string_view("SCRAM-SHA-256$"), std::string_view(*text).substr(0, text->size() - 4),
        std::string_view("SCRAM-SHA-256$0:c2FsdA==$AAAA:AAAA"),
        std::string_view("$scrypt$ln=14,r=8,p=1$c2FsdA$AAAA")}) {
    EXPECT_FALSE(parse_scram(wrong)) << wrong;
  }
  for (const std::string_view wrong : {"", "na\xc3\xafve", "tab\there"}) {
    const Result<std::string> refused = hash_scram_password(wrong);
    ASSERT_FALSE(refused);
    EXPECT_EQ(refused.error().code, "crypto.password");
  }
}

}  // namespace
}  // namespace verge::crypto

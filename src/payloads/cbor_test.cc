// CBOR as JSON; the encodings are those of RFC 8949 appendix A.
#include "payloads/cbor.h"

#include <optional>
#include <random>
#include <string>

#include <gtest/gtest.h>

namespace verge::payloads {
namespace {

std::string bytes_of(std::string_view hex) {
  std::string bytes;
  for (size_t i = 0; i + 1 < hex.size(); i += 2) {
    bytes.push_back(static_cast<char>(std::stoi(std::string(hex.substr(i, 2)), nullptr, 16)));
  }
  return bytes;
}

// Nothing when it is no payload.
std::optional<std::string> json_of(std::string_view bytes) {
  std::string json;
  return cbor_format()->append_json(bytes, json) ? std::optional(json) : std::nullopt;
}

TEST(Cbor, IsReadAsTheRfcSays) {
  const std::pair<const char*, const char*> examples[] = {
      {"00", "0"},
      {"1864", "100"},
      {"1b000000e8d4a51000", "1000000000000"},
      {"1bffffffffffffffff", "18446744073709551615"},
      {"3903e7", "-1000"},
      {"3b7fffffffffffffff", "-9223372036854775808"},
      {"3bffffffffffffffff", "-1.8446744073709552e+19"},
      {"f90000", "0.0"},
      {"f93c00", "1.0"},
      {"f93e00", "1.5"},
      {"fa47c35000", "100000.0"},
      {"fb3ff199999999999a", "1.1"},
      {"fb7e37e43c8800759c", "1e+300"},
      {"f97c00", "null"},
      {"f97e00", "null"},
      {"f4", "false"},
      {"f5", "true"},
      {"f6", "null"},
      {"f7", "null"},
      {"c11a514b67b0", "1363896240"},
      {"4401020304", "\"AQIDBA==\""},
      {"62225c", "\"\\\"\\\\\""},
      {"80", "[]"},
      {"83010203", "[1,2,3]"},
      {"8301820203820405", "[1,[2,3],[4,5]]"},
      {"a0", "{}"},
      {"a201020304", "{\"1\":2,\"3\":4}"},
      {"a120f5", "{\"-1\":true}"},
      {"a26161016162820203", "{\"a\":1,\"b\":[2,3]}"},
      {"826161a161626163", "[\"a\",{\"b\":\"c\"}]"},
      {"5f42010243030405ff", "\"AQIDBAU=\""},
      {"7f657374726561646d696e67ff", "\"streaming\""},
      {"9fff", "[]"},
      {"9f018202039f0405ffff", "[1,[2,3],[4,5]]"},
      {"bf61610161629f0203ffff", "{\"a\":1,\"b\":[2,3]}"},
      {"a17f61616162ff01", "{\"ab\":1}"},
  };
  for (const auto& [hex, json] : examples) EXPECT_EQ(json_of(bytes_of(hex)), json) << hex;
}

TEST(Cbor, WhatIsNoPayloadIsNone) {
  for (const char* hex : {
           "",                    // nothing
           "18",                  // cut off
           "0000",                // a second item
           "ff",                  // a break without a beginning
           "81",                  // an array without its item
           "9f01",                // without its end
           "a1f501",              // a key that is neither text nor integer
           "a101",                // a key without its value
           "bf01ff",              // the same
           "a18001",              // an array as a key
           "7f4101ff",            // bytes among the chunks of a text
           "5f6161ff",            // and the other way round
           "7f01ff",              // a number there
           "1c",                  // reserved
           "9bffffffffffffffff",  // 2^64-1 items
           "f8ff",                // a simple value without a meaning
       }) {
    EXPECT_EQ(json_of(bytes_of(hex)), std::nullopt) << hex;
  }
}

TEST(Cbor, NestingIsBounded) {
  EXPECT_TRUE(json_of(std::string(kNestingMax, '\x81') + '\0'));
  EXPECT_FALSE(json_of(std::string(kNestingMax + 1, '\x81') + '\0'));
  EXPECT_FALSE(json_of(std::string(1U << 20, '\x81')));
}

TEST(Cbor, LengthIsBounded) {
  std::string many("\x9a\x00\x80\x00\x00", 5);  // an array of 2^23 times undefined
  many.append(1U << 23, '\xf7');
  EXPECT_FALSE(json_of(many));
}

TEST(Cbor, AnyBytesAreReadOrNot) {
  const uint32_t seed = std::random_device{}();
  SCOPED_TRACE(seed);
  std::mt19937 random(seed);
  for (int round = 0; round < 20'000; ++round) {
    std::string bytes;
    for (size_t left = random() % 24; left > 0; --left) bytes.push_back(static_cast<char>(random()));
    json_of(bytes);
  }
}

}  // namespace
}  // namespace verge::payloads

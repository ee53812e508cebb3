#include "cli/json_lookup.h"

#include <gtest/gtest.h>

namespace verge::cli {
namespace {

constexpr std::string_view kStatus =
    R"({ "node" : {"name":"edge \"1\"","tags":["}",{"a":1}]}, "uplink":{"connected":true,"bytes_sent":123456},
        "spool":{"normal":{"records":7}}, "none":null,"d":1.5e3})";

TEST(JsonLookup, FindsWhatIsThere) {
  EXPECT_EQ(number_at(kStatus, {"uplink", "bytes_sent"}), 123456);
  EXPECT_EQ(number_at(kStatus, {"spool", "normal", "records"}), 7);
  EXPECT_EQ(number_at(kStatus, {"d"}), 1500);
  EXPECT_EQ(json_at(kStatus, {"uplink", "connected"}), "true");
  EXPECT_EQ(json_at(kStatus, {"none"}), "null");
  EXPECT_EQ(json_at(kStatus, {"node", "tags"}), R"(["}",{"a":1}])");
  EXPECT_EQ(text_at(kStatus, {"node", "name"}), R"(edge "1")");
}

TEST(JsonLookup, WhatIsNotThereIsNothing) {
  EXPECT_FALSE(json_at(kStatus, {"uplink", "bytes"}));
  EXPECT_FALSE(json_at(kStatus, {"none", "deeper"}));
  EXPECT_EQ(number_at(kStatus, {"node"}), 0);
  EXPECT_EQ(text_at(kStatus, {"d"}), "");
}

TEST(JsonLookup, EveryPrefixIsSurvived) {
  for (size_t size = 0; size <= kStatus.size(); ++size) json_at(kStatus.substr(0, size), {"d"});
  for (const std::string_view text : {"}", "\"", "{\"", "{\"a\\", "{\"a\":}", "]", ",", "{{{"})
    json_at(text, {"a", "b"});
}

}  // namespace
}  // namespace verge::cli

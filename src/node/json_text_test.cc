#include "node/json_text.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace verge::node {
namespace {

using testing::ElementsAre;
using testing::IsEmpty;

TEST(JsonText, FindsTheValuesOfArraysAndObjects) {
  EXPECT_THAT(json_values(R"( [ 1 , "a,]\"" ,{"b":[2,{}]}, [] ,null] )"),
              ElementsAre("1", R"("a,]\"")", R"({"b":[2,{}]})", "[]", "null"));
  EXPECT_THAT(json_values(R"({"a:,}\\" : 1.50,"b":{"c":"}"} , "":true})"), ElementsAre("1.50", R"({"c":"}"})", "true"));
  EXPECT_THAT(json_values("[]"), IsEmpty());
  EXPECT_THAT(json_values(" { } "), IsEmpty());
}

TEST(JsonText, MinifiesOutsideOfStringsOnly) {
  EXPECT_EQ(json_minified("{ \"a b\" :\t[1 ,\n 2.0e+1 ] , \"c\\\" \": \" \" }"), R"({"a b":[1,2.0e+1],"c\" ":" "})");
}

TEST(JsonText, EndsOnWhatIsNoJson) {
  for (const std::string_view text : {"", "[", "{", "{\"", "{\"a\"", "{\"a\":", "[\"\\", "[1,", "]]", "{,}", "[}{"}) {
    (void)json_values(text);
    (void)json_minified(text);
  }
}

}  // namespace
}  // namespace verge::node

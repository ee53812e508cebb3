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

TEST(JsonText, PutsZerosForNumbersOutOfRange) {
  const auto changed = [](std::string_view json) { return with_numbers_in_range(json).value_or("as it was"); };
  EXPECT_EQ(changed(R"({"n":123456789012345678901,"m":5})"), R"({"n":0.0000000000000000000,"m":5})");
  EXPECT_EQ(changed(R"([1e400,-1e400,-9223372036854775809, 1e-400])"),
            R"([0.000,0.0000,0.000000000000000000, 0.0000])");
  EXPECT_EQ(changed(R"([18446744073709551615,-9223372036854775808,1.7e308,0.00,-0,"1e400","\"1e400"])"), "as it was");
  for (const std::string_view none : {"01e400", "1e400.5", "1e", "-", "--1e400", "1e400e1", ".1e400", "1.e400"}) {
    EXPECT_EQ(changed(none), "as it was") << none;
  }
}

TEST(JsonText, EndsOnWhatIsNoJson) {
  for (const std::string_view text : {"", "[", "{", "{\"", "{\"a\"", "{\"a\":", "[\"\\", "[1,", "]]", "{,}", "[}{"}) {
    (void)json_values(text);
    (void)json_minified(text);
    (void)with_numbers_in_range(text);
  }
}

}  // namespace
}  // namespace verge::node

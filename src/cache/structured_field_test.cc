#include "cache/structured_field.h"

#include <gtest/gtest.h>

#include "base/random.h"

namespace verge::cache {
namespace {

TEST(StructuredField, Dictionaries) {
  const auto directives =
      parse_sf_dictionary("max-age=3600, must-revalidate;a=1, x=\"y\\\"\", t=tok/en, d=1.5, f=?0, a=(1 2)");
  const SfDictionary expected = {{"max-age", int64_t{3600}},
                                 {"must-revalidate", true},
                                 {"x", std::string("y\"")},
                                 {"t", SfToken{"tok/en"}},
                                 {"d", 1.5},
                                 {"f", false},
                                 {"a", SfInnerList{2}}};
  EXPECT_EQ(directives, expected);
}

TEST(StructuredField, TheLastOfAKeyCounts) {
  EXPECT_EQ(parse_sf_dictionary("a=1, b=2, a=3"), (SfDictionary{{"a", int64_t{3}}, {"b", int64_t{2}}}));
  EXPECT_EQ(parse_sf_dictionary(""), SfDictionary{});
  EXPECT_EQ(parse_sf_dictionary("  a=-12  "), (SfDictionary{{"a", int64_t{-12}}}));
  EXPECT_EQ(parse_sf_dictionary("a=@1659578233"), (SfDictionary{{"a", SfDate{1659578233}}}));
}

TEST(StructuredField, AFieldWithOneFaultSaysNothing) {
  for (const std::string_view text : {"max-age=10000, &&&&&",
                                      "a=1,",
                                      "a=1,,b",
                                      "A=1",
                                      "a =1",
                                      "a= 1",
                                      "a=",
                                      "a=\"x",
                                      "a=\"\\x\"",
                                      "a=1.",
                                      "a=1.2345",
                                      "a=1234567890123456",
                                      "a=?2",
                                      "a=:*:",
                                      "a=(1",
                                      "a=(1,2)",
                                      "a;",
                                      "a;B",
                                      "a=1 b=2",
                                      "=1",
                                      "a=@1.5",
                                      "a=%\"%zz\"",
                                      "a=\"\t\""}) {
    EXPECT_FALSE(parse_sf_dictionary(text)) << text;
  }
}

TEST(StructuredField, Lists) {
  EXPECT_EQ(parse_sf_list("\"one\", \"two\";x, three"),
            (SfList{std::string("one"), std::string("two"), SfToken{"three"}}));
  EXPECT_EQ(parse_sf_list(""), SfList{});
  EXPECT_FALSE(parse_sf_list("\"one\",")) << "nothing after the comma";
}

TEST(StructuredField, WrittenStringsAreReadBack) {
  Random random(system_seed());
  for (int i = 0; i < 2000; ++i) {
    std::string text;
    for (uint64_t size = random.below(20); size > 0; --size) text.push_back(static_cast<char>(' ' + random.below(95)));
    std::string field;
    append_sf_string(field, text);
    EXPECT_EQ(parse_sf_list(field), SfList{text}) << field;
  }
}

}  // namespace
}  // namespace verge::cache

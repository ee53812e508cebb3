#include "cache/vary.h"

#include <gtest/gtest.h>

namespace verge::cache {
namespace {

using Fields = std::vector<net::HttpField>;

bool same(std::string_view vary, const Fields& stored, const Fields& presented, std::string_view language = "") {
  return selects(selectors_of(Fields{{"Vary", vary}}, stored), presented, language);
}

TEST(Vary, SelectingFields) {
  EXPECT_TRUE(same("Foo", {{"foo", "1"}, {"other", "2"}}, {{"FOO", "1"}, {"other", "3"}}));
  EXPECT_FALSE(same("Foo", {{"foo", "1"}}, {{"foo", "2"}}));
  EXPECT_FALSE(same("Foo", {{"foo", "1"}}, {}));
  EXPECT_FALSE(same("Foo", {}, {{"foo", "1"}}));
  EXPECT_FALSE(same("Foo", {}, {{"foo", ""}})) << "there, though empty";
  EXPECT_TRUE(same("Foo, Bar", {{"foo", "1"}}, {{"foo", "1"}}));
  EXPECT_FALSE(same("Foo, Bar", {{"foo", "1"}}, {{"foo", "1"}, {"bar", "1"}}));
  EXPECT_EQ(selectors_of(Fields{{"Vary", "b, A"}, {"vary", "a"}}, Fields{}).size(), 2U);
}

TEST(Vary, NormalisedValues) {
  EXPECT_TRUE(same("Foo", {{"foo", "1, 2"}}, {{"foo", "1"}, {"foo", "2"}}));
  EXPECT_TRUE(same("Foo", {{"foo", "1,2"}}, {{"foo", " 1 , 2 "}}));
  EXPECT_FALSE(same("Foo", {{"foo", "1,2"}}, {{"foo", "2,1"}})) << "order may matter";
  EXPECT_FALSE(same("Foo", {{"foo", "a"}}, {{"foo", "A"}})) << "case may matter";
}

TEST(Vary, Languages) {
  EXPECT_TRUE(same("Accept-Language", {{"Accept-Language", "en, de"}}, {{"accept-language", "De ,eN"}}));
  EXPECT_FALSE(same("Accept-Language", {{"Accept-Language", "en, de"}}, {{"accept-language", "de, fr"}}));
  const Fields stored = {{"Accept-Language", "en, de"}};
  EXPECT_TRUE(same("Accept-Language", stored, {{"Accept-Language", "fr;q=0.5, de;q=1.0"}}, "de"));
  EXPECT_FALSE(same("Accept-Language", stored, {{"Accept-Language", "fr, de;q=0.9"}}, "de"));
  EXPECT_FALSE(same("Accept-Language", stored, {{"Accept-Language", "fr, de"}}, "de")) << "as good as another";
}

}  // namespace
}  // namespace verge::cache

#include "esi/variables.h"

#include <vector>

#include <gtest/gtest.h>

#include "esi/expression.h"

namespace verge::esi {
namespace {

const std::vector<net::HttpField> kFields = {
    {"Cookie", "user=anna; empty=; group=a=b"},
    {"Accept-Language", "da, en-GB;q=0.8, en;q=0.7"},
    {"User-Agent", "Mozilla/5.0 (X11; Linux x86_64)"},
    {"Referer", "http://b.example/<script>"},
    {"cookie", "late=1"},
};
const Variables kVariables(
    {.host = "a.example", .path = "/p", .query = "q=a%20b%3C&x=%zz&n=7&=&q=2", .fields = kFields});

std::string html(std::string_view text) { return expanded(text, kVariables, Escaping::kHtml); }
std::string url(std::string_view text) { return expanded(text, kVariables, Escaping::kUrl); }

TEST(EsiVariablesTest, AreReplacedByWhatTheRequestSays) {
  EXPECT_EQ(html("-$(HTTP_HOST)-$(http_host)-$(REQUEST_PATH)-"), "-a.example-a.example-/p-");
  EXPECT_EQ(html("$(HTTP_COOKIE{user}) $(HTTP_COOKIE{group}) $(HTTP_COOKIE{late})"), "anna a=b 1");
  EXPECT_EQ(html("$(QUERY_STRING{n})$(QUERY_STRING{x})"), "7%zz");
  EXPECT_EQ(html("$(HTTP_ACCEPT_LANGUAGE{en-gb}) $(HTTP_ACCEPT_LANGUAGE{fr})"), "true false");
  EXPECT_EQ(html("$(HTTP_USER_AGENT{browser}) $(HTTP_USER_AGENT{version}) $(HTTP_USER_AGENT{os})"), "MOZILLA 5.0 UNIX");
}

TEST(EsiVariablesTest, WhatIsMissingHasItsDefault) {
  EXPECT_EQ(html("$(HTTP_COOKIE{nobody}|guest) $(HTTP_COOKIE{empty}|'a ) b') $(NO_SUCH|x) $(NO_SUCH)."),
            "guest a ) b x .");
  EXPECT_EQ(html("$(HTTP_COOKIE{user}|guest)"), "anna");
}

TEST(EsiVariablesTest, ValuesFromClientsAreEscaped) {
  EXPECT_EQ(html("$(HTTP_REFERER)"), "http://b.example/&lt;script&gt;");
  EXPECT_EQ(html("$(QUERY_STRING{q})"), "a b&lt;");
  EXPECT_EQ(url("/f/$(QUERY_STRING{q})?$(QUERY_STRING)"), "/f/a%20b%3C?q=a%20b%3C&x=%zz&n=7&=&q=2");
  EXPECT_EQ(url("/f?r=$(HTTP_REFERER)&u=$(HTTP_COOKIE{group})"), "/f?r=http%3A%2F%2Fb.example%2F%3Cscript%3E&u=a%3Db");
}

TEST(EsiVariablesTest, WhatCannotBeReadStays) {
  for (const char* text : {"$(", "$()", "$(A", "$(A{b)", "$(A{b}|'c)", "$(A|", "$ (A)", "$(A B)"})
    EXPECT_EQ(html(text), text);
}

TEST(EsiExpressionTest, Tests) {
  for (const char* test : {"$(HTTP_COOKIE{user})=='anna'", "$(HTTP_COOKIE{user}) != 'bert'", "$(QUERY_STRING{n}) > 6",
                           "7 <= $(QUERY_STRING{n})", "10 > 9", "'10' > '9'", "'b' > 'a'", "!('a' == 'b')", "1 == 1.0",
                           "true & !false", "false | 'x'=='x'", "$(HTTP_ACCEPT_LANGUAGE{da})",
                           "(1==2) || (2==2 && !(3<2))", "!$(HTTP_COOKIE{nobody})", "1==1|1==2&1==2"}) {
    EXPECT_TRUE(is_expression(test)) << test;
    EXPECT_TRUE(holds(test, kVariables)) << test;
  }
  for (const char* test : {"0", "''", "false", "$(HTTP_COOKIE{nobody})", "'a'=='b'", "(1==1|1==2)&1==2"}) {
    EXPECT_TRUE(is_expression(test)) << test;
    EXPECT_FALSE(holds(test, kVariables)) << test;
  }
  for (const char* test : {"", "==", "1 ==", "1 = 1", "word", "(1", "1)", "'a", "1 1", "$(A", "!", "1 == 2 == 3"}) {
    EXPECT_FALSE(is_expression(test)) << test;
    EXPECT_FALSE(holds(test, kVariables)) << test;
  }
  EXPECT_FALSE(is_expression(std::string(100, '!') + "1"));
  EXPECT_FALSE(is_expression(std::string(100'000, '(')));
}

}  // namespace
}  // namespace verge::esi

// What expressions give: names, operators, functions, three-valued logic.
#include <gtest/gtest.h>

#include "rules/recording_effects.h"

namespace verge::rules {
namespace {

TEST(Expression, ReadsFields) {
  constexpr std::string_view kPayload =
      R"({"t":21.5,"id":9007199254740993,"big":18446744073709551615,"s":"a\"b","my field":1,"n":null,)"
      R"("a":{"b":[{"c":7},{"c":8}],"u":18446744073709551615},"t":99})";
  EXPECT_EQ(evaluated("t", kPayload), "21.5");  // the first of two
  EXPECT_EQ(evaluated("id", kPayload), "9007199254740993");
  EXPECT_EQ(evaluated("id + 1", kPayload), "9007199254740994");
  EXPECT_EQ(evaluated("s", kPayload), R"("a\"b")");
  EXPECT_EQ(evaluated("\"my field\"", kPayload), "1");
  EXPECT_EQ(evaluated("a.b[1].c", kPayload), "8");
  EXPECT_EQ(evaluated("a.b[2].c", kPayload), "null");
  EXPECT_EQ(evaluated("a", kPayload), R"({"b":[{"c":7},{"c":8}],"u":18446744073709551615})");
  EXPECT_EQ(evaluated("a.b", kPayload), R"([{"c":7},{"c":8}])");
  EXPECT_EQ(evaluated("t.x", kPayload), "null");
  EXPECT_EQ(evaluated("n IS NULL AND missing IS NULL AND t IS NOT NULL", kPayload), "true");
}

TEST(Expression, FallsBackToTheMessage) {
  EXPECT_EQ(evaluated("device"), R"("oven-7")");
  EXPECT_EQ(evaluated("device", R"({"device":"own"})"), R"("own")");
  EXPECT_EQ(evaluated("device()", R"({"device":"own"})"), R"("client")");
  EXPECT_EQ(evaluated("topic"), R"("a/oven-7/t")");
  EXPECT_EQ(evaluated("topic(2)"), R"("oven-7")");
  EXPECT_EQ(evaluated("topic(4)"), "null");
  EXPECT_EQ(evaluated("time"), "1700000000123");
  EXPECT_EQ(evaluated("time", R"({"time":5})"), "5");
  EXPECT_EQ(evaluated("now()"), "1700000000123");
}

TEST(Expression, Arithmetic) {
  EXPECT_EQ(evaluated("1 + 2 * 3 - -4"), "11");
  EXPECT_EQ(evaluated("7 / 2"), "3.5");
  EXPECT_EQ(evaluated("6 / 2"), "3");
  EXPECT_EQ(evaluated("-7 % 3"), "-1");
  EXPECT_EQ(evaluated("7.5 % 2"), "1.5");
  EXPECT_EQ(evaluated("1 / 0"), "null");
  EXPECT_EQ(evaluated("1 % 0.0"), "null");
  EXPECT_EQ(evaluated("'a' + 1"), "null");
  EXPECT_EQ(evaluated("0.1 + 0.2"), "0.30000000000000004");
  EXPECT_EQ(evaluated("-9223372036854775808"), "-9223372036854775808");
  EXPECT_EQ(evaluated("-9223372036854775808 % -1"), "0");
  EXPECT_EQ(evaluated("9007199254740993 = 9007199254740992.0"), "false");
}

TEST(Expression, ThreeValuedLogic) {
  const char* const kTruth[3] = {"TRUE", "FALSE", "NULL"};
  const char* const kAnd[3][3] = {{"true", "false", "null"}, {"false", "false", "false"}, {"null", "false", "null"}};
  const char* const kOr[3][3] = {{"true", "true", "true"}, {"true", "false", "null"}, {"true", "null", "null"}};
  for (int i = 0; i < 3; ++i) {
    for (int j = 0; j < 3; ++j) {
      EXPECT_EQ(evaluated(fmt::format("{} AND {}", kTruth[i], kTruth[j])), kAnd[i][j]);
      EXPECT_EQ(evaluated(fmt::format("{} or {}", kTruth[i], kTruth[j])), kOr[i][j]);
    }
  }
  EXPECT_EQ(evaluated("NOT NULL"), "null");
  EXPECT_EQ(evaluated("NOT 5"), "null");
  EXPECT_EQ(evaluated("NULL = NULL"), "null");
  EXPECT_EQ(evaluated("1 = '1'"), "null");
  EXPECT_EQ(evaluated("5 BETWEEN 1 AND NULL"), "null");
  EXPECT_EQ(evaluated("0 BETWEEN 1 AND NULL"), "false");
  EXPECT_EQ(evaluated("5 NOT BETWEEN 1 AND 4 AND TRUE"), "true");
  EXPECT_EQ(evaluated("1 IN (2, NULL)"), "null");
  EXPECT_EQ(evaluated("1 IN (2, NULL, 1)"), "true");
  EXPECT_EQ(evaluated("1 NOT IN (2, 3)"), "true");
}

TEST(Expression, LikeMatchesWildcards) {
  EXPECT_EQ(evaluated("'oven-12' LIKE 'oven-%'"), "true");
  EXPECT_EQ(evaluated("'oven' LIKE 'o__n'"), "true");
  EXPECT_EQ(evaluated("'ofen' NOT LIKE '%v%'"), "true");
  EXPECT_EQ(evaluated("'abcbcd' LIKE '%bcd'"), "true");
  EXPECT_EQ(evaluated("'Öl' LIKE '_l'"), "true");
  EXPECT_EQ(evaluated("'' LIKE '%%'"), "true");
  EXPECT_EQ(evaluated("5 LIKE '5'"), "null");
  const std::string many(20'000, 'a');
  EXPECT_EQ(evaluated("s LIKE p", fmt::format(R"({{"s":"{0}{0}","p":"%{0}b"}})", many)), "null");
}

TEST(Expression, CaseTakesTheFirstMatch) {
  EXPECT_EQ(evaluated("CASE WHEN NULL THEN 1 WHEN 2 > 1 THEN 2 WHEN TRUE THEN 3 END"), "2");
  EXPECT_EQ(evaluated("CASE WHEN FALSE THEN 1 END"), "null");
  EXPECT_EQ(evaluated("CASE 2 + 1 WHEN 1 THEN 'a' WHEN 3 THEN 'b' ELSE 'c' END"), R"("b")");
  EXPECT_EQ(evaluated("1 + CASE NULL WHEN NULL THEN 1 ELSE 5 END * 2"), "11");
}

TEST(Expression, Functions) {
  EXPECT_EQ(evaluated("abs(-3.5) + abs(2)"), "5.5");
  EXPECT_EQ(evaluated("round(2.5)"), "3");
  EXPECT_EQ(evaluated("round(21.456, 1)"), "21.5");
  EXPECT_EQ(evaluated("round(1234, -2)"), "1200");
  EXPECT_EQ(evaluated("floor(-1.5) + ceil(1.2)"), "0");
  EXPECT_EQ(evaluated("sqrt(9)"), "3");
  EXPECT_EQ(evaluated("sqrt(-1)"), "null");
  EXPECT_EQ(evaluated("power(2, 10)"), "1024");
  EXPECT_EQ(evaluated("least(3, 1.5, 2)"), "1.5");
  EXPECT_EQ(evaluated("greatest('a', 'b')"), R"("b")");
  EXPECT_EQ(evaluated("greatest(1, NULL)"), "null");
  EXPECT_EQ(evaluated("concat(lower('AbZ'), upper('x{z'), 1, TRUE)"), R"("abzX{Z1true")");
  EXPECT_EQ(evaluated("concat('a', NULL)"), "null");
  EXPECT_EQ(evaluated("length('Öl')"), "2");
  EXPECT_EQ(evaluated("coalesce(x, NULL, 4)"), "4");
  EXPECT_EQ(evaluated("number(' 12 ') + number('1.5')"), "13.5");
  EXPECT_EQ(evaluated("number('12x')"), "null");
  EXPECT_EQ(evaluated("text(1.25)"), R"("1.25")");
  EXPECT_EQ(evaluated("text(o)", R"({"o":{"a":[1, 2]}})"), R"("{\"a\":[1,2]}")");
  EXPECT_EQ(evaluated("'it''s'"), R"("it's")");
}

TEST(Expression, MoreNumbers) {
  EXPECT_EQ(evaluated("trunc(-1.7) + sign(-3)"), "-2");
  EXPECT_EQ(evaluated("round(exp(ln(5)), 9)"), "5");
  EXPECT_EQ(evaluated("log10(1000)"), "3");
  EXPECT_EQ(evaluated("round(sin(pi() / 2), 12)"), "1");
  EXPECT_EQ(evaluated("mod(7, 4)"), "3");
  EXPECT_EQ(evaluated("clamp(12, 0, 10)"), "10");
  EXPECT_EQ(evaluated("bit_and(12, 10) + bit_or(1, 2)"), "11");
  EXPECT_EQ(evaluated("ln(-1)"), "null");
  EXPECT_EQ(evaluated("sqrt('4')"), "null");
}

TEST(Expression, LevelsAndHandlingHaveTheirThresholds) {
  EXPECT_EQ(evaluated("level(0.91, 0.29)"), "\"device\"");
  EXPECT_EQ(evaluated("level(0.9, 0.29)"), "\"edge\"");
  EXPECT_EQ(evaluated("level(0.91, 0.3)"), "\"edge\"");
  EXPECT_EQ(evaluated("level(0.71, 0.59)"), "\"edge\"");
  EXPECT_EQ(evaluated("level(0.7, 0.59)"), "\"fog\"");
  EXPECT_EQ(evaluated("level(0.71, 0.6)"), "\"fog\"");
  EXPECT_EQ(evaluated("level(0.49, 0.81)"), "\"cloud\"");
  EXPECT_EQ(evaluated("level(0.5, 0.81)"), "\"fog\"");
  EXPECT_EQ(evaluated("level(0.49, 0.8)"), "\"fog\"");
  EXPECT_EQ(evaluated("level('high', 0.8)"), "null");
  EXPECT_EQ(evaluated("handling(0.81)"), "\"hot\"");
  EXPECT_EQ(evaluated("handling(0.8)"), "\"batch\"");
  EXPECT_EQ(evaluated("handling(0.51)"), "\"batch\"");
  EXPECT_EQ(evaluated("handling(0.5)"), "\"aggregate\"");
  EXPECT_EQ(evaluated("handling(NULL)"), "null");
}

TEST(Expression, MoreTexts) {
  EXPECT_EQ(evaluated("'a' || 1 || 'b'"), R"("a1b")");
  EXPECT_EQ(evaluated("'a' || NULL"), "null");
  EXPECT_EQ(evaluated("substr('Öland', 2)"), R"("land")");
  EXPECT_EQ(evaluated("substr('abcdef', 2, 3)"), R"("bcd")");
  EXPECT_EQ(evaluated("substr('abc', -1, 3)"), R"("a")");
  EXPECT_EQ(evaluated("substr('abc', 9)"), R"("")");
  EXPECT_EQ(evaluated("trim('  x ')"), R"("x")");
  EXPECT_EQ(evaluated("replace('a-b-c', '-', '')"), R"("abc")");
  EXPECT_EQ(evaluated("starts_with('abc', 'ab') AND ends_with('abc', 'bc') AND contains('abc', 'b')"), "true");
  EXPECT_EQ(evaluated("position('Öab', 'a')"), "2");
  EXPECT_EQ(evaluated("split_part('a/b/c', '/', 2)"), R"("b")");
  EXPECT_EQ(evaluated("split_part('a/b/c', '/', 4)"), "null");
  EXPECT_EQ(evaluated("nullif(1, 1)"), "null");
  EXPECT_EQ(evaluated("iif(1 < 2, 'y', 'n')"), R"("y")");
}

TEST(Expression, Casts) {
  EXPECT_EQ(evaluated("cast('12.7' AS integer)"), "12");
  EXPECT_EQ(evaluated("CAST(3 AS text)"), R"("3")");
  EXPECT_EQ(evaluated("cast('x' AS number)"), "null");
  EXPECT_EQ(evaluated("cast('true' AS boolean) AND cast(1 AS boolean)"), "true");
  EXPECT_EQ(evaluated("cast('[1, 2]' AS json)"), "[1,2]");
  EXPECT_EQ(evaluated("typeof(1.5) || typeof(NULL) || typeof(a)", R"({"a":[]})"), R"("numbernullarray")");
}

TEST(Expression, Times) {
  EXPECT_EQ(evaluated("parse_time('1970-01-02T00:00:00Z')"), "86400000");
  EXPECT_EQ(evaluated("parse_time('2024-02-29 12:30:15.250+02:00')"), "1709202615250");
  EXPECT_EQ(evaluated("parse_time('2023-02-29')"), "null");
  EXPECT_EQ(evaluated("format_time(0)"), R"("1970-01-01T00:00:00.000000Z")");
  EXPECT_EQ(evaluated("date_trunc('hour', 5400000)"), "3600000");
  EXPECT_EQ(evaluated("format_time(date_trunc('month', '2024-02-29T05:00:00Z'))"), R"("2024-02-01T00:00:00.000000Z")");
  EXPECT_EQ(evaluated("extract('year', '2024-02-29') * 100 + extract('weekday', '2024-02-29')"), "202404");
  EXPECT_EQ(evaluated("extract('yearday', '2024-03-01')"), "61");
  EXPECT_EQ(evaluated("date_trunc('par' || 'sec', 0)"), "null");
}

TEST(Expression, ArraysAndPaths) {
  constexpr std::string_view kPayload = R"({"a":[3,1,2,"x"],"o":{"b":[{"c":5}],"d e":1},"s":"{\"k\":[1,2]}"})";
  EXPECT_EQ(evaluated("array_length(a)", kPayload), "4");
  EXPECT_EQ(evaluated("array_sum(a) * 10 + array_max(a)", kPayload), "63");
  EXPECT_EQ(evaluated("array_avg(a) + array_min(a)", kPayload), "3");
  EXPECT_EQ(evaluated("array_contains(a, 'x') AND NOT array_contains(a, 9)", kPayload), "true");
  EXPECT_EQ(evaluated("element(a, 1)", kPayload), "1");
  EXPECT_EQ(evaluated("json_value(o, '$.b[0].c')", kPayload), "5");
  EXPECT_EQ(evaluated("json_value(o, '$[''d e'']')", kPayload), "1");
  EXPECT_EQ(evaluated("json_value(s, '$.k[1]')", kPayload), "2");
  EXPECT_EQ(evaluated("json_value(o, '$.x.y')", kPayload), "null");
  EXPECT_EQ(evaluated("json_value(o, '$.b[')", kPayload), "null");
  EXPECT_EQ(evaluated("keys(o)", kPayload), R"(["b","d e"])");
  EXPECT_EQ(evaluated("array(1, 'b', NULL)"), R"([1,"b",null])");
  EXPECT_EQ(evaluated("object('t', 1, 'u', 'c')"), R"({"t":1,"u":"c"})");
  EXPECT_EQ(evaluated("object('t')"), "null");
}

}  // namespace
}  // namespace verge::rules

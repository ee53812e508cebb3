// What is read from files: timestamps, CSV; and the coders below the record.
#include <cmath>
#include <limits>

#include <gtest/gtest.h>

#include "base/random.h"
#include "series/csv.h"
#include "series/range_coder.h"
#include "series/timestamp.h"
#include "series/value_coder.h"
#include "tests/support/value_of.h"

namespace verge::series {
namespace {

TEST(Timestamp, ComesBackLetterByLetter) {
  for (const char* text :
       {"2014-04-01 00:05:00", "2014-04-01T23:59:59Z", "2014-02-14 14:30:00.000001", "1969-12-31 23:59:59",
        "1396310700", "1396310700123", "-5", "0", "2014-04-01", "2014-04-01 00:05", "0001-01-01 00:00:00",
        "2024-02-29T12:00:00.5+02:00", "9999-12-31 23:59:59.999999"}) {
    SCOPED_TRACE(text);
    const Timestamp timestamp = tests::value_of(parse_timestamp(text));
    EXPECT_EQ(format_timestamp(timestamp.ticks, timestamp.layout), text);
  }
}

TEST(Timestamp, IsNothingWhereItWouldComeBackOtherwise) {
  for (const char* text :
       {"", "x", "2014-13-01 00:00:00", "2014-02-30", "2014-04-01 24:00:00", "2014-04-01 00:00:60", "007", "+5", "1.5",
        "2014-04-01 00:00:00 ", "2014-04-01 00:00:00.", "2014-04-01T", "99999999999999999999"}) {
    EXPECT_FALSE(parse_timestamp(text)) << text;
  }
}

TEST(Timestamp, GivesTheWallClock) {
  const auto wall = [](const char* text) { return wall_microseconds(parse_timestamp(text).value_or(Timestamp{})); };
  EXPECT_EQ(wall("1970-01-02 00:00:01"), 86'401'000'000);
  EXPECT_EQ(wall("1970-01-02"), 86'400'000'000);
  EXPECT_EQ(wall("1970-01-01T00:01Z"), 60'000'000);
  EXPECT_EQ(wall("1970-01-01 00:00:00.25"), 250'000);
  EXPECT_EQ(wall("1396310700"), 1'396'310'700'000'000);
  EXPECT_EQ(wall("1396310700123"), 1'396'310'700'123'000);
  EXPECT_EQ(wall("1396310700123456789"), 1'396'310'700'123'456);
}

std::string error_of(const std::vector<const char*>& lines) {
  CsvColumns csv("f.csv");
  for (const char* line : lines) {
    if (csv.names().empty()) {
      if (const Result<void> header = csv.read_header(line); !header) return header.error().what;
    } else if (const auto row = csv.read_row(line); !row) {
      return row.error().what;
    }
  }
  return "";
}

TEST(Csv, ErrorsNameThePlace) {
  EXPECT_EQ(error_of({"timestamp,value", "1,2", "2,x1"}), "f.csv:3:3: \"x1\" is no number");
  EXPECT_EQ(error_of({"timestamp,value", "1"}), "f.csv:2:1: 1 cell, the header has 2");
  EXPECT_EQ(error_of({"timestamp,value", "1,\"2"}), "f.csv:2:3: the quote is not closed");
  EXPECT_EQ(error_of({"timestamp,value", "\"1\"2,3"}), "f.csv:2:4: letters behind the closing quote");
  EXPECT_EQ(error_of({"a,a"}), "f.csv:1:3: the column \"a\" is there twice");
  EXPECT_EQ(error_of({"value"}), "f.csv:1:1: the header has one column");
  EXPECT_EQ(error_of({"timestamp,value", "1,1e999"}), "f.csv:2:3: 1e999 is beyond the range of a double");
}

TEST(Csv, ReadsQuotesMissingValuesAndChosenColumns) {
  CsvColumns csv("f.csv");
  ASSERT_TRUE(csv.read_header("\xef\xbb\xbftimestamp,\"flow, m3\",pressure\r"));
  ASSERT_TRUE(csv.choose({"pressure", "flow, m3"}));
  const Result<const CsvColumns::Row*> row = csv.read_row("\"a \"\"b\"\"\", 1.5 ,\r");
  ASSERT_TRUE(row);
  EXPECT_EQ((*row)->timestamp, "a \"b\"");
  EXPECT_TRUE(std::isnan((*row)->values[0]));
  EXPECT_EQ((*row)->values[1], 1.5);
  EXPECT_EQ(csv_cell("a \"b\""), "\"a \"\"b\"\"\"");
  EXPECT_NE(csv.choose({"presure"}).error().fix.find("pressure"), std::string::npos);
}

TEST(RangeCoder, GivesBackWhatWasEncodedAndUsesTheLikely) {
  for (uint64_t seed = 0; seed < 30; ++seed) {
    Random random(seed);
    const double rarity = random.unit();
    std::vector<uint64_t> numbers;
    for (uint64_t i = random.below(3000); i > 0; --i)
      numbers.push_back(random.chance(rarity) ? 0 : random.next() >> random.below(64));
    RangeEncoder encoder;
    NumberModel model;
    BitModel bit;
    for (const uint64_t number : numbers) {
      model.encode(encoder, number);
      encoder.encode(bit, number == 0);
      encoder.encode_even(number & 7, 3);
    }
    const std::string bytes = encoder.finish();
    RangeDecoder decoder(bytes);
    NumberModel again;
    BitModel again_bit;
    for (const uint64_t number : numbers) {
      ASSERT_EQ(again.decode(decoder), number) << "seed " << seed;
      ASSERT_EQ(decoder.decode(again_bit), number == 0);
      ASSERT_EQ(decoder.decode_even(3), number & 7);
    }
  }
  RangeEncoder encoder;
  BitModel bit;
  for (int i = 0; i < 100'000; ++i) encoder.encode(bit, false);
  EXPECT_LT(encoder.finish().size(), 20U);
}

TEST(ValueCoder, IsLosslessForAnyBits) {
  Random random(9);
  std::vector<double> values = {0.0,     -0.0,   0.1,          -273.15,  1e17,
                                1e300,   5e-324, std::nan(""), HUGE_VAL, -HUGE_VAL,
                                1.0 / 3, 20.0,   20.5,         20.25,    17.000000000000004};
  for (int i = 0; i < 2000; ++i) values.push_back(std::round(random.normal() * 1000) / 1000);
  for (int i = 0; i < 2000; ++i) values.push_back(std::bit_cast<double>(random.next()));
  RangeEncoder encoder;
  ValueCoder coder;
  for (const double value : values) coder.encode(encoder, value);
  const std::string bytes = encoder.finish();
  RangeDecoder decoder(bytes);
  ValueCoder again;
  for (const double value : values)
    ASSERT_EQ(std::bit_cast<uint64_t>(again.decode(decoder)), std::bit_cast<uint64_t>(value));
}

}  // namespace
}  // namespace verge::series

#include "cache/accept_encoding.h"

#include <vector>

#include <gtest/gtest.h>

namespace verge::cache {
namespace {

using compress::ContentCoding;
using Fields = std::vector<net::HttpField>;

const std::vector<ContentCoding> kAll = {ContentCoding::kBrotli, ContentCoding::kZstd, ContentCoding::kGzip};

std::optional<ContentCoding> preferred(std::string_view accepted, const std::vector<ContentCoding>& offered = kAll) {
  return preferred_coding(Fields{{"Host", "a"}, {"Accept-Encoding", accepted}}, offered);
}

TEST(AcceptEncodingTest, TheWeightDecidesAndThenTheOrderOfTheOffer) {
  EXPECT_EQ(preferred("gzip, deflate, br, zstd"), ContentCoding::kBrotli);
  EXPECT_EQ(preferred("gzip, deflate, br, zstd", {ContentCoding::kZstd, ContentCoding::kGzip}), ContentCoding::kZstd);
  EXPECT_EQ(preferred("gzip;q=1.0, br;q=0.9"), ContentCoding::kGzip);
  EXPECT_EQ(preferred("br;q=0.001"), ContentCoding::kBrotli);
  EXPECT_EQ(preferred("GZIP"), ContentCoding::kGzip);
  EXPECT_EQ(preferred("x-gzip"), ContentCoding::kGzip);
  EXPECT_EQ(preferred("*"), ContentCoding::kBrotli);
  EXPECT_EQ(preferred("br;q=0, *"), ContentCoding::kZstd);
  EXPECT_EQ(preferred("gzip ; q=0.5 , br ; q=0.4"), ContentCoding::kGzip);
}

TEST(AcceptEncodingTest, WhatTheClientDoesNotTakeItDoesNotGet) {
  EXPECT_EQ(preferred_coding(Fields{{"Host", "a"}}, kAll), std::nullopt);
  EXPECT_EQ(preferred(""), std::nullopt);
  EXPECT_EQ(preferred("identity"), std::nullopt);
  EXPECT_EQ(preferred("deflate, compress"), std::nullopt);
  EXPECT_EQ(preferred("br;q=0, zstd;q=0.000, gzip;q=0.0"), std::nullopt);
  EXPECT_EQ(preferred("*;q=0"), std::nullopt);
  EXPECT_EQ(preferred("gzip;q=0.5, identity"), std::nullopt);
  EXPECT_EQ(preferred("gzip", {}), std::nullopt);
}

TEST(AcceptEncodingTest, AMalformedWeightIsARefusal) {
  for (const char* accepted :
       {"gzip;q=", "gzip;q=2", "gzip;q=0.1234", "gzip;q=-1", "gzip;q=1x", "gzip;level=9", "gzip;"}) {
    EXPECT_EQ(preferred(accepted), std::nullopt) << accepted;
  }
  EXPECT_EQ(preferred(",,;,gzip,,"), ContentCoding::kGzip);
}

TEST(AcceptEncodingTest, SeveralFieldsAreOneList) {
  const Fields fields = {{"accept-encoding", "gzip;q=0.2"}, {"Accept-Encoding", "br;q=0.1"}};
  EXPECT_EQ(preferred_coding(fields, kAll), ContentCoding::kGzip);
}

TEST(AcceptEncodingTest, TextIsCompressibleUnlessItsBytesArePromised) {
  const auto compressible = [](int status, Fields fields) { return is_compressible(status, fields); };
  EXPECT_TRUE(compressible(200, {{"Content-Type", "text/html; charset=utf-8"}}));
  EXPECT_TRUE(compressible(200, {{"Content-Type", "Application/JSON"}}));
  EXPECT_TRUE(compressible(404, {{"Content-Type", "application/problem+json"}}));
  EXPECT_TRUE(compressible(200, {{"Content-Type", "image/svg+xml"}}));
  EXPECT_FALSE(compressible(200, {{"Content-Type", "image/png"}}));
  EXPECT_FALSE(compressible(200, {{"Content-Type", "text/"}}));
  EXPECT_FALSE(compressible(200, {}));
  for (const int status : {101, 204, 206, 304}) EXPECT_FALSE(compressible(status, {{"Content-Type", "text/html"}}));
  for (const net::HttpField& promised : Fields{{"Content-Encoding", "gzip"},
                                               {"Content-Range", "bytes 0-1/2"},
                                               {"Repr-Digest", "sha-256=:AA=:"},
                                               {"Cache-Control", "max-age=1, no-transform"}}) {
    EXPECT_FALSE(compressible(200, {{"Content-Type", "text/html"}, promised})) << promised.name;
  }
}

TEST(AcceptEncodingTest, AStrongTagNamesItsCoding) {
  EXPECT_EQ(coded_tag("\"abc\"", ContentCoding::kBrotli), "\"abc-br\"");
  EXPECT_EQ(coded_tag("\"\"", ContentCoding::kGzip), "\"-gzip\"");
  EXPECT_EQ(coded_tag("W/\"abc\"", ContentCoding::kGzip), "W/\"abc\"");
  EXPECT_EQ(coded_tag("abc", ContentCoding::kGzip), "abc");
  EXPECT_EQ(coded_tag("", ContentCoding::kGzip), "");
}

}  // namespace
}  // namespace verge::cache

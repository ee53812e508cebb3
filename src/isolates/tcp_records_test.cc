#include "isolates/tcp_records.h"

#include <optional>

#include <fmt/format.h>
#include <gtest/gtest.h>

namespace verge::isolates {
namespace {

// What is read from `wire` in pieces of `size` bytes; pieces of bytes are put together.
std::optional<std::string> read(std::string_view wire, size_t size) {
  TcpRecords records;
  std::string out;
  for (size_t at = 0; at < wire.size(); at += size) {
    const bool good = records.read(wire.substr(at, size), [&](TcpRecord type, std::string_view payload) {
      if (type == TcpRecord::kBytes) out.append(payload);
      if (type == TcpRecord::kEnd) out.append("<end>");
      if (type == TcpRecord::kTls) out.append(fmt::format("<tls {}>", payload));
    });
    if (!good) return std::nullopt;
  }
  return out;
}

TEST(TcpRecords, AreReadInWhateverPiecesTheyCome) {
  std::string wire;
  TcpRecords::append(wire, TcpRecord::kBytes, "hello ");
  TcpRecords::append(wire, TcpRecord::kBytes);
  TcpRecords::append(wire, TcpRecord::kTls, "db.internal");
  TcpRecords::append(wire, TcpRecord::kBytes, std::string(1000, 'x'));
  TcpRecords::append(wire, TcpRecord::kTls);
  TcpRecords::append(wire, TcpRecord::kEnd);
  const std::string all = "hello <tls db.internal>" + std::string(1000, 'x') + "<tls ><end>";
  for (const size_t size : {1, 2, 3, 5, 7, 100, 5000}) EXPECT_EQ(read(wire, size), all) << size;
}

TEST(TcpRecords, WhatIsNoneIsRefused) {
  const auto head = [](uint8_t type, uint32_t length) {
    std::string out;
    TcpRecords::append(out, static_cast<TcpRecord>(type), {});
    for (size_t i = 0; i < 4; ++i) out[1 + i] = static_cast<char>(length >> (8 * i));
    return out + "x";
  };
  for (const size_t size : {1, 100}) {
    EXPECT_FALSE(read(head(3, 0), size));
    EXPECT_FALSE(read(head(255, 0), size));
    EXPECT_FALSE(read(head(1, 1), size));
    EXPECT_FALSE(read(head(2, TcpRecords::kNameBytesMax + 1), size));
    EXPECT_FALSE(read(head(2, UINT32_MAX), size));
    std::string behind_the_end;
    TcpRecords::append(behind_the_end, TcpRecord::kEnd);
    EXPECT_TRUE(read(behind_the_end, size));
    TcpRecords::append(behind_the_end, TcpRecord::kBytes, "x");
    EXPECT_FALSE(read(behind_the_end, size));
  }
  EXPECT_EQ(read(head(0, UINT32_MAX), 1), "x") << "bytes have no longest record: they are not gathered";
}

}  // namespace
}  // namespace verge::isolates

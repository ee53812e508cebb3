// What an isolate process writes as the body of a TCP connection is read from any bytes, in whatever pieces: the same
// comes out, and no more than was given; what can be read is written again and must read the same.
#include <cstdint>
#include <cstdlib>
#include <string>
#include <string_view>

#include "isolates/connect_rule.h"
#include "isolates/tcp_records.h"

namespace {

using verge::isolates::TcpRecord;
using verge::isolates::TcpRecords;

// Bytes between other records are put together: where they are cut says nothing.
std::string read(std::string_view input, size_t piece, bool& good) {
  TcpRecords records;
  std::string out;
  std::string bytes;
  const auto flush = [&] {
    if (!bytes.empty()) TcpRecords::append(out, TcpRecord::kBytes, bytes);
    bytes.clear();
  };
  good = true;
  for (size_t at = 0; at < input.size() && good; at += piece) {
    good = records.read(input.substr(at, piece), [&](TcpRecord type, std::string_view payload) {
      if (type == TcpRecord::kBytes) {
        bytes.append(payload);
      } else {
        flush();
        TcpRecords::append(out, type, payload);
      }
    });
  }
  flush();
  return out;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const std::string_view input(reinterpret_cast<const char*>(data), size);
  const auto require = [](bool holds) {
    if (!holds) abort();
  };
  bool whole_good = false, cut_good = false, again_good = false;
  const std::string whole = read(input, size + 1, whole_good);
  const std::string cut = read(input, 1 + (size > 0 ? data[0] % 7 : 0), cut_good);
  require(whole_good == cut_good);
  if (whole_good) require(whole == cut);
  require(read(whole, whole.size() + 1, again_good) == whole && again_good);
  if (const auto rule = verge::isolates::parse_connect_rule(input)) {
    const std::string text =
        (rule->is_wildcard ? "*" : "") + verge::isolates::HostAndPort{.host = rule->host, .port = rule->port}.text();
    const auto second = verge::isolates::parse_connect_rule(text);
    require(second && *second == *rule);
  }
  return 0;
}

#include "net/proxy_header.h"

#include <algorithm>
#include <array>
#include <charconv>

#include <fmt/format.h>

namespace verge::net {
namespace {

using Progress = ProxyHeader::Progress;

constexpr std::string_view kSignature("\r\n\r\n\0\r\nQUIT\n", 12);
constexpr std::string_view kFirstWord = "PROXY ";
constexpr size_t kLineMax = 107;  // with its CR LF
constexpr size_t kFixedBytes = 16;

ProxyHeader refused() { return {.progress = Progress::kRefused, .bytes = 0, .client = {}}; }

unsigned byte_at(std::string_view bytes, size_t i) { return static_cast<unsigned char>(bytes[i]); }

std::optional<uint16_t> parse_port(std::string_view text) {
  uint16_t port = 0;
  const auto [end, problem] = std::from_chars(text.data(), text.data() + text.size(), port);
  const bool is_plain = text.size() == 1 || !text.starts_with('0');
  if (problem != std::errc{} || end != text.data() + text.size() || !is_plain) return std::nullopt;
  return port;
}

std::optional<Address> parse_ip(std::string_view text, bool is_v6, uint16_t port) {
  const Result<Address> address =
      Address::parse(is_v6 ? fmt::format("[{}]:{}", text, port) : fmt::format("{}:{}", text, port));
  // What getaddrinfo() takes besides ("1.2", names) has no place here.
  if (!address || text.find_first_not_of("0123456789abcdefABCDEF.:") != std::string_view::npos) return std::nullopt;
  if (!is_v6 && std::ranges::count(text, '.') != 3) return std::nullopt;
  return *address;
}

ProxyHeader parse_line(std::string_view bytes) {
  const size_t end = bytes.substr(0, kLineMax).find("\r\n");
  if (end == std::string_view::npos) {
    if (bytes.size() >= kLineMax) return refused();
    return {};
  }
  ProxyHeader header{.progress = Progress::kDone, .bytes = end + 2, .client = {}};
  std::string_view rest = bytes.substr(kFirstWord.size(), end - kFirstWord.size());
  if (rest == "UNKNOWN" || rest.starts_with("UNKNOWN ")) return header;
  std::array<std::string_view, 5> words;
  for (size_t i = 0; i < words.size(); ++i) {
    const size_t blank = rest.find(' ');
    words[i] = rest.substr(0, blank);
    if (words[i].empty() || (blank == std::string_view::npos) != (i + 1 == words.size())) return refused();
    rest.remove_prefix(std::min(rest.size(), words[i].size() + 1));
  }
  const bool is_v6 = words[0] == "TCP6";
  if (!is_v6 && words[0] != "TCP4") return refused();
  const std::optional<uint16_t> port = parse_port(words[3]), own_port = parse_port(words[4]);
  if (!port || !own_port || !parse_ip(words[2], is_v6, *own_port)) return refused();
  header.client = parse_ip(words[1], is_v6, *port);
  return header.client ? header : refused();
}

ProxyHeader parse_binary(std::string_view bytes) {
  if (bytes.size() < kFixedBytes) return {};
  const unsigned version = byte_at(bytes, 12) >> 4U, command = byte_at(bytes, 12) & 15U;
  const unsigned family = byte_at(bytes, 13) >> 4U, transport = byte_at(bytes, 13) & 15U;
  const size_t length = byte_at(bytes, 14) << 8U | byte_at(bytes, 15);
  if (version != 2 || command > 1 || family > 3 || transport > 2) return refused();
  if (kFixedBytes + length > ProxyHeader::kBytesMax) return refused();
  if (bytes.size() < kFixedBytes + length) return {};
  ProxyHeader header{.progress = Progress::kDone, .bytes = kFixedBytes + length, .client = {}};
  const bool is_tcp = command == 1 && transport == 1;
  if (!is_tcp || family == 0 || family == 3) return header;
  const size_t ip_bytes = family == 1 ? 4 : 16;
  if (length < 2 * ip_bytes + 4) return refused();
  const std::string_view body = bytes.substr(kFixedBytes, length);
  const size_t port_at = 2 * ip_bytes;
  header.client = Address::of_bytes(body.substr(0, ip_bytes),
                                    static_cast<uint16_t>(byte_at(body, port_at) << 8U | byte_at(body, port_at + 1)));
  return header;
}

}  // namespace

ProxyHeader ProxyHeader::parse(std::string_view bytes) {
  const auto begins_as = [&](std::string_view what) { return what.starts_with(bytes.substr(0, what.size())); };
  if (begins_as(kSignature)) return bytes.size() < kSignature.size() ? ProxyHeader{} : parse_binary(bytes);
  if (begins_as(kFirstWord)) return bytes.size() < kFirstWord.size() ? ProxyHeader{} : parse_line(bytes);
  return refused();
}

}  // namespace verge::net

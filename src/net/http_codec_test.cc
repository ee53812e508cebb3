#include "net/http_codec.h"

#include <gtest/gtest.h>

namespace verge::net {
namespace {

// What a parser makes of `bytes` when they come all at once and when they come one by one.
template <class Parser>
std::string outcome(std::string_view bytes, bool bytewise) {
  Parser parser;
  std::string buffer;
  HeadProgress progress = HeadProgress::kNeedMore;
  if (bytewise) {
    for (size_t i = 0; i < bytes.size() && progress == HeadProgress::kNeedMore; ++i) {
      buffer.push_back(bytes[i]);
      progress = parser.parse(buffer);
    }
  } else {
    buffer = bytes;
    progress = parser.parse(buffer);
  }
  if (progress == HeadProgress::kNeedMore) return "needs more";
  if (progress == HeadProgress::kRefused) {
    return fmt::format("{} {}", parser.fault().status, parser.fault().reason);
  }
  std::string text;
  if constexpr (std::is_same_v<Parser, RequestParser>) {
    text = fmt::format("{} {} 1.{} for {} framing {} {}", parser.head().method, parser.head().target,
                       parser.head().minor_version, parser.host(), static_cast<int>(parser.framing().kind),
                       parser.framing().length);
  } else {
    text = fmt::format("1.{} {} {}", parser.head().minor_version, parser.head().status, parser.head().reason);
  }
  for (const HttpField& field : parser.head().fields) text += fmt::format(" [{}={}]", field.name, field.value);
  return text + fmt::format(" in {}", parser.head_bytes());
}

template <class Parser>
std::string outcome(std::string_view bytes) {
  const std::string whole = outcome<Parser>(bytes, false);
  EXPECT_EQ(whole, outcome<Parser>(bytes, true)) << bytes;
  return whole;
}

std::string get_with(std::string_view fields) { return fmt::format("GET / HTTP/1.1\r\nHost: a\r\n{}\r\n", fields); }
std::string line(std::string_view start) { return fmt::format("{}\r\nHost: a\r\n\r\n", start); }

TEST(RequestParser, ReadsGoodHeads) {
  const std::pair<std::string, std::string> cases[] = {
      {line("GET / HTTP/1.1"), "GET / 1.1 for a framing 0 0 [Host=a] in 27"},
      {line("GET /a?b=c HTTP/1.0"), "GET /a?b=c 1.0 for a framing 0 0 [Host=a] in 32"},
      {"GET / HTTP/1.0\r\n\r\n", "GET / 1.0 for  framing 0 0 in 18"},
      {line("GET / HTTP/1.7"), "GET / 1.1 for a framing 0 0 [Host=a] in 27"},
      {"\r\n" + line("GET / HTTP/1.1"), "GET / 1.1 for a framing 0 0 [Host=a] in 29"},
      {line("OPTIONS * HTTP/1.1"), "OPTIONS * 1.1 for a framing 0 0 [Host=a] in 31"},
      {line("GET http://b:80/x HTTP/1.1"), "GET http://b:80/x 1.1 for b:80 framing 0 0 [Host=a] in 39"},
      {line("CONNECT b:443 HTTP/1.1"), "CONNECT b:443 1.1 for b:443 framing 0 0 [Host=a] in 35"},
      {get_with("X:\t y \t\r\nx:\r\n"), "GET / 1.1 for a framing 0 0 [Host=a] [X=y] [x=] in 40"},
      {get_with("X: \xc3\xa9\tb\r\n"), "GET / 1.1 for a framing 0 0 [Host=a] [X=\xc3\xa9\tb] in 36"},
      {get_with("content-LENGTH: 12\r\n"), "GET / 1.1 for a framing 1 12 [Host=a] [content-LENGTH=12] in 47"},
      {get_with("Transfer-Encoding: Chunked\r\n") + "0\r\n",
       "GET / 1.1 for a framing 2 0 [Host=a] [Transfer-Encoding=Chunked] in 55"},
      {"GET / HTTP/1.1\r\nHost: [::1]:80\r\n\r\n", "GET / 1.1 for [::1]:80 framing 0 0 [Host=[::1]:80] in 34"},
  };
  for (const auto& [bytes, expected] : cases) EXPECT_EQ(outcome<RequestParser>(bytes), expected) << bytes;
}

TEST(RequestParser, RefusesBadStartLines) {
  const std::pair<std::string_view, std::string_view> cases[] = {
      {"GET", "400 the request line is not a method, a target and a version"},
      {"GET /", "400 the request line is not a method, a target and a version"},
      {"GET  / HTTP/1.1", "400 the target has a character that no target has"},
      {"GET / HTTP/1.1 ", "400 the version is malformed"},
      {" GET / HTTP/1.1", "400 the method is not a token"},
      {"GE(T / HTTP/1.1", "400 the method is not a token"},
      {"GET\t/ HTTP/1.1", "400 the request line is not a method, a target and a version"},
      {"GET / http/1.1", "400 the version is malformed"},
      {"GET / HTTP/1.10", "400 the version is malformed"},
      {"GET / HTTP/2.0", "505 the version is not HTTP/1.x"},
      {"PRI * HTTP/2.0", "505 the version is not HTTP/1.x"},
      {"GET / HTTP/0.9", "505 the version is not HTTP/1.x"},
      {"GET /a b HTTP/1.1", "400 the target has a character that no target has"},
      {"GET /a#b HTTP/1.1", "400 the target has a character that no target has"},
      {"GET /\x80 HTTP/1.1", "400 the target has a character that no target has"},
      {"GET /\x7f HTTP/1.1", "400 the target has a character that no target has"},
      {"GET /\rx HTTP/1.1", "400 the target has a character that no target has"},
      {"GET * HTTP/1.1", "400 only OPTIONS has the target *"},
      {"GET a HTTP/1.1", "400 the target is neither a path nor an http URI"},
      {"GET ftp://a/ HTTP/1.1", "400 the target is neither a path nor an http URI"},
      {"GET http:///x HTTP/1.1", "400 the authority of the target is malformed"},
      {"GET http://me@a/x HTTP/1.1", "400 the authority of the target is malformed"},
      {"CONNECT / HTTP/1.1", "400 the target of CONNECT is not a host and a port"},
  };
  for (const auto& [start, expected] : cases) EXPECT_EQ(outcome<RequestParser>(line(start)), expected) << start;
}

TEST(RequestParser, RefusesBadFields) {
  using namespace std::string_literals;
  const std::pair<std::string, std::string_view> cases[] = {
      {"X: a\r\n b\r\n", "400 a field is folded over two lines"},
      {"X : a\r\n", "400 white space stands before a colon"},
      {"X\t: a\r\n", "400 white space stands before a colon"},
      {": a\r\n", "400 a field name is not a token"},
      {"X(: a\r\n", "400 a field name is not a token"},
      {"\xc3\xa9: a\r\n", "400 a field name is not a token"},
      {"X\r\n", "400 a field has no colon"},
      {"X: a\0b\r\n"s, "400 a field value has a control character"},
      {"X: a\rb\r\n", "400 a field value has a control character"},
      {"X: a\x7f\r\n", "400 a field value has a control character"},
      {"X: a\nY: b\r\n", "400 a line ends with a bare LF"},
      {"X: a\r\r\n", "400 a field value has a control character"},
      {"Host: a\r\n", "400 Host is given twice"},
      {"Content-Length: +5\r\n", "400 Content-Length is not a plain number of bytes"},
      {"Content-Length: -1\r\n", "400 Content-Length is not a plain number of bytes"},
      {"Content-Length: 0x5\r\n", "400 Content-Length is not a plain number of bytes"},
      {"Content-Length: 5, 5\r\n", "400 Content-Length is not a plain number of bytes"},
      {"Content-Length: 5 5\r\n", "400 Content-Length is not a plain number of bytes"},
      {"Content-Length:\r\n", "400 Content-Length is not a plain number of bytes"},
      {"Content-Length: 99999999999999999999\r\n", "400 Content-Length is not a plain number of bytes"},
      {"Content-Length: 5\r\nContent-Length: 5\r\n", "400 Content-Length is given twice"},
      {"Content-Length: 5\r\nTransfer-Encoding: chunked\r\n", "400 Content-Length stands beside Transfer-Encoding"},
      {"Transfer-Encoding: chunked\r\nContent-Length: 5\r\n", "400 Content-Length stands beside Transfer-Encoding"},
      {"Transfer-Encoding: chunked\r\nTransfer-Encoding: x\r\n", "400 Transfer-Encoding is given twice"},
      {"Transfer-Encoding: gzip\r\n", "400 the final transfer coding is not chunked"},
      {"Transfer-Encoding: chunked, gzip\r\n", "400 the final transfer coding is not chunked"},
      {"Transfer-Encoding: chunked, chunked\r\n", "400 chunked is applied twice"},
      {"Transfer-Encoding: identity\r\n", "400 the final transfer coding is not chunked"},
      {"Transfer-Encoding: \x0b"
       "chunked\r\n",
       "400 a field value has a control character"},
      {"Transfer-Encoding: \"chunked\"\r\n", "400 the final transfer coding is not chunked"},
      {"Transfer-Encoding: gzip, chunked\r\n", "501 no transfer coding but chunked is understood"},
  };
  for (const auto& [fields, expected] : cases) {
    EXPECT_EQ(outcome<RequestParser>(get_with(fields)), expected) << fields;
  }
  EXPECT_EQ(outcome<RequestParser>("GET / HTTP/1.1\r\n\r\n"), "400 Host is missing");
  EXPECT_EQ(outcome<RequestParser>("GET / HTTP/1.1\nHost: a\n\n"), "400 a line ends with a bare LF");
  EXPECT_EQ(outcome<RequestParser>("\n"), "400 a line ends with a bare LF");
  EXPECT_EQ(outcome<RequestParser>("\r\n\r\n"), "400 the request line is not a method, a target and a version");
  EXPECT_EQ(outcome<RequestParser>("POST / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n"),
            "400 HTTP/1.0 has no Transfer-Encoding");
  for (const char* host : {"", "a b", "a/b", "a@b", "a:b", "a:65536", "a:80:80", "[::1", "[]", "[::1]x", "a,b:1x"}) {
    EXPECT_EQ(outcome<RequestParser>(fmt::format("GET / HTTP/1.1\r\nHost: {}\r\n\r\n", host)), "400 Host is malformed");
  }
}

TEST(RequestParser, HasLimits) {
  const std::string long_target(9000, 'a');
  EXPECT_EQ(outcome<RequestParser>(line("GET /" + long_target + " HTTP/1.1")), "414 the target is too long");
  EXPECT_EQ(outcome<RequestParser>("GET /" + std::string(20'000, 'a')), "414 the request line is too long");
  EXPECT_EQ(outcome<RequestParser>(get_with("X: " + std::string(20'000, 'a') + "\r\n")), "431 the head is too long");
  std::string fields;
  for (int i = 0; i < 99; ++i) fields += "X: y\r\n";
  EXPECT_TRUE(outcome<RequestParser>(get_with(fields)).starts_with("GET /"));
  EXPECT_EQ(outcome<RequestParser>(get_with(fields + "X: y\r\n")), "431 there are too many fields");
  // Exactly as long as may be, and a byte more.
  const size_t room = HeadLimits{}.head_bytes_max - get_with("X: \r\n").size();
  EXPECT_TRUE(outcome<RequestParser>(get_with("X: " + std::string(room, 'a') + "\r\n")).starts_with("GET /"));
  EXPECT_EQ(outcome<RequestParser>(get_with("X: " + std::string(room + 1, 'a') + "\r\n")), "431 the head is too long");
}

TEST(RequestParser, NeedsMoreAndCanBeUsedAgain) {
  EXPECT_EQ(outcome<RequestParser>(""), "needs more");
  EXPECT_EQ(outcome<RequestParser>("GET / HTTP/1.1\r\nHost: a\r\n\r"), "needs more");
  const std::string two = line("GET /1 HTTP/1.1") + line("GET /2 HTTP/1.1");
  RequestParser parser;
  ASSERT_EQ(parser.parse(two), HeadProgress::kDone);
  const size_t first = parser.head_bytes();
  EXPECT_EQ(parser.head().target, "/1");
  parser.reset();
  ASSERT_EQ(parser.parse(std::string_view(two).substr(first)), HeadProgress::kDone);
  EXPECT_EQ(parser.head().target, "/2");
  EXPECT_EQ(parser.head().fields.size(), 1U);
}

TEST(ResponseParser, ReadsAndRefuses) {
  const std::pair<std::string_view, std::string_view> cases[] = {
      {"HTTP/1.1 200 OK\r\nA: b\r\n\r\n", "1.1 200 OK [A=b] in 25"},
      {"HTTP/1.0 404 Not Found\r\n\r\n", "1.0 404 Not Found in 26"},
      {"HTTP/1.1 204 \r\n\r\n", "1.1 204  in 17"},
      {"HTTP/1.1 204\r\n\r\n", "1.1 204  in 16"},
      {"HTTP/2 200 OK\r\n\r\n", "502 the status line is malformed"},
      {"HTTP/2.0 200 OK\r\n\r\n", "502 the answer is not HTTP/1.x"},
      {"HTTP/1.1 2x0 OK\r\n\r\n", "502 the status is not a number from 100 to 599"},
      {"HTTP/1.1 600 Odd\r\n\r\n", "502 the status is not a number from 100 to 599"},
      {"HTTP/1.1 2000 OK\r\n\r\n", "502 the status line is malformed"},
      {"HTTP/1.1 200 O\x01K\r\n\r\n", "502 the reason has a control character"},
      {"\r\nHTTP/1.1 200 OK\r\n\r\n", "502 the status line is malformed"},
      {"HTTP/1.1 200 OK\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n",
       "502 Content-Length stands beside Transfer-Encoding"},
  };
  for (const auto& [bytes, expected] : cases) EXPECT_EQ(outcome<ResponseParser>(bytes), expected) << bytes;
}

TEST(ResponseFraming, FollowsTheRequestAndTheStatus) {
  using Kind = BodyFraming::Kind;
  const std::vector<HttpField> length = {{"Content-Length", "7"}};
  const std::vector<HttpField> chunked = {{"Transfer-Encoding", "chunked"}};
  const auto kind = [](int status, std::vector<HttpField> fields, std::string_view method) {
    return response_framing({.status = status, .fields = std::move(fields)}, method)->kind;
  };
  EXPECT_EQ(kind(200, length, "GET"), Kind::kLength);
  EXPECT_EQ(kind(200, chunked, "GET"), Kind::kChunked);
  EXPECT_EQ(kind(200, {}, "GET"), Kind::kUntilClose);
  EXPECT_EQ(kind(200, length, "HEAD"), Kind::kNone);
  EXPECT_EQ(kind(200, chunked, "HEAD"), Kind::kNone);
  for (const int status : {100, 103, 204, 304}) EXPECT_EQ(kind(status, length, "GET"), Kind::kNone) << status;
}

}  // namespace
}  // namespace verge::net

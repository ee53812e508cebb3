// One request of an HttpClient and what has come of its answer. Only http_client.cc includes this.
#pragma once

#include <optional>
#include <string>

#include "net/http_chunked.h"
#include "net/http_client.h"

namespace verge::net {

struct HttpClientExchange {
  HttpClientExchange(runtime::Loop& loop, const HttpClientLimits& limits)
      : limits(limits), parser(limits.head), timer(loop) {}

  enum class Progress { kNeedMore, kDone, kRefused };
  // Takes bytes of the answer. Views of the head stay good as long as the exchange after hold(), else as `bytes`.
  Progress receive(std::string_view bytes);
  // The connection ended: kDone where that ends the body.
  [[nodiscard]] bool ends_with_connection() const;
  // After kRefused.
  [[nodiscard]] Error refusal() const;

  const HttpClientLimits& limits;
  std::string method;
  std::string head;
  Payload body;
  HttpClient::Answered answered;
  bool sent = false;
  bool sent_again = false;

  ResponseParser parser;
  std::optional<BodyFraming> framing;  // once the head is there
  ChunkedDecoder chunks;
  std::string head_text;  // what parser shows
  std::string received;   // of the body
  bool answer_begun = false;
  bool has_surplus = false;  // bytes came after the answer
  std::string_view problem;
  std::string_view problem_code = "http.bad-answer";
  runtime::Timer timer;

 private:
  Progress refuse(std::string_view why) {
    problem = why;
    return Progress::kRefused;
  }
  Progress receive_head(std::string_view& bytes);
  Progress receive_body(const BodyFraming& body_framing, std::string_view bytes);
  Progress receive_chunks(std::string_view bytes);
};

}  // namespace verge::net

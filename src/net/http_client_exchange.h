// One request of an HttpClient and what has come of its answer. Only http_client.cc includes this.
#pragma once

#include <string>

#include "net/http_answer.h"
#include "net/http_client.h"

namespace verge::net {

struct HttpClientExchange {
  HttpClientExchange(runtime::Loop& loop, const HttpClientLimits& limits)
      : limits(limits), reader(limits.head), timer(loop) {}

  enum class Progress { kNeedMore, kDone, kRefused };
  // Takes bytes of the answer.
  Progress receive(std::string_view bytes);
  // After kRefused.
  [[nodiscard]] Error refusal() const;

  const HttpClientLimits& limits;
  std::string method;
  std::string head;
  Payload body;
  HttpClient::Answered answered;
  bool sent = false;
  bool sent_again = false;

  AnswerReader reader;
  std::string received;      // of the body
  bool has_surplus = false;  // bytes came after the answer
  bool is_too_long = false;
  runtime::Timer timer;
};

}  // namespace verge::net

// ParentAnswer: what came back for a batch, and what it means (docs/formats/uplink.md). Only the parent's own word is a
// delivery: a 200 with any other body, as a captive portal gives, is none. And only that, or a 413, is a refusal: a 400
// of a proxy says nothing of the records.
#pragma once

#include <optional>
#include <string_view>

#include "base/clock.h"
#include "base/error.h"
#include "net/http_client.h"

namespace verge::spool {

struct ParentAnswer {
  enum class Meaning : uint8_t {
    kDurable,  // all records of the batch are on the parent's disk
    kRefused,  // it understood, and will not have the batch however often it comes; or it is too large for the way
               // there
    kHeldOff,  // it has no room for records of this stream now; for others it may have
    kNotNow,   // not delivered: everything else, and no answer
  };

  Meaning meaning = Meaning::kNotNow;
  Error error;                          // unless durable
  std::optional<Duration> asked_pause;  // Retry-After, 5 minutes at most
  bool timed_out = false;
  bool is_parents_word = false;  // it can be nobody else's, such as a proxy's: durable, or said as Verge nodes say it
};

// `parent` as the log is to name it; `shows_token`: whether the request had one; `now`: what a date in Retry-After is
// compared with where the answer has no Date of its own.
ParentAnswer read_answer(const Result<net::HttpAnswer>& answer, std::string_view parent, bool shows_token,
                         WallTime now);

}  // namespace verge::spool

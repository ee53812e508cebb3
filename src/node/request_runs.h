// RequestRuns: requests that somebody at the admin listener wants to see the trace of. Each is put to the proxy of one
// loop as a client's on this machine is, and traced, whatever traces are configured: into a tracer of its own.
//
// Bounded: kRunsMax at once, the time of each, and what of the answer's body is kept.
//
// Threading: on its loop; made and destroyed while that does not run.
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "base/clock.h"
#include "base/error.h"
#include "cache/proxy.h"
#include "runtime/loop.h"
#include "traces/span.h"

namespace verge::node {

class RequestRuns {
 public:
  static constexpr size_t kRunsMax = 16;
  static constexpr size_t kBodyBytesMax = 1U << 20;
  static constexpr Duration kTimeMax = std::chrono::seconds(60);

  using Fields = std::vector<std::pair<std::string, std::string>>;
  struct Request {
    std::string method = "GET";
    std::string url;  // whole
    Fields fields;
    std::string body;
  };
  struct Answer {
    int status = 0;
    Fields fields;
    std::string body;  // as far as it is kept
    uint64_t body_bytes = 0;
    std::string failure;  // why it broke off; empty: it did not
    std::vector<traces::Span> spans;
  };

  // All outlive it.
  RequestRuns(runtime::Loop& loop, cache::Proxy& proxy, const Clock& clock);
  ~RequestRuns();

  // `done` is called once, in a later turn. Errors: cache.url, no site stands for it; http.busy.
  void run(const Request& request, std::function<void(Result<Answer>)> done);

 private:
  class Run;
  void over(Run& run);

  runtime::Loop& loop_;
  cache::Proxy& proxy_;
  const Clock& clock_;
  std::vector<std::unique_ptr<Run>> runs_;
};

// {"status":200,"fields":[["Age","1"]],"body_bytes":2,"body":"hi","spans":[{"span":…,"parent":…,"name":"GET","begin_ms":0.0,"ms":1.5,
// "attributes":{…},"error":"…"}]}: spans in the order of their begin, the first
// at 0. A body that is no UTF-8 is `base64`.
std::string json_of(const RequestRuns::Answer& answer);
// {"method":"GET","url":"http://…","fields":[["Accept","*/*"]],"body":"…"}, of
// which only `url` must be there. Error: http.request.
Result<RequestRuns::Request> read_run_request(std::string_view json);

}  // namespace verge::node

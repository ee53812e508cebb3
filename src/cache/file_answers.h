// FileAnswers: requests answered with files of a directory, on one loop: looked up by StaticFiles, then judged here:
// conditions (RFC 9110 section 13), ranges (section 14), codings that lie beside the file.
//
// Threading: on its loop.
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <unordered_map>

#include "base/clock.h"
#include "cache/delivery.h"
#include "cache/owned_fields.h"
#include "cache/static_files.h"
#include "net/http_exchange.h"
#include "runtime/loop.h"

namespace verge::cache {

class FileAnswers {
 public:
  // `deliver` gives a client a body whose head was sent. `loop` and `clock` outlive this.
  using Deliver = std::function<void(net::HttpResponder, std::shared_ptr<Body>, Delivery::Plan)>;
  // `cache_status`: for its answers.
  FileAnswers(runtime::Loop& loop, const Clock& clock, std::string cache_status, Deliver deliver);

  // `name`: plain, beneath the root; `path`: the plain path that was asked for.
  void answer(const net::HttpRequest& request, net::HttpResponder responder, std::shared_ptr<StaticFiles> files,
              const StaticRoot& root, std::string_view name, std::string_view path);

 private:
  struct Waiting {
    net::HttpResponder responder;
    std::shared_ptr<StaticFiles> files;
    OwnedFields fields;
    std::string directory_url;  // where the path turns out to be that of a directory
    bool is_head = false;
    bool has_codings = false;
  };

  void respond_plain(net::HttpResponder& responder, int status, std::string_view what,
                     std::vector<net::HttpField> fields = {}) const;
  void on_found(uint64_t id, FileFound found);
  void answer_file(Waiting waiting, FileFound found);

  runtime::Loop& loop_;
  const Clock& clock_;
  const std::string cache_status_;
  const Deliver deliver_;
  std::unordered_map<uint64_t, Waiting> waiting_;
  uint64_t next_id_ = 1;
  std::shared_ptr<FileAnswers*> alive_ = std::make_shared<FileAnswers*>(this);
};

// Those of br, zstd and gzip that an Accept-Encoding takes, in this order (RFC 9110 section 12.5.3).
std::vector<std::string_view> accepted_codings(std::span<const net::HttpField> fields);

}  // namespace verge::cache

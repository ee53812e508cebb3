// Encodings: the bodies of answers in content codings, made on one loop: each body at most once in each coding, while
// it arrives or when a client first wants it so.
//
// A coded body is a Body that grows as its source does, so that many clients read it while it is made, and it stays
// with its source as long as that is stored. It is made in slices of a turn of the loop each. When the source pauses
// for longer than a moment what came so far is flushed, so that a stream of events is not held up.
//
// Of a body that is not kept, the coded form is let go as it is read, and the source is read no faster than the slowest
// reader.
//
// Threading: on one loop. Bodies are shared with all.
#pragma once

#include <functional>
#include <memory>
#include <unordered_map>

#include "cache/body.h"
#include "compress/encoder.h"
#include "runtime/loop.h"

namespace verge::cache {

class Encodings {
 public:
  static constexpr size_t kMost = 64;  // at the same time; beyond, answers go as they are
  static constexpr uint64_t kKeptBytesMax = 16ULL
                                            << 20;  // of a body whose coded form is kept; larger ones go as they are

  explicit Encodings(runtime::Loop& loop);
  ~Encodings();
  Encodings(const Encodings&) = delete;
  Encodings& operator=(const Encodings&) = delete;

  // The body in the coding, complete or growing; null when it cannot be had now. `made` is called when it is complete
  // and was made for this call.
  std::shared_ptr<Body> kept(const std::shared_ptr<Body>& source, compress::ContentCoding coding,
                             std::function<void()> made);
  // For one reader, which has not joined yet; nothing is kept.
  std::shared_ptr<Body> passing(const std::shared_ptr<Body>& source, compress::ContentCoding coding);

 private:
  class Task;
  void start(const std::shared_ptr<Body>& source, const std::shared_ptr<Body>& coded, compress::ContentCoding coding,
             bool is_kept, std::function<void()> made);

  runtime::Loop& loop_;
  std::unordered_map<Task*, std::unique_ptr<Task>> tasks_;
};

}  // namespace verge::cache

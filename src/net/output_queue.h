// OutputQueue: what a stream has yet to send: text that was appended, and pieces of shared payloads between it, in the
// order in which they came.
//
// Text lies in one string, so that the many small writes of a turn cost an append each. A shared piece is a reference
// and the place in the text before which it stands; the string is never cut up. (A list of buffers was the alternative:
// an allocation for each answer, or small writes that must look for room.) What was taken from the front stays until it
// is worth moving the rest.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include <sys/uio.h>

#include "base/payload.h"

namespace verge::net {

class OutputQueue {
 public:
  // Smaller pieces are copied: a reference costs more than they do.
  static constexpr size_t kShareBytesMin = 4096;

  // Append only, and keep no reference.
  [[nodiscard]] std::string& text() { return text_; }
  // `size` bytes of `bytes` from `offset` on; they are within it.
  void share(const Payload& bytes, size_t offset, size_t size);

  [[nodiscard]] size_t size() const { return text_.size() - taken_ + shared_bytes_; }
  [[nodiscard]] bool empty() const { return size() == 0; }
  [[nodiscard]] bool is_text_only() const { return shared_bytes_ == 0; }

  // What is in front, and of which payload it is part; null: text.
  struct Piece {
    std::string_view bytes;
    const Payload* shared = nullptr;
    size_t offset = 0;
  };
  [[nodiscard]] Piece front_piece(size_t bytes_max) const;
  // The bytes in front that lie together, at most `bytes_max`.
  [[nodiscard]] std::string_view front(size_t bytes_max) const;
  // Fills `pieces` with what is in front, in order; returns how many it used.
  size_t gather(std::span<iovec> pieces) const;
  // Takes that many bytes from the front. Payloads that are sent are let go at once.
  void take(size_t bytes);
  // Moves what is left to the front of the memory where most of it was taken.
  void compact();
  // Drops everything, and memory above what is worth keeping.
  void clear();

 private:
  struct Shared {
    uint64_t place;  // as a position in all text since the last clear()
    Payload bytes;
    size_t offset;
    size_t size;
  };
  // Text that stands before the next shared piece.
  [[nodiscard]] size_t text_before(size_t shared, size_t from) const;

  std::string text_;
  size_t taken_ = 0;         // of text_
  uint64_t text_begin_ = 0;  // the position of text_'s first byte
  std::vector<Shared> shared_;
  size_t shared_taken_ = 0;  // of shared_
  size_t shared_bytes_ = 0;
};

}  // namespace verge::net

#include "net/output_queue.h"

#include <algorithm>

#include "base/assert.h"

namespace verge::net {
namespace {

// Memory above this is given back when the queue runs empty.
constexpr size_t kKeepTextBytes = 16U << 10;
constexpr size_t kKeepShared = 64;

}  // namespace

void OutputQueue::share(const Payload& bytes, size_t offset, size_t size) {
  VERGE_ASSERT(offset <= bytes.size() && size <= bytes.size() - offset);
  if (size < kShareBytesMin) {
    text_.append(bytes.view().substr(offset, size));
    return;
  }
  shared_.push_back({.place = text_begin_ + text_.size(), .bytes = bytes, .offset = offset, .size = size});
  shared_bytes_ += size;
}

size_t OutputQueue::text_before(size_t shared, size_t from) const {
  const size_t end = shared < shared_.size() ? static_cast<size_t>(shared_[shared].place - text_begin_) : text_.size();
  return end - from;
}

std::string_view OutputQueue::front(size_t bytes_max) const { return front_piece(bytes_max).bytes; }

OutputQueue::Piece OutputQueue::front_piece(size_t bytes_max) const {
  if (const size_t text = text_before(shared_taken_, taken_); text > 0) {
    return {.bytes = std::string_view(text_).substr(taken_, std::min(text, bytes_max))};
  }
  if (shared_bytes_ == 0) return {};
  const Shared& first = shared_[shared_taken_];
  return {.bytes = first.bytes.view().substr(first.offset, std::min(first.size, bytes_max)),
          .shared = &first.bytes,
          .offset = first.offset};
}

size_t OutputQueue::gather(std::span<iovec> pieces) const {
  size_t used = 0;
  size_t at = taken_;
  for (size_t shared = shared_taken_; used < pieces.size(); ++shared) {
    if (const size_t text = text_before(shared, at); text > 0) {
      pieces[used++] = {.iov_base = const_cast<char*>(text_.data() + at), .iov_len = text};
      at += text;
    }
    if (shared == shared_.size() || used == pieces.size()) break;
    const std::string_view bytes = shared_[shared].bytes.view().substr(shared_[shared].offset, shared_[shared].size);
    pieces[used++] = {.iov_base = const_cast<char*>(bytes.data()), .iov_len = bytes.size()};
  }
  return used;
}

void OutputQueue::take(size_t bytes) {
  VERGE_ASSERT(bytes <= size());
  while (true) {
    const size_t text = std::min(bytes, text_before(shared_taken_, taken_));
    taken_ += text;
    bytes -= text;
    if (bytes == 0) return;
    Shared& first = shared_[shared_taken_];
    const size_t part = std::min(bytes, first.size);
    first.offset += part;
    first.size -= part;
    shared_bytes_ -= part;
    bytes -= part;
    if (first.size > 0) return;
    first.bytes = {};
    ++shared_taken_;
  }
}

void OutputQueue::compact() {
  if (taken_ > text_.size() / 2) {
    text_.erase(0, taken_);
    text_begin_ += taken_;
    taken_ = 0;
  }
  if (shared_taken_ > shared_.size() / 2) {
    shared_.erase(shared_.begin(), shared_.begin() + static_cast<std::ptrdiff_t>(shared_taken_));
    shared_taken_ = 0;
  }
}

void OutputQueue::clear() {
  if (text_.capacity() > kKeepTextBytes) {
    text_ = {};
  } else {
    text_.clear();
  }
  taken_ = 0;
  text_begin_ = 0;
  if (shared_.capacity() > kKeepShared) {
    shared_ = {};
  } else {
    shared_.clear();
  }
  shared_taken_ = 0;
  shared_bytes_ = 0;
}

}  // namespace verge::net

// Body: the bytes of one answer, which grow while they arrive and are read meanwhile by any number of requests on any
// loop. That is what lets many clients of one cold URL be served by one fetch, each from its first byte on.
//
// One writer (the fetch, on its loop); readers keep a place and ask to be woken when there is more. Pieces are shared,
// never copied. What nobody else will read (the answer is not stored) can be let go behind the slowest reader, so that
// a large answer that passes through costs a window of memory and not its size.
//
// Threads: all functions from any thread. A reader's wake-up is called on the writer's thread and only posts.
#pragma once

#include <array>
#include <cstdint>
#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <vector>

#include "base/payload.h"
#include "cache/owned_fields.h"

namespace verge::cache {

class Body {
 public:
  enum class State : uint8_t { kGrowing, kComplete, kBroken };

  // A part of the body in one piece of memory.
  struct Piece {
    Payload bytes;
    size_t offset = 0;  // in `bytes`
    size_t size = 0;
  };

  // `length`: as far as known from the head.
  explicit Body(std::optional<uint64_t> length = std::nullopt) : length_(length) {}
  // Complete from the start.
  static std::shared_ptr<Body> of(Payload bytes);

  // From the writer.
  void append(Payload bytes);
  // All of another, which is complete; its pieces are shared.
  void append_all(const Body& other);
  // `trailers`: of a chunked body; kept for its readers.
  void complete(std::span<const net::HttpField> trailers = {});
  void break_off();
  // Nobody will read from the start any more: what all readers have passed is given back.
  void forget_what_is_read();

  [[nodiscard]] State state() const;
  // So far.
  [[nodiscard]] uint64_t size() const;
  // Of all of it: announced, or once it is complete.
  [[nodiscard]] std::optional<uint64_t> length() const;
  // Once it is complete.
  [[nodiscard]] std::span<const net::HttpField> trailers() const { return trailers_.view(); }
  // What is kept in memory, in all codings.
  [[nodiscard]] uint64_t held_bytes() const;
  // This body in a content coding (by its number), which stays with it. Made, empty and growing, where there is none
  // and `may_make`; then the caller fills it. Null where there is none.
  struct Coded {
    std::shared_ptr<Body> body;
    bool is_new = false;
  };
  Coded coded(size_t coding, bool may_make);

  // The whole, when it is complete and in one piece; the common case of what is served from the store.
  [[nodiscard]] const Payload* whole() const;

  // Reading. `place` counts from the first byte of the body; the piece begins there and is empty when there is no more
  // yet (or the place was let go, with state kBroken).
  struct Read {
    Piece piece;
    State state = State::kGrowing;  // kComplete with an empty piece: that was all
  };
  [[nodiscard]] Read read(uint64_t place) const;

  using ReaderId = uint64_t;
  // `wake` is called, without locks held, whenever something changed after the reader's last advance.
  ReaderId join(std::function<void()> wake);
  void advance(ReaderId reader, uint64_t place);
  void leave(ReaderId reader);
  [[nodiscard]] size_t readers() const;
  // Somebody joined, though all may have left.
  [[nodiscard]] bool has_been_read() const;
  // How far the slowest reader is behind what has arrived; 0 without readers.
  [[nodiscard]] uint64_t lag() const;
  // Called from join, advance and leave, without locks held: the writer may go on, or stop for want of readers. Set
  // before anybody joins.
  void when_read(std::function<void()> told) { told_ = std::move(told); }

 private:
  struct Reader {
    std::function<void()> wake;
    uint64_t place = 0;
  };
  // Once complete, pieces are put together up to this.
  static constexpr size_t kGatheredBytes = 1U << 20;

  void changed();
  void gather();
  void let_go();

  mutable std::mutex mutex_;
  std::optional<uint64_t> length_;
  OwnedFields trailers_;  // does not change any more once the body is complete
  std::deque<Payload> pieces_;
  std::deque<uint64_t> begins_;  // of the pieces
  uint64_t size_ = 0;
  uint64_t held_ = 0;
  State state_ = State::kGrowing;
  bool forgets_ = false;
  std::map<ReaderId, std::shared_ptr<Reader>> readers_;
  ReaderId next_reader_ = 1;
  std::function<void()> told_;
  std::array<std::shared_ptr<Body>, 3> coded_;
};

}  // namespace verge::cache

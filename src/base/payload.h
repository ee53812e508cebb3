// Payload: an immutable byte sequence that many owners share without copying it, on any thread.
//
// A message is received once and then referenced by subscribers' queues on several loops, by rules and by the spool.
// One allocation holds count, length and bytes; a copy is one atomic increment. The bytes are followed by kPadding
// zero bytes so that simdjson can parse them in place.
#pragma once

#include <atomic>
#include <cstdint>
#include <string_view>
#include <utility>

namespace verge {

class Payload {
 public:
  static constexpr size_t kPadding = 64;

  Payload() = default;
  explicit Payload(std::string_view bytes) : Payload(bytes, {}) {}
  // The concatenation of two parts.
  Payload(std::string_view first, std::string_view second);
  Payload(const Payload& other) : block_(other.block_) {
    if (block_ != nullptr) block_->references.fetch_add(1, std::memory_order_relaxed);
  }
  Payload(Payload&& other) noexcept : block_(std::exchange(other.block_, nullptr)) {}
  Payload& operator=(Payload other) noexcept {
    std::swap(block_, other.block_);
    return *this;
  }
  ~Payload() { release(); }

  [[nodiscard]] std::string_view view() const {
    return block_ == nullptr ? std::string_view{} : std::string_view(bytes_of(block_), block_->size);
  }
  [[nodiscard]] size_t size() const { return block_ == nullptr ? 0 : block_->size; }
  [[nodiscard]] bool empty() const { return size() == 0; }

 private:
  struct Block {
    std::atomic<uint32_t> references;
    uint32_t size;
  };
  static char* bytes_of(Block* block) { return reinterpret_cast<char*>(block + 1); }
  void release() noexcept;

  Block* block_ = nullptr;
};

}  // namespace verge

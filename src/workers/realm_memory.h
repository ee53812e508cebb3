// The memory of ArrayBuffers: counted, and refused beyond a budget, which JavaScript sees as a RangeError.
#pragma once

#include <atomic>
#include <cstdlib>

#include <v8-array-buffer.h>

namespace verge::workers {

class BudgetAllocator final : public v8::ArrayBuffer::Allocator {
 public:
  explicit BudgetAllocator(std::size_t bytes_max) : bytes_max_(bytes_max) {}

  void* Allocate(std::size_t length) override { return take(length) ? give(std::calloc(length, 1), length) : nullptr; }
  void* AllocateUninitialized(std::size_t length) override {
    return take(length) ? give(std::malloc(length), length) : nullptr;
  }
  void Free(void* memory, std::size_t length) override {
    bytes_.fetch_sub(length, std::memory_order_relaxed);
    std::free(memory);
  }

  // Of memory that is not allocated here but counts: what came in as a chunk.
  void charge(std::size_t length) { bytes_.fetch_add(length, std::memory_order_relaxed); }
  void discharge(std::size_t length) { bytes_.fetch_sub(length, std::memory_order_relaxed); }

  [[nodiscard]] std::size_t bytes() const { return bytes_.load(std::memory_order_relaxed); }

 private:
  bool take(std::size_t length) {
    if (length > bytes_max_ || bytes() > bytes_max_ - length) return false;
    bytes_.fetch_add(length, std::memory_order_relaxed);
    return true;
  }
  void* give(void* memory, std::size_t length) {
    if (memory == nullptr) bytes_.fetch_sub(length, std::memory_order_relaxed);
    return memory;
  }

  const std::size_t bytes_max_;
  std::atomic<std::size_t> bytes_{0};  // a chunk on loan may be let go by another thread
};

}  // namespace verge::workers

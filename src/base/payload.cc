#include "base/payload.h"

#include <cstring>
#include <limits>
#include <new>

#include "base/assert.h"

namespace verge {

Payload::Payload(std::string_view first, std::string_view second) {
  const size_t size = first.size() + second.size();
  if (size == 0) return;
  VERGE_ASSERT(size <= std::numeric_limits<uint32_t>::max());
  void* memory = ::operator new(sizeof(Block) + size + kPadding);
  block_ = new (memory) Block{.references = 1, .size = static_cast<uint32_t>(size)};
  char* bytes = bytes_of(block_);
  if (!first.empty()) std::memcpy(bytes, first.data(), first.size());
  if (!second.empty()) std::memcpy(bytes + first.size(), second.data(), second.size());
  std::memset(bytes + size, 0, kPadding);
}

void Payload::release() noexcept {
  if (block_ == nullptr) return;
  if (block_->references.fetch_sub(1, std::memory_order_acq_rel) == 1) {
    block_->~Block();
    ::operator delete(block_);
  }
  block_ = nullptr;
}

}  // namespace verge

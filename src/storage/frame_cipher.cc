#include "storage/frame_cipher.h"

#include <algorithm>
#include <limits>

#include "base/assert.h"
#include "base/bytes.h"
#include "base/random.h"
#include "storage/frame.h"

namespace verge::storage {
namespace {

using crypto::Aes256Gcm;

// Of the header all but the checksum, which covers what is sealed.
std::string_view associated(std::string_view frame) {
  return frame.substr(sizeof(uint64_t), kFrameHeaderBytes - sizeof(uint64_t));
}

std::string nonce_of(uint64_t offset, std::string_view random) {
  const uint64_t place = offset / kFrameAlignment;
  VERGE_ASSERT(place <= std::numeric_limits<uint32_t>::max());
  std::string nonce;
  append_fixed(nonce, static_cast<uint32_t>(place));
  return nonce.append(random);
}

}  // namespace

bool FrameSealer::seal(uint64_t offset, std::string& frame) {
  VERGE_ASSERT(offset >= sealed_end_ && offset % kFrameAlignment == 0);
  VERGE_ASSERT(frame.size() >= kFrameHeaderBytes + kFrameSealBytes);
  sealed_end_ = offset + frame.size();
  const size_t random_at = frame.size() - kFrameSealBytes;
  const std::string random = system_entropy(kFrameRandomBytes);
  std::ranges::copy(random, frame.begin() + static_cast<ptrdiff_t>(random_at));
  const std::span<char> body(frame.data() + kFrameHeaderBytes, random_at - kFrameHeaderBytes);
  const std::span<char, Aes256Gcm::kTagBytes> tag(frame.data() + random_at + kFrameRandomBytes, Aes256Gcm::kTagBytes);
  return cipher_.seal(nonce_of(offset, random), associated(frame), body, tag);
}

std::optional<std::string_view> open_frame(Aes256Gcm& cipher, uint64_t offset, std::string& frame) {
  if (frame.size() < kFrameHeaderBytes + kFrameSealBytes) return std::nullopt;
  const size_t random_at = frame.size() - kFrameSealBytes;
  const std::string_view whole = frame;
  const std::span<char> body(frame.data() + kFrameHeaderBytes, random_at - kFrameHeaderBytes);
  if (!cipher.open(nonce_of(offset, whole.substr(random_at, kFrameRandomBytes)), associated(whole), body,
                   whole.substr(random_at + kFrameRandomBytes))) {
    return std::nullopt;
  }
  return whole.substr(kFrameHeaderBytes, body.size());
}

}  // namespace verge::storage

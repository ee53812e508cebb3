// How the frames of an encrypted segment are sealed and opened (docs/formats/log.md).
//
// The problem: under one key a nonce must never be used for two texts, and a log has ways to get there: a file is used
// again, a write is torn and repeated, a sync fails, a start writes where a crash cut off, a machine goes back to a
// snapshot of itself.
//
// The approach: each life of a segment file has a key of its own, derived with the 128 random bits in its header, and
// only who began the segment ever seals in it: after a failure, and after a start, the log goes on in a new one. In a
// segment the nonce is the frame's place in the file, which only rises, and 64 random bits that are stored with the
// frame, for the case that none of this holds because the whole machine was copied while it ran.
//
// Sealed, a body is: what was encrypted | the random bits | the tag. The frame's header is vouched for by the tag, the
// segment's by the key.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "crypto/aes_gcm.h"

namespace verge::storage {

inline constexpr size_t kFrameRandomBytes = 8;
// What sealing adds to a body.
inline constexpr size_t kFrameSealBytes = kFrameRandomBytes + crypto::Aes256Gcm::kTagBytes;

class FrameSealer {
 public:
  explicit FrameSealer(crypto::Aes256Gcm cipher) : cipher_(std::move(cipher)) {}

  // `frame`: its header, complete but for the checksum, the body, and kFrameSealBytes of room; `offset` in the file, at
  // or after the end of the frame before. False when the cipher fails; the frame is of no use then.
  [[nodiscard]] bool seal(uint64_t offset, std::string& frame);

 private:
  crypto::Aes256Gcm cipher_;
  uint64_t sealed_end_ = 0;  // frames were sealed up to here: no nonce below is used again
};

// The body of a frame that FrameSealer made at `offset`, decrypted in place. Nothing when it is not that.
[[nodiscard]] std::optional<std::string_view> open_frame(crypto::Aes256Gcm& cipher, uint64_t offset,
                                                         std::string& frame);

}  // namespace verge::storage

// An adaptive binary range coder: each bit costs what its probability says, learnt from the bits before it.
//
// The arithmetic is that of LZMA's coder (I. Pavlov): 32-bit range, carries propagated through a cache byte, the first
// byte always 0. A probability has 16 bits and moves by 1/(n + 1.5) of its error at its n-th bit, down to 1/64.
// Integers only, so that every machine decodes what any machine encoded.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace verge::series {

class BitModel {
 public:
  // Of a 0 bit, in 1/65536; within 32..65504.
  [[nodiscard]] uint32_t zero() const { return zero_; }
  void learn(bool bit);

 private:
  uint16_t zero_ = 32768;
  uint8_t seen_ = 0;
};

class RangeEncoder {
 public:
  void encode(BitModel& model, bool bit);
  // The low `bits` bits, all equally likely.
  void encode_even(uint64_t value, unsigned bits);
  // Ends the code, without the zero bytes at its end; the encoder is spent.
  std::string finish();

 private:
  void shift_low();
  void normalize();

  uint64_t low_ = 0;
  uint32_t range_ = 0xffffffff;
  uint8_t cache_ = 0;
  uint64_t pending_ = 1;
  std::string out_;
};

// Any bytes decode to something; beyond their end there are zeros, which finish() leaves out. Whether they are whole is
// for their owner to know (a checksum), and so is how much to decode.
class RangeDecoder {
 public:
  explicit RangeDecoder(std::string_view bytes);

  bool decode(BitModel& model);
  uint64_t decode_even(unsigned bits);

 private:
  void normalize();
  uint8_t next_byte();

  std::string_view bytes_;
  size_t at_ = 0;
  uint32_t range_ = 0xffffffff;
  uint32_t code_ = 0;
};

// Unsigned numbers, small ones likely: how many bits they have, one bit at a time, then those below the leading one;
// the upper two of these are learnt.
class NumberModel {
 public:
  void encode(RangeEncoder& encoder, uint64_t value);
  uint64_t decode(RangeDecoder& decoder);

 private:
  static constexpr unsigned kLengths = 65;

  BitModel length_[kLengths];
  BitModel upper_[kLengths][4];
};

// Signed numbers likewise.
class SignedModel {
 public:
  void encode(RangeEncoder& encoder, int64_t value);
  int64_t decode(RangeDecoder& decoder);

 private:
  NumberModel number_;
};

// Bytes, each in the context of the one before.
class TextModel {
 public:
  TextModel() : trees_(256UL * 256) {}
  void encode(RangeEncoder& encoder, uint8_t value);
  uint8_t decode(RangeDecoder& decoder);

 private:
  std::vector<BitModel> trees_;
  uint8_t previous_ = 0;
};

// 0 -> 0, -1 -> 1, 1 -> 2, -2 -> 3, ...
constexpr uint64_t zigzag(int64_t value) {
  return (static_cast<uint64_t>(value) << 1) ^ static_cast<uint64_t>(value >> 63);
}
constexpr int64_t unzigzag(uint64_t value) {
  return static_cast<int64_t>(value >> 1) ^ -static_cast<int64_t>(value & 1);
}

}  // namespace verge::series

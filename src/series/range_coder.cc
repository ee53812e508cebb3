#include "series/range_coder.h"

#include <algorithm>
#include <array>
#include <bit>

namespace verge::series {
namespace {

constexpr uint32_t kNormalized = 1U << 24;
constexpr int32_t kSurest = 32;
constexpr uint8_t kSeenMax = 62;

// 65536 / (n + 1.5)
constexpr std::array<uint16_t, kSeenMax + 1> kRates = [] {
  std::array<uint16_t, kSeenMax + 1> rates{};
  for (size_t n = 0; n < rates.size(); ++n) rates[n] = static_cast<uint16_t>(131072 / (2 * n + 3));
  return rates;
}();

uint32_t share_of(uint32_t range, const BitModel& model) { return (range >> 16) * model.zero(); }

}  // namespace

void BitModel::learn(bool bit) {
  const int32_t target = bit ? kSurest : 65536 - kSurest;
  const int32_t step = (target - static_cast<int32_t>(zero_)) * static_cast<int32_t>(kRates[seen_] / 2) / 32768;
  zero_ = static_cast<uint16_t>(static_cast<int32_t>(zero_) + step);
  if (seen_ < kSeenMax) ++seen_;
}

void RangeEncoder::encode(BitModel& model, bool bit) {
  const uint32_t zero = share_of(range_, model);
  if (bit) {
    low_ += zero;
    range_ -= zero;
  } else {
    range_ = zero;
  }
  model.learn(bit);
  normalize();
}

void RangeEncoder::encode_even(uint64_t value, unsigned bits) {
  while (bits-- > 0) {
    range_ >>= 1;
    if ((value >> bits & 1) != 0) low_ += range_;
    normalize();
  }
}

void RangeEncoder::normalize() {
  while (range_ < kNormalized) {
    range_ <<= 8;
    shift_low();
  }
}

void RangeEncoder::shift_low() {
  const bool has_carry = low_ > 0xffffffff;
  if (has_carry || low_ < 0xff000000) {
    for (uint8_t byte = cache_; pending_ > 0; --pending_, byte = 0xff) {
      out_.push_back(static_cast<char>(byte + (has_carry ? 1 : 0)));
    }
    cache_ = static_cast<uint8_t>(low_ >> 24);
  }
  ++pending_;
  low_ = (low_ & 0x00ffffff) << 8;
}

std::string RangeEncoder::finish() {
  for (int i = 0; i < 5; ++i) shift_low();
  while (!out_.empty() && out_.back() == 0) out_.pop_back();
  return std::move(out_);
}

RangeDecoder::RangeDecoder(std::string_view bytes) : bytes_(bytes) {
  for (int i = 0; i < 5; ++i) code_ = code_ << 8 | next_byte();
}

uint8_t RangeDecoder::next_byte() {
  if (at_ < bytes_.size()) return static_cast<uint8_t>(bytes_[at_++]);
  return 0;
}

void RangeDecoder::normalize() {
  while (range_ < kNormalized) {
    range_ <<= 8;
    code_ = code_ << 8 | next_byte();
  }
}

bool RangeDecoder::decode(BitModel& model) {
  const uint32_t zero = share_of(range_, model);
  const bool bit = code_ >= zero;
  if (bit) {
    code_ -= zero;
    range_ -= zero;
  } else {
    range_ = zero;
  }
  model.learn(bit);
  normalize();
  return bit;
}

uint64_t RangeDecoder::decode_even(unsigned bits) {
  uint64_t value = 0;
  while (bits-- > 0) {
    range_ >>= 1;
    const bool bit = code_ >= range_;
    if (bit) code_ -= range_;
    value = value << 1 | (bit ? 1 : 0);
    normalize();
  }
  return value;
}

void NumberModel::encode(RangeEncoder& encoder, uint64_t value) {
  const auto length = static_cast<unsigned>(std::bit_width(value));
  for (unsigned i = 0; i < length; ++i) encoder.encode(length_[i], true);
  if (length < kLengths - 1) encoder.encode(length_[length], false);
  if (length < 2) return;
  unsigned rest = length - 1;
  unsigned context = 1;
  for (unsigned i = 0; i < 2 && rest > 0; ++i) {
    const bool bit = (value >> --rest & 1) != 0;
    encoder.encode(upper_[length - 1][context - 1], bit);
    context = context * 2 + (bit ? 1 : 0);
  }
  encoder.encode_even(value, rest);
}

uint64_t NumberModel::decode(RangeDecoder& decoder) {
  unsigned length = 0;
  while (length < kLengths - 1 && decoder.decode(length_[length])) ++length;
  if (length < 2) return length;
  unsigned rest = length - 1;
  unsigned context = 1;
  uint64_t value = 1;
  for (unsigned i = 0; i < 2 && rest > 0; ++i, --rest) {
    const bool bit = decoder.decode(upper_[length - 1][context - 1]);
    context = context * 2 + (bit ? 1 : 0);
    value = value << 1 | (bit ? 1 : 0);
  }
  return rest == 0 ? value : value << rest | decoder.decode_even(rest);
}

void SignedModel::encode(RangeEncoder& encoder, int64_t value) { number_.encode(encoder, zigzag(value)); }
int64_t SignedModel::decode(RangeDecoder& decoder) { return unzigzag(number_.decode(decoder)); }

void TextModel::encode(RangeEncoder& encoder, uint8_t value) {
  BitModel* tree = trees_.data() + size_t{previous_} * 256;
  unsigned node = 1;
  for (int i = 7; i >= 0; --i) {
    const bool bit = (value >> i & 1) != 0;
    encoder.encode(tree[node], bit);
    node = node * 2 + (bit ? 1 : 0);
  }
  previous_ = value;
}

uint8_t TextModel::decode(RangeDecoder& decoder) {
  BitModel* tree = trees_.data() + size_t{previous_} * 256;
  unsigned node = 1;
  for (int i = 0; i < 8; ++i) node = node * 2 + (decoder.decode(tree[node]) ? 1 : 0);
  previous_ = static_cast<uint8_t>(node);
  return previous_;
}

}  // namespace verge::series

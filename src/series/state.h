// State that survives: the members of a streaming object, written to bytes and read back.
//
// A class names its members once, in `template <class Self, class Archive> static void visit(Self&, Archive&)`, and
// both directions follow. Sizes of arrays come from the constructor and are checked, so hostile bytes can make an
// object say nonsense but not grow or read past its arrays. Little-endian, IEEE 754.
#pragma once

#include <array>
#include <bit>
#include <cstdint>
#include <string>
#include <string_view>
#include <type_traits>
#include <vector>

#include "base/bytes.h"
#include "base/error.h"

namespace verge::series {

class StateWriter {
 public:
  explicit StateWriter(std::string& out) : out_(out) {}

  template <class... Members>
  void operator()(const Members&... members) {
    (write(members), ...);
  }

 private:
  void write(double value) { append_fixed(out_, std::bit_cast<uint64_t>(value)); }
  void write(float value) { append_fixed(out_, std::bit_cast<uint32_t>(value)); }
  void write(bool value) { append_varint(out_, value ? 1 : 0); }
  void write(uint8_t value) { append_varint(out_, value); }
  void write(uint32_t value) { append_varint(out_, value); }
  void write(uint64_t value) { append_varint(out_, value); }
  void write(int64_t value) { append_fixed(out_, static_cast<uint64_t>(value)); }
  template <class T>
  void write(const std::vector<T>& values) {
    append_varint(out_, values.size());
    for (const T& value : values) write(value);
  }
  template <class T, size_t N>
  void write(const std::array<T, N>& values) {
    for (const T& value : values) write(value);
  }
  template <class T>
    requires std::is_class_v<T>
  void write(const T& object) {
    T::visit(object, *this);
  }

  std::string& out_;
};

class StateReader {
 public:
  explicit StateReader(ByteReader& in) : in_(in) {}

  template <class... Members>
  void operator()(Members&... members) {
    (read(members), ...);
  }

  // False once anything was missing, or out of the bounds that its owner stated.
  [[nodiscard]] bool ok() const { return ok_ && in_.ok(); }
  void check(bool condition) { ok_ = ok_ && condition; }

 private:
  void read(double& value) { value = std::bit_cast<double>(in_.fixed<uint64_t>()); }
  void read(float& value) { value = std::bit_cast<float>(in_.fixed<uint32_t>()); }
  void read(bool& value) { value = in_.varint() != 0; }
  void read(uint8_t& value) { value = static_cast<uint8_t>(in_.varint()); }
  void read(uint32_t& value) { value = static_cast<uint32_t>(in_.varint()); }
  void read(uint64_t& value) { value = in_.varint(); }
  void read(int64_t& value) { value = static_cast<int64_t>(in_.fixed<uint64_t>()); }
  // As many as there are: the length is the constructor's, not the bytes'.
  template <class T>
  void read(std::vector<T>& values) {
    check(in_.varint() == values.size());
    if (!ok()) return;
    for (T& value : values) read(value);
  }
  template <class T, size_t N>
  void read(std::array<T, N>& values) {
    for (T& value : values) read(value);
  }
  template <class T>
    requires std::is_class_v<T>
  void read(T& object) {
    T::visit(object, *this);
    if constexpr (requires { object.is_sound(); }) check(object.is_sound());
  }

  ByteReader& in_;
  bool ok_ = true;
};

// Counts what an object holds in vectors, beside itself.
class HeldBytes {
 public:
  template <class... Members>
  void operator()(const Members&... members) {
    (count(members), ...);
  }
  [[nodiscard]] size_t bytes() const { return bytes_; }

 private:
  template <class T>
  void count(const T& value) {
    if constexpr (std::is_class_v<T>) T::visit(value, *this);
  }
  template <class T>
  void count(const std::vector<T>& values) {
    constexpr size_t kAllocation = 16;
    bytes_ += values.capacity() * sizeof(T) + kAllocation;
    if constexpr (std::is_class_v<T>) {
      for (const T& value : values) count(value);
    }
  }
  template <class T, size_t N>
  void count(const std::array<T, N>& values) {
    for (const T& value : values) count(value);
  }

  size_t bytes_ = 0;
};

template <class T>
size_t held_bytes(const T& object) {
  HeldBytes held;
  held(object);
  return held.bytes();
}

// The state with a version before it.
template <class T>
std::string save_state(const T& object) {
  std::string out;
  out.push_back(static_cast<char>(T::kStateVersion));
  StateWriter writer(out);
  writer(object);
  return out;
}

// Puts the state into `object`, which was made with the same parameters. On an error `object` is as it was.
template <class T>
Result<void> load_state(std::string_view bytes, T& object) {
  if (bytes.empty() || static_cast<uint8_t>(bytes[0]) != T::kStateVersion) {
    return fail("series.state-version", "the saved state is of another version", "begin with a fresh state");
  }
  ByteReader in(bytes.substr(1));
  StateReader reader(in);
  T loaded = object;
  reader(loaded);
  if (!reader.ok() || !in.empty()) {
    return fail("series.state-damaged", "the saved state is damaged or of other parameters",
                "begin with a fresh state");
  }
  object = std::move(loaded);
  return {};
}

}  // namespace verge::series

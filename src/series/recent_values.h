// The last values of a series, oldest overwritten first.
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

namespace verge::series {

class RecentValues {
 public:
  explicit RecentValues(size_t capacity) : values_(capacity) {}

  void add(double value) {
    values_[next_] = value;
    next_ = next_ + 1 == values_.size() ? 0 : next_ + 1;
    if (size_ < values_.size()) ++size_;
  }

  [[nodiscard]] size_t size() const { return size_; }
  [[nodiscard]] size_t capacity() const { return values_.size(); }
  [[nodiscard]] bool is_full() const { return size_ == values_.size(); }
  // `age` 0 is the latest; age < size().
  [[nodiscard]] double back(size_t age) const {
    const size_t at = next_ + values_.size() - 1 - age;
    return values_[at >= values_.size() ? at - values_.size() : at];
  }

  template <class Self, class Archive>
  static void visit(Self& self, Archive& archive) {
    archive(self.values_, self.next_, self.size_);
  }
  [[nodiscard]] bool is_sound() const { return next_ < values_.size() && size_ <= values_.size(); }

 private:
  std::vector<double> values_;
  uint64_t next_ = 0;
  uint64_t size_ = 0;
};

}  // namespace verge::series

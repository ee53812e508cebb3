// Fields of a message that outlive the bytes they came in: one allocation for all names and values.
#pragma once

#include <memory>
#include <span>
#include <vector>

#include "net/http_message.h"

namespace verge::cache {

class OwnedFields {
 public:
  OwnedFields() = default;
  explicit OwnedFields(std::span<const net::HttpField> fields);
  OwnedFields(const OwnedFields& other) : OwnedFields(other.view()) {}
  OwnedFields(OwnedFields&& other) noexcept = default;
  OwnedFields& operator=(OwnedFields other) noexcept {
    text_ = std::move(other.text_);
    fields_ = std::move(other.fields_);
    return *this;
  }
  ~OwnedFields() = default;

  [[nodiscard]] std::span<const net::HttpField> view() const { return fields_; }
  [[nodiscard]] size_t bytes() const { return size_ + fields_.size() * sizeof(net::HttpField); }

 private:
  std::unique_ptr<char[]> text_;  // does not move
  size_t size_ = 0;
  std::vector<net::HttpField> fields_;
};

}  // namespace verge::cache

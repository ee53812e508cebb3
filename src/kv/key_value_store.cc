#include "kv/key_value_store.h"

#include <algorithm>

#include <fmt/format.h>

namespace verge::kv {

bool Room::take(size_t bytes) {
  if (bytes_.fetch_add(bytes) + bytes <= bytes_max_) return true;
  bytes_ -= bytes;
  ++refused_;
  return false;
}

Result<void> check_key(std::string_view key) {
  if (key.empty()) return fail("kv.value", "a key must not be empty", "give it a name");
  if (key == "." || key == "..") return fail("kv.value", fmt::format("'{}' is no key", key), "give it another name");
  if (key.size() > kKeyBytesMax) {
    return fail("kv.value", fmt::format("a key of {} bytes is too long", key.size()), "512 bytes is the longest");
  }
  return {};
}

Result<void> check_item(const Item& item) {
  if (item.value.size() > kValueBytesMax) {
    return fail("kv.value", fmt::format("a value of {} bytes is too long", item.value.size()), "25 MiB is the longest");
  }
  if (item.metadata.size() > kMetadataBytesMax) {
    return fail("kv.value", fmt::format("metadata of {} bytes is too long", item.metadata.size()),
                "1024 bytes, as JSON, is the longest");
  }
  return {};
}

bool is_space_name(std::string_view name) {
  const auto is_good = [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '-' || c == '_' ||
           c == '.';
  };
  return !name.empty() && name.size() <= kNamespaceNameMax && std::ranges::all_of(name, is_good) && name != "." &&
         name != "..";
}

}  // namespace verge::kv

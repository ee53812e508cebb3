#include "cache/owned_fields.h"

#include <cstring>

namespace verge::cache {

OwnedFields::OwnedFields(std::span<const net::HttpField> fields) {
  for (const net::HttpField& field : fields) size_ += field.name.size() + field.value.size();
  text_ = std::make_unique_for_overwrite<char[]>(size_);
  char* end = text_.get();
  const auto keep = [&](std::string_view text) {
    if (!text.empty()) std::memcpy(end, text.data(), text.size());
    const std::string_view kept(end, text.size());
    end += text.size();
    return kept;
  };
  fields_.reserve(fields.size());
  for (const net::HttpField& field : fields) {
    const std::string_view name = keep(field.name);
    fields_.push_back({name, keep(field.value)});
  }
}

}  // namespace verge::cache

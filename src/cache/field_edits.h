// Edits of header fields, of requests on their way to an origin or of answers on their way to a client: first fields
// are removed, then set (in the place of all of that name), then added.
//
// Fields that frame a message, belong to one connection (RFC 9110 section 7.6.1), or say what the cache did are not to
// be edited: configuration refuses them.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/error.h"
#include "net/http_message.h"

namespace verge::cache {

struct FieldEdit {
  std::string name;
  std::string value;
  bool operator==(const FieldEdit&) const = default;
};

struct FieldEdits {
  static constexpr size_t kMax = 64;  // of each

  std::vector<std::string> remove;
  std::vector<FieldEdit> set;
  std::vector<FieldEdit> add;
  bool operator==(const FieldEdits&) const = default;
  [[nodiscard]] bool empty() const { return remove.empty() && set.empty() && add.empty(); }
};

enum class EditedMessage : uint8_t { kRequest, kAnswer };

// Whether the name is one of a field, and one that may be edited. The error's `what` follows "must be".
Result<void> check_edited_name(std::string_view name, EditedMessage message);
// Whether it can be the value of a field.
Result<void> check_edited_value(std::string_view value);

// What is added points into `edits`.
void apply(const FieldEdits& edits, std::vector<net::HttpField>& fields);

}  // namespace verge::cache

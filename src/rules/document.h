// Document: one message's JSON, parsed once and asked by every rule that matched. Keeps its parser between messages.
//
// The whole text is validated: a payload that is not one JSON value throughout is no document, and all its fields are
// NULL. Of members with the same name the first counts.
#pragma once

#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/payload.h"
#include "rules/arena.h"
#include "rules/field_tree.h"
#include "rules/value.h"

namespace verge::rules {

class Document {
 public:
  Document();
  ~Document();
  Document(Document&&) noexcept;
  Document& operator=(Document&&) noexcept;

  // Replaces what was parsed before. `payload` must outlive the reading.
  void parse(const Payload& payload);

  // Sets the slots of the fields that are there, appends them to `found`, and leaves the others. Texts live until the
  // next parse(); objects and arrays are written into `arena` as JSON.
  void extract(const FieldTree& fields, std::span<Value> slots, std::vector<uint32_t>& found, Arena& arena);

  // Appends `"name":value` for each member of the document but those named in `without`, divided by commas. Nothing
  // when the document is no object.
  void append_members(std::string& out, std::span<const std::string_view> without) const;

 private:
  struct Parsed;
  std::unique_ptr<Parsed> parsed_;
};

}  // namespace verge::rules

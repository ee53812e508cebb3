// Format: how payloads that are not JSON are read. Rules see what such a payload says as the JSON that it corresponds
// to, so that one parser, one walk and one meaning of a field serve all (docs/decisions/0035).
//
// Bounds: kJsonBytesMax of JSON and kNestingMax; what exceeds them is no payload of the format.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>

namespace verge::payloads {

inline constexpr size_t kJsonBytesMax = 16U << 20;
inline constexpr size_t kNestingMax = 64;

class Format {
 public:
  virtual ~Format() = default;
  // Appends what `bytes` say to `json`. False when they are not one payload of this format throughout; what was
  // appended then means nothing. A text that is not UTF-8 may be appended as it is. Any thread.
  [[nodiscard]] virtual bool append_json(std::string_view bytes, std::string& json) const = 0;
};

// As JSON; NULL where it is not finite. A number that is whole keeps a fraction, ".0": it is no integer.
void append_json_number(std::string& json, double value);

}  // namespace verge::payloads

#include "net/http2_request_head.h"

#include <charconv>

namespace verge::net {
namespace {

// What a line of HTTP/1.1 has beside name and value.
constexpr size_t kBytesAField = 4;

}  // namespace

void Http2RequestHead::clear() {
  text_.clear();
  pieces_.clear();
  fields_.clear();
  method_ = scheme_ = path_ = authority_ = host_ = {};
  bytes_ = cookies_ = hosts_ = 0;
  length_.reset();
  too_large_ = false;
}

void Http2RequestHead::shrink(size_t bytes_kept) {
  clear();
  if (text_.capacity() > bytes_kept) std::string().swap(text_);
}

Http2RequestHead::Piece Http2RequestHead::keep(std::string_view text) {
  const Piece piece{.at = static_cast<uint32_t>(text_.size()), .size = static_cast<uint32_t>(text.size())};
  text_.append(text);
  return piece;
}

void Http2RequestHead::add(std::string_view name, std::string_view value, const HeadLimits& limits) {
  bytes_ += name.size() + value.size() + kBytesAField;
  if (bytes_ > limits.head_bytes_max || pieces_.size() > limits.fields_max) {
    too_large_ = true;
    return;
  }
  if (name.starts_with(':')) return add_pseudo(name, value);
  pieces_.push_back({.name = keep(name), .value = keep(value)});
  if (name == "cookie") ++cookies_;
  if (name == "host") {
    host_ = pieces_.back().value;
    ++hosts_;
  }
  if (name == "content-length") {
    uint64_t length = 0;
    const auto [end, problem] = std::from_chars(value.data(), value.data() + value.size(), length);
    if (problem == std::errc() && end == value.data() + value.size()) length_ = length;
  }
}

void Http2RequestHead::add_pseudo(std::string_view name, std::string_view value) {
  if (name == ":method") method_ = keep(value);
  if (name == ":scheme") scheme_ = keep(value);
  if (name == ":path") path_ = keep(value);
  if (name == ":authority") authority_ = keep(value);
}

std::optional<HttpFault> Http2RequestHead::check(const HeadLimits& limits) {
  if (too_large_ || pieces_.size() > limits.fields_max) return HttpFault{431, "the head is too long"};
  if (!is_token(view(method_))) return HttpFault{400, "the method is not a token"};
  if (auto fault = check_authority()) return fault;
  if (view(method_) != "CONNECT") {
    if (auto fault = check_target(limits)) return fault;
  }
  if (cookies_ > 1) join_cookies();
  rebind();
  for (const HttpField& field : fields_) {
    if (!is_token(field.name) || !is_field_value(field.value)) return HttpFault{400, "a field is malformed"};
  }
  return std::nullopt;
}

std::optional<HttpFault> Http2RequestHead::check_authority() const {
  if (hosts_ > 1) return HttpFault{400, "Host is given twice"};
  if (!is_authority(host())) return HttpFault{400, "the authority is malformed"};
  // Section 8.3.1: who is asked must be beyond doubt.
  if (hosts_ == 1 && authority_.size > 0 && !equals_ignoring_case(view(host_), view(authority_))) {
    return HttpFault{400, "Host and :authority differ"};
  }
  return std::nullopt;
}

std::optional<HttpFault> Http2RequestHead::check_target(const HeadLimits& limits) const {
  const std::string_view target = view(path_);
  if (!equals_ignoring_case(view(scheme_), "http") && !equals_ignoring_case(view(scheme_), "https")) {
    return HttpFault{400, "the scheme is neither http nor https"};
  }
  if (target.size() > limits.target_bytes_max) return HttpFault{414, "the target is too long"};
  bool bad = target.empty();
  for (const char c : target) bad |= c <= 0x20 || c == 0x7f || c == '#';  // char is signed: 0x80 and up are below
  if (bad) return HttpFault{400, "the target has a character that no target has"};
  if (target == "*" && view(method_) == "OPTIONS") return std::nullopt;
  if (target.front() != '/') return HttpFault{400, "the target is not a path"};
  return std::nullopt;
}

void Http2RequestHead::join_cookies() {
  std::string joined;
  Field* first = nullptr;
  for (Field& field : pieces_) {
    if (view(field.name) != "cookie") continue;
    if (first == nullptr) {
      first = &field;
    } else {
      joined.append("; ");
    }
    joined.append(view(field.value));
  }
  const Piece whole = keep(joined);
  first->value = whole;
  std::erase_if(pieces_,
                [&](const Field& field) { return view(field.name) == "cookie" && field.value.at != whole.at; });
}

void Http2RequestHead::rebind() {
  fields_.clear();
  if (hosts_ == 0) fields_.push_back({.name = "host", .value = view(authority_)});
  for (const Field& field : pieces_) fields_.push_back({.name = view(field.name), .value = view(field.value)});
}

}  // namespace verge::net

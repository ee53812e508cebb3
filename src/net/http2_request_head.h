// The head of an HTTP/2 request as it comes, field by field (RFC 9113 section 8.3), and what is wrong with it.
//
// Everything is copied once, into one string, and shown as views of that: the decoder of HPACK gives each field for the
// length of a callback. What goes on from here looks as if it had come over HTTP/1.1: Host is among the fields, and
// cookies are one field (section 8.2.3).
//
// libnghttp2 has refused what makes a message malformed (section 8.1.1): upper case, fields of the connection, pseudo
// fields that are missing, given twice, unknown or behind others, a Content-Length that the body contradicts. The rest
// is checked here, by the same rules and limits as HTTP/1.1.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "net/http_codec.h"

namespace verge::net {

class Http2RequestHead {
 public:
  void clear();
  // As clear(), and gives memory above that back.
  void shrink(size_t bytes_kept);
  // The next field, pseudo fields included; nothing is kept of a head that is over its limits.
  void add(std::string_view name, std::string_view value, const HeadLimits& limits);
  // After the last. 400, 414 or 431; nothing: the head is good.
  std::optional<HttpFault> check(const HeadLimits& limits);
  // Makes the views anew: after this head was moved or swapped.
  void rebind();

  // Good after check() and until the next clear(), add() or move.
  [[nodiscard]] std::string_view method() const { return view(method_); }
  [[nodiscard]] std::string_view target() const { return view(path_); }
  [[nodiscard]] std::string_view host() const { return view(authority_.size == 0 ? host_ : authority_); }
  [[nodiscard]] std::span<const HttpField> fields() const { return fields_; }
  // As the client announced it.
  [[nodiscard]] std::optional<uint64_t> length() const { return length_; }
  // As lines of HTTP/1.1, whether they were kept or not.
  [[nodiscard]] size_t bytes() const { return bytes_; }

 private:
  struct Piece {
    uint32_t at = 0;
    uint32_t size = 0;
  };
  struct Field {
    Piece name;
    Piece value;
  };
  Piece keep(std::string_view text);
  void add_pseudo(std::string_view name, std::string_view value);
  void join_cookies();
  [[nodiscard]] std::optional<HttpFault> check_target(const HeadLimits& limits) const;
  [[nodiscard]] std::optional<HttpFault> check_authority() const;
  [[nodiscard]] std::string_view view(const Piece& piece) const {
    return std::string_view(text_).substr(piece.at, piece.size);
  }

  std::string text_;
  std::vector<Field> pieces_;
  std::vector<HttpField> fields_;
  Piece method_, scheme_, path_, authority_, host_;
  size_t bytes_ = 0;
  size_t cookies_ = 0;
  size_t hosts_ = 0;
  std::optional<uint64_t> length_;
  bool too_large_ = false;
};

}  // namespace verge::net

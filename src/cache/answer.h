// Answer: one stored answer, whole or a part, as it is found, judged and served. Immutable once made but for its body,
// which may still arrive; an answer that is validated is replaced by another with the same body.
//
// What every use needs is made once: the head as it is written, with all fields that do not change.
#pragma once

#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "cache/body.h"
#include "cache/byte_ranges.h"
#include "cache/freshness.h"
#include "cache/owned_fields.h"
#include "cache/policy.h"
#include "cache/purges.h"
#include "cache/vary.h"

namespace verge::cache {

// What an origin's answer consists of before anything was decided about it.
struct AnswerParts {
  int status = 200;
  std::string reason;  // as sent; empty: the usual
  OwnedFields fields;  // those that are stored: see stored_fields()
  Freshness freshness;
  std::vector<Selector> selectors;
  std::optional<ContentRange> range;  // of a 206; `body` is that part
  std::shared_ptr<Body> body;
  std::string url;
  std::vector<uint64_t> tags;
  uint64_t fetched_at = 0;          // Purges::generation() before its request
  std::string_view stored_because;  // a literal
};

class Answer {
 public:
  explicit Answer(AnswerParts parts);

  [[nodiscard]] int status() const { return parts_.status; }
  [[nodiscard]] std::string_view reason() const { return parts_.reason; }
  [[nodiscard]] std::span<const net::HttpField> fields() const { return parts_.fields.view(); }
  [[nodiscard]] const Freshness& freshness() const { return parts_.freshness; }
  [[nodiscard]] const std::vector<Selector>& selectors() const { return parts_.selectors; }
  [[nodiscard]] const std::optional<ContentRange>& range() const { return parts_.range; }
  [[nodiscard]] const std::shared_ptr<Body>& body() const { return parts_.body; }
  [[nodiscard]] std::string_view stored_because() const { return parts_.stored_because; }
  [[nodiscard]] const AnswerParts& parts() const { return parts_; }
  [[nodiscard]] const PurgeMarks& marks() const { return marks_; }
  [[nodiscard]] const std::string& url() const { return marks_.url; }
  [[nodiscard]] std::string_view content_language() const { return content_language_; }

  // Status line and stored fields, each line with its CR LF; without Content-Length, Age, Connection and the end.
  [[nodiscard]] const std::string& head() const { return head_; }
  // Whether a content coding may make it smaller: see is_compressible().
  [[nodiscard]] bool is_compressible() const { return is_compressible_; }
  // Whether it is a page in ESI 1.0, to a site that composes those: see is_esi_template().
  [[nodiscard]] bool is_template(Esi esi) const {
    return esi == Esi::kHtml ? is_html_template_ : is_announced_template_;
  }
  // Its Vary names Accept-Encoding already.
  [[nodiscard]] bool varies_on_encoding() const { return varies_on_encoding_; }
  // Where in head() a strong ETag ends, before its quote; 0 where there is none.
  [[nodiscard]] size_t tag_end() const { return tag_end_; }
  // In memory, without the body.
  [[nodiscard]] size_t overhead_bytes() const;

 private:
  AnswerParts parts_;
  PurgeMarks marks_;
  std::string_view content_language_;
  std::string head_;
  size_t tag_end_ = 0;
  bool is_compressible_ = false;
  bool varies_on_encoding_ = false;
  bool is_html_template_ = false;
  bool is_announced_template_ = false;
};

// The fields that a cache keeps (RFC 9111 section 3.1): not those of the hop, not what Connection names, not
// Content-Length, Age and Trailer, which are made anew, not what no-cache="…" or private="…" hides.
std::vector<net::HttpField> stored_fields(std::span<const net::HttpField> fields, const CacheControl& control);

// Whether an answer is to be composed: a 200 without a coding, of text/html (kHtml), or that is announced as "ESI/1.0"
// in the content of Surrogate-Control (Edge Architecture Specification, section 2.2).
bool is_esi_template(int status, std::span<const net::HttpField> fields, Esi esi);

// Under which parts of a URL's content are kept, beside its whole.
std::string partial_url(std::string_view url);
// Under which an origin's answer is kept that code asked for, whose own answer is kept under the URL. No request has
// such a URL.
std::string origin_url(std::string_view url);
// Under which what code keeps by itself is kept: of `owner`, in its cache of that name.
std::string code_cache_url(std::string_view url, std::string_view owner, std::string_view cache);
// The URL that one of these stands for.
std::string_view plain_part(std::string_view url);

// Whether a field belongs to one connection only (RFC 9110 section 7.6.1) or is named in Connection.
bool is_hop_by_hop(std::span<const net::HttpField> fields, std::string_view name);

// The fields of `stored` as a 304, or an answer to HEAD, makes them (RFC 9111 section 3.2): each field that it has
// replaces those of that name.
OwnedFields updated_fields(std::span<const net::HttpField> stored, std::span<const net::HttpField> newer);

}  // namespace verge::cache

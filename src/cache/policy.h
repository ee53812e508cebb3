// What is done with requests: of a site in general, and of the paths that a rule is for. A rule's policy is whole: what
// the rule does not say was taken from its site when the configuration was read.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "cache/field_edits.h"
#include "cache/freshness.h"
#include "cache/path_pattern.h"
#include "cache/redirect.h"
#include "cache/request_limiter.h"
#include "cache/signature_check.h"
#include "compress/encoder.h"

namespace verge::cache {

// Which answers are pages in ESI 1.0, to be composed here.
enum class Esi : uint8_t {
  kOff,
  kAnnounced,  // those with Surrogate-Control: content="ESI/1.0"
  kHtml        // these, and all of type text/html
};

struct StaticRoot {
  std::string directory;
  std::string index = "index.html";  // of a directory; empty: none
  bool precompressed = false;        // whether name.br, name.zst and name.gz stand for the name
  bool dotfiles = false;
  bool operator==(const StaticRoot&) const = default;
};

struct PathPolicy {
  StoragePolicy storage;
  bool caches = true;                            // else all passes
  std::vector<compress::ContentCoding> codings;  // that answers are sent in, the best liked first; none: as they are
  uint64_t coded_bytes_min = 1024;               // smaller answers are sent as they are
  Esi esi = Esi::kOff;
  std::vector<std::string> ignored_query;  // parameters that are no part of the key; "x*": all that begin so
  std::optional<Redirect> redirect;
  std::optional<StaticRoot> root;
  FieldEdits request_fields;
  FieldEdits answer_fields;
  std::optional<RequestLimit> limit;
  std::shared_ptr<const SignatureCheck> signature;  // null: requests need not be signed

  // Nothing is done before the cache is asked: the common case, which is to cost nothing.
  [[nodiscard]] bool is_plain() const { return plain; }
  bool plain = true;  // settle() sees to it
  void settle() {
    plain = caches && ignored_query.empty() && !redirect && !root && answer_fields.empty() && !limit && !signature;
  }
};

struct PathRule {
  PathPattern pattern;
  std::optional<bool> is_secure;  // only for what comes over TLS, or only for what does not
  PathPolicy policy;
};

}  // namespace verge::cache

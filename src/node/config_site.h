// What is configured of a site and its rules. Included by config.h.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "base/clock.h"
#include "cache/field_edits.h"
#include "cache/policy.h"
#include "compress/encoder.h"

namespace verge::node {

// What may be said of a whole site and of some of its paths. What a rule leaves out is its site's; see policy_of().
struct PathPolicyConfig {
  std::optional<bool> cache;
  std::optional<Duration> default_ttl;
  std::optional<Duration> override_ttl;
  std::optional<Duration> stale_while_revalidate;
  std::optional<Duration> stale_if_error;
  std::optional<uint64_t> heuristic_percent;
  std::optional<bool> request_directives;
  std::optional<std::vector<compress::ContentCoding>> compress;  // the best liked first
  std::optional<uint64_t> compress_bytes_min;
  std::optional<cache::Esi> esi;
  std::optional<std::vector<std::string>> ignored_query;
  std::optional<std::string> redirect;  // empty: none
  std::optional<uint64_t> redirect_status;
  std::optional<bool> redirect_query;
  std::optional<std::string> root;  // empty: none
  std::optional<std::string> index;
  std::optional<bool> precompressed;
  std::optional<bool> dotfiles;
  std::optional<cache::FieldEdits> request_headers;
  std::optional<cache::FieldEdits> answer_headers;
  std::optional<uint64_t> requests_a_second;  // 0: any number
  std::optional<uint64_t> requests_burst;
  std::optional<uint64_t> requests_at_once;  // 0: any number
  std::optional<bool> is_signed;
  bool operator==(const PathPolicyConfig&) const = default;
};

enum class RuleScheme : uint8_t { kAny, kHttp, kHttps };

// Exactly one of `path`, `prefix` and `glob` is given.
struct SiteRuleConfig : PathPolicyConfig {
  std::optional<std::string> path;
  std::optional<std::string> prefix;
  std::optional<std::string> glob;
  RuleScheme scheme = RuleScheme::kAny;
  bool operator==(const SiteRuleConfig&) const = default;
};

// The file has a key as docs/formats/signed-urls.md says.
struct SigningKeyConfig {
  std::string id;
  std::string file;
  bool operator==(const SigningKeyConfig&) const = default;
};

}  // namespace verge::node

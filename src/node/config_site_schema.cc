// The keys of sites' policies and rules; see config_schema.cc.
#include <fmt/format.h>

#include "cache/path_pattern.h"
#include "cache/redirect.h"
#include "node/config_schema.h"
#include "node/config_site_kinds.h"

namespace verge::node {
namespace {

void check_policy(Visitor& v, const PathPolicyConfig& c) {
  const auto only_with = [&](bool given, std::string_view key, std::string_view owner) {
    if (given) v.refuse(key, {"config.value", fmt::format("{} goes only with {}", key, owner), "leave it out"});
  };
  const bool redirects = c.redirect && !c.redirect->empty();
  const bool has_root = c.root && !c.root->empty();
  only_with(c.redirect_status && !redirects, "redirect_status", "redirect");
  only_with(c.redirect_query && !redirects, "redirect_query", "redirect");
  only_with(c.index && !has_root, "index", "root");
  only_with(c.precompressed && !has_root, "precompressed", "root");
  only_with(c.dotfiles && !has_root, "dotfiles", "root");
  only_with(c.requests_burst && c.requests_a_second.value_or(0) == 0, "requests_burst", "requests_a_second");
  if (redirects && has_root) {
    v.refuse("root", {"config.value", "requests are redirected or answered with files, not both", "leave one out"});
  }
}

}  // namespace

void describe_policy(Visitor& v, PathPolicyConfig& c, bool is_rule) {
  constexpr Duration kHour = std::chrono::hours(1);
  constexpr Time kTtl{Duration(0), 24 * 3650 * kHour};
  const auto about = [&](std::string_view description, std::string_view of_site) {
    return About{.description = description, .default_text = is_rule ? "the site's" : of_site, .required = false};
  };
  v.key("cache", c.cache, Flag{}, about("Whether answers are stored at all; false: all is passed through.", "`true`"));
  v.key("default_ttl", c.default_ttl, kTtl, about("How long answers are fresh whose origin says nothing.", "none"));
  v.key("override_ttl", c.override_ttl, kTtl,
        about("How long answers are fresh whatever the origin says; no-store and private still count.", "none"));
  v.key("stale_while_revalidate", c.stale_while_revalidate, kTtl,
        about("How long stale answers are served while they are validated, where the origin says nothing.", "none"));
  v.key("stale_if_error", c.stale_if_error, kTtl,
        about("How long stale answers are served while the origin fails, where it says nothing.", "none"));
  v.key("heuristic_percent", c.heuristic_percent, Count{0, 100},
        about("Without a word about freshness: fresh for so much of the time since Last-Modified, a day at most; 0: "
              "not.",
              "`10`"));
  v.key("request_directives", c.request_directives, Flag{},
        about("Whether a client's Cache-Control may ask for validation or for stale answers.", "`true`"));
  v.key("compress", c.compress, Codings{},
        about("The content codings that answers of text types are sent in, the best liked first; each answer is "
              "compressed once in each and kept so.",
              "none: answers are sent as the origin gave them"));
  v.key("compress_bytes_min", c.compress_bytes_min, Size{0, 1ULL << 20},
        about("Smaller answers are not compressed.", "`\"1KiB\"`"));
  v.key("esi", c.esi,
        Choice<cache::Esi>{
            {{"off", cache::Esi::kOff}, {"announced", cache::Esi::kAnnounced}, {"html", cache::Esi::kHtml}}},
        about("Which answers are pages in ESI 1.0, composed here: announced: those with Surrogate-Control: "
              "content=\"ESI/1.0\"; html: these, and all of type text/html.",
              "`\"off\"`"));
  v.key("ignored_query", c.ignored_query, QueryNames{},
        about("Query parameters that do not tell answers apart; the origin sees them all the same.", "none"));
  v.key("redirect", c.redirect, RedirectTarget{},
        about("Where requests are sent instead; ${host}, ${path}, ${rest} behind a prefix, and ${1} to ${9} of a glob "
              "stand for parts of the request.",
              "none"));
  v.key("redirect_status", c.redirect_status, RedirectStatus{},
        {"With redirect: the status; browsers keep 301 and 308 for good.", "`302`"});
  v.key("redirect_query", c.redirect_query, Flag{},
        {"With redirect: whether the query of the request is appended.", "`true`"});
  v.key("root", c.root, Text{},
        about("A directory whose files answer: by what follows the rule's prefix, else by the whole path.", "none"));
  v.key("index", c.index, Text{},
        {"With root: the file for a path that ends with /; empty: none.", "`\"index.html\"`"});
  v.key("precompressed", c.precompressed, Flag{},
        {"With root: whether name.br, name.zst and name.gz are sent for name where the client takes them.", "`false`"});
  v.key("dotfiles", c.dotfiles, Flag{}, {"With root: whether names that begin with a dot are served.", "`false`"});
  v.key("request_headers", c.request_headers, HeaderEdits{cache::EditedMessage::kRequest},
        about("Edits of requests to the origin.", "none"));
  v.key("answer_headers", c.answer_headers, HeaderEdits{cache::EditedMessage::kAnswer},
        about("Edits of answers to clients, whoever made them.", "none"));
  v.key("requests_a_second", c.requests_a_second, Count{0, 1'000'000},
        about("How many requests a client may make a second; more are answered 429. 0: any number.", "`0`"));
  v.key("requests_burst", c.requests_burst, Count{1, 1'000'000},
        {"With requests_a_second: how many may come together after a pause.", "as many as a second"});
  v.key("requests_at_once", c.requests_at_once, Count{0, 1'000'000},
        about("How many requests of a client may be under way; 0: any number.", "`0`"));
  v.key("signed", c.is_signed, Flag{},
        about("Whether requests must be signed with one of the site's signing_keys; others are answered 403.",
              "`false`"));
  check_policy(v, c);
}

void describe(Visitor& v, SiteRuleConfig& c) {
  v.key("path", c.path, RulePath{}, {"The rule is for this path,", "none"});
  v.key("prefix", c.prefix, RulePath{}, {"or for paths that begin so,", "none"});
  v.key("glob", c.glob, RuleGlob{},
        {"or for paths that look so: ? is one character and * any number of them, without /; ** any number of any.",
         "none"});
  v.key("scheme", c.scheme,
        Choice<RuleScheme>{{{"any", RuleScheme::kAny}, {"http", RuleScheme::kHttp}, {"https", RuleScheme::kHttps}}},
        {"And only for requests that came so."});
  describe_policy(v, c, /*is_rule=*/true);
  const int patterns = int{c.path.has_value()} + int{c.prefix.has_value()} + int{c.glob.has_value()};
  if (patterns != 1) {
    return v.refuse("", {"config.value", "a rule of a site has exactly one of path, prefix and glob",
                         patterns == 0 ? R"(say which paths it is for, prefix = "/" for all)" : "write several rules"});
  }
  if (!c.redirect) return;
  if (cache::has_part(*c.redirect, "rest") && !c.prefix) {
    v.refuse("redirect", {"config.value", "${rest} is what follows a prefix, and this rule has none",
                          c.glob ? "use ${1}, which is what fills the first wildcard" : "use ${path}"});
  }
  const size_t wildcards = c.glob ? cache::wildcards(*c.glob) : 0;
  for (size_t i = wildcards + 1; i <= cache::PathPattern::kWildcardsMax; ++i) {
    if (!cache::has_part(*c.redirect, std::to_string(i))) continue;
    v.refuse("redirect", {"config.value",
                          fmt::format("${{{}}} is what fills wildcard {}, and this rule has {}", i, i,
                                      wildcards == 0 ? "no glob" : fmt::format("{} of them", wildcards)),
                          {}});
    break;
  }
}

}  // namespace verge::node

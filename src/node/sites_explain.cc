// What is stored for a URL and why: the answer of GET /v1/cache?url=…, which `verge cache explain` shows.
#include <fmt/format.h>
#include <fmt/ranges.h>

#include "base/text.h"
#include "cache/freshness.h"
#include "cache/request_view.h"
#include "node/sites.h"

namespace verge::node {
namespace {

constexpr size_t kAnswersMax = 64;

std::string_view name_of(cache::Use use) {
  switch (use) {
    case cache::Use::kFresh:
      return "serve";
    case cache::Use::kStaleWhileRevalidating:
      return "serve, and validate behind";
    case cache::Use::kValidate:
      return "validate first";
  }
  return "";
}

std::string_view name_of(cache::PurgeVerdict verdict) {
  switch (verdict) {
    case cache::PurgeVerdict::kKept:
      return "no";
    case cache::PurgeVerdict::kStale:
      return "softly";
    case cache::PurgeVerdict::kGone:
      return "yes";
  }
  return "";
}

void append_answer(std::string& out, const cache::Answer& answer, cache::PurgeVerdict purged, int64_t now_ms) {
  const cache::Freshness& fresh = answer.freshness();
  const cache::UseVerdict verdict = cache::may_use(fresh, {}, purged == cache::PurgeVerdict::kStale, now_ms);
  std::string selectors;
  for (const cache::Selector& selector : answer.selectors()) {
    if (!selectors.empty()) selectors.push_back(',');
    selectors.append(json_string(selector.name)).append(":");
    selectors.append(selector.is_present ? json_string(selector.value) : "null");
  }
  std::string part = "null";
  if (const std::optional<cache::ContentRange>& range = answer.range()) {
    part = json_string(cache::content_range(range->range, range->length.value_or(0)));
  }
  fmt::format_to(
      std::back_inserter(out),
      R"({{"status":{},"bytes":{},"complete":{},"part":{},"stored_because":{},"lifetime_s":{},"lifetime_from":{},"age_s":{},"left_s":{},"stale_while_revalidate_s":{},"stale_if_error_s":{},"use":{},"because":{},"purged":{},"tags":{},"selected_by":{{{}}}}})",
      answer.status(), answer.body()->size(), answer.body()->state() == cache::Body::State::kComplete, part,
      json_string(answer.stored_because()), fresh.lifetime, json_string(cache::name_of(fresh.source)),
      fresh.age(now_ms), fresh.left(now_ms), fresh.stale_while_revalidate, fresh.stale_if_error,
      json_string(name_of(verdict.use)), json_string(verdict.reason), json_string(name_of(purged)),
      answer.marks().tags.size(), selectors);
}

// As it is written in the configuration.
std::string text_of(const cache::PathRule& rule) {
  using Kind = cache::PathPattern::Kind;
  const Kind kind = rule.pattern.kind;
  const std::string_view key = kind == Kind::kExact ? "path" : kind == Kind::kGlob ? "glob" : "prefix";
  std::string text = fmt::format("{} = {}", key, json_string(rule.pattern.text));
  if (rule.is_secure) text.append(*rule.is_secure ? R"(, scheme = "https")" : R"(, scheme = "http")");
  return text;
}

// What keeps a path from the cache, whatever an origin says; empty: nothing.
std::string_view never_stored_because(const cache::PathPolicy& policy) {
  if (policy.redirect) return "it is redirected";
  if (policy.root) return "it is a file of the site's root";
  if (!policy.caches) return "the site or its rule says cache = false";
  return {};
}

}  // namespace

Result<std::string> Sites::explain(std::string_view url) {
  constexpr std::string_view kFix = "give it whole, such as http://www.example.com/index.html";
  const size_t scheme = url.find("://");
  if (scheme == std::string_view::npos) {
    return fail("cache.url", fmt::format("'{}' is no URL with a scheme and a host", url), std::string(kFix));
  }
  const size_t path = url.find('/', scheme + 3);
  const std::string_view host = url.substr(scheme + 3, path == std::string_view::npos ? path : path - scheme - 3);
  const std::shared_ptr<const cache::SiteSet> set = this->set();
  const size_t site = set->table.find(host);
  if (site == cache::SiteTable::kNone) {
    return fail("cache.url", fmt::format("no site stands for the host '{}'", host), std::string(kFix));
  }
  // As requests are turned into keys.
  std::string key, scratch;
  std::string_view target = path == std::string_view::npos ? "/" : url.substr(path);
  target = target.substr(0, target.find('#'));
  const std::string_view raw_path = target.substr(0, target.find('?'));
  const bool is_secure = url.starts_with("https:");
  const cache::SiteOptions& options = set->sites[site];
  const std::optional<size_t> rule = cache::rule_for(options, cache::plain_path(raw_path, scratch), is_secure);
  const cache::PathPolicy& policy = rule ? options.rules[*rule].policy : options.policy;
  std::string query(target.substr(std::min(target.size(), raw_path.size() + 1)));
  if (!policy.ignored_query.empty()) query = cache::query_without(query, policy.ignored_query);
  cache::append_url(key, is_secure, host, raw_path, query);
  const int64_t now_ms = clock_.wall().microseconds / 1000;
  std::string answers;
  const auto add = [&](std::string_view stored_under) {
    for (const cache::Store::AnswerPointer& answer : store_.variants(stored_under, kAnswersMax)) {
      if (!answers.empty()) answers.push_back(',');
      append_answer(answers, *answer, purges_.verdict(answer->marks()), now_ms);
    }
  };
  add(key);
  add(cache::partial_url(key));
  add(cache::origin_url(key));
  const std::string_view never = never_stored_because(policy);
  const std::string_view why = never.empty() ? store_.why_unsharable(key) : never;
  const bool may_be_on_disk = disk_ && disk_->may_have(key);
  return fmt::format(
      R"({{"url":{},"site":{},"hosts":{},"rule":{},"rule_for":{},"default_ttl_s":{},"override_ttl_s":{},"in_memory":[{}],"on_disk":{},"not_stored_because":{}}})",
      json_string(key), site, json_string(fmt::format("{}", fmt::join(options.hosts, " "))),
      rule ? fmt::to_string(*rule) : "null", rule ? json_string(text_of(options.rules[*rule])) : "null",
      policy.storage.default_ttl ? fmt::to_string(*policy.storage.default_ttl) : "null",
      policy.storage.override_ttl ? fmt::to_string(*policy.storage.override_ttl) : "null", answers, may_be_on_disk,
      why.empty() ? "null" : json_string(why));
}

}  // namespace verge::node

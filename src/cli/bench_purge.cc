#include "cli/bench_purge.h"

#include <chrono>

#include <fmt/format.h>

#include "base/random.h"
#include "cache/store.h"

namespace verge::cli {
namespace {

using Clock = std::chrono::steady_clock;

double ns_since(Clock::time_point begin) {
  return std::chrono::duration<double, std::nano>(Clock::now() - begin).count();
}

std::string url_of(std::string_view host, uint64_t number) { return fmt::format("http://{}/{}", host, number); }

class PurgeBench {
 public:
  explicit PurgeBench(const PurgeBenchOptions& options) : options_(options) {}

  PurgeBenchFigures run() {
    PurgeBenchFigures figures{.answers = options_.answers, .tags = options_.tags};
    for (uint64_t number = 0; number < options_.answers; ++number) insert("tagged", number, options_.tags);
    const uint64_t few = std::min<uint64_t>(options_.answers, kLookedAt);
    for (uint64_t number = 0; number < few; ++number) insert("plain", number, 0);
    figures.memory_bytes = store_.counters().bytes;
    // A first pass of each, so that both have been in the caches of the processor as much.
    for (const bool counts : {false, true}) {
      const double with = ns_a_hit("tagged", few);
      const double without = ns_a_hit("plain", few);
      if (!counts) continue;
      figures.hit_ns = with;
      figures.hit_without_tags_ns = without;
    }
    purges_.purge_tag(cache::tag_hash(cache::TagKind::kTag, "of nobody"), false);
    figures.first_hit_ns = ns_a_hit("tagged", few);
    const Clock::time_point begin = Clock::now();
    purges_.purge_tag(kCommonTag, false);
    figures.purge_us = ns_since(begin) / 1000;
    for (uint64_t number = 0; number < options_.answers; ++number) {
      figures.served_after += store_.find(url_of("tagged", number), {}).answer ? 1 : 0;
    }
    return figures;
  }

 private:
  static constexpr uint64_t kCommonTag = 1;
  static constexpr uint64_t kLookedAt = 100'000;

  void insert(std::string_view host, uint64_t number, uint64_t tags) {
    std::vector<uint64_t> its;
    its.reserve(tags);
    if (tags > 0) its.push_back(kCommonTag);
    while (its.size() < tags) its.push_back(random_.next());
    store_.insert(std::make_shared<const cache::Answer>(cache::AnswerParts{.status = 200,
                                                                           .reason = {},
                                                                           .fields = {},
                                                                           .freshness = {},
                                                                           .selectors = {},
                                                                           .range = std::nullopt,
                                                                           .body = cache::Body::of(Payload("x")),
                                                                           .url = url_of(host, number),
                                                                           .tags = std::move(its),
                                                                           .fetched_at = purges_.generation(),
                                                                           .stored_because = "bench"}));
  }

  // Of looking up and judging; the URLs are made before.
  double ns_a_hit(std::string_view host, uint64_t count) {
    std::vector<std::string> urls;
    for (uint64_t i = 0; i < count; ++i) urls.push_back(url_of(host, random_.below(count)));
    const Clock::time_point begin = Clock::now();
    uint64_t found = 0;
    for (const std::string& url : urls) found += store_.find(url, {}).answer ? 1 : 0;
    return ns_since(begin) / static_cast<double>(std::max<uint64_t>(found, 1));
  }

  const PurgeBenchOptions options_;
  Random random_{1};
  cache::Purges purges_;
  cache::Store store_{{.bytes_max = UINT64_MAX / 2}, purges_, 1};
};

}  // namespace

PurgeBenchFigures bench_purge(const PurgeBenchOptions& options) { return PurgeBench(options).run(); }

std::string text_of(const PurgeBenchFigures& figures) {
  return fmt::format(
      "{} answers with {} tags each, {:.0f} MiB\n"
      "a purge of the tag that all have   {:>10.1f} us, {} answers served after it\n"
      "a hit                              {:>10.0f} ns\n"
      "  without tags                     {:>10.0f} ns\n"
      "  the first after another purge    {:>10.0f} ns\n",
      figures.answers, figures.tags, static_cast<double>(figures.memory_bytes) / (1 << 20), figures.purge_us,
      figures.served_after, figures.hit_ns, figures.hit_without_tags_ns, figures.first_hit_ns);
}

std::string json_of(const PurgeBenchFigures& figures) {
  return fmt::format(
      R"({{"answers":{},"tags":{},"purge_us":{:.1f},"served_after":{},"hit_ns":{:.1f},"hit_without_tags_ns":{:.1f},"first_hit_ns":{:.1f},"memory_bytes":{}}})"
      "\n",
      figures.answers, figures.tags, figures.purge_us, figures.served_after, figures.hit_ns,
      figures.hit_without_tags_ns, figures.first_hit_ns, figures.memory_bytes);
}

}  // namespace verge::cli

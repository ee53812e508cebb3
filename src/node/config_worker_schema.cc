// The keys of workers; see config_schema.cc.
#include <algorithm>

#include <fmt/format.h>

#include "node/config_schema.h"
#include "node/config_worker_kinds.h"

namespace verge::node {

void describe(Visitor& v, WorkersConfig& c) {
  v.key("processes_max", c.processes_max, Count{1, 4096}, {"Isolate processes of one event loop."});
  v.key("idle_max", c.idle_max, Time{std::chrono::seconds(1), std::chrono::hours(24)},
        {"A worker that nobody has called for so long is let go, and comes back from its compiled code."});
  v.key(
      "deploy_tokens", c.deploy_tokens, Secrets{},
      {"Who deploys workers must show one of these tokens; none: whoever reaches the admin listener may, where that is "
       "on loopback only."});
  v.key("geo_file", c.geo_file, Text{},
        {"A file in MaxMind's format, such as GeoLite2-City.mmdb: where clients are, as `request.cf` says it. Read "
         "again on SIGHUP.",
         "none"});
}

void describe(Visitor& v, KvConfig& c) {
  constexpr uint64_t kMiB = 1U << 20;
  v.key("bytes_max", c.bytes_max, Size{1024, 1ULL << 40},
        {"Keys, values and metadata of one namespace; a put beyond it is refused."});
  v.key("memory", c.memory, Size{kMiB, 4096 * kMiB}, {"For what was read of late."});
}

void describe(Visitor& v, QueueConfig& c) {
  constexpr Duration kHalfDay = std::chrono::hours(12);
  v.key("name", c.name, NodeName{}, {.description = "What workers call it.", .required = true});
  v.key("bytes_max", c.bytes_max, Size{64U << 10, 4ULL << 30},
        {"Messages that wait, in memory as on the disk; a send beyond it is refused."});
  v.key("max_batch_size", c.max_batch_size, Count{1, 100}, {"Messages that the consumer is given at once."});
  v.key("max_batch_timeout", c.max_batch_timeout, Time{Duration(0), std::chrono::minutes(1)},
        {"How long a message waits for others of its batch."});
  v.key("max_concurrency", c.max_concurrency, Count{1, 64}, {"Batches that are under way at a time."});
  v.key("max_retries", c.max_retries, Count{0, 100}, {"Deliveries after one that failed."});
  v.key("retry_delay", c.retry_delay, Time{Duration(0), kHalfDay},
        {"Before each of them, if the consumer does not say."});
  v.key("dead_letter_queue", c.dead_letter_queue, Text{},
        {"The queue that takes what failed too often.", "none: it is dropped"});
}

void describe(Visitor& v, WorkerConfig& c) {
  constexpr Duration kHour = std::chrono::hours(1);
  constexpr uint64_t kMiB = 1U << 20;
  v.key("name", c.name, NodeName{}, {.description = "What it is called in metrics and errors.", .required = true});
  v.key("file", c.file, Text{.may_be_empty = false},
        {.description = "Its main module; what that imports by relative paths is read with it, and again on SIGHUP.",
         .required = true});
  v.key("routes", c.routes, RoutePatterns{},
        {"The requests that it answers: a host and a path, which may end in *.", "none"});
  v.key("position", c.position,
        Choice<cache::CodePosition>{{{"before", cache::CodePosition::kBefore},
                                     {"miss", cache::CodePosition::kMiss},
                                     {"origin-answer", cache::CodePosition::kOriginAnswer},
                                     {"client-answer", cache::CodePosition::kClientAnswer}}},
        {"before: it is asked before the cache; miss: in the place of the origins, where nothing stored will do; "
         "origin-answer: on what an origin answers, before it is stored; client-answer: on each answer to a client."});
  v.key("fallback", c.falls_back, Choice<bool>{{{"error", false}, {"origin", true}}},
        {"When it fails before its answer: error: the client is told; origin: a GET, HEAD or OPTIONS goes on as though "
         "there were no worker."});
  v.key("cron", c.cron, CronExpressions{}, {"When its `scheduled` is called, in UTC.", "none"});
  v.key("tenant", c.tenant, Text{}, {"Workers of one tenant may share a process.", "the worker's name"});
  v.key("compatibility_date", c.compatibility_date, CompatibilityDate{},
        {"As of which day the platform behaves, where its behaviour changed.",
         "what its main module says in a comment, or the newest behaviour"});
  v.key("cpu", c.cpu, Time{std::chrono::milliseconds(1), kHour}, {"Processor time of a call."});
  v.key("wall", c.wall, Time{std::chrono::milliseconds(1), 24 * kHour}, {"Time of a call, waiting included."});
  v.key("memory", c.memory, Size{8 * kMiB, 4096 * kMiB}, {"Its heap, and likewise its buffers."});
  v.key("subrequests", c.subrequests, Count{0, 1'000'000}, {"What a call may fetch, and ask of the cache."});
  v.key("answer_bytes_max", c.answer_bytes_max, Size{1024, 1ULL << 40}, {"The longest answer."});
  v.key("env", c.env, Variables{}, {"Variables, as members of `env`.", "none"});
  v.key("secrets", c.secrets, NamedSecrets{}, {"Likewise, of which only the place stands here.", "none"});
  v.key("kv", c.kv, SpaceNames{}, {"Namespaces of keys and values, as members of `env`.", "none"});
  v.key("connect", c.connect, ConnectRules{},
        {"Hosts and ports that it may connect to by TCP. Addresses of this machine or its link are reached only where "
         "they "
         "stand here themselves.",
         "none"});
  v.key("queues", c.queues, SpaceNames{}, {"Queues that it sends to, as members of `env`.", "none"});
  v.key("consumes", c.consumes, NodeNames{}, {"Queues whose messages its `queue` is given.", "none"});
  v.key("private_addresses", c.private_addresses, Flag{},
        {"Whether it may fetch from addresses that only this machine or its network reaches."});
  for (const auto& [name, space] : c.kv) {
    const auto is_its = [&](const auto& variable) { return variable.first == name; };
    if (std::ranges::any_of(c.env, is_its) || std::ranges::any_of(c.secrets, is_its)) {
      v.refuse("kv",
               {"config.value", fmt::format("{} is both in kv and in env or secrets", name), "name one otherwise"});
    }
  }
  for (const auto& [name, queue] : c.queues) {
    const auto is_its = [&](const auto& variable) { return variable.first == name; };
    if (std::ranges::any_of(c.env, is_its) || std::ranges::any_of(c.secrets, is_its) ||
        std::ranges::any_of(c.kv, is_its)) {
      v.refuse("queues", {"config.value", fmt::format("{} is both in queues and in env, secrets or kv", name),
                          "name one otherwise"});
    }
  }
  for (const auto& [name, secret] : c.secrets) {
    const bool is_twice = std::ranges::any_of(c.env, [&](const auto& variable) { return variable.first == name; });
    if (is_twice) {
      v.refuse("secrets",
               {"config.value", fmt::format("{} is both in env and in secrets", name), "name one otherwise"});
    }
  }
}

}  // namespace verge::node

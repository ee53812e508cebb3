#include "node/queue_names.h"

#include <algorithm>
#include <map>

#include <fmt/format.h>
#include <fmt/ranges.h>

#include "base/text.h"

namespace verge::node {

Error unknown_queue(std::string_view name, const std::vector<QueueConfig>& queues) {
  std::vector<std::string> names;
  for (const QueueConfig& queue : queues) names.push_back(queue.name);
  const std::string near = nearest(name, names);
  std::string fix = "add a [[queue]] of that name";
  if (!near.empty()) {
    fix = fmt::format("did you mean {}?", json_string(near));
  } else if (!names.empty()) {
    fix += fmt::format("; there are {}", fmt::join(names, ", "));
  }
  return {"queues.unknown", fmt::format("there is no queue {}", json_string(name)), fix};
}

namespace {

// The queues that dead letters of `queue` would go through until they are in it again: "a, b". Empty: they never are.
// Said of each round once, at the last of its queues.
std::string round_of(const QueueConfig& queue, const std::vector<QueueConfig>& queues) {
  std::vector<std::string_view> way = {queue.name};
  const QueueConfig* last = &queue;
  for (const QueueConfig* at = &queue; way.size() <= queues.size();) {
    const auto next = std::ranges::find(queues, at->dead_letter_queue, &QueueConfig::name);
    if (next == queues.end()) return {};
    if (next->name == queue.name) return last == &queue ? fmt::format("{}", fmt::join(way, ", ")) : std::string();
    at = &*next;
    last = std::max(last, at);
    way.push_back(at->name);
  }
  return {};
}

}  // namespace

ConfigProblems check_queues(const Config& config) {
  ConfigProblems problems;
  const auto refuse = [&](const std::string& key, std::string what, std::string fix) {
    problems.push_back({{"config.value", std::move(what), std::move(fix)}, config.place_of(key)});
  };
  const auto must_be_there = [&](const std::string& key, const std::string& name) {
    if (std::ranges::find(config.queues, name, &QueueConfig::name) != config.queues.end()) return true;
    Error unknown = unknown_queue(name, config.queues);
    refuse(key, fmt::format("{}: {}", key, unknown.what), std::move(unknown.fix));
    return false;
  };
  for (size_t i = 0; i < config.queues.size(); ++i) {
    const QueueConfig& queue = config.queues[i];
    const auto first = std::ranges::find(config.queues, queue.name, &QueueConfig::name);
    if (&*first != &queue) {
      refuse(fmt::format("queue.{}.name", i), fmt::format("two queues are called {}", queue.name), "rename one");
    }
    const std::string key = fmt::format("queue.{}.dead_letter_queue", i);
    if (queue.dead_letter_queue == queue.name) {
      refuse(key, fmt::format("queue {} would take its own dead letters", queue.name), "name another [[queue]]");
    } else if (!queue.dead_letter_queue.empty()) {
      must_be_there(key, queue.dead_letter_queue);
      if (const std::string round = round_of(queue, config.queues); !round.empty()) {
        refuse(key, fmt::format("dead letters would go round in {} for ever", round),
               "leave out the dead_letter_queue of one");
      }
    }
  }
  std::map<std::string, std::string> consumers;  // of a queue
  for (size_t i = 0; i < config.workers.size(); ++i) {
    const WorkerConfig& worker = config.workers[i];
    for (const auto& [name, queue] : worker.queues) must_be_there(fmt::format("worker.{}.queues", i), queue);
    const std::string key = fmt::format("worker.{}.consumes", i);
    for (const std::string& queue : worker.consumes) {
      if (!must_be_there(key, queue)) continue;
      const auto [other, is_new] = consumers.emplace(queue, worker.name);
      if (is_new) continue;
      refuse(key, fmt::format("queue {} is consumed by {} already", queue, other->second), "leave it to one worker");
    }
  }
  return problems;
}

}  // namespace verge::node

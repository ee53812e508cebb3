#include "net/name_watch.h"

#include <algorithm>
#include <condition_variable>
#include <map>
#include <mutex>
#include <set>
#include <thread>
#include <utility>

#include <fmt/format.h>
#include <fmt/ranges.h>
#include <pthread.h>

#include "base/log.h"

namespace verge::net {
namespace {

std::set<std::string> texts_of(const NameWatch::Addresses& addresses) {
  std::set<std::string> texts;
  for (const Address& address : addresses) texts.insert(address.text());
  return texts;
}

}  // namespace

struct NameWatch::State {
  Duration every;
  Resolve resolve;
  std::mutex mutex;
  std::condition_variable woken;
  std::vector<std::weak_ptr<Watcher>> watchers;
  bool is_running = false;
  bool is_due = false;
  bool is_over = false;
  std::set<std::string> failing;  // of the thread

  // Those who are still there, by name.
  std::map<std::string, std::vector<std::shared_ptr<Watcher>>> present() {
    std::map<std::string, std::vector<std::shared_ptr<Watcher>>> there;
    std::erase_if(watchers, [&](const std::weak_ptr<Watcher>& one) {
      std::shared_ptr<Watcher> watcher = one.lock();
      if (!watcher) return true;
      there[watcher->name].push_back(std::move(watcher));
      return false;
    });
    return there;
  }

  void look(const std::string& name, const std::vector<std::shared_ptr<Watcher>>& those) {
    const Result<Addresses> found = resolve(name);
    // What is told is posted to loops, which may be gone once the watch is.
    const std::lock_guard lock(mutex);
    if (is_over) return;
    if (!found || found->empty()) {
      if (!found && failing.insert(name).second) {
        log_warning("net", "{} cannot be resolved any more; its last addresses count: {}", name, found.error().what);
      }
      return;
    }
    if (failing.erase(name) > 0) log_info("net", "{} can be resolved again", name);
    const std::set<std::string> now = texts_of(*found);
    bool is_news = false;
    for (const std::shared_ptr<Watcher>& watcher : those) {
      // In another order it is the same server.
      if (texts_of(watcher->known) == now) continue;
      watcher->known = *found;
      watcher->changed(*found);
      is_news = true;
    }
    if (is_news) log_info("net", "{} is now {}", name, fmt::join(now, ", "));
  }

  void run() {
    std::unique_lock lock(mutex);
    while (!is_over) {
      woken.wait_for(lock, every, [this] { return is_over || is_due; });
      is_due = false;
      const auto there = present();
      for (const auto& [name, those] : there) {
        if (is_over) return;
        lock.unlock();
        look(name, those);
        lock.lock();
      }
    }
  }
};

NameWatch::NameWatch(Duration every, Resolve resolve) : state_(std::make_shared<State>()) {
  state_->every = every;
  state_->resolve = std::move(resolve);
}

NameWatch::~NameWatch() {
  const std::lock_guard lock(state_->mutex);
  state_->is_over = true;
  state_->woken.notify_all();
}

std::shared_ptr<NameWatch::Watcher> NameWatch::watch(std::string host_and_port, Addresses known, Changed changed) {
  auto watcher = std::make_shared<Watcher>(std::move(host_and_port), std::move(changed), std::move(known));
  const std::lock_guard lock(state_->mutex);
  state_->watchers.push_back(watcher);
  if (!std::exchange(state_->is_running, true)) {
    // Not joined: getaddrinfo() cannot be called off.
    std::thread([state = state_] {
      pthread_setname_np(pthread_self(), "names");
      state->run();
    }).detach();
  }
  return watcher;
}

void NameWatch::wake() {
  const std::lock_guard lock(state_->mutex);
  state_->is_due = true;
  state_->woken.notify_all();
}

}  // namespace verge::net

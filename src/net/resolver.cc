#include "net/resolver.h"

#include <condition_variable>
#include <deque>
#include <mutex>
#include <thread>
#include <utility>

#include <pthread.h>

namespace verge::net {

struct Resolver::State {
  std::string name;
  Lookup lookup;

  std::mutex mutex;  // guards what follows
  std::condition_variable changed;
  std::deque<Question> questions;
  bool started = false;
  bool abandoned = false;
};

Resolver::Resolver(std::string name, Lookup lookup) : state_(std::make_shared<State>()) {
  state_->name = std::move(name);
  state_->lookup = std::move(lookup);
}

Resolver::~Resolver() {
  std::deque<Question> unasked;
  {
    const std::lock_guard lock(state_->mutex);
    state_->abandoned = true;
    unasked.swap(state_->questions);
  }
  state_->changed.notify_one();
}

void Resolver::resolve(std::string host_and_port, int family, runtime::Loop& loop, Done done) {
  {
    const std::lock_guard lock(state_->mutex);
    state_->questions.push_back({std::move(host_and_port), family, &loop, std::move(done)});
    if (!std::exchange(state_->started, true)) std::thread([state = state_] { run(state); }).detach();
  }
  state_->changed.notify_one();
}

void Resolver::run(const std::shared_ptr<State>& state) {
  pthread_setname_np(pthread_self(), state->name.substr(0, 15).c_str());
  std::unique_lock lock(state->mutex);
  while (true) {
    state->changed.wait(lock, [&] { return state->abandoned || !state->questions.empty(); });
    if (state->abandoned) return;
    // It stays in the row, whose owner destroys what belongs to it.
    const std::string host_and_port = state->questions.front().host_and_port;
    const int family = state->questions.front().family;
    lock.unlock();
    Result<Address> address = state->lookup(host_and_port, family);
    lock.lock();
    if (state->abandoned) return;
    Question question = std::move(state->questions.front());
    state->questions.pop_front();
    // Under the lock: the loop is there as long as the resolver is.
    question.loop->post(
        [done = std::move(question.done), address = std::move(address)]() mutable { done(std::move(address)); });
  }
}

}  // namespace verge::net

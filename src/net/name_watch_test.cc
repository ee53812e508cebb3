#include "net/name_watch.h"

#include <condition_variable>
#include <map>
#include <mutex>
#include <set>

#include <gtest/gtest.h>

namespace verge::net {
namespace {

using Addresses = NameWatch::Addresses;

// A resolver that answers as it is told, and counts the passes over it.
class Names : public testing::Test {
 protected:
  static Addresses addresses(std::initializer_list<std::string_view> texts) {
    Addresses all;
    for (const std::string_view text : texts) all.push_back(*Address::parse(text));
    return all;
  }
  void set(const std::string& name, Addresses what) {
    const std::lock_guard lock(mutex_);
    names_[name] = std::move(what);
  }
  NameWatch::Resolve resolver() {
    return [this](const std::string& name) -> Result<Addresses> {
      const std::lock_guard lock(mutex_);
      ++asked_;
      changed_.notify_all();
      if (names_[name].empty()) return fail("net.resolve", "no", "none");
      return names_[name];
    };
  }
  NameWatch::Changed teller() {
    return [this](const Addresses& now) {
      const std::lock_guard lock(mutex_);
      told_.emplace_back();
      for (const Address& address : now) told_.back().push_back(address.text());
      changed_.notify_all();
    };
  }
  // Until two passes began after now: the first of them is over then.
  void pass(NameWatch& watch) {
    for (int i = 0; i < 2; ++i) {
      std::unique_lock lock(mutex_);
      const size_t before = asked_;
      lock.unlock();
      watch.wake();
      lock.lock();
      ASSERT_TRUE(changed_.wait_for(lock, std::chrono::seconds(30), [&] { return asked_ > before; }));
    }
  }
  std::vector<std::vector<std::string>> told() {
    const std::lock_guard lock(mutex_);
    return told_;
  }

  std::mutex mutex_;
  std::condition_variable changed_;
  std::map<std::string, Addresses> names_;
  std::vector<std::vector<std::string>> told_;
  size_t asked_ = 0;
};

TEST_F(Names, WhatChangesIsToldAndWhatFailsIsNot) {
  NameWatch watch(std::chrono::hours(1), resolver());
  set("a:80", addresses({"10.0.0.1:80", "10.0.0.2:80"}));
  const auto watcher = watch.watch("a:80", addresses({"10.0.0.1:80", "10.0.0.2:80"}), teller());
  pass(watch);
  set("a:80", addresses({"10.0.0.2:80", "10.0.0.1:80"}));
  pass(watch);
  EXPECT_TRUE(told().empty()) << "in another order it is the same";
  set("a:80", {});
  pass(watch);
  EXPECT_TRUE(told().empty());
  set("a:80", addresses({"10.0.0.3:80"}));
  pass(watch);
  EXPECT_EQ(told(), (std::vector<std::vector<std::string>>{{"10.0.0.3:80"}}));
  pass(watch);
  EXPECT_EQ(told().size(), 1U) << "once";
}

TEST_F(Names, WhoHasGoneIsToldNothing) {
  NameWatch watch(std::chrono::hours(1), resolver());
  set("a:80", addresses({"10.0.0.1:80"}));
  set("b:80", addresses({"10.0.0.1:80"}));
  auto gone = watch.watch("a:80", addresses({"10.0.0.9:80"}), [](const Addresses&) { FAIL(); });
  gone.reset();
  const auto there = watch.watch("b:80", addresses({"10.0.0.1:80"}), teller());
  pass(watch);
  EXPECT_TRUE(told().empty());
}

}  // namespace
}  // namespace verge::net

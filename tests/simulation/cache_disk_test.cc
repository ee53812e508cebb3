// The disk tier of the cache over a disk that fails, forgets and flips bits: what is served was put there, whole; what
// was forgotten or purged does not come back; and after a process was killed all is there that was written.
#include <cstdlib>
#include <future>
#include <map>
#include <set>

#include <gtest/gtest.h>

#include "base/random.h"
#include "cache/disk_tier.h"
#include "tests/support/simulated_disk.h"

namespace verge::cache {
namespace {

constexpr const char* kDirectory = "data/cache";

std::string url_of(uint64_t number) { return "http://a/" + std::to_string(number); }

// Says which URL, variant and version it is, and is as long as it should be.
std::string body_of(uint64_t url, uint64_t variant, uint64_t version, size_t size) {
  std::string body = url_of(url) + " " + std::to_string(variant) + " " + std::to_string(version) + " ";
  Random random(version);
  while (body.size() < size) body.push_back(static_cast<char>('a' + random.below(26)));
  return body;
}

std::string text_of(const Body& body) {
  std::string text;
  while (text.size() < body.size()) {
    const Body::Piece piece = body.read(text.size()).piece;
    text.append(piece.bytes.view().substr(piece.offset, piece.size));
  }
  return text;
}

Store::AnswerPointer answer(const std::string& url, uint64_t variant, const std::string& body,
                            std::vector<uint64_t> tags = {}, uint64_t fetched_at = 1) {
  const std::string language = std::to_string(variant);
  const std::vector<net::HttpField> fields = {{"Vary", "X-Kind"}, {"ETag", "\"1\""}};
  const std::vector<net::HttpField> request = {{"X-Kind", language}};
  return std::make_shared<const Answer>(AnswerParts{
      .status = 200,
      .reason = "Fine",
      .fields = OwnedFields(fields),
      .freshness = {.lifetime = 60, .source = LifetimeSource::kMaxAge, .initial_age = 1, .received_ms = 12345},
      .selectors = selectors_of(fields, request),
      .range = std::nullopt,
      .body = Body::of(Payload(body)),
      .url = url,
      .tags = std::move(tags),
      .fetched_at = fetched_at,
      .stored_because = "may be stored"});
}

bool any(const AnswerParts&) { return true; }
bool never(std::string_view) { return false; }

class DiskLife {
 public:
  explicit DiskLife(uint64_t seed) : random_(seed), disk_(random_.next()) {}

  void run() {
    open();
    for (int step = 0; step < 120 && !testing::Test::HasFatalFailure(); ++step) {
      switch (random_.below(12)) {
        case 0:
          disk_.fail_operation(1 + random_.below(6), random_.chance(0.5) ? "storage.full" : "storage.io",
                               random_.chance(0.3));
          put();
          disk_.heal();
          is_faultless_ = false;
          break;
        case 1:
          disk_.fail_read(1 + random_.below(3));
          look();
          disk_.heal();
          is_faultless_ = false;  // what cannot be read while a segment goes is not written again
          break;
        case 2:
          flip();
          break;
        case 3:
          log_.reset();
          open();
          break;
        case 4:
          log_.reset();
          disk_.crash();
          // What was forgotten a moment ago may be back, as the header of DiskLog says.
          floors_.clear();
          is_faultless_ = false;
          open();
          break;
        case 5:
          forget();
          break;
        default:
          put();
      }
      look();
    }
  }

 private:
  struct Known {
    std::string body;
    uint64_t version = 0;
  };

  void open() {
    bool was_anew = false;
    const uint64_t read_before = disk_.read_bytes();
    auto opened =
        DiskLog::open(disk_, kDirectory, {.bytes_max = 256U << 10, .segment_bytes = 48U << 10, .answers_max = 1U << 12},
                      never, was_anew);
    ASSERT_TRUE(opened.has_value()) << opened.error().line();
    log_ = std::move(*opened);
    EXPECT_LT(disk_.read_bytes() - read_before, 64U << 10) << "a start does not read what is stored";
  }

  void put() {
    std::vector<DiskLog::Item> items;
    std::vector<std::pair<uint64_t, uint64_t>> which;
    for (uint64_t i = 0; i < 1 + random_.below(8); ++i) {
      const uint64_t url = random_.below(40);
      const uint64_t variant = random_.below(3);
      const size_t size = random_.chance(0.05) ? 40'000 : random_.below(4000);
      const uint64_t version = ++version_;
      const std::string body = body_of(url, variant, version, size);
      known_[{url, variant}][version] = body;
      items.push_back({.answer = answer(url_of(url), variant, body), .url = log_->hash_of(url_of(url)), .may = {}});
      which.emplace_back(url, variant);
    }
    if (!log_->write(items)) return;
    for (size_t i = 0; i < which.size(); ++i) latest_[which[i]] = text_of(*items[i].answer->body());
    if (!is_faultless_) return;
    // The last group is found at once.
    for (const auto& [url, variant] : which) {
      EXPECT_EQ(found(url, variant), latest_.at({url, variant})) << url << " " << variant;
    }
  }

  void forget() {
    const uint64_t url = random_.below(40);
    const uint64_t hash = log_->hash_of(url_of(url));
    log_->index().forget(hash);
    const DiskLog::Item item{.answer = nullptr, .url = hash, .may = {}};
    if (log_->write({&item, 1})) floors_[url] = version_;
    for (uint64_t variant = 0; variant < 3; ++variant) EXPECT_EQ(found(url, variant), "");
  }

  void flip() {
    std::vector<std::string> files;
    for (const std::string& path : disk_.paths()) {
      if (!disk_.content(path).empty() && !path.ends_with("/meta")) files.push_back(path);
    }
    if (files.empty()) return;
    const std::string& path = files[random_.below(files.size())];
    disk_.flip_bit(path, random_.below(disk_.content(path).size()));
    if (path.ends_with(".index")) floors_.clear();
    is_faultless_ = false;
  }

  // The body of what is there; empty: nothing.
  std::string found(uint64_t url, uint64_t variant) {
    const DiskIndex::Places places = log_->index().find(log_->hash_of(url_of(url)));
    for (size_t i = 0; i < places.count; ++i) {
      const auto read = log_->read(url_of(url), places.places[i], [&](const AnswerParts& parts) {
        return parts.selectors.at(0).value == std::to_string(variant);
      });
      if (read) return text_of(*read->body());
    }
    return {};
  }

  void look() {
    for (uint64_t url = 0; url < 40; ++url) {
      const DiskIndex::Places places = log_->index().find(log_->hash_of(url_of(url)));
      for (size_t i = 0; i < places.count; ++i) {
        const auto read = log_->read(url_of(url), places.places[i], any);
        if (!read) continue;
        ASSERT_EQ(read->url(), url_of(url));
        ASSERT_EQ(read->reason(), "Fine");
        ASSERT_EQ(read->freshness().received_ms, 12345);
        const std::string text = text_of(*read->body());
        const uint64_t variant = std::stoull(read->selectors().at(0).value);
        const auto& versions = known_[{url, variant}];
        const auto same = std::ranges::find(versions, text, [](const auto& entry) { return entry.second; });
        ASSERT_NE(same, versions.end()) << "a body that nobody put there";
        const auto floor = floors_.find(url);
        ASSERT_TRUE(floor == floors_.end() || same->first > floor->second) << "it was forgotten";
      }
    }
    EXPECT_LE(log_->counters().bytes, (256U << 10) + (64U << 10));
  }

  Random random_;
  tests::SimulatedDisk disk_;
  std::unique_ptr<DiskLog> log_;
  bool is_faultless_ = true;
  uint64_t version_ = 0;
  std::map<std::pair<uint64_t, uint64_t>, std::map<uint64_t, std::string>> known_;  // by version
  std::map<std::pair<uint64_t, uint64_t>, std::string> latest_;
  std::map<uint64_t, uint64_t> floors_;  // versions up to here are forgotten
};

TEST(CacheDisk, WhatIsServedWasPutThere) {
  const char* given = std::getenv("VERGE_SEED");
  const char* runs_given = std::getenv("VERGE_SIMULATION_RUNS");
  const uint64_t first = given ? std::strtoull(given, nullptr, 10) : system_seed();
  const uint64_t runs = runs_given ? std::strtoull(runs_given, nullptr, 10) : given ? 1 : 60;
  for (uint64_t seed = first; seed < first + runs; ++seed) {
    SCOPED_TRACE("replay with VERGE_SEED=" + std::to_string(seed));
    DiskLife(seed).run();
    ASSERT_FALSE(testing::Test::HasFailure());
  }
}

// Every operation fails in turn; what was written before and what is written after is there.
TEST(CacheDisk, AnErrorAtEveryOperationInTurn) {
  for (uint64_t n = 1; n < 40; ++n) {
    for (const bool sticky : {false, true}) {
      SCOPED_TRACE(n);
      tests::SimulatedDisk disk(n);
      bool was_anew = false;
      auto log = DiskLog::open(disk, kDirectory, {.bytes_max = 1U << 20}, never, was_anew);
      ASSERT_TRUE(log.has_value());
      const auto write = [&](uint64_t url) {
        const DiskLog::Item item{
            .answer = answer(url_of(url), 0, body_of(url, 0, 1, 9000)), .url = (*log)->hash_of(url_of(url)), .may = {}};
        return (*log)->write({&item, 1});
      };
      ASSERT_TRUE(write(1));
      disk.fail_operation(n, "storage.full", sticky);
      for (uint64_t url = 2; url < 12; ++url) (void)write(url);
      disk.heal();
      ASSERT_TRUE(write(12));
      for (int life = 0; life < 2; ++life) {
        for (const uint64_t url : {1, 12}) {
          const DiskIndex::Places places = (*log)->index().find((*log)->hash_of(url_of(url)));
          ASSERT_EQ(places.count, 1U);
          const auto read = (*log)->read(url_of(url), places.places[0], any);
          ASSERT_TRUE(read);
          EXPECT_EQ(text_of(*read->body()), body_of(url, 0, 1, 9000));
        }
        log = DiskLog::open(disk, kDirectory, {.bytes_max = 1U << 20}, never, was_anew);
        ASSERT_TRUE(log.has_value());
        EXPECT_FALSE(was_anew);
      }
    }
  }
}

// What is read stays when its segment goes; a scan over much else passes by.
TEST(CacheDisk, AScanLeavesWhatIsUsed) {
  tests::SimulatedDisk disk(1);
  bool was_anew = false;
  auto log = DiskLog::open(
      disk, kDirectory, {.bytes_max = 1U << 20, .segment_bytes = 128U << 10, .answers_max = 1U << 16}, never, was_anew);
  ASSERT_TRUE(log.has_value());
  const auto write = [&](uint64_t url) {
    const DiskLog::Item item{
        .answer = answer(url_of(url), 0, body_of(url, 0, 1, 2000)), .url = (*log)->hash_of(url_of(url)), .may = {}};
    ASSERT_TRUE((*log)->write({&item, 1}));
  };
  constexpr uint64_t kUsed = 20;
  for (uint64_t url = 0; url < kUsed; ++url) write(url);
  for (uint64_t url = 1000; url < 6000; ++url) {
    write(url);
    (void)(*log)->index().find((*log)->hash_of(url_of(url % kUsed)));
  }
  EXPECT_GT((*log)->counters().rewritten, 0U);
  for (uint64_t url = 0; url < kUsed; ++url) EXPECT_TRUE((*log)->index().contains((*log)->hash_of(url_of(url)))) << url;
  EXPECT_FALSE((*log)->index().contains((*log)->hash_of(url_of(1000))));
}

// --- The tier

class CacheDiskTier : public testing::Test {
 protected:
  void open() {
    tier.reset();
    store.reset();
    purges = std::make_unique<Purges>();
    store = std::make_unique<Store>(StoreOptions{.bytes_max = 64U << 20}, *purges, 7);
    auto opened = DiskTier::open(disk, kDirectory, {.log = {.bytes_max = 16U << 20}}, *store, *purges);
    ASSERT_TRUE(opened.has_value()) << opened.error().line();
    tier = std::move(*opened);
  }
  void kill() {
    tier->flush();
    open();
  }
  void put(uint64_t url, uint64_t variant, const std::string& body, std::vector<uint64_t> tags = {}) {
    const uint64_t started = store->begin_fetch();
    tier->put(answer(url_of(url), variant, body, std::move(tags), purges->generation()), started);
  }
  // Empty: it is not there.
  std::string get(uint64_t url, uint64_t variant) {
    const std::string kind = std::to_string(variant);
    const std::vector<net::HttpField> fields = {{"X-Kind", kind}};
    if (!tier->may_have(url_of(url))) return {};
    std::promise<void> loaded;
    EXPECT_TRUE(tier->load(url_of(url), OwnedFields(fields), [&] { loaded.set_value(); }));
    loaded.get_future().get();
    const Store::Found found = store->find(url_of(url), fields);
    return found.answer ? text_of(*found.answer->body()) : "";
  }

  tests::SimulatedDisk disk{3};
  std::unique_ptr<Purges> purges;
  std::unique_ptr<Store> store;
  std::unique_ptr<DiskTier> tier;
};

TEST_F(CacheDiskTier, WarmAfterARestart) {
  open();
  const std::string large(3U << 20, 'l');
  for (uint64_t url = 0; url < 100; ++url) put(url, url % 3, body_of(url, 0, 0, url * 50));
  put(100, 0, large);
  kill();
  EXPECT_EQ(tier->log().index().count(), 101U);
  for (uint64_t url = 0; url < 100; ++url) EXPECT_EQ(get(url, url % 3), body_of(url, 0, 0, url * 50));
  EXPECT_EQ(get(5, 0), "") << "another variant";
  EXPECT_TRUE(get(100, 0) == large);
  // A later version replaces it.
  put(7, 1, "new");
  kill();
  EXPECT_EQ(get(7, 1), "new");
}

TEST_F(CacheDiskTier, WhatIsForgottenStaysForgotten) {
  open();
  put(1, 0, "old");
  tier->flush();
  const uint64_t before = store->begin_fetch();
  store->invalidate(url_of(1));
  tier->forget(url_of(1));
  // A fetch that began before brings what was forgotten.
  tier->put(answer(url_of(1), 0, "late"), before);
  tier->flush();
  EXPECT_EQ(get(1, 0), "");
  kill();
  EXPECT_EQ(get(1, 0), "");
  put(1, 0, "new");
  kill();
  EXPECT_EQ(get(1, 0), "new");
}

TEST_F(CacheDiskTier, PurgesOutliveAPowerCut) {
  open();
  put(1, 0, "tagged", {11, 12});
  put(2, 0, "prefixed");
  put(3, 0, "kept", {13});
  tier->flush();
  purges->purge_tag(12, false);
  purges->purge_prefix(url_of(2), false);
  ASSERT_TRUE(tier->sync_purges());
  kill();
  EXPECT_EQ(get(1, 0), "");
  EXPECT_EQ(get(2, 0), "");
  EXPECT_EQ(get(3, 0), "kept");
  // Fetched since: it counts.
  put(1, 0, "again", {11, 12});
  kill();
  EXPECT_EQ(get(1, 0), "again");
  purges->purge_all(false);
  ASSERT_TRUE(tier->sync_purges());
  tier.reset();
  disk.crash();
  open();
  EXPECT_EQ(get(1, 0), "");
  EXPECT_EQ(get(3, 0), "");
}

TEST_F(CacheDiskTier, WithoutItsJournalNothingCounts) {
  for (const bool is_gone : {true, false}) {
    disk = tests::SimulatedDisk(9);
    open();
    put(1, 0, "one", {1});
    tier->flush();
    purges->purge_tag(1, false);
    ASSERT_TRUE(tier->sync_purges());
    tier.reset();
    const std::string journal = std::string(kDirectory) + "/purges";
    if (is_gone) {
      ASSERT_TRUE(disk.remove(journal));
    } else {
      disk.flip_bit(journal, 20);
    }
    open();
    EXPECT_EQ(tier->log().index().count(), 0U);
    EXPECT_EQ(get(1, 0), "");
  }
}

// A purge that could not be written is said, and takes the rest with it when the process ends.
TEST_F(CacheDiskTier, APurgeThatCannotBeWritten) {
  open();
  put(1, 0, "one", {1});
  put(2, 0, "two");
  tier->flush();
  disk.fail_operation(1, "storage.io", false);
  purges->purge_tag(1, false);
  EXPECT_FALSE(tier->sync_purges());
  EXPECT_EQ(get(1, 0), "") << "it is in effect all the same";
  disk.heal();
  kill();
  EXPECT_EQ(get(1, 0), "");
}

TEST_F(CacheDiskTier, TooManyThatWaitAreNotWritten) {
  purges = std::make_unique<Purges>();
  store = std::make_unique<Store>(StoreOptions{}, *purges, 7);
  auto opened =
      DiskTier::open(disk, kDirectory, {.log = {.bytes_max = 16U << 20}, .waiting_bytes_max = 1000}, *store, *purges);
  ASSERT_TRUE(opened.has_value());
  tier = std::move(*opened);
  put(1, 0, std::string(2000, 'x'));
  tier->flush();
  EXPECT_EQ(tier->counters().skipped, 1U);
  EXPECT_EQ(get(1, 0), "");
}

}  // namespace
}  // namespace verge::cache

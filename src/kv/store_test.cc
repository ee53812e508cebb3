// Both stores do the same; and what only the one on the disk has to show.
#include <filesystem>
#include <fstream>
#include <future>
#include <mutex>
#include <random>

#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "kv/memory_store.h"
#include "kv/records.h"
#include "kv/rocks_store.h"
#include "tests/support/value_of.h"

namespace verge::kv {
namespace {

using tests::value_of;

class Directory {
 public:
  Directory() {
    std::string name = ::testing::TempDir() + "verge-kv-XXXXXX";
    path_ = mkdtemp(name.data());
  }
  ~Directory() { std::filesystem::remove_all(path_); }
  Directory(const Directory&) = delete;
  Directory& operator=(const Directory&) = delete;
  [[nodiscard]] std::string path() const { return path_ + "/kv"; }

 private:
  std::string path_;
};

std::unique_ptr<RocksStore> open_rocks(const Directory& directory, const Clock& clock, uint64_t bytes_max = 1U << 30) {
  auto opened = RocksStore::open(directory.path(), clock, {.bytes_max = bytes_max, .memory_bytes = 1U << 20});
  EXPECT_TRUE(opened) << (opened ? "" : opened.error().line());
  return opened ? std::move(*opened) : nullptr;
}

Result<void> write(KeyValueStore& store, Change change) {
  std::promise<Result<void>> answer;
  store.write(std::move(change), [&](Result<void> done) { answer.set_value(std::move(done)); });
  return answer.get_future().get();
}

Result<void> put(KeyValueStore& store, std::string key, std::string value, std::string metadata = {},
                 int64_t expires_s = 0) {
  return write(store, {"space", std::move(key), Item{std::move(value), std::move(metadata), expires_s}});
}

Result<void> remove(KeyValueStore& store, std::string key) {
  return write(store, {"space", std::move(key), std::nullopt});
}

ItemPointer get(KeyValueStore& store, const std::string& key, const std::string& space = "space") {
  std::promise<Result<ItemPointer>> answer;
  store.get(space, key, [&](Result<ItemPointer> done) { answer.set_value(std::move(done)); });
  const ItemPointer read = answer.get_future().get().value_or(nullptr);
  // What is in memory is what is on the disk.
  if (const std::optional<ItemPointer> known = store.find(space, key)) {
    EXPECT_EQ(*known == nullptr, read == nullptr) << key;
    if (*known && read) EXPECT_EQ((*known)->value, read->value) << key;
  }
  return read;
}

Listing list(KeyValueStore& store, ListRequest request) {
  request.space = "space";
  std::promise<Result<Listing>> answer;
  store.list(std::move(request), [&](Result<Listing> done) { answer.set_value(std::move(done)); });
  return answer.get_future().get().value_or(Listing{});
}

std::string names(const Listing& listing) {
  std::string all;
  for (const ListedKey& key : listing.keys) all.append(key.key).push_back(' ');
  return all + (listing.complete ? "." : "…");
}

SpaceTotals totals(const KeyValueStore& store) {
  const std::vector<SpaceTotals> all = store.totals();
  return all.empty() ? SpaceTotals{} : all.front();
}

class Stores : public ::testing::TestWithParam<bool> {
 protected:
  void open(uint64_t bytes_max = 1U << 30) {
    if (GetParam()) {
      store_ = open_rocks(directory_, clock_, bytes_max);
    } else {
      store_ = std::make_unique<MemoryStore>(clock_, bytes_max);
    }
  }
  int64_t now_s() const { return clock_.wall().microseconds / 1'000'000; }

  ManualClock clock_;
  Directory directory_;
  std::unique_ptr<KeyValueStore> store_;
};
INSTANTIATE_TEST_SUITE_P(Kv, Stores, ::testing::Bool(),
                         [](const auto& which) { return which.param ? "Rocks" : "Memory"; });

TEST_P(Stores, WhatIsPutIsThereUntilItIsRemoved) {
  open();
  EXPECT_EQ(get(*store_, "a"), nullptr);
  ASSERT_TRUE(put(*store_, "a", "one", R"({"b":1})"));
  ASSERT_NE(get(*store_, "a"), nullptr);
  EXPECT_EQ(get(*store_, "a")->value, "one");
  EXPECT_EQ(get(*store_, "a")->metadata, R"({"b":1})");
  EXPECT_EQ(get(*store_, "a", "other"), nullptr);
  ASSERT_TRUE(put(*store_, "a", std::string("t\0o", 3)));
  EXPECT_EQ(get(*store_, "a")->value, std::string("t\0o", 3));
  EXPECT_EQ(get(*store_, "a")->metadata, "");
  ASSERT_TRUE(remove(*store_, "a"));
  ASSERT_TRUE(remove(*store_, "a")) << "a key that is not there";
  EXPECT_EQ(get(*store_, "a"), nullptr);
}

TEST_P(Stores, WhoObservesHearsOfAWriteThatCanBeReadBeforeItsWriterDoes) {
  open();
  std::mutex mutex;
  std::vector<std::string> heard;
  const auto note = [&](std::string text) {
    const std::lock_guard lock(mutex);
    heard.push_back(std::move(text));
  };
  store_->observe_writes([&](std::string_view space) {
    const std::optional<ItemPointer> found = store_->find(space, "a");
    note(fmt::format("{} {}", space, found && *found ? (*found)->value : "none"));
  });
  std::promise<void> written;
  store_->write({"n", "a", Item{.value = "1"}}, [&](const Result<void>&) { note("answered"); });
  store_->write({"n", "a", {}}, [&](const Result<void>&) {
    note("answered");
    written.set_value();
  });
  written.get_future().wait();
  // Both may have been written at once.
  const std::lock_guard lock(mutex);
  if (heard.size() == 3) {
    EXPECT_EQ(heard, (std::vector<std::string>{"n none", "answered", "answered"}));
  } else {
    EXPECT_EQ(heard, (std::vector<std::string>{"n 1", "answered", "n none", "answered"}));
  }
}

TEST_P(Stores, ValuesOfAnyLengthUpToTheLongest) {
  open();
  for (const size_t size : {size_t{0}, kInlineBytesMax, kInlineBytesMax + 1, size_t{300'000}, kValueBytesMax}) {
    const std::string value(size, 'x');
    ASSERT_TRUE(put(*store_, "a", value)) << size;
    ASSERT_NE(get(*store_, "a"), nullptr) << size;
    EXPECT_EQ(get(*store_, "a")->value, value) << size;
    EXPECT_EQ(totals(*store_).bytes, size + 1);
  }
  EXPECT_EQ(put(*store_, "a", std::string(kValueBytesMax + 1, 'x')).error().code, "kv.value");
  EXPECT_EQ(put(*store_, std::string(kKeyBytesMax + 1, 'k'), "").error().code, "kv.value");
  EXPECT_TRUE(put(*store_, std::string(kKeyBytesMax, 'k'), ""));
  EXPECT_EQ(put(*store_, "", "").error().code, "kv.value");
  EXPECT_EQ(put(*store_, "b", "", std::string(kMetadataBytesMax + 1, ' ')).error().code, "kv.value");
  EXPECT_EQ(get(*store_, "a")->value.size(), kValueBytesMax) << "what was refused changes nothing";
}

TEST_P(Stores, ListsAreInTheOrderOfKeysAndGoOnWhereTheyEnded) {
  open();
  for (const char* key : {"b", "a/2", "a/1", "a", "a/3", "\xff\xff", "c"}) ASSERT_TRUE(put(*store_, key, key));
  ASSERT_TRUE(write(*store_, {"spac", "e", Item{}}));
  ASSERT_TRUE(write(*store_, {"space2", "e", Item{}}));
  EXPECT_EQ(names(list(*store_, {})), "a a/1 a/2 a/3 b c \xff\xff .");
  EXPECT_EQ(names(list(*store_, {.prefix = "a/"})), "a/1 a/2 a/3 .");
  EXPECT_EQ(names(list(*store_, {.prefix = "a/", .limit = 2})), "a/1 a/2 …");
  EXPECT_EQ(names(list(*store_, {.prefix = "a/", .after = "a/2", .limit = 2})), "a/3 .");
  EXPECT_EQ(names(list(*store_, {.prefix = "a/", .limit = 3})), "a/1 a/2 a/3 .");
  EXPECT_EQ(names(list(*store_, {.prefix = "\xff"})), "\xff\xff .");
  EXPECT_EQ(names(list(*store_, {.prefix = "d"})), ".");
  EXPECT_EQ(names(list(*store_, {.after = "a"})), "a/1 a/2 a/3 b c \xff\xff .");
}

TEST_P(Stores, WhatHasExpiredIsNotThere) {
  open();
  ASSERT_TRUE(put(*store_, "a", "soon", "", now_s() + 60));
  ASSERT_TRUE(put(*store_, "b", "later", R"("m")", now_s() + 120));
  ASSERT_TRUE(put(*store_, "c", "never"));
  EXPECT_EQ(names(list(*store_, {})), "a b c .");
  EXPECT_EQ(list(*store_, {}).keys[1].metadata, R"("m")");
  EXPECT_EQ(list(*store_, {}).keys[1].expires_s, now_s() + 120);
  clock_.advance(std::chrono::seconds(59));
  EXPECT_NE(get(*store_, "a"), nullptr);
  clock_.advance(std::chrono::seconds(1));
  EXPECT_EQ(get(*store_, "a"), nullptr);
  EXPECT_EQ(names(list(*store_, {})), "b c .");
  // What is put again does not expire at the former time.
  ASSERT_TRUE(put(*store_, "b", "for ever"));
  clock_.advance(std::chrono::hours(1));
  ASSERT_NE(get(*store_, "b"), nullptr);
  EXPECT_EQ(get(*store_, "b")->value, "for ever");
}

TEST_P(Stores, AListThatMeetsMuchThatHasExpiredEndsAndIsGoneOnWith) {
  open();
  const size_t many = kListStepsMax + 500;
  std::atomic<size_t> waiting = many;
  std::promise<void> all;
  for (size_t i = 0; i < many; ++i) {
    Change change{"space", fmt::format("{:06}", i), Item{"v", "", now_s() + 60}};
    store_->write(std::move(change), [&](Result<void> done) {
      EXPECT_TRUE(done);
      if (--waiting == 0) all.set_value();
    });
  }
  all.get_future().wait();
  ASSERT_TRUE(put(*store_, "a", "there"));
  ASSERT_TRUE(put(*store_, "b", "there"));
  clock_.advance(std::chrono::minutes(2));  // and nothing makes the store sweep
  const Listing first = list(*store_, {});
  EXPECT_EQ(names(first), "…");
  EXPECT_EQ(first.last, fmt::format("{:06}", kListStepsMax - 1));
  const Listing second = list(*store_, {.after = first.last, .limit = 1});
  EXPECT_EQ(names(second), "a …");
  EXPECT_EQ(second.last, "a");
  EXPECT_EQ(names(list(*store_, {.after = second.last})), "b .");
}

TEST_P(Stores, AFullNamespaceTakesWhatIsSmallerAndWhatOthersLeft) {
  open(1000);
  ASSERT_TRUE(put(*store_, "a", std::string(500, 'x')));
  ASSERT_TRUE(put(*store_, "b", std::string(400, 'x'), "", now_s() + 60));
  const Result<void> refused = put(*store_, "c", std::string(98, 'x'));
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().code, "kv.namespace-full");
  EXPECT_EQ(get(*store_, "c"), nullptr);
  EXPECT_TRUE(put(*store_, "c", std::string(97, 'x')));
  EXPECT_TRUE(put(*store_, "a", std::string(499, 'x')));
  EXPECT_FALSE(put(*store_, "a", std::string(502, 'x')));
  EXPECT_EQ(get(*store_, "a")->value.size(), 499U);
  EXPECT_TRUE(write(*store_, {"other", "a", Item{std::string(999, 'x'), "", 0}})) << "each has its own bound";
  clock_.advance(std::chrono::minutes(2));
  EXPECT_TRUE(put(*store_, "d", std::string(390, 'x'))) << "what expired makes room";
  ASSERT_TRUE(remove(*store_, "a"));
  EXPECT_TRUE(put(*store_, "e", std::string(499, 'x')));
}

TEST(RocksStore, IsAsItWasAfterItIsOpenedAgain) {
  const Directory directory;
  ManualClock clock;
  const int64_t soon = clock.wall().microseconds / 1'000'000 + 60;
  {
    const auto store = open_rocks(directory, clock);
    ASSERT_TRUE(put(*store, "a", "one", "{}"));
    ASSERT_TRUE(put(*store, "b", std::string(100'000, 'b')));
    ASSERT_TRUE(put(*store, "c", "soon", "", soon));
    ASSERT_TRUE(remove(*store, "a"));
  }
  const auto store = open_rocks(directory, clock);
  EXPECT_EQ(names(list(*store, {})), "b c .");
  EXPECT_EQ(get(*store, "b")->value, std::string(100'000, 'b'));
  EXPECT_EQ(totals(*store).bytes, 100'001U + 5);
  EXPECT_EQ(totals(*store).keys, 2U);
  clock.advance(std::chrono::minutes(2));
  ASSERT_TRUE(put(*store, "d", ""));  // makes the writer look
  EXPECT_EQ(totals(*store).bytes, 100'001U + 1) << "what expired is gone, and counted so";
}

// What a store has written, as it is on the disk while it runs, with its log of writes changed by `change`.
template <class Change>
void copy_of(const Directory& from, const Directory& to, const Change& change) {
  std::filesystem::copy(from.path(), to.path(), std::filesystem::copy_options::recursive);
  std::filesystem::path log;
  for (const auto& file : std::filesystem::directory_iterator(to.path())) {
    if (file.path().extension() == ".log") log = file.path();
  }
  std::string bytes(std::filesystem::file_size(log), '\0');
  std::ifstream(log, std::ios::binary).read(bytes.data(), static_cast<std::streamsize>(bytes.size()));
  change(bytes);
  std::ofstream(log, std::ios::binary | std::ios::trunc)
      .write(bytes.data(), static_cast<std::streamsize>(bytes.size()));
}

TEST(RocksStore, ALogThatIsCutOpensWithAllThatWasAnswered) {
  const Directory directory;
  ManualClock clock;
  const auto store = open_rocks(directory, clock);
  for (int i = 0; i < 20; ++i) ASSERT_TRUE(put(*store, fmt::format("{:02}", i), std::string(100, 'x')));
  for (const size_t cut : {size_t{1}, size_t{50}, size_t{140}}) {
    const Directory copied;
    copy_of(directory, copied, [&](std::string& bytes) { bytes.resize(bytes.size() - cut); });
    const auto opened = open_rocks(copied, clock);
    ASSERT_NE(opened, nullptr) << cut;
    // The last one was not whole, as when the process ends within its write; it is not there in part either.
    EXPECT_EQ(list(*opened, {}).keys.size(), 19U) << cut;
    EXPECT_EQ(totals(*opened).keys, 19U);
    EXPECT_NE(get(*opened, "18"), nullptr);
    EXPECT_TRUE(put(*opened, "19", "again"));
  }
}

TEST(RocksStore, ALogThatIsDamagedBeforeItsEndIsNotOpened) {
  const Directory directory;
  ManualClock clock;
  const auto store = open_rocks(directory, clock);
  for (int i = 0; i < 20; ++i) ASSERT_TRUE(put(*store, fmt::format("{:02}", i), std::string(100, 'x')));
  for (const size_t part : {4, 2}) {
    const Directory copied;
    copy_of(directory, copied, [&](std::string& bytes) {
      const size_t at = bytes.find("xxxxxxxxxx", bytes.size() / part);
      ASSERT_NE(at, std::string::npos);
      bytes[at] = 'y';
    });
    const auto opened = RocksStore::open(copied.path(), clock, {});
    ASSERT_FALSE(opened) << "what was answered would be gone without a word";
    EXPECT_EQ(opened.error().code, "kv.storage");
    EXPECT_THAT(opened.error().line(), testing::HasSubstr("are damaged"));
  }
}

TEST(Room, IsTakenAndGivenBack) {
  Room room(100);
  EXPECT_TRUE(room.take(60));
  EXPECT_FALSE(room.take(41));
  EXPECT_TRUE(room.take(40));
  EXPECT_FALSE(room.take(1));
  room.give_back(60);
  EXPECT_EQ(room.bytes(), 40U);
  EXPECT_TRUE(room.take(60));
  EXPECT_EQ(room.refused(), 2U);
}

TEST(RocksStore, DoesWhatTheModelDoes) {
  const auto seed = static_cast<unsigned>(std::random_device()());
  SCOPED_TRACE(fmt::format("seed {}", seed));
  std::mt19937 random(seed);
  const Directory directory;
  ManualClock clock;
  MemoryStore model(clock, 60'000);
  auto store = open_rocks(directory, clock, 60'000);
  const auto below = [&](unsigned end) { return static_cast<unsigned>(random() % end); };
  for (int step = 0; step < 3000; ++step) {
    const std::string key = fmt::format("{}", below(40));
    const unsigned what = below(100);
    if (what < 50) {
      const std::string value(below(10) == 0 ? below(9000) : below(50), static_cast<char>('a' + below(26)));
      const int64_t expires = below(3) == 0 ? clock.wall().microseconds / 1'000'000 + 1 + below(30) : 0;
      const std::string metadata = below(2) == 0 ? "{}" : "";
      const Result<void> one = put(*store, key, value, metadata, expires);
      const Result<void> other = put(model, key, value, metadata, expires);
      // The model forgets what expired when it must, the store when it can: the bound may tell them apart until then.
      if (!one && other) ASSERT_TRUE(remove(model, key) && remove(*store, key));
      if (one && !other) ASSERT_TRUE(remove(model, key) && remove(*store, key));
    } else if (what < 70) {
      ASSERT_TRUE(remove(*store, key));
      ASSERT_TRUE(remove(model, key));
    } else if (what < 90) {
      const ItemPointer one = get(*store, key);
      const ItemPointer other = get(model, key);
      ASSERT_EQ(one == nullptr, other == nullptr) << step << " " << key;
      if (one) {
        ASSERT_EQ(one->value, other->value);
        ASSERT_EQ(one->metadata, other->metadata);
        ASSERT_EQ(one->expires_s, other->expires_s);
      }
    } else if (what < 97) {
      const ListRequest request{
          .prefix = below(2) == 0 ? "" : "1", .after = below(2) == 0 ? "" : key, .limit = 1 + below(20)};
      ASSERT_EQ(names(list(*store, request)), names(list(model, request))) << step;
    } else if (what < 99) {
      clock.advance(std::chrono::seconds(below(10)));
    } else {
      store.reset();
      store = open_rocks(directory, clock, 60'000);
    }
  }
  // Exact to the byte, when all that expired is gone.
  clock.advance(std::chrono::hours(1));
  ASSERT_TRUE(put(*store, "last", ""));
  uint64_t bytes = 0;
  const Listing all = list(*store, {});
  for (const ListedKey& key : all.keys)
    bytes += key.key.size() + key.metadata.size() + get(*store, key.key)->value.size();
  EXPECT_EQ(totals(*store).bytes, bytes);
  EXPECT_EQ(totals(*store).keys, all.keys.size());
}

TEST(RocksStore, WritesOfManyShareASync) {
  const Directory directory;
  ManualClock clock;
  const auto store = open_rocks(directory, clock);
  constexpr int kWrites = 2000;
  std::atomic<int> answered = 0;
  std::promise<void> all;
  for (int i = 0; i < kWrites; ++i) {
    store->write({"space", fmt::format("{}", i), Item{"value", "", 0}}, [&](Result<void> done) {
      EXPECT_TRUE(done);
      if (++answered == kWrites) all.set_value();
    });
  }
  all.get_future().wait();
  EXPECT_EQ(totals(*store).keys, static_cast<uint64_t>(kWrites));
  EXPECT_EQ(store->writes(), static_cast<uint64_t>(kWrites));
  EXPECT_LT(store->groups(), kWrites / 4U);
}

TEST(RocksStore, WhoReadsWhileOthersWriteSeesOnlyWhatWasWritten) {
  const Directory directory;
  ManualClock clock;
  const auto store = open_rocks(directory, clock);
  std::atomic<uint64_t> acknowledged = 0;
  std::atomic<bool> stops = false;
  // A reader that was told of a write never sees an older one: memory is not older than the disk.
  std::thread reader([&] {
    while (!stops) {
      const uint64_t before = acknowledged;
      // Now and then past the memory.
      std::promise<Result<ItemPointer>> answer;
      const std::optional<ItemPointer> known = before % 2 == 0 ? store->find("space", "counter") : std::nullopt;
      if (!known) store->get("space", "counter", [&](auto done) { answer.set_value(std::move(done)); });
      const ItemPointer item = known ? *known : answer.get_future().get().value_or(nullptr);
      if (before > 0) ASSERT_NE(item, nullptr);
      if (item) ASSERT_GE(std::stoull(item->value), before);
    }
  });
  for (uint64_t i = 1; i <= 300; ++i) {
    ASSERT_TRUE(put(*store, "counter", fmt::format("{}", i)));
    acknowledged = i;
  }
  stops = true;
  reader.join();
}

TEST(RocksStore, TooMuchAtOnceIsRefused) {
  const Directory directory;
  ManualClock clock;
  const auto store = open_rocks(directory, clock);
  std::atomic<int> refused = 0, done = 0;
  std::promise<void> all;
  constexpr int kWrites = 24;
  for (int i = 0; i < kWrites; ++i) {
    store->write({"space", fmt::format("{}", i), Item{std::string(8U << 20, 'x'), "", 0}}, [&](Result<void> result) {
      if (!result) {
        EXPECT_EQ(result.error().code, "kv.busy");
        ++refused;
      }
      if (++done == kWrites) all.set_value();
    });
  }
  all.get_future().wait();
  EXPECT_GT(refused, 0);
  EXPECT_EQ(totals(*store).keys, static_cast<uint64_t>(kWrites - refused));
}

TEST(HotItems, AWriteMeanwhileMakesAReadOld) {
  HotItems hot(1U << 20);
  const auto item = std::make_shared<const Item>(Item{"old", "", 0});
  const HotItems::Ticket ticket = hot.ticket("name");
  hot.forget("name");
  hot.keep("name", item, ticket);
  EXPECT_FALSE(hot.find("name"));
  hot.keep("name", item, hot.ticket("name"));
  EXPECT_EQ(value_of(hot.find("name")), item);
  hot.forget("name");
  EXPECT_FALSE(hot.find("name"));
}

TEST(HotItems, KeepsWithinItsBound) {
  HotItems hot(1U << 20);
  for (int i = 0; i < 10'000; ++i) {
    const std::string name = fmt::format("{}", i);
    hot.keep(name, std::make_shared<const Item>(Item{std::string(1000, 'x'), "", 0}), hot.ticket(name));
    ASSERT_LE(hot.bytes(), 1U << 20);
  }
  EXPECT_GT(hot.bytes(), 900'000U);
  EXPECT_TRUE(hot.find("9999"));
  EXPECT_FALSE(hot.find("0"));
}

TEST(Records, ComeBackAsTheyWere) {
  const Item item{"value", R"({"a":1})", 1'800'000'000};
  const std::string bytes = record_of(item);
  const Record record = value_of(read_record(bytes));
  EXPECT_EQ(record.value, item.value);
  EXPECT_EQ(record.metadata, item.metadata);
  EXPECT_EQ(record.expires_s, item.expires_s);
  EXPECT_FALSE(record.is_apart);
  for (size_t size = 0; size < bytes.size(); ++size) EXPECT_FALSE(read_record(bytes.substr(0, size)));
  EXPECT_TRUE(value_of(read_record(record_of({std::string(kInlineBytesMax + 1, 'x'), "", 0}))).is_apart);
  const std::string name = expiry_name(5, "space", "key");
  const Expiry expiry = value_of(read_expiry_name(name));
  EXPECT_EQ(expiry.expires_s, 5);
  EXPECT_EQ(expiry.space, "space");
  EXPECT_EQ(expiry.key, "key");
  EXPECT_LT(expiry_name(255, "b", ""), expiry_name(256, "a", ""));
}

}  // namespace
}  // namespace verge::kv

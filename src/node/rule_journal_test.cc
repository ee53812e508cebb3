#include "node/rule_journal.h"

#include <filesystem>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "node/rule_restoration.h"
#include "rules/recording_effects.h"

namespace verge::node {
namespace {

using testing::ElementsAre;

class RuleJournalTest : public testing::Test {
 protected:
  void SetUp() override {
    std::string name = testing::TempDir() + "verge-journal-XXXXXX";
    ASSERT_NE(mkdtemp(name.data()), nullptr);
    directory_ = name;
  }
  void TearDown() override { std::filesystem::remove_all(directory_); }

  std::unique_ptr<RuleJournal> open() {
    auto journal = RuleJournal::open(file_system_, directory_ + "/rules", keys_);
    EXPECT_TRUE(journal.has_value()) << journal.error().line();
    return std::move(*journal);
  }

  // Submits batches of one record each and waits until all are answered.
  void record(RuleJournal& journal, std::initializer_list<std::pair<RuleJournal::Batch, std::string>> batches) {
    size_t left = batches.size();
    for (auto [batch, bytes] : batches) {
      append_record(batch.records, {.kind = RuleRecord::Kind::kState, .rule = 7, .now_us = 5, .bytes = bytes});
      journal.submit(std::move(batch), loop_, [&](const Result<void>& done) {
        EXPECT_TRUE(done.has_value());
        if (--left == 0) loop_.stop();
      });
    }
    loop_.run();
  }

  std::vector<std::string> replayed(RuleJournal& journal) {
    std::vector<std::string> records;
    std::string where;
    const Result<void> done = journal.replay(
        [&](const RuleJournal::Place& place) {
          where = fmt::format("{}:{}{} ", place.layout.epoch, place.loop, place.is_snapshot ? "!" : "");
        },
        [&](const RuleRecord& record) { records.push_back(where + std::string(record.bytes)); });
    EXPECT_TRUE(done.has_value());
    return records;
  }

  std::string directory_;
  storage::PosixFileSystem file_system_{""};
  storage::KeyRing keys_;
  runtime::Loop loop_{"test"};
};

TEST_F(RuleJournalTest, GivesBackWhatWasRecordedInOrder) {
  {
    const auto journal = open();
    EXPECT_THAT(replayed(*journal), ElementsAre());
    journal->start({.epoch = 1, .loops = 2});
    record(*journal, {{{.loop = 0}, "a"}, {{.loop = 1, .is_awaited = true}, "b"}, {{.loop = 0}, "c"}});
  }
  {
    const auto journal = open();
    EXPECT_THAT(replayed(*journal), ElementsAre("1:0 a", "1:1 b", "1:0 c"));
    journal->start({.epoch = 2, .loops = 1});
    record(*journal, {{{.loop = 0, .is_snapshot = true}, "d"}});
  }
  EXPECT_THAT(replayed(*open()), testing::Contains("2:0! d"));
}

TEST_F(RuleJournalTest, GivesUpWhatSnapshotsMadeSuperfluous) {
  const std::string large(1U << 20, 'x');
  const auto journal = open();
  journal->start({.epoch = 1, .loops = 1});
  for (int i = 0; i < 40; ++i) record(*journal, {{{.loop = 0, .is_snapshot = i % 8 == 7}, large}});
  journal->stop();
  uintmax_t bytes = 0;
  for (const auto& entry : std::filesystem::directory_iterator(directory_ + "/rules/journal"))
    bytes += entry.file_size();
  EXPECT_LT(bytes, 24U << 20);
}

// A rule whose state cannot be read begins anew, and the node starts.
TEST_F(RuleJournalTest, AStateThatCannotBeReadIsOneRulesLoss) {
  const auto rules = rules::RuleSet::compile(
      {{.name = "bad", .sql = "SELECT lag(v) AS l FROM 'x'", .actions = {rules::UploadSource{}}},
       {.name = "good", .sql = "SELECT count(*) AS n FROM 'x' GROUP BY COUNT(3)", .actions = {rules::UploadSource{}}}});
  ASSERT_TRUE(rules.has_value());
  rules::MemoryBudget budget;
  rules::Evaluator before(*rules, budget);
  rules::RecordingEffects effects;
  const Payload payload(std::string_view(R"({"v":1})"));
  before.evaluate({.topic = "x", .device = "d", .payload = payload, .received = {rules::kSecond}}, effects);
  for (const rules::RuleInput& input : effects.inputs) before.accept(input, {rules::kSecond}, effects);
  std::string states[2];
  for (size_t i = 0; i < 2; ++i) before.memory(i)->append_to(states[i]);
  states[0].resize(states[0].size() / 2);
  const RuleLayout layout{.epoch = 1, .loops = 1};
  {
    const auto journal = open();
    journal->start(layout);
    RuleJournal::Batch batch{.loop = 0, .is_snapshot = true, .records = {}};
    for (size_t i = 0; i < 2; ++i) {
      append_record(batch.records,
                    {.kind = RuleRecord::Kind::kState, .rule = (*rules)->rules()[i].identity, .bytes = states[i]});
    }
    journal->submit(std::move(batch), loop_, [&](const Result<void>& done) {
      EXPECT_TRUE(done.has_value());
      loop_.stop();
    });
    loop_.run();
  }
  const auto journal = open();
  RuleRestoration restoration(*rules, budget);
  ASSERT_TRUE(restoration.restore(*journal).has_value());
  rules::Evaluator after(*rules, budget);
  restoration.give(restoration.layout_for(1), 0, {2 * rules::kSecond}, after);
  EXPECT_EQ(after.memory(0)->bytes(), 0U);
  effects.inputs.clear();
  effects.done.clear();
  for (int i = 0; i < 2; ++i) {
    after.evaluate({.topic = "x", .device = "d", .payload = payload, .received = {3 * rules::kSecond}}, effects);
  }
  for (const rules::RuleInput& input : effects.inputs) after.accept(input, {3 * rules::kSecond}, effects);
  EXPECT_THAT(effects.done, ElementsAre(R"(bad: upload selection normal x [d] {"l":null})",
                                        R"(bad: upload selection normal x [d] {"l":1})",
                                        R"(good: upload selection normal windows/good [] {"n":3})"));
}

// Records whose state of before is gone, with the segment that had it, make no rows: those were made the first time.
TEST_F(RuleJournalTest, RecordsBeforeTheFirstStateMakeNoRows) {
  const auto rules = rules::RuleSet::compile(
      {{.name = "steps", .sql = "SELECT lag(v) AS l FROM 'x'", .actions = {rules::UploadSource{}}}});
  ASSERT_TRUE(rules.has_value());
  const rules::Rule& rule = (*rules)->rules()[0];
  rules::MemoryBudget budget;
  rules::Evaluator evaluator(*rules, budget);
  const auto submit = [&](RuleJournal& journal, RuleJournal::Batch batch) {
    journal.submit(std::move(batch), loop_, [&](const Result<void>& done) {
      EXPECT_TRUE(done.has_value());
      loop_.stop();
    });
    loop_.run();
  };
  const auto take = [&](RuleJournal& journal, std::string_view text) {
    rules::RecordingEffects effects;
    const Payload payload(text);
    evaluator.evaluate({.topic = "x", .device = "d", .payload = payload, .received = {rules::kSecond}}, effects);
    RuleJournal::Batch batch{.loop = 0, .is_awaited = true, .records = {}};
    for (const rules::RuleInput& input : effects.inputs) {
      std::string bytes;
      rules::append_input(bytes, input);
      append_record(batch.records, {.rule = rule.identity, .now_us = rules::kSecond, .bytes = bytes});
      evaluator.accept(input, {rules::kSecond}, effects);
    }
    submit(journal, std::move(batch));
  };
  const auto rows = [&] {
    const auto journal = open();
    RuleRestoration restoration(*rules, budget);
    EXPECT_TRUE(restoration.restore(*journal).has_value());
    std::vector<std::string> made;
    for (const spool::Submission::Item& item : restoration.take_uploads()) {
      ByteReader in(item.event);
      const std::optional<EventView> event = read_event(in);
      made.push_back(fmt::format("{} {}", item.source_sequence, event ? event->payload : "unreadable"));
    }
    return made;
  };
  {
    const auto journal = open();
    journal->start({.epoch = 1, .loops = 1});
    take(*journal, R"({"v":1})");
    take(*journal, R"({"v":2})");
  }
  {
    const auto journal = open();
    journal->start({.epoch = 2, .loops = 1});
    take(*journal, R"({"v":3})");
  }
  EXPECT_THAT(rows(), ElementsAre(R"(1 {"l":null})", R"(2 {"l":1})", R"(3 {"l":2})"));
  {
    const auto journal = open();
    journal->start({.epoch = 2, .loops = 1});
    RuleJournal::Batch state{.loop = 0, .is_snapshot = true, .is_awaited = true, .records = {}};
    std::string bytes;
    evaluator.memory(0)->append_to(bytes);
    append_record(state.records, {.kind = RuleRecord::Kind::kState, .rule = rule.identity, .bytes = bytes});
    submit(*journal, std::move(state));
    take(*journal, R"({"v":4})");
  }
  EXPECT_FALSE(open()->is_whole()) << "the segment of the layout before is gone";
  EXPECT_THAT(rows(), ElementsAre(R"(4 {"l":3})"));
}

}  // namespace
}  // namespace verge::node

#include "esi/page.h"

#include <map>

#include <gtest/gtest.h>

namespace verge::esi {
namespace {

class EsiPageTest : public testing::Test {
 protected:
  void start(std::string_view text) {
    page_ = std::make_unique<Page>(
        Payload(text), Variables::Request{.host = "a", .path = "/", .query = "n=1", .fields = {}},
        [this](const std::string& reference, Page::Done done) { asked_.emplace(reference, std::move(done)); },
        Page::Told{.output = [this](std::string_view piece) { out_.append(piece); },
                   .finished = [this] { end_ = "finished"; },
                   .failed = [this](const std::string& reference) { end_ = "failed: " + reference; }},
        held_);
    page_->start();
  }
  void give(const std::string& reference, std::optional<std::string> content) {
    const auto asked = asked_.find(reference);
    ASSERT_NE(asked, asked_.end()) << reference;
    const Page::Done done = std::move(asked->second);
    asked_.erase(asked);
    done(std::move(content));
  }

  uint64_t held_ = 0;
  std::unique_ptr<Page> page_;
  std::multimap<std::string, Page::Done> asked_;
  std::string out_, end_;
};

TEST_F(EsiPageTest, FragmentsAreAskedForAtOnceAndPutOutInOrder) {
  start("a<esi:include src=\"/1\"/>b<esi:include src=\"/2\"/>c");
  EXPECT_EQ(asked_.size(), 2U);
  EXPECT_EQ(out_, "a");
  give("/2", "two");
  EXPECT_EQ(out_, "a");
  give("/1", "one");
  EXPECT_EQ(out_, "aonebtwoc");
  EXPECT_EQ(end_, "finished");
}

TEST_F(EsiPageTest, AFragmentThatFailsIsTriedFromItsAlternativeAndMayBeMissing) {
  start("<esi:include src=\"/1\" alt=\"/2\"/><esi:include src=\"/3\" alt=\"/4\" onerror=\"continue\"/>.");
  give("/1", std::nullopt);
  give("/3", std::nullopt);
  give("/2", "two");
  give("/4", std::nullopt);
  EXPECT_EQ(out_, "two.");
  EXPECT_EQ(end_, "finished");
}

TEST_F(EsiPageTest, OneThatMayNotFailFailsThePage) {
  start("a<esi:include src=\"/1\"/>b");
  give("/1", std::nullopt);
  EXPECT_EQ(out_, "a");
  EXPECT_EQ(end_, "failed: /1");
}

TEST_F(EsiPageTest, AnAttemptIsPutOutWholeOrNotAtAll) {
  const std::string text =
      "<esi:try><esi:attempt>x<esi:include src=\"/1\"/>y<esi:include src=\"/2\"/></esi:attempt>"
      "<esi:except>else <esi:include src=\"/3\"/></esi:except></esi:try>.";
  start(text);
  EXPECT_EQ(asked_.count("/3"), 0U);
  give("/1", "one");
  EXPECT_EQ(out_, "");
  give("/2", "two");
  EXPECT_EQ(out_, "xoneytwo.");
  out_.clear();
  start(text);
  give("/2", std::nullopt);
  give("/3", "three");
  EXPECT_EQ(out_, "else three.");
  EXPECT_EQ(end_, "finished");
  give("/1", "late");  // nobody waits for it
  EXPECT_EQ(out_, "else three.");
}

TEST_F(EsiPageTest, OnlyWhatIsChosenIsAskedFor) {
  start(
      "<esi:choose><esi:when test=\"$(QUERY_STRING{n}) == 2\"><esi:include src=\"/2\"/></esi:when>"
      "<esi:when test=\"$(QUERY_STRING{n}) == 1\"><esi:include src=\"/$(QUERY_STRING{n})\"/></esi:when>"
      "<esi:otherwise><esi:include src=\"/0\"/></esi:otherwise></esi:choose>");
  EXPECT_EQ(asked_.size(), 1U);
  give("/1", "one");
  EXPECT_EQ(out_, "one");
}

TEST_F(EsiPageTest, MayBeDestroyedInItsCallbacksAndBeforeItsFragmentsCome) {
  start("<esi:include src=\"/1\"/>b<esi:include src=\"/2\"/>");
  page_ = std::make_unique<Page>(
      Payload(std::string_view("a")), Variables::Request{}, [](const std::string&, const Page::Done&) {},
      Page::Told{.output = [this](std::string_view) { page_ = nullptr; }, .finished = [] { FAIL(); }, .failed = {}},
      held_);
  page_->start();
  EXPECT_EQ(page_, nullptr);
  EXPECT_EQ(held_, 0U);
  give("/1", "one");
  EXPECT_EQ(out_, "");
}

TEST_F(EsiPageTest, TooManyFragmentsAndTooLargeOnesFail) {
  std::string many;
  for (size_t i = 0; i <= Page::kFragmentsMax; ++i) many.append("<esi:include src=\"/1\"/>");
  start(many);
  EXPECT_EQ(asked_.size(), Page::kFragmentsMax);
  while (!asked_.empty()) give("/1", "");
  EXPECT_EQ(end_, "failed: /1");
  start("<esi:include src=\"/0\"/><esi:include src=\"/1\"/><esi:include src=\"/2\" onerror=\"continue\"/>.");
  give("/1", std::string(Page::kWaitingBytesMax, 'x'));
  EXPECT_EQ(held_, Page::kWaitingBytesMax);
  give("/2", "y");
  give("/0", "z");
  EXPECT_EQ(held_, 0U);
  EXPECT_EQ(end_, "finished");
  EXPECT_TRUE(out_ == "z" + std::string(Page::kWaitingBytesMax, 'x') + ".");
}

}  // namespace
}  // namespace verge::esi

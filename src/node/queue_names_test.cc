#include "node/queue_names.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace verge::node {
namespace {

using testing::ElementsAre;
using testing::IsEmpty;

std::vector<std::string> problems(std::string_view text) {
  const auto config = parse_config(text, "f.toml", {});
  if (!config) return {"it does not read: " + config.error().front().line()};
  std::vector<std::string> lines;
  for (const ConfigProblem& problem : check_queues(*config)) lines.push_back(problem.line());
  return lines;
}

TEST(QueueNames, GoodOnes) {
  EXPECT_THAT(problems(""), IsEmpty());
  EXPECT_THAT(problems("[[queue]]\nname = 'mail'\ndead_letter_queue = 'dead'\n[[queue]]\nname = 'dead'\n"
                       "[[worker]]\nname = 'a'\nfile = 'a.js'\nqueues = { Q = 'mail' }\nconsumes = ['mail', 'dead']\n"),
              IsEmpty());
}

TEST(QueueNames, EachIsSaidWhereItStands) {
  EXPECT_THAT(problems("[[queue]]\nname = 'mail'\n[[queue]]\nname = 'mail'\n"),
              ElementsAre("f.toml:4:8: two queues are called mail; rename one [config.value]"));
  EXPECT_THAT(problems("[[queue]]\nname = 'mail'\ndead_letter_queue = 'mail'\n"),
              ElementsAre("f.toml:3:21: queue mail would take its own dead letters; name another [[queue]] "
                          "[config.value]"));
  EXPECT_THAT(
      problems("[[queue]]\nname = 'a'\ndead_letter_queue = 'b'\n[[queue]]\nname = 'b'\ndead_letter_queue = 'a'\n"),
      ElementsAre("f.toml:6:21: dead letters would go round in b, a for ever; leave out the dead_letter_queue of "
                  "one [config.value]"));
  EXPECT_THAT(
      problems("[[queue]]\nname = 'a'\ndead_letter_queue = 'b'\n[[queue]]\nname = 'b'\ndead_letter_queue = 'c'\n"
               "[[queue]]\nname = 'c'\ndead_letter_queue = 'd'\n[[queue]]\nname = 'd'\ndead_letter_queue = 'b'\n"),
      ElementsAre("f.toml:12:21: dead letters would go round in d, b, c for ever; leave out the "
                  "dead_letter_queue of one [config.value]"));
  EXPECT_THAT(
      problems("[[queue]]\nname = 'a'\ndead_letter_queue = 'c'\n[[queue]]\nname = 'b'\ndead_letter_queue = 'c'\n"
               "[[queue]]\nname = 'c'\n"),
      IsEmpty());
  EXPECT_THAT(problems("[[queue]]\nname = 'mail'\ndead_letter_queue = 'mial'\n"),
              ElementsAre("f.toml:3:21: queue.0.dead_letter_queue: there is no queue \"mial\"; did you mean \"mail\"? "
                          "[config.value]"));
  EXPECT_THAT(problems("[[queue]]\nname = 'mail'\n"
                       "[[worker]]\nname = 'a'\nfile = 'a.js'\nqueues = { Q = 'other' }\nconsumes = 'mial'\n"),
              ElementsAre("f.toml:6:10: worker.0.queues: there is no queue \"other\"; add a [[queue]] of that name; "
                          "there are mail [config.value]",
                          "f.toml:7:12: worker.0.consumes: there is no queue \"mial\"; did you mean \"mail\"? "
                          "[config.value]"));
  EXPECT_THAT(problems("[[queue]]\nname = 'mail'\n"
                       "[[worker]]\nname = 'a'\nfile = 'a.js'\nconsumes = 'mail'\n"
                       "[[worker]]\nname = 'b'\nfile = 'b.js'\nconsumes = 'mail'\n"),
              ElementsAre("f.toml:10:12: queue mail is consumed by a already; leave it to one worker [config.value]"));
}

}  // namespace
}  // namespace verge::node

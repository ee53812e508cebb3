#include "cli/completion.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace verge::cli {
namespace {

using testing::HasSubstr;
using testing::Not;

const std::vector<CompletionNode> kNodes = {
    {.path = {},
     .commands = {{.text = "bench", .description = "Measure (this or others)"}, {.text = "run", .description = "Run"}},
     .options = {{.text = "--help", .letter = "h", .description = "Help"}}},
    {.path = {"bench"}, .commands = {{.text = "decide", .description = "A rule's time"}}},
    {.path = {"bench", "decide"},
     .options = {{.text = "--rate", .letter = "r", .description = "Messages a second", .takes_value = true},
                 {.text = "--only", .description = "One check", .takes_value = true, .values = {"disk", "clock"}}},
     .values = {"here", "there"},
     .takes_arguments = true},
    {.path = {"run"}, .takes_arguments = true},
};

TEST(Completion, NamesWhatMayFollow) {
  EXPECT_THAT(bash_completion(kNodes), HasSubstr(R"("bench decide") echo "here there --rate -r --only" ;;)"));
  EXPECT_THAT(bash_completion(kNodes), HasSubstr(R"("bench"|"bench decide"|"run") commanded="$next")"));
  EXPECT_THAT(zsh_completion(kNodes), HasSubstr(R"('decide:A rule'\''s time')"));
  EXPECT_THAT(fish_completion(kNodes), HasSubstr(R"(-n '__verge_commanded "bench"' -a decide -d 'A rule\'s time')"));
  EXPECT_THAT(fish_completion(kNodes), HasSubstr("-l rate -s r -r -F -d 'Messages a second'"));
}

TEST(Completion, NamesTheValuesOfOptions) {
  EXPECT_THAT(bash_completion(kNodes), HasSubstr(R"("bench decide --only") echo "disk clock"; return ;;)"));
  EXPECT_THAT(bash_completion(kNodes), HasSubstr(R"("bench decide --rate"|"bench decide -r") echo ""; return ;;)"));
  EXPECT_THAT(zsh_completion(kNodes),
              HasSubstr(R"("bench decide --only") words=(disk clock); _describe 'value' words; return ;;)"));
  EXPECT_THAT(fish_completion(kNodes), HasSubstr("-l only -x -a 'disk clock' -d 'One check'"));
  EXPECT_THAT(fish_completion(kNodes), HasSubstr("-a 'here there'"));
}

TEST(Completion, OffersFilesWhereTheyMayStand) {
  EXPECT_THAT(zsh_completion(kNodes), HasSubstr("\"run\") words=(\n    ) files=1 ;;"));
  EXPECT_THAT(zsh_completion(kNodes), HasSubstr("'decide:A rule'\\''s time'\n    ) ;;"));
  const std::string fish = fish_completion(kNodes);
  EXPECT_THAT(fish, HasSubstr("-f -n '__verge_commanded \"bench decide\"'\n"));
  EXPECT_THAT(fish, Not(HasSubstr("-f -n '__verge_commanded \"run\"'\n")));
}

}  // namespace
}  // namespace verge::cli

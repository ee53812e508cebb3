#include "cli/completion.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace verge::cli {
namespace {

using testing::HasSubstr;

const std::vector<CompletionNode> kNodes = {
    {{}, {{"bench", "Measure (this or others)", false, {}}}, {{"--help", "Help", false, {}}}, {}},
    {{"bench"}, {{"decide", "A rule's time", false, {}}}, {}, {}},
    {{"bench", "decide"},
     {},
     {{"--rate", "Messages a second", true, {}}, {"--only", "One check", true, {"disk", "clock"}}},
     {"here", "there"}},
};

TEST(Completion, NamesWhatMayFollow) {
  EXPECT_THAT(bash_completion(kNodes), HasSubstr(R"("bench decide") echo "here there --rate --only" ;;)"));
  EXPECT_THAT(bash_completion(kNodes), HasSubstr(R"("bench"|"bench decide") commanded="$next")"));
  EXPECT_THAT(zsh_completion(kNodes), HasSubstr(R"('decide:A rule'\''s time')"));
  EXPECT_THAT(fish_completion(kNodes),
              HasSubstr(R"(-n '__fish_seen_subcommand_from bench; and not )"
                        R"(__fish_seen_subcommand_from decide' -a decide -d 'A rule\'s time')"));
  EXPECT_THAT(fish_completion(kNodes), HasSubstr("-l rate -r -d 'Messages a second'"));
}

TEST(Completion, NamesTheValuesOfOptions) {
  EXPECT_THAT(bash_completion(kNodes), HasSubstr(R"("bench decide --only") echo "disk clock"; return ;;)"));
  EXPECT_THAT(bash_completion(kNodes), HasSubstr(R"("bench decide --rate") echo ""; return ;;)"));
  EXPECT_THAT(zsh_completion(kNodes),
              HasSubstr(R"("bench decide --only") words=(disk clock); _describe 'value' words; return ;;)"));
  EXPECT_THAT(fish_completion(kNodes), HasSubstr("-l only -x -a 'disk clock' -d 'One check'"));
  EXPECT_THAT(fish_completion(kNodes), HasSubstr("-a 'here there'"));
}

}  // namespace
}  // namespace verge::cli

#include "cli/completion.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace verge::cli {
namespace {

using testing::HasSubstr;

const std::vector<CompletionNode> kNodes = {
    {{}, {{"bench", "Measure (this or others)"}}, {{"--help", "Help"}}},
    {{"bench"}, {{"decide", "A rule's time"}}, {}},
    {{"bench", "decide"}, {}, {{"--rate", "Messages a second"}}},
};

TEST(Completion, NamesWhatMayFollow) {
  EXPECT_THAT(bash_completion(kNodes), HasSubstr(R"("bench decide") echo "--rate" ;;)"));
  EXPECT_THAT(bash_completion(kNodes), HasSubstr(R"("bench"|"bench decide") commanded="$next")"));
  EXPECT_THAT(zsh_completion(kNodes), HasSubstr(R"('decide:A rule'\''s time')"));
  EXPECT_THAT(fish_completion(kNodes),
              HasSubstr(R"(-n '__fish_seen_subcommand_from bench; and not )"
                        R"(__fish_seen_subcommand_from decide' -a decide -d 'A rule\'s time')"));
  EXPECT_THAT(fish_completion(kNodes), HasSubstr("-l rate -d 'Messages a second'"));
}

}  // namespace
}  // namespace verge::cli

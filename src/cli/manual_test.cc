#include "cli/manual.h"

#include <CLI/CLI.hpp>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "cli/command_line.h"

namespace verge::cli {
namespace {

using testing::HasSubstr;
using testing::Not;

TEST(Manual, RoffShowsTextUnchanged) {
  EXPECT_EQ(roff("a\\b --set 'x'"), "a\\eb \\-\\-set \\(aqx\\(aq");
  EXPECT_EQ(roff(".TH\n'x\na.b"), "\\&.TH\n\\&\\(aqx\na.b");
}

TEST(Manual, HasAPageForEachCommand) {
  CLI::App app;
  Command program(app);
  describe_program(program);
  Command* spool = program.add_command("spool", "Look at a spool");
  Command* stat = spool->add_command("stat", "Count what is there");
  std::string directory = "here";
  std::string file;
  stat->add_option("--data-dir,-d", directory, "Where it is")->type_name("DIR")->capture_default_str();
  stat->add_option("file", file, "Which")->required();
  set_examples(*stat, "  verge spool stat\n\nMore is said here.");

  const std::vector<ManualPage> pages = manual_pages(app);
  ASSERT_EQ(pages.size(), 3U);
  EXPECT_EQ(pages[0].name, "verge");
  EXPECT_EQ(pages[2].name, "verge-spool-stat");
  EXPECT_THAT(pages[0].text, HasSubstr(".SH NAME\nverge \\- an edge node"));
  EXPECT_THAT(pages[0].text, HasSubstr(".SH EXIT STATUS\n.nf\n"));
  EXPECT_THAT(pages[0].text, HasSubstr(".BR verge\\-spool (1)"));
  EXPECT_THAT(pages[2].text, HasSubstr(".B verge spool stat\n[\\fIOPTIONS\\fR]\n\\fIfile\\fR\n"));
  EXPECT_THAT(pages[2].text,
              HasSubstr("\\fB\\-d\\fR, \\fB\\-\\-data\\-dir\\fR \\fIDIR\\fR\nWhere it is (default: here)"));
  EXPECT_THAT(pages[2].text, HasSubstr(".SH EXAMPLES\n.nf\n  verge spool stat\n.fi\n.PP\nMore is said here."));
  EXPECT_THAT(pages[2].text, Not(HasSubstr(".PP\n.SH")));
}

}  // namespace
}  // namespace verge::cli

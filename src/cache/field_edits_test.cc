#include "cache/field_edits.h"

#include <gtest/gtest.h>

namespace verge::cache {
namespace {

TEST(FieldEdits, RemovesSetsAndAdds) {
  std::vector<net::HttpField> fields = {{"Server", "x"}, {"a", "1"}, {"A", "2"}, {"B", "3"}};
  const FieldEdits edits{.remove = {"server"}, .set = {{"A", "9"}}, .add = {{"B", "4"}}};
  apply(edits, fields);
  std::string text;
  for (const auto& [name, value] : fields) text.append(name).append("=").append(value).append(" ");
  EXPECT_EQ(text, "B=3 A=9 B=4 ");
}

TEST(FieldEdits, RefusesFramingHopByHopAndItsOwn) {
  for (const std::string_view name :
       {"Content-Length", "transfer-encoding", "Connection", "TE", "Upgrade", "a b", ""}) {
    EXPECT_FALSE(check_edited_name(name, EditedMessage::kRequest)) << name;
    EXPECT_FALSE(check_edited_name(name, EditedMessage::kAnswer)) << name;
  }
  EXPECT_FALSE(check_edited_name("Host", EditedMessage::kRequest));
  EXPECT_FALSE(check_edited_name("Age", EditedMessage::kAnswer));
  EXPECT_TRUE(check_edited_name("Cookie", EditedMessage::kRequest));
  EXPECT_TRUE(check_edited_name("Strict-Transport-Security", EditedMessage::kAnswer));
  EXPECT_FALSE(check_edited_value("a\r\nb"));
  EXPECT_FALSE(check_edited_value(" a"));
  EXPECT_TRUE(check_edited_value("max-age=60"));
}

}  // namespace
}  // namespace verge::cache

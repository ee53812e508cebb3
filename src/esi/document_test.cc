#include "esi/document.h"

#include <gtest/gtest.h>

#include "tests/support/value_of.h"

namespace verge::esi {
namespace {

using tests::value_of;

// The tree as text, to be compared.
std::string shown(const Nodes& nodes) {
  std::string text;
  for (const Node& node : nodes) {
    switch (node.kind) {
      case Node::Kind::kText:
        text.append("'").append(node.text).append("'");
        break;
      case Node::Kind::kExpandedText:
        text.append("$'").append(node.text).append("'");
        break;
      case Node::Kind::kInclude:
        text.append("include(").append(node.source).append(node.alternative.empty() ? "" : "," + node.alternative);
        text.append(node.may_fail ? ",continue)" : ")");
        break;
      case Node::Kind::kTry:
        text.append("try{").append(shown(node.attempt)).append("}{").append(shown(node.except)).append("}");
        break;
      case Node::Kind::kChoose:
        text.append("choose{");
        for (const When& when : node.whens) text.append("[").append(when.test).append("]").append(shown(when.then));
        text.append("}{").append(shown(node.otherwise)).append("}");
        break;
    }
  }
  return text;
}

std::string parsed(std::string_view page) {
  const Document document = Document::parse(page);
  EXPECT_EQ(document.fault().value_or(Fault{}).what, "");
  return shown(document.nodes());
}

TEST(EsiDocumentTest, TextStaysByteForByte) {
  EXPECT_EQ(parsed(""), "");
  EXPECT_EQ(parsed("<html><!-- no esi --> -- $(HTTP_HOST) </html>"), "'<html><!-- no esi --> -- $(HTTP_HOST) </html>'");
}

TEST(EsiDocumentTest, Includes) {
  EXPECT_EQ(parsed("a<esi:include src=\"/f\"/>b"), "'a'include(/f)'b'");
  EXPECT_EQ(parsed("<esi:include src='/f?a=1&amp;b=2' alt=\"/g\" onerror=\"continue\" />"),
            "include(/f?a=1&b=2,/g,continue)");
  EXPECT_EQ(parsed("<esi:include\n\tsrc = \"/f\"\n></esi:include>x"), "include(/f)'x'");
}

TEST(EsiDocumentTest, WhatIsRemovedOrCommentedIsGone) {
  EXPECT_EQ(parsed("a<esi:remove><a href=x>b</a></esi:remove>c"), "'a''c'");
  EXPECT_EQ(parsed("a<esi:comment text=\"b\"/>c"), "'a''c'");
  EXPECT_EQ(parsed("a<!--esi <b> <esi:include src=\"/f\"/> --> <!-- c -->"), "'a'' <b> 'include(/f)' '' <!-- c -->'");
}

TEST(EsiDocumentTest, TryChooseAndVars) {
  EXPECT_EQ(
      parsed("<esi:try> <esi:attempt>a<esi:include src=\"/f\"/></esi:attempt>\n<esi:except>b</esi:except></esi:try>"),
      "try{'a'include(/f)}{'b'}");
  EXPECT_EQ(parsed("<esi:choose><esi:when test=\"$(HTTP_COOKIE{a})=='1'\">x</esi:when>-<esi:when test='1'>y</esi:when>"
                   "<esi:otherwise>z</esi:otherwise></esi:choose>"),
            "choose{[$(HTTP_COOKIE{a})=='1']'x'[1]'y'}{'z'}");
  EXPECT_EQ(parsed("$(A)<esi:vars>$(B)<esi:include src=\"/$(C)\"/>d</esi:vars>$(E)"),
            "'$(A)'$'$(B)'include(/$(C))'d''$(E)'");
}

TEST(EsiDocumentTest, AFaultLeavesWhatFollowsAsText) {
  const auto faulty = [](std::string_view page) {
    const Document document = Document::parse(page);
    EXPECT_TRUE(document.fault()) << page;
    return shown(document.nodes());
  };
  for (const std::string_view bad :
       {"<esi:include/>",
        "<esi:include src=/f/>",
        "<esi:include src=\"/f\"",
        "<esi:include src=\"/f\">",
        "<esi:include src=\"\"/>",
        "<esi:include src=\"/f\" onerror=\"stop\"/>",
        "<esi:include src=\"$(\"/>",
        "<esi:remove>x",
        "<esi:try></esi:try>",
        "<esi:try><esi:attempt>a</esi:attempt></esi:try>",
        "<esi:try><esi:attempt>a</esi:attempt><esi:attempt>a</esi:attempt><esi:except></esi:except></esi:try>",
        "<esi:choose></esi:choose>",
        "<esi:choose><esi:when>a</esi:when></esi:choose>",
        "<esi:choose><esi:when test=\"1 ==\">a</esi:when></esi:choose>",
        "<esi:vars>$(A)",
        "<esi:inline/>",
        "</esi:try>",
        "<esi:vars></esi:try>",
        "<esi:>",
        "<esi:"}) {
    EXPECT_EQ(faulty("<p>a</p>" + std::string(bad)), "'<p>a</p>''" + std::string(bad) + "'");
  }
  EXPECT_EQ(faulty("a<esi:include src=\"/f\"/>b<esi:vars>$(X)<esi:include src=\"/g\"/><esi:what/></esi:vars>c"),
            "'a'include(/f)'b''<esi:vars>$(X)<esi:include src=\"/g\"/><esi:what/></esi:vars>c'");
}

TEST(EsiDocumentTest, Bounds) {
  std::string deep;
  for (size_t i = 0; i <= Document::kDepthMax; ++i) deep.append("<esi:vars>");
  EXPECT_NE(value_of(Document::parse(deep).fault()).what.find("deep"), std::string::npos);
  std::string many;
  for (size_t i = 0; i <= Document::kElementsMax; ++i) many.append("<esi:comment/>");
  EXPECT_NE(value_of(Document::parse(many).fault()).what.find("more than 4096 elements"), std::string::npos);
  const std::string long_value = "<esi:include src=\"/" + std::string(Document::kAttributeBytesMax, 'x') + "\"/>";
  EXPECT_TRUE(Document::parse(long_value).fault());
}

}  // namespace
}  // namespace verge::esi

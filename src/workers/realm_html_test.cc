// The rewriter of HTML: what is a token, who sees it, what edits make of it, and that pieces of input change nothing.
#include "workers/realm_html.h"

#include <functional>
#include <random>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace verge::workers {
namespace {

using Token = HtmlRewriter::Token;
using Place = HtmlRewriter::Place;
using See = std::function<void(HtmlRewriter&, Token)>;

struct Rule {
  std::string selector;  // "" is the document
  uint8_t wants = HtmlRewriter::kElements;
};

constexpr uint8_t kAll = HtmlRewriter::kElements | HtmlRewriter::kComments | HtmlRewriter::kText;

void ignore(HtmlRewriter&, Token) {}

// What comes out of `html`, in pieces of `piece` bytes.
std::string rewritten(std::string_view html, const std::vector<Rule>& rules, const See& see,
                      std::size_t piece = 1 << 20) {
  HtmlRewriter rewriter;
  for (uint32_t id = 0; id < rules.size(); ++id) {
    if (rules[id].selector.empty()) {
      rewriter.add_document(id, rules[id].wants);
    } else {
      EXPECT_EQ(rewriter.add(rules[id].selector, id, rules[id].wants), std::nullopt) << rules[id].selector;
    }
  }
  std::string out;
  while (true) {
    const Token token = rewriter.next();
    if (token == Token::kNeedsInput) {
      if (html.empty()) rewriter.finish();
      rewriter.write(html.substr(0, piece));
      html.remove_prefix(std::min(piece, html.size()));
    } else if (token == Token::kOutput || token == Token::kOver) {
      out.append(std::exchange(rewriter.output(), {}));
      if (token == Token::kOver) return out;
    } else if (token == Token::kFailed) {
      return "failed: " + std::string(rewriter.problem());
    } else {
      see(rewriter, token);
    }
  }
}

// The texts of the elements' names that a selector matches, in order.
std::string matched(std::string_view html, const std::string& selector) {
  std::string all;
  rewritten(html, {{selector}}, [&](HtmlRewriter& rewriter, Token token) {
    if (token == Token::kElement) all += std::string(rewriter.attribute("n").value_or(rewriter.text())) + " ";
  });
  return all;
}

std::string edited(std::string_view html, const std::string& selector, const std::function<void(HtmlRewriter&)>& edit) {
  return rewritten(html, {{selector}}, [&](HtmlRewriter& rewriter, Token token) {
    if (token == Token::kElement) edit(rewriter);
  });
}

TEST(HtmlSelectors, EachKindMatches) {
  constexpr std::string_view kHtml =
      "<div n=1 class='a b' id=x><p n=2 data-k='en-US'>t</p><p n=3><b n=4 class=a></b></p><i n=5 title=Hello></i></div>"
      "<p n=6>";
  const std::pair<const char*, const char*> cases[] = {
      {"*", "1 2 3 4 5 6 "},
      {"p", "2 3 6 "},
      {"P", "2 3 6 "},
      {".a", "1 4 "},
      {"div.a.b", "1 "},
      {"#x", "1 "},
      {"div p", "2 3 "},
      {"div > p", "2 3 "},
      {"div > b", ""},
      {"div b", "4 "},
      {"div p > b", "4 "},
      {"[data-k]", "2 "},
      {"[data-k=en-US]", "2 "},
      {"[data-k|=en]", "2 "},
      {"[data-k^='en-']", "2 "},
      {"[data-k$=US]", "2 "},
      {"[data-k*='-U']", "2 "},
      {"[class~=b]", "1 "},
      {"[title=hello]", ""},
      {"[title=hello i]", "5 "},
      {"p:not([data-k])", "3 6 "},
      {"p:first-child", "2 "},
      {"p:nth-child(2)", "3 6 "},
      {"div > :nth-child(odd)", "2 5 "},
      {"p:nth-of-type(2)", "3 "},
      {"i:first-of-type", "5 "},
      {":nth-child(-n+2)", "1 2 3 4 6 "},
      {"b, i", "4 5 "},
      {"div *:not(p, b)", "5 "},
      {"\\p", "2 3 6 "},
  };
  for (const auto& [selector, names] : cases) EXPECT_EQ(matched(kHtml, selector), names) << selector;
}

TEST(HtmlSelectors, WhatIsNoneIsRefused) {
  for (const char* text :
       {"",      " ",      "a >",           "> a",          "[",     "[a",    "[a=", "a:", "a:hover", "a::before", "a,",
        ":not(", ":not()", ":nth-child(x)", ":nth-child()", "a + b", "a ~ b", "#",   ".",  "a$",      "[a='b]"}) {
    HtmlSelectors selectors;
    EXPECT_TRUE(selectors.add(text, 0)) << text;
  }
}

TEST(HtmlRewriter, WhatNobodyEditsComesOutAsItWas) {
  constexpr std::string_view kHtml =
      "<!DOCTYPE html>\r\n<HTML Lang=en><!-- c --><p class = 'x'  id=\"y\" disabled>a &amp; b < c<br/>\n<p>d</P >"
      "<script>if (a<b) x('</scr' + 'ipt>');<!-- <script> </script> --></script><style>p > a { } </style></ b><?x?>"
      "<textarea><p></textarea><svg><![CDATA[ <p> ]]><path d=1 /></svg></nothing><a href=x>\xC3\xA4</a><!-->\xFF<p <";
  for (std::size_t piece = 1; piece < 40; ++piece) {
    EXPECT_EQ(rewritten(kHtml, {{"*", kAll}, {"", kAll | HtmlRewriter::kDoctypes}}, ignore, piece), kHtml);
  }
  EXPECT_EQ(rewritten(kHtml, {}, ignore), kHtml);
}

TEST(HtmlRewriter, ElementsAreEdited) {
  constexpr std::string_view kHtml = "x<a href=1 class=c>t<b>u</b></a>y";
  const std::pair<std::function<void(HtmlRewriter&)>, const char*> cases[] = {
      {[](auto& r) { r.insert(Place::kBefore, "1"), r.insert(Place::kBefore, "2"); },
       "x12<a href=1 class=c>t<b>u</b></a>y"},
      {[](auto& r) { r.insert(Place::kAfter, "1"), r.insert(Place::kAfter, "2"); },
       "x<a href=1 class=c>t<b>u</b></a>21y"},
      {[](auto& r) { r.insert(Place::kPrepend, "1"), r.insert(Place::kPrepend, "2"); },
       "x<a href=1 class=c>21t<b>u</b></a>y"},
      {[](auto& r) { r.insert(Place::kAppend, "1"), r.insert(Place::kAppend, "2"); },
       "x<a href=1 class=c>t<b>u</b>12</a>y"},
      {[](auto& r) { r.insert(Place::kReplace, "1"), r.insert(Place::kAfter, "2"); }, "x12y"},
      {[](auto& r) { r.insert(Place::kInner, "1"); }, "x<a href=1 class=c>1</a>y"},
      {[](auto& r) { r.remove(); }, "xy"},
      {[](auto& r) { r.remove_tags(), r.insert(Place::kPrepend, "1"), r.insert(Place::kAppend, "2"); },
       "x1t<b>u</b>2y"},
      {[](auto& r) { r.set_text("q"); }, "x<q href=1 class=c>t<b>u</b></q>y"},
      {[](auto& r) { r.set_attribute("HREF", "a\"b"); }, "x<a href=\"a&quot;b\" class=c>t<b>u</b></a>y"},
      {[](auto& r) { r.set_attribute("id", "i"), r.remove_attribute("class"); }, "x<a href=1 id=\"i\">t<b>u</b></a>y"},
  };
  for (const auto& [edit, expected] : cases) EXPECT_EQ(edited(kHtml, "a", edit), expected);
}

TEST(HtmlRewriter, VoidElementsHaveNoContent) {
  const auto fill = [](HtmlRewriter& r) {
    r.insert(Place::kInner, "1"), r.insert(Place::kAppend, "2"), r.insert(Place::kAfter, "3");
  };
  EXPECT_EQ(edited("<img src=a>t", "img", fill), "<img src=a>3t");
  EXPECT_EQ(edited("<svg><path/>t</svg>", "path", fill), "<svg><path/>3t</svg>");
  EXPECT_EQ(edited("<img/>t", "img", [](HtmlRewriter& r) { r.remove(); }), "t");
}

TEST(HtmlRewriter, ElementsWithoutEndTagsEndWhereTheyMust) {
  const auto mark = [](HtmlRewriter& r) { r.insert(Place::kAppend, "]"), r.insert(Place::kAfter, "|"); };
  EXPECT_EQ(edited("<div><p>a<p>b</div>c", "p", mark), "<div><p>a]|<p>b]|</div>c");
  EXPECT_EQ(edited("<ul><li>a<ul><li>b</ul><li>c", "li", mark), "<ul><li>a<ul><li>b]|</ul>]|<li>c]|");
  EXPECT_EQ(edited("<tr><td>a<td>b<tr><td>c", "td", mark), "<tr><td>a]|<td>b]|<tr><td>c]|");
  EXPECT_EQ(edited("<b>a<i>c", "b", [](HtmlRewriter& r) { r.remove(); }), "");
  EXPECT_EQ(matched("<div><p n=1>a<p n=2>b</div>", "div > p"), "1 2 ");
}

TEST(HtmlRewriter, EndTagsAreSeen) {
  std::string seen;
  const std::string out = rewritten("<a><b>x</b></a><a>y", {{"a"}}, [&](HtmlRewriter& r, Token token) {
    if (token == Token::kElement) r.insert(Place::kAppend, "1"), r.insert(Place::kAfter, "4"), r.watch_end(7);
    if (token != Token::kEndTag) return;
    seen += std::string(r.text()) + std::to_string(r.handlers()[0]);
    r.insert(Place::kBefore, "2"), r.insert(Place::kAfter, "3"), r.set_text("q");
  });
  EXPECT_EQ(seen, "a7");
  EXPECT_EQ(out, "<a><b>x</b>12</q>34<a>y14");
}

TEST(HtmlRewriter, ARenamedElementHasARenamedEndTag) {
  const auto rename = [](HtmlRewriter& r) { r.set_text("h2"); };
  EXPECT_EQ(edited("<H1 class=x>t<h1>u</h1></H1><h1>", "h1", rename), "<h2 class=x>t<h2>u</h2></h2><h2>");
  EXPECT_EQ(edited("<h1>t</h1>", "h1", [&](HtmlRewriter& r) { rename(r), r.remove_tags(); }), "t");
  std::string seen;
  const std::string out = rewritten("<h1>t</h1><h1>u</h1>", {{"h1"}}, [&](HtmlRewriter& r, Token token) {
    if (token == Token::kElement) rename(r), r.watch_end(1);
    if (token == Token::kEndTag) seen += r.text();
    if (token == Token::kEndTag && seen == "h2h2") r.set_text("h3");
  });
  EXPECT_EQ(seen + out, "h2h2<h2>t</h2><h2>u</h3>");
}

TEST(HtmlRewriter, TextCommentsAndDoctypesAreEdited) {
  const std::vector<Rule> rules = {{"p", HtmlRewriter::kText | HtmlRewriter::kComments},
                                   {"", HtmlRewriter::kDoctypes | HtmlRewriter::kComments}};
  std::string seen;
  const std::string out = rewritten(
      "<!doctype HTML PUBLIC \"a\" 'b'><!--x-->t<p>u<b>v</b><!--y-->w</p>", rules, [&](HtmlRewriter& r, Token token) {
        if (token == Token::kTextPiece) {
          seen += std::string(r.text()) + (r.is_last_of_text() ? "." : "");
          if (r.text() == "v") r.insert(Place::kReplace, "V");
          if (r.text() == "w") r.remove();
        } else if (token == Token::kComment) {
          seen += "#" + std::string(r.text()) + std::to_string(r.handlers().size());
          r.set_text("z");
        } else if (token == Token::kDoctype) {
          const HtmlRewriter::Doctype type = r.doctype();
          seen += std::string(type.name.value_or("")) + std::string(type.public_id.value_or("")) +
                  std::string(type.system_id.value_or("")) + "!";
        }
      });
  EXPECT_EQ(seen, "HTMLab!#x1u.v.#y2w.");
  EXPECT_EQ(out, "<!doctype HTML PUBLIC \"a\" 'b'><!--z-->t<p>u<b>V</b><!--z--></p>");
}

TEST(HtmlRewriter, RawTextIsNoMarkup) {
  constexpr std::string_view kHtml =
      "<title><a></title><script>'<a>'<!--<script></script><a>--></script><style><a></style><textarea><a></textarea>"
      "<svg><style><a n=1></a></style></svg><iframe><a></iframe><noscript><a></noscript><a n=2><plaintext><a>";
  EXPECT_EQ(matched(kHtml, "a"), "1 2 ");
}

TEST(HtmlRewriter, WhatIsRemovedIsNotShown) {
  int seen = 0;
  const std::string out =
      rewritten("<a>x<b>y</b><!--c--></a>z", {{"a"}, {"b", kAll}}, [&](HtmlRewriter& r, Token token) {
        if (token == Token::kElement && r.text() == "a") r.insert(Place::kInner, "<b>new</b>");
        if (token != Token::kEnd && r.text() != "a") ++seen;
      });
  EXPECT_EQ(out, "<a><b>new</b></a>z");
  EXPECT_EQ(seen, 0);
}

TEST(HtmlRewriter, BoundsAreStated) {
  std::string deep;
  for (int i = 0; i < 10'100; ++i) deep += "<b>";
  EXPECT_THAT(rewritten(deep, {{"*"}}, ignore), testing::StartsWith("failed: more than 10,000"));
  EXPECT_THAT(rewritten("<!--" + std::string(1'100'000, 'x'), {{"*"}}, ignore, 65'536),
              testing::StartsWith("failed: a tag"));
}

// A page of 50 KB as htmx has them; `edited`: as the handlers below leave it.
std::string page_of_articles(bool is_edited) {
  std::string page =
      is_edited ? "<!doctype html><html><head><title>New</title><script src=/htmx.js defer=\"\"></script></head><body>"
                : "<!doctype html><html><head><title>Old</title><script src=/htmx.js></script></head><body>";
  for (int i = 0; i < 235; ++i) {
    const std::string id = std::to_string(i);
    const std::string get = is_edited ? "hx-get=\"/edge/articles/" + id + "\"" : "hx-get='/articles/" + id + "'";
    page += "<article id=a" + id + " class='card wide'><h2>Article " + id +
            "</h2><p>Some text of <em>article</em> number " + id + ", as long as such texts are.</p>" +
            (is_edited && i % 2 == 1 ? "<hr>" : "") + "<button " + get + " hx-target='#a" + id +
            "' hx-swap=outerHTML>More</button></article>\n";
  }
  return page + "</body></html>";
}

TEST(HtmlRewriter, APageOfFiftyKilobytesIsEdited) {
  const std::vector<Rule> rules = {
      {"button[hx-get^='/']"}, {"script"}, {"head > title"}, {"article:nth-child(2n) > p"}};
  const std::string page = page_of_articles(false);
  ASSERT_GT(page.size(), 50'000U);
  for (const std::size_t piece : {std::size_t{1}, std::size_t{1460}, page.size()}) {
    int seen = 0;
    const std::string out = rewritten(
        page, rules,
        [&](HtmlRewriter& r, Token token) {
          if (token != Token::kElement) return;
          ++seen;
          if (r.text() == "button")
            r.set_attribute("hx-get", "/edge" + std::string(r.attribute("hx-get").value_or("")));
          if (r.text() == "script") r.set_attribute("defer", "");
          if (r.text() == "title") r.insert(Place::kInner, "New");
          if (r.text() == "p") r.insert(Place::kAfter, "<hr>");
        },
        piece);
    EXPECT_EQ(seen, 235 + 1 + 1 + 117) << piece;
    EXPECT_TRUE(out == page_of_articles(true)) << piece;
  }
}

// Documents of random parts, cut into random pieces: what comes out, and what handlers see but for where text is cut,
// is as of the whole.
TEST(HtmlRewriter, PiecesOfTheInputChangeNothing) {
  constexpr const char* kParts[] = {"<p>",
                                    "</p>",
                                    "<div class=a>",
                                    "</div>",
                                    "text",
                                    "<a href='x>y'>",
                                    "</a>",
                                    "<!-- c",
                                    "-->",
                                    "<script>",
                                    "</script>",
                                    "<!--",
                                    "<",
                                    ">",
                                    "\xC3\xA4",
                                    "\xF0\x9F\x98\x80",
                                    "<br/>",
                                    "<li>",
                                    "</ul>",
                                    "<ul>",
                                    "<title>",
                                    "</title>",
                                    "<svg>",
                                    "</svg>",
                                    "<![CDATA[",
                                    "]]>",
                                    "<!doctype html>",
                                    "\"",
                                    "=",
                                    "</",
                                    "<style>",
                                    "</style>",
                                    "\xE2\x82",
                                    "<textarea",
                                    " "};
  const auto seed = std::random_device()();
  std::mt19937 random(seed);
  const std::vector<Rule> rules = {
      {"p", kAll}, {".a > *", kAll}, {"", kAll | HtmlRewriter::kDoctypes}, {"li:nth-child(2n)"}};
  for (int round = 0; round < 400; ++round) {
    std::string html;
    for (std::size_t part = random() % 40; part > 0; --part) html += kParts[random() % std::size(kParts)];
    const auto see = [](std::string& log) {
      return [&log](HtmlRewriter& r, Token token) {
        const char kind = "?ECTXDF"[std::min<std::size_t>(static_cast<std::size_t>(token), 6)];
        if (token == Token::kTextPiece) {
          if (!r.is_last_of_text()) log += r.text();
          if (r.is_last_of_text()) r.insert(Place::kBefore, "$"), log += "|";
          return;
        }
        log += std::string("[") + kind + std::string(r.text()) + std::to_string(r.handlers().size()) + "]";
        if (token == Token::kElement && r.text() == "p") r.insert(Place::kAppend, "(p)"), r.set_attribute("x", "1");
        if (token == Token::kElement && r.text() == "ul") r.insert(Place::kInner, "(ul)");
        if (token == Token::kComment) r.insert(Place::kReplace, "(c)");
      };
    };
    std::string whole_log;
    const std::string whole = rewritten(html, rules, see(whole_log));
    for (const std::size_t piece : {std::size_t{1}, std::size_t{2}, 1 + random() % 9}) {
      std::string log;
      ASSERT_EQ(rewritten(html, rules, see(log), piece), whole) << html << "\nseed " << seed << ", pieces of " << piece;
      ASSERT_EQ(log, whole_log) << html << "\nseed " << seed << ", pieces of " << piece;
    }
  }
}

}  // namespace
}  // namespace verge::workers

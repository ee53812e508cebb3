// HtmlRewriter: HTML that is edited as it streams, for the HTMLRewriter of workers. No tree is built: what is kept is
// the token at hand, the elements that are open, and output that nobody has taken.
//
// Bytes go in by write(); next() gives one token after the other that some handler wants to see, after which the caller
// may edit it and goes on. What nobody edits comes out as it went in, byte for byte. How the input is cut into pieces
// matters only to where text is cut. Tokens are those of HTML's tokenizer (HTML 13.2.5), as far as they decide what is
// a tag: raw text, scripts with their comments, foreign content and its CDATA sections. Of the tree (13.2.6) only those
// end tags are implied that are so often left out: of p, li, dt, dd, tr, td, th, option and the parts of tables.
//
// Text is UTF-8: a piece of text never ends in the middle of a character. A tag or comment has at most 1 MB, open
// elements are at most 10,000; beyond that it fails. Where the input ends in the middle of a tag, what there is of it
// counts as text.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "workers/realm_html_selector.h"

namespace verge::workers {

class HtmlRewriter {
 public:
  // What a handler wants to see.
  static constexpr uint8_t kElements = 1;
  static constexpr uint8_t kComments = 2;
  static constexpr uint8_t kText = 4;
  static constexpr uint8_t kDoctypes = 8;

  enum class Token : uint8_t {
    kNeedsInput,
    kElement,
    kEndTag,
    kComment,
    kTextPiece,
    kDoctype,
    kEnd,     // of the document; once
    kOutput,  // there is much of it: it is to be taken
    kFailed,  // see problem()
    kOver,
  };
  enum class Place : uint8_t { kBefore, kAfter, kPrepend, kAppend, kReplace, kInner };

  // Handlers are numbers, and are called in their order. Why it is no selector, or nothing.
  std::optional<std::string> add(std::string_view selector, uint32_t handler, uint8_t wants);
  void add_document(uint32_t handler, uint8_t wants);

  void write(std::string_view bytes);
  void finish();
  // The token before is over, with its edits.
  Token next();
  // Whom the token is for.
  [[nodiscard]] std::span<const uint32_t> handlers() const { return handlers_; }
  [[nodiscard]] std::string& output() { return output_; }
  [[nodiscard]] std::string_view problem() const { return problem_; }
  [[nodiscard]] std::size_t memory_bytes() const;

  // Of the token at hand. Text: an element's or end tag's name (lower case), a comment's text, a piece of text.
  [[nodiscard]] std::string_view text() const { return text_; }
  void set_text(std::string_view text);
  [[nodiscard]] bool is_last_of_text() const { return is_last_; }
  [[nodiscard]] std::vector<HtmlAttribute> attributes() const;
  [[nodiscard]] std::optional<std::string_view> attribute(std::string_view name) const;
  void set_attribute(std::string_view name, std::string_view value);
  void remove_attribute(std::string_view name);
  [[nodiscard]] bool is_foreign() const { return is_foreign_; }
  [[nodiscard]] bool has_content() const { return has_content_; }  // an element that may
  struct Doctype {
    std::optional<std::string_view> name, public_id, system_id;
  };
  [[nodiscard]] Doctype doctype() const;
  // `markup` is HTML; see escaped() for text.
  void insert(Place place, std::string_view markup);
  void remove();
  void remove_tags();  // of an element: its content stays
  [[nodiscard]] bool is_removed() const { return removed_ || tags_removed_; }
  // The end tag, if there is one, will be for `handler`.
  void watch_end(uint32_t handler) { end_handlers_.push_back(handler); }

  static std::string escaped(std::string_view text);

 private:
  struct Attribute {
    HtmlAttribute its;
    std::string_view raw;  // with its quotes
    std::string own;       // what replaces it; see is_own
    std::string own_name;
    bool is_own = false;
  };
  struct Markup {
    enum class Kind : uint8_t { kIncomplete, kText, kStart, kEnd, kComment, kDoctype, kOther };
    Kind kind = Kind::kIncomplete;
    std::size_t length = 0;
    std::string_view content;  // of a comment; a tag's name as written
  };
  // An element that is open.
  struct Open {
    std::string name;
    HtmlSelectors::Places places;
    std::vector<uint32_t> text_handlers;
    std::vector<uint32_t> comment_handlers;
    std::vector<uint32_t> end_handlers;
    std::string renamed;  // what its end tag is to be called; "" as it was
    std::string append;   // before its end tag
    std::string after;
    uint32_t children = 0;
    std::map<std::string, uint32_t, std::less<>> types;  // children by name
    bool is_foreign = false;
    bool drops_tags = false;
    bool drops_content = false;

    uint32_t count_type(const std::string& child);
  };
  enum class Raw : uint8_t { kNone, kText, kScript, kPlain };

  [[nodiscard]] std::string_view rest() const { return std::string_view(input_).substr(at_); }
  void emit(std::string_view bytes) {
    if (dropping_ == 0) output_.append(bytes);
  }
  void fail(std::string_view problem);
  std::optional<Token> step();
  std::optional<Token> take_text(std::size_t length);
  std::optional<Token> take_raw();
  std::optional<Token> take_start(const Markup& markup);
  std::optional<Token> take_end(const Markup& markup);
  std::optional<Token> take_simple(Token token, uint8_t wants, const Markup& markup);
  Token begin_token(Token token, std::string_view raw, std::string_view text);
  void commit();
  void commit_element();
  void open_element(std::string name, Open open);
  void close_top();
  void close_implied(std::string_view name);
  void append_tag();
  std::size_t raw_end(std::string_view text, bool& found);
  std::size_t script_end(std::string_view text, bool& found);
  Markup markup_of(std::string_view text);
  Markup declaration_of(std::string_view text) const;
  static Markup tag_of(std::string_view text, std::size_t name_at, std::vector<Attribute>* attributes, bool* closes);
  [[nodiscard]] bool in_foreign() const;
  bool gather(uint8_t wants);

  HtmlSelectors selectors_;
  std::vector<uint8_t> wants_;             // by handler
  std::vector<uint32_t> active_text_;      // by handler: open elements it wants the text of
  std::vector<uint32_t> active_comments_;  // likewise
  std::string input_;
  std::size_t at_ = 0;
  bool finished_ = false;
  std::string output_;
  std::string problem_;
  Open root_;  // counts the children of the document
  std::vector<Open> open_;
  std::size_t dropping_ = 0;  // open elements whose content is dropped
  Raw raw_ = Raw::kNone;
  std::string raw_name_;
  int script_comment_ = 0;  // 1: in <!--, 2: in <script> in it
  bool in_text_ = false;    // a text node has begun that handlers saw
  bool ended_ = false;

  // The token at hand.
  std::optional<Token> token_;
  std::vector<uint32_t> handlers_;
  std::string raw_token_;
  std::string name_;  // of the element
  std::string text_;
  bool is_text_own_ = false;
  bool is_last_ = false;
  bool is_foreign_ = false;
  bool has_content_ = false;
  bool closes_itself_ = false;
  std::vector<Attribute> attributes_;
  bool are_attributes_own_ = false;
  std::vector<uint32_t> matched_;
  std::vector<HtmlAttribute> views_;  // scratch
  HtmlSelectors::Places places_;
  std::string before_, after_, prepend_, append_, replacement_, inner_;
  bool removed_ = false;
  bool tags_removed_ = false;
  bool has_inner_ = false;
  std::vector<uint32_t> end_handlers_;
};

}  // namespace verge::workers

// Page: composes one page in ESI 1.0 from its document and the fragments that it includes.
//
// All fragments that are needed are asked for at once, those of an <esi:except> when its attempt has failed. Output
// goes out in the order of the page, as far as it is known: text before a fragment does not wait for it.
//
// A fragment that fails is tried from its alt; then, with onerror="continue", nothing stands in its place; then the
// attempt around it fails; then the page does.
//
// Bounds: 256 fragments a page, 16 MiB of them waiting; beyond, a fragment fails.
//
// Threading: on one thread. May be destroyed in each of its callbacks but `output`.
#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/payload.h"
#include "esi/document.h"
#include "esi/variables.h"

namespace verge::esi {

class Page {
 public:
  static constexpr size_t kFragmentsMax = 256;
  static constexpr uint64_t kWaitingBytesMax = 16U << 20;

  // Asks for what `reference` (a URL, or relative to that of the page) stands for; calls `done` once, at once or later,
  // with the content or with nothing.
  using Done = std::function<void(std::optional<std::string>)>;
  using Fetch = std::function<void(const std::string& reference, Done done)>;

  struct Told {
    std::function<void(std::string_view)> output;  // good until return
    std::function<void()> finished;
    std::function<void(const std::string& reference)> failed;  // of the fragment that did
  };

  // `request` shows what outlives the page. `held`, which does too: what it holds of fragments is counted there.
  Page(Payload text, const Variables::Request& request, Fetch fetch, Told told, uint64_t& held);
  ~Page();
  Page(const Page&) = delete;
  Page& operator=(const Page&) = delete;

  [[nodiscard]] const std::optional<Fault>& fault() const { return document_.fault(); }
  // Once. What is known at once is told from within.
  void start();

 private:
  enum class State { kPending, kDone, kFailed };
  struct Piece;
  using Pieces = std::vector<std::unique_ptr<Piece>>;

  void arrange(const Nodes& nodes, Pieces& pieces);
  void ask(Piece& piece, const std::string& reference);
  void take(Piece& piece, const std::string& reference, std::optional<std::string> content);
  State state_of(const Pieces& pieces);
  State state_of(Piece& piece);
  void put_out(Piece& piece);
  void put_out(std::string_view text);
  // Goes on as far as it can.
  void advance();

  const Payload text_;
  const Variables variables_;
  const Fetch fetch_;
  Told told_;
  const Document document_;
  Pieces pieces_;
  size_t next_ = 0;  // of pieces_, to be put out
  size_t fragments_ = 0;
  uint64_t waiting_bytes_ = 0;
  uint64_t& held_;
  bool busy_ = false;
  std::string failed_reference_;
  std::shared_ptr<Page*> alive_ = std::make_shared<Page*>(this);
};

}  // namespace verge::esi

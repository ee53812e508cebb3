// Composition: one page in ESI 1.0 as it is put together for one client: the template, which may still arrive, and the
// fragments that it includes, each a request to the same node as any client's, and cached as such.
//
// Fragments are asked for with GET and with the fields of the page's request, but those about conditions, ranges,
// codings and a body. Only hosts that a site of this node stands for are asked: a page cannot make the node fetch from
// elsewhere. A fragment that is not answered with a 2xx, or is coded, or larger than 4 MiB, has failed. What is
// included may include in turn, five deep.
//
// A template larger than 4 MiB is not composed.
//
// Threading: on its loop.
#pragma once

#include <cstdint>
#include <functional>
#include <list>
#include <memory>
#include <string>

#include "cache/body.h"
#include "cache/code_position.h"
#include "cache/owned_fields.h"
#include "esi/page.h"
#include "net/http_exchange.h"
#include "runtime/loop.h"
#include "traces/open_span.h"

namespace verge::cache {

// Where a request stands among the includes of a page that a client asked for, and among the requests of code.
struct Nesting {
  static constexpr unsigned kCodeDepthMax = 4;
  // Of the client's page and of all within its fragments.
  struct Spent {
    size_t fragments = 0;  // asked for
    uint64_t held = 0;     // bytes of fragments, that come or wait
  };
  unsigned depth = 0;            // of includes around it; 0: a client's own request
  std::shared_ptr<Spent> spent;  // null until the first page is composed
  // Code that asks. Where the URL is routed to itself, the request goes on behind it.
  uint64_t code = 0;  // 0: none
  CodePosition code_position = CodePosition::kBefore;
  unsigned code_depth = 0;  // of calls of code around it; at kCodeDepthMax no further code is called
  // What the request's spans belong to; null: it is not traced, or whether it is shall be decided for itself.
  std::shared_ptr<const traces::Scope> trace = nullptr;
};

class Composition {
 public:
  static constexpr unsigned kDepthMax = 5;
  static constexpr size_t kFragmentsMax = 256;  // of a client's page, those within fragments included
  static constexpr uint64_t kTemplateBytesMax = 4U << 20;
  static constexpr uint64_t kFragmentBytesMax = 4U << 20;
  static constexpr uint64_t kHeldBytesMax = 32U << 20;     // of fragments, likewise; one that would be more has failed
  static constexpr uint64_t kUntakenBytesMax = 64U << 20;  // of a page, by its client; one more, and it breaks off

  struct Request {
    std::string url;  // see Answer::url()
    OwnedFields fields;
    net::Address peer;
    Nesting nesting;
  };
  // Answers a fragment's request as any other; false when no site stands for its host. The request is good until
  // return.
  using Ask = std::function<bool(const net::HttpRequest&, net::HttpResponder, const Nesting&)>;
  // Each may destroy the composition. Never from within the constructor or start().
  struct Told {
    std::function<void(std::shared_ptr<Body>)> ready;     // the page begins, and grows
    std::function<void(const std::string& what)> failed;  // before it began; after that its body breaks off
    std::function<void(const esi::Fault&)> fault;         // of the template; it is composed as far as it goes
    std::function<void()> ended;                          // last, after ready
  };

  Composition(runtime::Loop& loop, Request request, std::shared_ptr<Body> page_template, Ask ask, Told told);
  ~Composition();
  Composition(const Composition&) = delete;
  Composition& operator=(const Composition&) = delete;

  void start();

 private:
  class Fragment;

  void go_on();
  void compose(Payload text);
  void fetch(const std::string& reference, esi::Page::Done done);
  void put_out(std::string_view piece);
  void on_read();
  void fail(std::string what);
  void end();

  runtime::Loop& loop_;
  Request request_;
  const std::shared_ptr<Body> template_;
  const Ask ask_;
  Told told_;
  Body::ReaderId reader_ = 0;
  std::string text_;  // of the template, as far as it came
  std::unique_ptr<esi::Page> page_;
  std::shared_ptr<Body> out_;
  bool is_ready_ = false;
  bool is_given_up_ = false;
  std::list<std::unique_ptr<Fragment>> fragments_;
  std::shared_ptr<Composition*> alive_ = std::make_shared<Composition*>(this);
};

}  // namespace verge::cache

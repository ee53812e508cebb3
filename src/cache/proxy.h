// Proxy: answers the requests for one node's sites on one loop: from the store, or through it from an origin.
//
// What is in the store and fresh is answered at once, from views of the request, with one write. All else becomes an
// Exchange: it waits for a fetch that is under way, or starts one; it is given what the fetch brings, or what is
// stored, stale, where the origin failed and that is allowed.
//
// Threading: on its loop. Store, purges and pending fetches are shared with the proxies of other loops.
#pragma once

#include <memory>
#include <string>
#include <unordered_map>
#include <vector>

#include "base/metrics.h"
#include "cache/answer_tap.h"
#include "cache/cache_status.h"
#include "cache/composition.h"
#include "cache/delivery.h"
#include "cache/edge_code.h"
#include "cache/encodings.h"
#include "cache/fetch.h"
#include "cache/file_answers.h"
#include "cache/origins.h"
#include "cache/popular.h"
#include "cache/request_view.h"
#include "cache/site.h"
#include "cache/tunnel.h"
#include "net/http_exchange.h"

namespace verge::cache {

// All numbers of requests; bytes of bodies.
struct ProxyCounters {
  Counter requests;
  Counter hits;       // answered from the store without asking the origin
  Counter stale;      // of the hits: not fresh
  Counter validated;  // the origin said that what is stored is good
  Counter misses;
  Counter passed;  // requests that are never answered from the store
  Counter collapsed;
  Counter failures;  // the origin failed, and the client was told
  Counter composed;  // pages in ESI 1.0
  Counter tunnels;   // WebSockets that are open
  // Never asked of the cache:
  Counter redirected;
  Counter files;
  Counter limited;     // 429
  Counter not_signed;  // 403
  Histogram answered;  // from the request to the begin of its answer
  Histogram origin;    // from asking an origin to the head of its answer
};

// The sites as one loop serves them. Replaced as a whole; requests keep the one that they began with.
struct Serving {
  std::shared_ptr<const SiteSet> set;
  std::vector<std::shared_ptr<Origins>> origins;  // by site
};

class Proxy {
 public:
  // What `shared` refers to outlives the proxy. `name`: for Cache-Status and Via.
  Proxy(runtime::Loop& loop, const Shared& shared, Serving serving, std::string name);
  ~Proxy();
  Proxy(const Proxy&) = delete;
  Proxy& operator=(const Proxy&) = delete;

  // Whether a site stands for the host.
  [[nodiscard]] bool serves(std::string_view host) const { return serving_->set->table.find(host) != SiteTable::kNone; }
  // serves(request.host) is true.
  // `nesting`: of a fragment of a composed page.
  void receive(const net::HttpRequest& request, net::HttpResponder responder, const Nesting& nesting = {});

  // Before the first request: who has code for some of them; null: nobody. Outlives the proxy.
  void call_code(EdgeCode* code) { code_ = code; }

  // What code keeps by itself (proxy_code.cc). The key is of code_cache_url(); the fields of the request select among
  // variants. The answer is what is stored, or 504.
  void find_kept(std::string_view key, std::span<const net::HttpField> fields, net::HttpResponder responder);
  // Keeps the answer that `from` gives, if it may be kept.
  void keep(std::string_view key, std::span<const net::HttpField> fields, std::shared_ptr<CodeRoute> from);
  // Whether there was one.
  bool forget_kept(std::string_view key);

  // Requests from now on are served so.
  void replace(Serving serving) { serving_ = std::make_shared<const Serving>(std::move(serving)); }
  [[nodiscard]] const Serving& serving() const { return *serving_; }

  [[nodiscard]] const ProxyCounters& counters() const { return counters_; }
  // What is asked for most; any thread.
  [[nodiscard]] const Popular& popular_urls() const { return popular_urls_; }
  [[nodiscard]] const Popular& popular_tags() const { return popular_tags_; }

 private:
  // What is asked, as views.
  struct Asked {
    const Serving* serving = nullptr;
    size_t site = 0;
    const PathPolicy* policy = nullptr;
    std::string_view method;
    std::string_view url;
    std::span<const net::HttpField> fields;
    RequestTraits traits;
    CacheControl control;  // as far as the site listens to it
    const net::Address* peer = nullptr;
    const Nesting* nesting = nullptr;
  };
  struct Exchange;
  class CodeAnswer;
  using ExchangeId = uint64_t;

  // What comes before the cache: whose request it is, which rule is for it, and what that says (proxy_steps.cc). The
  // request is answered there, or goes on to ask().
  void take_steps(const net::HttpRequest& request, net::HttpResponder responder, size_t site, const Nesting& nesting);
  // Cache-Status of what was answered here without a look at the cache.
  [[nodiscard]] std::string status_of(std::string_view detail) const;
  // `is_within`: a page's fragment, or what code asks for, which is no client's request.
  net::HttpResponder tap(const net::HttpRequest& request, net::HttpResponder responder, const PathPolicy& policy,
                         RequestLimiter::Ticket ticket, const Nesting& nesting, bool is_within);
  void refuse_limited(net::HttpResponder& responder, const RequestLimit& limit, Duration retry_after);
  void redirect(net::HttpResponder& responder, const net::HttpRequest& request, const Redirect& to,
                std::string_view path, const PathMatch& match);
  // `key_query`: the query as far as it tells answers apart.
  void ask(const net::HttpRequest& request, net::HttpResponder responder, size_t site, const PathPolicy& policy,
           std::string_view key_query, const Nesting& nesting);
  void ask_cache(const net::HttpRequest& request, net::HttpResponder responder, size_t site, const PathPolicy& policy,
                 std::string_view key_query, const Nesting& nesting);
  // Once the code that stands before the cache has had its turn.
  void go_on(Exchange& exchange);

  // The code for that URL at that position, unless the request is its own.
  [[nodiscard]] std::shared_ptr<CodeRoute> code_for(CodePosition position, std::string_view host, std::string_view path,
                                                    const Nesting& nesting) const;
  [[nodiscard]] bool has_code_for(std::string_view host, std::string_view path, const Nesting& nesting) const;
  // Whether it is asked for by the code that the URL is routed to, and goes on behind that.
  [[nodiscard]] bool is_behind_code(std::string_view host, std::string_view path, const Nesting& nesting) const;
  // Of these: whether that code's own answer is kept under the URL.
  [[nodiscard]] bool is_of_code(std::string_view host, std::string_view path, const Nesting& nesting) const;
  // The client gets what the code answers; where that is nothing, `fall_back` is called with what is to be answered.
  CodeAnswer& await_code(net::HttpResponder responder, bool is_head, std::function<void()> gone,
                         std::function<void(net::HttpResponder)> fall_back);
  std::unique_ptr<net::UpstreamObserver> take_code_answer(uint64_t id);
  void enter_code(Exchange& exchange, const std::shared_ptr<CodeRoute>& route);

  // Of the store's answer: is it served, and how.
  struct Decision {
    Store::AnswerPointer answer;
    Use use = Use::kValidate;
    std::string_view reason;
  };
  Decision decide(const Asked& asked);

  void serve_stored(const Asked& asked, net::HttpResponder responder, const Store::AnswerPointer& answer,
                    CacheStatus status);
  // The ranges of the whole of which the body has what follows `body_first`.
  void serve_ranges(const Asked& asked, net::HttpResponder responder, const Answer& answer,
                    std::vector<ByteRange> ranges, uint64_t length, uint64_t body_first, const CacheStatus& status);
  // From a stored part; false when none has what is asked for, fresh.
  bool serve_from_part(const Asked& asked, net::HttpResponder& responder);
  // From this one, which may still arrive; false when it has not what is asked for.
  bool serve_part(const Asked& asked, net::HttpResponder& responder, const Answer& part, const CacheStatus& status);
  // What stored parts lack of what is asked for; nothing when they are of no use for it.
  std::optional<Completion> completion_for(const Asked& asked);
  // Whether the answer has forms in content codings here.
  [[nodiscard]] bool is_negotiated(const Asked& asked, const Answer& answer) const;
  // Which coding such an answer goes out in; none: as it is.
  [[nodiscard]] std::optional<compress::ContentCoding> coding_for(const Asked& asked,
                                                                  std::optional<uint64_t> length) const;
  bool serve_if_not_modified(const Asked& asked, net::HttpResponder& responder, const Answer& answer,
                             const CacheStatus& status, std::optional<compress::ContentCoding> coding);
  // A WebSocket, which code answers, or that goes to an origin.
  void open_tunnel(const Asked& asked, const net::HttpRequest& request, net::HttpResponder responder);
  void begin_tunnel(size_t site, const FetchRequest& made, net::HttpResponder responder);
  void fail_tunnel(uint64_t id, Origins& origins, size_t origin, std::string_view url, const Error& error);
  // The head of a page that is composed, and what becomes of it.
  struct Composing {
    std::string url;
    OwnedFields fields;
    std::optional<compress::ContentCoding> coding;
    net::HttpResponder responder;
    std::unique_ptr<Composition> composition;
  };
  void compose(const Asked& asked, net::HttpResponder responder, std::span<const net::HttpField> fields,
               std::shared_ptr<Body> body, const CacheStatus& status, std::optional<Seconds> age);
  void deliver_composed(uint64_t id, std::shared_ptr<Body> page);
  void fail_composed(uint64_t id, const std::string& what);
  void log_fault(std::string_view url, const esi::Fault& fault);
  [[nodiscard]] bool composes(const Asked& asked) const;
  // In a content coding; false when it cannot be had now.
  bool serve_coded(const Asked& asked, net::HttpResponder& responder, const Store::AnswerPointer& answer,
                   const CacheStatus& status, compress::ContentCoding coding);
  // The stored fields and those that are made for each use, in head_scratch_.
  void write_head(const Asked& asked, const Answer& answer, std::string_view status_line, const CacheStatus& status);
  void write_coded_head(const Asked& asked, const Answer& answer, const CacheStatus& status,
                        compress::ContentCoding coding);
  // `fields`: the answer's, as those of the form that the client has.
  void write_not_modified(const Asked& asked, const Answer& answer, std::span<const net::HttpField> fields,
                          const CacheStatus& status);
  void append_age_and_status(const Asked& asked, const Answer& answer, CacheStatus status);
  void start_growing(const Asked& asked, net::HttpResponder responder, const Answer& answer,
                     std::vector<net::HttpField> fields, CacheStatus status, std::shared_ptr<Body> body,
                     std::optional<uint64_t> length);
  void deliver(net::HttpResponder responder, std::shared_ptr<Body> body, Delivery::Plan plan = {});
  static void respond_error(net::HttpResponder& responder, int status, std::string_view what,
                            std::string_view cache_status);

  Exchange& begin_exchange(const Asked& asked, const net::HttpRequest& request, net::HttpResponder responder);
  void process(Exchange& exchange);
  // Whether the disk is asked first; process() goes on then.
  bool ask_disk(Exchange& exchange);
  // Those whose requests have it in common share one fetch.
  [[nodiscard]] static std::string sharing_key(const Asked& asked, const Store::AnswerPointer& stored);
  // `stored`: what there is, which is validated, or, by HEAD, described.
  void forward(Exchange& exchange, const Store::AnswerPointer& stored, bool settles, std::string_view why);
  void pass(Exchange& exchange, std::string_view why);
  void validate_behind(const Asked& asked, const net::HttpRequest& request, const Store::AnswerPointer& answer);
  Fetch& start_fetch(Exchange* exchange, FetchRequest request, const Asked& asked,
                     std::function<void(const Fetched&)> seen = {});
  FetchRequest fetch_request(const Asked& asked, std::string_view target, const net::Address& peer,
                             const Store::AnswerPointer& former) const;
  [[nodiscard]] static std::optional<uint64_t> forwards_of(const Asked& asked);
  // Asks for the gap only.
  static void ask_for_gap(FetchRequest& request, Completion completion);
  void on_head(Exchange& exchange, Fetched fetched);
  void on_failed(Exchange& exchange, const Error& error);
  void on_settled(Exchange& exchange, const PendingFetches::Outcome& outcome);
  void serve_completed(Exchange& exchange, const Fetched& fetched);
  bool serve_stale(Exchange& exchange, int forwarded_status);
  void serve_live(Exchange& exchange, Fetched fetched);
  void invalidate(std::string_view url, const Fetched& fetched);
  // The tags that an answer names, among those asked for most.
  void note_tags(std::span<const net::HttpField> fields);
  // It was answered, or its client has gone.
  void end_exchange(ExchangeId id);
  void abandon_exchange(ExchangeId id);
  // Calls `then` with the exchange, if it is still there, on this loop.
  [[nodiscard]] int64_t now_ms() const { return shared_.clock.wall().microseconds / 1000; }

  runtime::Loop& loop_;
  const Shared shared_;
  std::shared_ptr<const Serving> serving_;
  const std::string name_;
  const std::string via_;
  std::string url_scratch_;
  std::string head_scratch_;
  std::unordered_map<ExchangeId, std::unique_ptr<Exchange>> exchanges_;
  std::unordered_map<uint64_t, std::unique_ptr<Delivery>> deliveries_;
  struct HeldFetch {
    std::shared_ptr<const Serving> serving;  // goes after the fetch
    std::unique_ptr<Fetch> fetch;
  };
  std::unordered_map<Fetch*, HeldFetch> fetches_;
  std::unordered_map<AnswerTap*, std::unique_ptr<AnswerTap>> taps_;
  Encodings encodings_;
  FileAnswers file_answers_;
  EdgeCode* code_ = nullptr;
  std::unordered_map<uint64_t, std::unique_ptr<net::UpstreamObserver>> code_answers_;  // each a CodeAnswer
  std::unordered_map<uint64_t, std::unique_ptr<Tunnel>> tunnels_;
  std::unordered_map<uint64_t, std::unique_ptr<Composing>> compositions_;
  MonotonicTime next_fault_log_{};
  std::shared_ptr<ExchangeNote> note_;  // of the request that is being received, where it is logged
  uint64_t next_id_ = 1;
  MonotonicTime received_{};  // the request that is being received
  ProxyCounters counters_;
  Popular popular_urls_;
  Popular popular_tags_;
  std::shared_ptr<Proxy*> alive_ = std::make_shared<Proxy*>(this);
};

}  // namespace verge::cache

// Fetch: one request to an origin and what becomes of its answer: kept for all, or passed through for one.
//
// The head decides. An answer that may be stored is in the store from then on, with a body that grows, so that others
// read it while it arrives. Any other is read by who asked for it, at that client's pace: the origin is not read faster
// than its slowest reader, and not at all once nobody reads.
//
// A 304 to our own validators refreshes the stored answer (RFC 9111 section 4.3.4); what failed leaves it as it is.
//
// Threading: lives on one loop; what it makes (answers, bodies) is read on all.
#pragma once

#include <algorithm>
#include <functional>
#include <memory>
#include <optional>
#include <string>

#include "base/clock.h"
#include "base/payload.h"
#include "cache/answer.h"
#include "cache/cache_control.h"
#include "cache/disk_tier.h"
#include "cache/edge_code.h"
#include "cache/origins.h"
#include "cache/pending_fetches.h"
#include "cache/purges.h"
#include "cache/site.h"
#include "cache/store.h"
#include "cache/stored_parts.h"
#include "runtime/loop.h"
#include "traces/tracer.h"

namespace verge::cache {

// What all fetches of a node share.
struct Shared {
  Store& store;
  Purges& purges;
  PendingFetches& pending;
  const Clock& clock;
  DiskTier* disk = nullptr;          // none: memory only
  traces::Tracer* tracer = nullptr;  // none: nothing is traced
};

struct FetchRequest {
  std::string method;
  std::string target;
  std::string authority;      // for the Host field
  std::string url;            // see Answer::url()
  OwnedFields client_fields;  // what Vary selects by, and may_store() asks for
  OwnedFields fields;         // as they are sent, without Host
  Payload body;
  bool has_body = false;
  CacheControl control;         // of the request, as far as the site listens to it
  Store::AnswerPointer former;  // it is validated; null: none
  // Of a HEAD: the stored answer to GET, whose fields what comes updates, or shows to be out of date (RFC 9111 section
  // 4.3.5); null: none.
  Store::AnswerPointer described;
  // The gap that `fields` ask for; `plain_fields` are for asking once more where what comes does not fit.
  std::optional<Completion> completion;
  OwnedFields plain_fields;
  StoragePolicy storage;        // of the path
  bool takes_identity = false;  // codings are made here: what clients accept does not select among answers
  bool settles = false;         // PendingFetches::begin() said so for `shared_as`
  std::string shared_as;        // among whose requests; see Proxy::sharing_key()
  bool may_be_stored = true;
  // Who is asked in the place of the origins, and who is given what an origin answers; null: nobody. With either, what
  // it is told of the request.
  std::shared_ptr<CodeRoute> code;
  std::shared_ptr<CodeRoute> answer_code;
  std::string code_url;
  net::Address client;
  Nesting nesting;
};

// The head of an origin's answer.
struct Fetched {
  int status = 0;
  std::string reason;
  OwnedFields fields;  // all that are passed on
  std::shared_ptr<Body> body;
  std::optional<uint64_t> length;
  Store::AnswerPointer stored;  // it is in the store; null: it is not
  bool is_validated = false;    // a 304 to our validators, or a HEAD: `stored` is the refreshed answer
  // Stored parts together with what was missing; is served instead of `body`, whether it is kept or not. Null: none.
  Store::AnswerPointer completed;
  std::string_view verdict;  // why it is stored, or not
};

class Fetch final : private net::UpstreamObserver {
 public:
  // How who asked is told: at most one of head and failed, after any number of interim; never from within start(). All
  // may be empty. `ended` comes last, and may destroy the fetch. `asks` says which origin is asked
  // ("http://host[:port]"), each time, from within start() too.
  struct Told {
    std::function<void(std::string_view origin)> asks;
    std::function<void(const net::ResponseHead&)> interim;
    std::function<void(Fetched)> head;
    std::function<void(const Error&)> failed;
    std::function<void(Fetch&)> ended;
  };

  Fetch(runtime::Loop& loop, const Shared& shared, const SiteOptions& site, Origins& origins, FetchRequest request,
        Told told);
  ~Fetch() override;
  Fetch(const Fetch&) = delete;
  Fetch& operator=(const Fetch&) = delete;

  void start();
  // Who asked has gone: nothing is told any more. It goes on if others may want the answer.
  void abandon();

 private:
  // How far the slowest reader may be behind what was read from the origin, of what is not stored.
  static constexpr uint64_t kLagMax = 1U << 20;
  // A larger answer that was validated is not written to the disk again: after a restart it is validated once more.
  static constexpr uint64_t kRewrittenMax = 1U << 20;

  void on_interim(const net::ResponseHead& head) override;
  void on_head(const net::ResponseHead& head, const net::BodyFraming& framing) override;
  void on_body(std::string_view piece) override;
  void on_end(std::span<const net::HttpField> trailers) override;
  void on_failed(const Error& error) override;

  void try_origin();
  [[nodiscard]] CodeRoute::Request code_request() const;
  void on_validated(const net::ResponseHead& head);
  // The former answer, with the fields of a newer head.
  [[nodiscard]] Store::AnswerPointer refreshed(const Answer& former, const net::ResponseHead& head);
  // Puts it in the place of the former, or takes that out where it is not to be stored any more.
  void keep_refreshed(const Store::AnswerPointer& former, const Store::AnswerPointer& refreshed);
  // To the disk, with what changed of its head; false: it is too large for that, and is there as it was.
  bool rewrite(const Store::AnswerPointer& answer);
  void tell_of_stored(const net::ResponseHead& head, const Store::AnswerPointer& answer, std::string_view verdict);
  // Whether the stored answer was up to date; it is told then.
  bool update_described(const net::ResponseHead& head);
  // False: it is asked once more, without the parts.
  bool fits_completion(const net::ResponseHead& head, const net::BodyFraming& framing);
  void become_complete(const Completion& completion, AnswerParts& parts, std::span<const net::HttpField> fields) const;
  void forget_parts_within();
  [[nodiscard]] bool goes_on_elsewhere(int status) const;
  // Of what the answer alone lets be stored.
  [[nodiscard]] StorageVerdict may_keep(int status, std::optional<uint64_t> length,
                                        const std::optional<ContentRange>& range) const;
  [[nodiscard]] std::optional<uint64_t> length_of(const net::ResponseHead& head, const net::BodyFraming& framing) const;
  void settle(const PendingFetches::Outcome& outcome);
  [[nodiscard]] std::vector<Selector> selectors(std::span<const net::HttpField> fields) const;
  AnswerParts parts_of(const net::ResponseHead& head, std::span<const net::HttpField> fields) const;
  void stop_storing();
  void hold_back();
  void on_read();
  void end();

  runtime::Loop& loop_;
  const Shared shared_;
  const SiteOptions& site_;
  Origins& origins_;
  FetchRequest request_;
  Told told_;
  uint64_t tried_ = 0;  // origins, a bit each
  size_t origin_ = 0;
  std::unique_ptr<net::UpstreamCall> call_;
  ExchangeTimes times_;
  uint64_t fetched_at_ = 0;
  uint64_t started_ = 0;
  std::shared_ptr<Body> body_;
  Store::AnswerPointer stored_;  // while it is kept
  uint64_t grown_bytes_ = 0;     // asked of the store for it
  uint64_t gap_left_ = 0;        // of a completion
  bool has_head_ = false;
  bool paused_ = false;
  bool abandoned_ = false;
  std::shared_ptr<Fetch*> alive_;
};

// Calls `take` with each tag that an answer names, in Surrogate-Key and Cache-Tag.
template <class Take>
void for_each_tag(std::span<const net::HttpField> fields, Take&& take) {
  for (const net::HttpField& field : fields) {
    if (!net::equals_ignoring_case(field.name, "surrogate-key")) continue;
    std::string_view rest = field.value;
    while (!rest.empty()) {
      const size_t end = std::min(rest.find(' '), rest.size());
      if (end > 0) take(rest.substr(0, end));
      rest.remove_prefix(std::min(rest.size(), end + 1));
    }
  }
  for_each_member(fields, "cache-tag", take);
}

// The tags that an answer can be purged by: those of Surrogate-Key, Cache-Tag and Cache-Groups, its URL and its host.
std::vector<uint64_t> tags_of(std::string_view url, std::span<const net::HttpField> fields);
// Of them, those of the groups that a field names: Cache-Groups or Cache-Group-Invalidation, lists of strings (RFC
// 9875). A group is its origin's own.
std::vector<uint64_t> groups_of(std::string_view url, std::span<const net::HttpField> fields, std::string_view name);
// "http://host", the first part of a URL.
std::string_view origin_of(std::string_view url);

}  // namespace verge::cache

#include "cache/proxy.h"

#include <algorithm>
#include <charconv>
#include <utility>

#include <fmt/format.h>

#include "base/log.h"
#include "cache/accept_encoding.h"
#include "cache/proxy_exchange.h"
#include "cache/url_reference.h"
#include "cache/validators.h"
#include "net/http_response.h"

namespace verge::cache {
namespace {

bool is_safe(std::string_view method) { return method == "GET" || method == "HEAD" || method == "OPTIONS"; }
bool is_server_error(int status) { return status == 500 || status == 502 || status == 503 || status == 504; }
bool is_conditional(std::string_view name) {
  return net::equals_ignoring_case(name, "if-none-match") || net::equals_ignoring_case(name, "if-modified-since");
}
bool is_of_range(std::string_view name) {
  return net::equals_ignoring_case(name, "range") || net::equals_ignoring_case(name, "if-range");
}

}  // namespace

// How often an OPTIONS may be passed on, where it says so (RFC 9110 section 7.6.2).
std::optional<uint64_t> Proxy::forwards_of(const Asked& asked) {
  if (asked.method != "OPTIONS") return std::nullopt;
  const std::string_view text = net::find_field(asked.fields, "max-forwards").value_or("");
  uint64_t forwards = 0;
  const auto [end, problem] = std::from_chars(text.data(), text.data() + text.size(), forwards);
  return problem == std::errc{} && end == text.data() + text.size() && !text.empty() ? std::optional(forwards)
                                                                                     : std::nullopt;
}

Proxy::Proxy(runtime::Loop& loop, const Shared& shared, Serving serving, std::string name)
    : loop_(loop),
      shared_(shared),
      serving_(std::make_shared<const Serving>(std::move(serving))),
      name_(std::move(name)),
      via_("1.1 verge"),
      encodings_(loop),
      file_answers_(loop, shared.clock, status_of("file"),
                    [this](net::HttpResponder responder, std::shared_ptr<Body> body, Delivery::Plan plan) {
                      deliver(std::move(responder), std::move(body), std::move(plan));
                    }) {}

Proxy::~Proxy() {
  // First what may call back into the rest.
  code_answers_.clear();
  compositions_.clear();
  tunnels_.clear();
  deliveries_.clear();
  for (auto& [id, exchange] : exchanges_) exchange->responder.when_closed({});
  for (auto& [id, exchange] : exchanges_) exchange->responder = {};
  fetches_.clear();
}

void Proxy::receive(const net::HttpRequest& request, net::HttpResponder responder, const Nesting& nesting) {
  counters_.requests.add();
  received_ = std::chrono::steady_clock::now();
  if (net::list_has(request.fields, "cdn-loop", name_)) {
    const std::string status = status_of("loop");
    return respond_error(responder, 508, "this request has been here before", status);
  }
  if (request.method == "TRACE") {
    // It would show clients what is meant for origins.
    const std::string status = status_of("trace");
    return responder.respond(
        {.status = 405,
         .content_type = {},
         .fields = {{"Allow", "GET, HEAD, POST, PUT, PATCH, DELETE, OPTIONS"}, {"Cache-Status", status}},
         .body = {}});
  }
  const SiteSet& set = *serving_->set;
  const size_t site = set.table.find(request.host);
  const bool is_traced = shared_.tracer != nullptr || nesting.trace != nullptr;
  if (!set.plain[site] || is_traced) return take_steps(request, std::move(responder), site, nesting);
  ask(request, std::move(responder), site, set.sites[site].policy, request.query, nesting);
}

void Proxy::ask_cache(const net::HttpRequest& request, net::HttpResponder responder, size_t site,
                      const PathPolicy& policy, std::string_view key_query, const Nesting& nesting) {
  Asked asked{.serving = serving_.get(), .site = site, .policy = &policy, .method = request.method};
  asked.fields = request.fields;
  asked.peer = &request.peer;
  asked.nesting = &nesting;
  asked.traits = traits_of(request.fields);
  if (asked.traits.cache_control && policy.storage.request_directives) {
    asked.control = parse_cache_control(request.fields);
  }
  url_scratch_.clear();
  append_url(url_scratch_, request.is_secure, request.host, request.path, key_query);
  if (request.target.ends_with('?') && key_query.empty()) url_scratch_.push_back('?');
  if (is_of_code(request.host, request.path, nesting)) url_scratch_ = origin_url(url_scratch_);
  asked.url = url_scratch_;
  const bool is_noted = nesting.code == 0 && popular_urls_.note(asked.url, received_);
  if (asked.traits.upgrade && request.method == "GET" && request.body.empty() &&
      net::equals_ignoring_case(request.field("upgrade").value_or(""), "websocket")) {
    return open_tunnel(asked, request, std::move(responder));
  }
  const bool may_be_stored = (request.method == "GET" || request.method == "HEAD") && request.body.empty() &&
                             policy.caches && !asked.traits.upgrade && !asked.traits.origin_conditional &&
                             !asked.traits.hides_fields;
  if (const auto route = code_for(CodePosition::kBefore, request.host, request.path, nesting)) {
    Exchange& exchange = begin_exchange(asked, request, std::move(responder));
    exchange.may_be_stored = may_be_stored;
    return enter_code(exchange, route);
  }
  if (may_be_stored) {
    const Decision decision = decide(asked);
    if (decision.answer && decision.use != Use::kValidate) {
      CacheStatus status{.is_hit = true};
      if (decision.use == Use::kStaleWhileRevalidating) {
        counters_.stale.add();
        validate_behind(asked, request, decision.answer);
      }
      counters_.hits.add();
      if (is_noted) note_tags(decision.answer->fields());
      serve_stored(asked, std::move(responder), decision.answer, status);
      counters_.answered.record(std::chrono::steady_clock::now() - received_);
      return;
    }
    if (!decision.answer && asked.traits.range && serve_from_part(asked, responder)) return;
  }
  Exchange& exchange = begin_exchange(asked, request, std::move(responder));
  exchange.may_be_stored = may_be_stored;
  go_on(exchange);
}

void Proxy::go_on(Exchange& exchange) {
  if (forwards_of(exchange.asked()) == 0) {
    const std::string status = status_of("max-forwards");
    exchange.responder.respond({.status = 204, .content_type = {}, .fields = {{"Cache-Status", status}}, .body = {}});
    return end_exchange(exchange.id);
  }
  if (!exchange.may_be_stored) return pass(exchange, is_safe(exchange.method) ? "bypass" : "method");
  process(exchange);
}

void Proxy::note_tags(std::span<const net::HttpField> fields) {
  for_each_tag(fields, [this](std::string_view tag) { popular_tags_.note(tag, received_); });
}

Proxy::Decision Proxy::decide(const Asked& asked) {
  const Store::Found found = shared_.store.find(asked.url, asked.fields);
  if (!found.answer) return {};
  const UseVerdict verdict = may_use(found.answer->freshness(), asked.control, found.is_softly_purged, now_ms());
  return {.answer = found.answer, .use = verdict.use, .reason = verdict.reason};
}

// --- Asking the origin

Proxy::Exchange& Proxy::begin_exchange(const Asked& asked, const net::HttpRequest& request,
                                       net::HttpResponder responder) {
  auto made = std::make_unique<Exchange>();
  Exchange& exchange = *made;
  exchange.id = next_id_++;
  exchange.received = received_;
  exchange.serving = serving_;
  exchange.site = asked.site;
  exchange.policy = asked.policy;
  exchange.note = std::exchange(note_, nullptr);
  exchange.method = request.method;
  // Origins understand the origin form (RFC 9112 section 3.2.1).
  exchange.target = request.path.empty() ? "/" : std::string(request.path);
  if (request.target.find('?') != std::string_view::npos) exchange.target.append("?").append(request.query);
  exchange.url = asked.url;
  exchange.fields = OwnedFields(request.fields);
  exchange.body = request.body;
  exchange.peer = request.peer;
  exchange.nesting = *asked.nesting;
  exchange.traits = asked.traits;
  exchange.control = asked.control;
  exchange.responder = std::move(responder);
  exchanges_.emplace(exchange.id, std::move(made));
  exchange.responder.when_closed([this, id = exchange.id] { abandon_exchange(id); });
  return exchange;
}

void Proxy::end_exchange(ExchangeId id) {
  const auto found = exchanges_.find(id);
  if (found == exchanges_.end()) return;
  counters_.answered.record(std::chrono::steady_clock::now() - found->second->received);
  abandon_exchange(id);
}

void Proxy::abandon_exchange(ExchangeId id) {
  const auto found = exchanges_.find(id);
  if (found == exchanges_.end()) return;
  const std::unique_ptr<Exchange> exchange = std::move(found->second);
  exchanges_.erase(found);
  if (exchange->fetch != nullptr) exchange->fetch->abandon();
}

bool Proxy::ask_disk(Exchange& exchange) {
  // Again where a load for another variant of the URL was joined.
  constexpr unsigned kAsksMax = 2;
  if (shared_.disk == nullptr || exchange.disk_asks == kAsksMax) return false;
  std::string url = exchange.url;
  if (!shared_.disk->may_have(url)) {
    url = partial_url(url);
    if (exchange.method != "GET" || !shared_.disk->may_have(url)) return false;
    if (std::exchange(exchange.asked_disk_for_parts, true)) return false;
  }
  ++exchange.disk_asks;
  return shared_.disk->load(url, exchange.fields, [loop = &loop_, alive = std::weak_ptr(alive_), id = exchange.id] {
    loop->post([alive, id] {
      const auto proxy = alive.lock();
      if (!proxy) return;
      const auto found = (*proxy)->exchanges_.find(id);
      if (found == (*proxy)->exchanges_.end()) return;
      Exchange& its = *found->second;
      const Asked asked = its.asked();
      if (!asked.traits.range || (*proxy)->decide(asked).answer || !(*proxy)->serve_from_part(asked, its.responder)) {
        return (*proxy)->process(its);
      }
      (*proxy)->end_exchange(id);
    });
  });
}

// Answers to requests with credentials may be for nobody else, those to ranges are for who asks for the same one:
// neither says anything of what others will get. What is stored is validated as a whole.
std::string Proxy::sharing_key(const Asked& asked, const Store::AnswerPointer& stored) {
  std::string key(asked.url);
  if (asked.traits.authorization) key.append(" authorized");
  if (asked.traits.range && !stored) key.append(" range ").append(combined_field(asked.fields, "range").value_or(""));
  return key;
}

void Proxy::process(Exchange& exchange) {
  const Asked asked = exchange.asked();
  const Decision decision = decide(asked);
  if (!decision.answer && ask_disk(exchange)) return;
  if (asked.control.only_if_cached && !(decision.answer && decision.use != Use::kValidate)) {
    const std::string status = status_of("only-if-cached");
    respond_error(exchange.responder, 504, "it is not stored here, and the request says only-if-cached", status);
    return end_exchange(exchange.id);
  }
  if (decision.answer && decision.use != Use::kValidate) {
    // It came while this request was on its way here.
    counters_.hits.add();
    serve_stored(asked, std::move(exchange.responder), decision.answer, {.is_hit = true});
    return end_exchange(exchange.id);
  }
  std::string_view why = "uri-miss";
  if (decision.answer) {
    why = asked.control == CacheControl{} ? "stale" : "request";
  } else if (!shared_.store.variants(asked.url, 1).empty()) {
    why = "vary-miss";
  }
  // HEAD has no body to share. Code that asks must not wait for a fetch that waits for it, as an origin's answer does
  // for no code that a client called.
  const unsigned depth = asked.nesting->code_depth;
  const bool may_wait = depth == 0 || (depth == 1 && plain_part(asked.url).size() < asked.url.size());
  const bool is_shared = asked.method == "GET" && may_wait && !net::find_field(asked.fields, "if-range");
  const std::string key = sharing_key(asked, decision.answer);
  const bool collapses = is_shared && !asked.control.no_store && !shared_.store.is_unsharable(key, now_ms());
  if (!collapses) return forward(exchange, decision.answer, false, why);
  exchange.why = why;
  const auto settled = [loop = &loop_, alive = std::weak_ptr(alive_),
                        id = exchange.id](const PendingFetches::Outcome& outcome) {
    loop->post([alive, id, outcome] {
      const auto proxy = alive.lock();
      if (!proxy) return;
      const auto found = (*proxy)->exchanges_.find(id);
      if (found != (*proxy)->exchanges_.end()) (*proxy)->on_settled(*found->second, outcome);
    });
  };
  if (shared_.pending.begin(key, settled)) return forward(exchange, decision.answer, true, why);
  exchange.former = decision.answer;
}

void Proxy::on_settled(Exchange& exchange, const PendingFetches::Outcome& outcome) {
  const Asked asked = exchange.asked();
  if (outcome.failure) return on_failed(exchange, *outcome.failure);
  // What was purged since that fetch began is not for who asked after the purge; nor did a fetch settle anything that
  // was broken off, or whose answer was invalidated meanwhile. The first of those that wait fetches anew.
  constexpr unsigned kRoundsMax = 3;
  const Store::AnswerPointer& answer = outcome.answer;
  const bool is_void = answer ? shared_.purges.verdict(answer->marks()) != PurgeVerdict::kKept
                              : !shared_.store.is_unsharable(sharing_key(asked, exchange.former), now_ms());
  if (is_void && ++exchange.rounds < kRoundsMax) return process(exchange);
  const bool is_for_it = answer && !is_void && selects(answer->selectors(), asked.fields, answer->content_language());
  const CacheStatus status{.forwarded = exchange.why, .collapsed = true};
  if (is_for_it && (!answer->range() || serve_part(asked, exchange.responder, *answer, status))) {
    counters_.collapsed.add();
    if (!answer->range()) serve_stored(asked, std::move(exchange.responder), answer, status);
    return end_exchange(exchange.id);
  }
  const Decision decision = decide(asked);
  if (decision.answer && decision.use != Use::kValidate) {
    counters_.hits.add();
    serve_stored(asked, std::move(exchange.responder), decision.answer, {.is_hit = true});
    return end_exchange(exchange.id);
  }
  // Each for itself: another round of waiting would let them through one after the other.
  forward(exchange, decision.answer, false, exchange.why);
}

void Proxy::forward(Exchange& exchange, const Store::AnswerPointer& stored, bool settles, std::string_view why) {
  counters_.misses.add();
  exchange.former = stored;
  exchange.why = why;
  const Asked asked = exchange.asked();
  const bool is_head = asked.method == "HEAD";
  FetchRequest request = fetch_request(asked, exchange.target, exchange.peer, is_head ? nullptr : stored);
  if (is_head) request.described = stored;
  if (!stored) {
    std::optional<Completion> completion;
    if (!request.code && !request.answer_code) completion = completion_for(asked);
    if (completion) ask_for_gap(request, std::move(*completion));
  }
  request.settles = settles;
  request.shared_as = sharing_key(asked, stored);
  start_fetch(&exchange, std::move(request), asked);
}

// As it is, and nothing of it is kept.
void Proxy::pass(Exchange& exchange, std::string_view why) {
  counters_.passed.add();
  exchange.why = why;
  const Asked asked = exchange.asked();
  FetchRequest request = fetch_request(asked, exchange.target, exchange.peer, nullptr);
  request.body = exchange.body;
  request.has_body = !exchange.body.empty() || !is_safe(exchange.method);
  request.may_be_stored = false;
  std::function<void(const Fetched&)> seen;
  if (!is_safe(exchange.method)) {
    seen = [this, url = exchange.url](const Fetched& fetched) { invalidate(url, fetched); };
  }
  start_fetch(&exchange, std::move(request), asked, std::move(seen));
}

// Nobody waits for it.
void Proxy::validate_behind(const Asked& asked, const net::HttpRequest& request, const Store::AnswerPointer& answer) {
  if (!shared_.pending.begin_alone(asked.url)) return;
  std::string target = request.path.empty() ? "/" : std::string(request.path);
  if (request.target.find('?') != std::string_view::npos) target.append("?").append(request.query);
  FetchRequest fetch = fetch_request(asked, target, request.peer, answer);
  fetch.settles = true;
  fetch.shared_as = asked.url;
  start_fetch(nullptr, std::move(fetch), asked);
}

FetchRequest Proxy::fetch_request(const Asked& asked, std::string_view target, const net::Address& peer,
                                  const Store::AnswerPointer& former) const {
  const std::string_view host = authority_of(asked.url);
  FetchRequest request{.method = std::string(asked.method),
                       .target = std::string(target),
                       .authority = std::string(host),
                       .url = std::string(asked.url),
                       .client_fields = OwnedFields(asked.fields),
                       .fields = {},
                       .body = {},
                       .has_body = false,
                       .control = asked.control,
                       .former = former,
                       .storage = asked.policy->storage};
  // Where the answer may be kept it is asked for whole and without conditions; the client's are judged here.
  const std::string_view path = target.substr(0, target.find('?'));
  request.code = code_for(CodePosition::kMiss, host, path, *asked.nesting);
  request.answer_code = code_for(CodePosition::kOriginAnswer, host, path, *asked.nesting);
  if (request.code || request.answer_code) {
    request.code_url.append(origin_of(asked.url)).append(target);
    request.client = peer;
    request.nesting = *asked.nesting;
  }
  const bool is_unconditional = asked.method == "GET" && !asked.traits.origin_conditional &&
                                (former || !shared_.store.is_unsharable(sharing_key(asked, former), now_ms()));
  // Code is asked for the whole, of which parts are made here.
  const bool keeps_range = asked.traits.range && !former && !request.code && !request.answer_code;
  // Codings are made here, of what all get from the origin alike.
  const bool composes = asked.policy->esi != Esi::kOff;
  const bool negotiates = composes || !asked.policy->codings.empty();
  request.takes_identity = negotiates;
  std::vector<net::HttpField> fields;
  fields.reserve(asked.fields.size() + 7);
  if (negotiates) fields.push_back({"Accept-Encoding", "identity"});
  if (composes) fields.push_back({"Surrogate-Capability", "verge=\"ESI/1.0\""});
  for (const net::HttpField& field : asked.fields) {
    if (net::equals_ignoring_case(field.name, "host") || net::equals_ignoring_case(field.name, "content-length") ||
        net::equals_ignoring_case(field.name, "expect") || net::equals_ignoring_case(field.name, "via") ||
        net::equals_ignoring_case(field.name, "cdn-loop") || is_hop_by_hop(asked.fields, field.name) ||
        is_unkeyed_input(field.name)) {
      continue;
    }
    if (composes && net::equals_ignoring_case(field.name, "surrogate-capability")) continue;
    if (negotiates && net::equals_ignoring_case(field.name, "accept-encoding")) continue;
    if (is_unconditional && is_conditional(field.name)) continue;
    if (!keeps_range && is_of_range(field.name)) continue;
    if (asked.method == "OPTIONS" && net::equals_ignoring_case(field.name, "max-forwards")) continue;
    fields.push_back(field);
  }
  std::string forwards_left;
  if (const std::optional<uint64_t> forwards = forwards_of(asked)) {
    forwards_left = std::to_string(*forwards - 1);
    fields.push_back({"Max-Forwards", forwards_left});
  }
  if (former) {
    if (const auto tag = net::find_field(former->fields(), "etag")) fields.push_back({"If-None-Match", *tag});
    const auto modified = net::find_field(former->fields(), "last-modified");
    if (modified) fields.push_back({"If-Modified-Since", *modified});
  }
  std::string via = combined_field(asked.fields, "via").value_or("");
  via.append(via.empty() ? "" : ", ").append(via_);
  // RFC 8586.
  std::string loop = combined_field(asked.fields, "cdn-loop").value_or("");
  loop.append(loop.empty() ? "" : ", ").append(name_);
  const std::string client = peer.ip_text();
  const bool is_secure = asked.url.starts_with("https://");
  fields.insert(fields.end(), {{"Via", via},
                               {"CDN-Loop", loop},
                               {"X-Forwarded-For", client},
                               {"X-Forwarded-Proto", is_secure ? "https" : "http"},
                               {"X-Forwarded-Host", host}});
  // The cookie that lets the client in here is nothing to the origin.
  std::string cookies;
  if (asked.policy->signature) {
    for (net::HttpField& field : fields) {
      if (!net::equals_ignoring_case(field.name, "cookie") || !field.value.contains(SignatureCheck::kCookie)) continue;
      field.value = cookies = cookies_without(field.value, SignatureCheck::kCookie);
      break;
    }
    std::erase_if(fields, [](const net::HttpField& field) {
      return net::equals_ignoring_case(field.name, "cookie") &&
             (field.value.empty() || field.value.contains(SignatureCheck::kCookie));
    });
  }
  if (!asked.policy->request_fields.empty()) apply(asked.policy->request_fields, fields);
  request.fields = OwnedFields(fields);
  return request;
}

void Proxy::ask_for_gap(FetchRequest& request, Completion completion) {
  const auto [first, last] = completion.gap;
  const std::string range =
      last + 1 == completion.length ? fmt::format("bytes={}-", first) : fmt::format("bytes={}-{}", first, last);
  std::vector<net::HttpField> fields(request.fields.view().begin(), request.fields.view().end());
  std::erase_if(fields, [](const net::HttpField& field) { return is_of_range(field.name); });
  fields.insert(fields.end(), {{"Range", range}, {"If-Range", completion.tag()}});
  request.plain_fields = std::exchange(request.fields, OwnedFields(fields));
  request.completion = std::move(completion);
}

Fetch& Proxy::start_fetch(Exchange* exchange, FetchRequest request, const Asked& asked,
                          std::function<void(const Fetched&)> seen) {
  Fetch::Told told;
  if (exchange != nullptr) {
    const ExchangeId id = exchange->id;
    exchange->asked_origin = std::chrono::steady_clock::now();
    if (exchange->note) {
      std::optional<RequestTrace>& trace = exchange->note->trace;
      if (trace) trace->asked(request.fields, exchange->asked_origin);
    }
    const auto with = [this, id](auto then) {
      const auto found = exchanges_.find(id);
      if (found != exchanges_.end()) then(*found->second);
    };
    if (exchange->note && exchange->note->trace) {
      told.asks = [with](std::string_view origin) {
        with([&](Exchange& its) {
          if (its.note && its.note->trace) its.note->trace->tries(origin);
        });
      };
    }
    told.interim = [with](const net::ResponseHead& head) {
      with([&](Exchange& its) {
        if (head.status != 100) its.responder.send_interim(head.status, head.fields);
      });
    };
    told.head = [this, with, seen = std::move(seen)](Fetched fetched) {
      if (seen) seen(fetched);
      with([&](Exchange& its) { on_head(its, std::move(fetched)); });
    };
    told.failed = [this, with](const Error& error) { with([&](Exchange& its) { on_failed(its, error); }); };
  }
  told.ended = [this, id = exchange == nullptr ? 0 : exchange->id](Fetch& fetch) {
    const auto found = exchanges_.find(id);
    if (found != exchanges_.end()) found->second->fetch = nullptr;
    fetches_.erase(&fetch);
  };
  // Those of an exchange may be of a set of sites that was replaced since.
  std::shared_ptr<const Serving> serving = exchange == nullptr ? serving_ : exchange->serving;
  auto made = std::make_unique<Fetch>(loop_, shared_, serving->set->sites[asked.site], *serving->origins[asked.site],
                                      std::move(request), std::move(told));
  Fetch& fetch = *made;
  fetches_.emplace(&fetch, HeldFetch{std::move(serving), std::move(made)});
  if (exchange != nullptr) exchange->fetch = &fetch;
  fetch.start();
  return fetch;
}

// --- What the origin said

void Proxy::on_head(Exchange& exchange, Fetched fetched) {
  const Duration upstream = std::chrono::steady_clock::now() - exchange.asked_origin;
  counters_.origin.record(upstream);
  note_tags(fetched.stored ? fetched.stored->fields() : fetched.fields.view());
  if (exchange.note) {
    exchange.note->upstream = upstream;
    std::optional<RequestTrace>& trace = exchange.note->trace;
    if (trace) trace->answered(fetched.status, {}, exchange.asked_origin + upstream);
  }
  if (fetched.is_validated) {
    counters_.validated.add();
    const CacheStatus status{.forwarded = exchange.why, .forwarded_status = fetched.status};
    serve_stored(exchange.asked(), std::move(exchange.responder), fetched.stored, status);
    exchange.fetch = nullptr;
    return end_exchange(exchange.id);
  }
  if (fetched.completed) return serve_completed(exchange, fetched);
  if (is_server_error(fetched.status) && serve_stale(exchange, fetched.status)) return;
  serve_live(exchange, std::move(fetched));
}

// Parts that were stored, and what was missing of them.
void Proxy::serve_completed(Exchange& exchange, const Fetched& fetched) {
  const Asked asked = exchange.asked();
  const CacheStatus status{
      .forwarded = "partial", .forwarded_status = fetched.status, .stored = fetched.stored != nullptr};
  const Answer& answer = *fetched.completed;
  exchange.fetch = fetched.stored ? nullptr : exchange.fetch;
  exchange.responder.when_closed({});
  const auto specs = parse_range(net::find_field(asked.fields, "range").value_or(""));
  const std::optional<ContentRange> held = answer.range();
  if (!held || !specs) {
    serve_stored(asked, std::move(exchange.responder), fetched.completed, status);
  } else {
    const uint64_t length = held->length.value_or(0);
    serve_ranges(asked, std::move(exchange.responder), answer, satisfiable(*specs, length), length, held->range.first,
                 status);
  }
  exchange.fetch = nullptr;
  end_exchange(exchange.id);
}

bool Proxy::serve_stale(Exchange& exchange, int forwarded_status) {
  if (!exchange.former || !may_use_on_error(exchange.former->freshness(), exchange.control, now_ms())) return false;
  counters_.stale.add();
  // No hit: it was forwarded (RFC 9211 section 2.1).
  CacheStatus status{
      .forwarded = exchange.why, .ttl = exchange.former->freshness().left(now_ms()), .detail = "stale-if-error"};
  if (forwarded_status != 0) status.forwarded_status = forwarded_status;
  serve_stored(exchange.asked(), std::move(exchange.responder), exchange.former, status);
  end_exchange(exchange.id);
  return true;
}

void Proxy::serve_live(Exchange& exchange, Fetched fetched) {
  const Asked asked = exchange.asked();
  CacheStatus status{
      .forwarded = exchange.why, .forwarded_status = fetched.status, .stored = fetched.stored != nullptr};
  exchange.fetch = fetched.stored ? nullptr : exchange.fetch;
  if (composes(asked) && is_esi_template(fetched.status, fetched.fields.view(), asked.policy->esi)) {
    exchange.responder.when_closed({});
    compose(asked, std::move(exchange.responder), fetched.fields.view(), fetched.body, status, std::nullopt);
    exchange.fetch = nullptr;
    return end_exchange(exchange.id);
  }
  const bool is_negotiated =
      !asked.policy->codings.empty() && cache::is_compressible(fetched.status, fetched.fields.view());
  std::optional<compress::ContentCoding> coding;
  if (is_negotiated) coding = coding_for(asked, fetched.length);
  if (fetched.status == 200 && fetched.stored && asked.traits.range && asked.method == "GET" && fetched.length) {
    // The origin gives no parts; here they can be had from now on.
    serve_stored(asked, std::move(exchange.responder), fetched.stored, status);
    return end_exchange(exchange.id);
  }
  if (fetched.status == 200 && fetched.stored &&
      serve_if_not_modified(asked, exchange.responder, *fetched.stored, status, coding)) {
    return end_exchange(exchange.id);
  }
  std::vector<net::HttpField> fields(fetched.fields.view().begin(), fetched.fields.view().end());
  std::string status_text, tag;
  append_cache_status(status_text, name_, status);
  fields.push_back({"Cache-Status", status_text});
  if (is_negotiated && !net::list_has(fields, "vary", "accept-encoding")) fields.push_back({"Vary", "Accept-Encoding"});
  if (coding && asked.method != "HEAD") {
    const std::shared_ptr<Body> coded =
        fetched.stored
            ? encodings_.kept(fetched.body, *coding, [this, answer = fetched.stored] { shared_.store.settle(answer); })
            : encodings_.passing(fetched.body, *coding);
    if (coded) {
      fields = coded_fields(fields, *coding, tag);
      fields.push_back({"Content-Encoding", compress::name_of(*coding)});
      fetched.body = coded;
      fetched.length = std::nullopt;
    }
  }
  net::BodyFraming framing{.kind = net::BodyFraming::Kind::kChunked};
  if (fetched.length) framing = {.kind = net::BodyFraming::Kind::kLength, .length = *fetched.length};
  if (fetched.status == 304 || fetched.status == 204) framing = {};
  net::HttpResponder responder = std::move(exchange.responder);
  responder.when_closed({});
  responder.start({.status = fetched.status, .reason = fetched.reason, .fields = fields}, framing);
  if (asked.method == "HEAD" || framing.kind == net::BodyFraming::Kind::kNone) {
    responder.finish();
  } else {
    deliver(std::move(responder), fetched.body);
  }
  exchange.fetch = nullptr;
  end_exchange(exchange.id);
}

void Proxy::on_failed(Exchange& exchange, const Error& error) {
  exchange.fetch = nullptr;
  if (exchange.note) {
    std::optional<RequestTrace>& trace = exchange.note->trace;
    if (trace) trace->answered(0, error.what, std::chrono::steady_clock::now());
  }
  if (serve_stale(exchange, 0)) return;
  counters_.failures.add();
  std::string status;
  append_cache_status(status, name_, {.forwarded = exchange.why, .detail = error.code});
  const bool is_late = error.code == "http.timeout" || error.code == "http.connect-timeout";
  log_debug("cache", "{} {}: {}", exchange.method, exchange.url, error.line());
  // Where origins are is nobody's business outside.
  respond_error(exchange.responder, is_late ? 504 : 502,
                is_late ? "the origin did not answer in time" : "the origin cannot be reached", status);
  end_exchange(exchange.id);
}

// RFC 9111 section 4.4: what an unsafe request changed is not served from the store any more; nor are the groups that
// its answer names (RFC 9875 section 3).
void Proxy::invalidate(std::string_view url, const Fetched& fetched) {
  if (fetched.status < 200 || fetched.status >= 400) return;
  const auto forget = [this](std::string_view gone) {
    for (const std::string& key :
         {std::string(gone), partial_url(gone), origin_url(gone), partial_url(origin_url(gone))}) {
      shared_.store.invalidate(key);
      if (shared_.disk != nullptr) shared_.disk->forget(key);
    }
  };
  forget(plain_part(url));
  for (const std::string_view name : {"location", "content-location"}) {
    const auto reference = net::find_field(fetched.fields.view(), name);
    if (!reference) continue;
    const std::string target = resolve_reference(plain_part(url), *reference);
    if (origin_of(target) == origin_of(url)) forget(target);
  }
  for (const uint64_t group : groups_of(url, fetched.fields.view(), "cache-group-invalidation")) {
    shared_.purges.purge_tag(group, /*softly=*/false);
  }
}

}  // namespace verge::cache

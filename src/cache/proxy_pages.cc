// Pages in ESI 1.0: what of a template's head is true of the page, and how the page goes out.
#include <algorithm>
#include <array>
#include <utility>

#include "base/log.h"
#include "cache/accept_encoding.h"
#include "cache/proxy.h"

namespace verge::cache {
namespace {

// What is said of a template, and is not true of the page that is made of it.
constexpr std::array<std::string_view, 10> kOfTheTemplate = {
    "etag",        "last-modified",  "accept-ranges", "content-md5",       "digest",
    "repr-digest", "content-digest", "age",           "cdn-cache-control", "surrogate-control"};

}  // namespace

bool Proxy::composes(const Asked& asked) const {
  // Code gets pages as they are; what it makes of them is composed.
  return asked.policy->esi != Esi::kOff && asked.nesting->code == 0 &&
         (asked.method == "GET" || asked.method == "HEAD");
}

void Proxy::compose(const Asked& asked, net::HttpResponder responder, std::span<const net::HttpField> fields,
                    std::shared_ptr<Body> body, const CacheStatus& status, std::optional<Seconds> age) {
  std::vector<net::HttpField> kept;
  for (const net::HttpField& field : fields) {
    const bool is_of_template = std::ranges::any_of(
        kOfTheTemplate, [&](std::string_view name) { return net::equals_ignoring_case(name, field.name); });
    if (!is_of_template) kept.push_back(field);
  }
  // What is put together for one visitor is no other's, whatever may be done with its template.
  kept.push_back({"Cache-Control", "private"});
  std::string age_text, status_text;
  if (age) kept.push_back({"Age", age_text = std::to_string(*age)});
  append_cache_status(status_text, name_, status);
  kept.push_back({"Cache-Status", status_text});
  std::optional<compress::ContentCoding> coding;
  if (is_compressible(200, fields) && !asked.policy->codings.empty()) {
    if (!net::list_has(kept, "vary", "accept-encoding")) kept.push_back({"Vary", "Accept-Encoding"});
    if (asked.traits.accept_encoding) coding = preferred_coding(asked.fields, asked.policy->codings);
  }
  if (asked.method == "HEAD") {
    responder.start({.status = 200, .reason = {}, .fields = kept}, {.kind = net::BodyFraming::Kind::kChunked});
    return responder.finish();
  }
  counters_.composed.add();
  const uint64_t id = next_id_++;
  Composing& composing = *compositions_.emplace(id, std::make_unique<Composing>()).first->second;
  composing.url = asked.url;
  composing.fields = OwnedFields(kept);
  composing.coding = coding;
  composing.responder = std::move(responder);
  composing.responder.when_closed([this, id] { compositions_.erase(id); });
  const auto ask = [this](const net::HttpRequest& request, net::HttpResponder its, const Nesting& nesting) {
    if (!serves(request.host)) return false;
    receive(request, std::move(its), nesting);
    return true;
  };
  composing.composition = std::make_unique<Composition>(
      loop_,
      Composition::Request{
          .url = composing.url, .fields = OwnedFields(asked.fields), .peer = *asked.peer, .nesting = *asked.nesting},
      std::move(body), ask,
      Composition::Told{.ready = [this, id](std::shared_ptr<Body> page) { deliver_composed(id, std::move(page)); },
                        .failed = [this, id](const std::string& what) { fail_composed(id, what); },
                        .fault = [this, id](const esi::Fault& fault) { log_fault(compositions_.at(id)->url, fault); },
                        .ended = [this, id] { compositions_.erase(id); }});
  composing.composition->start();
}

void Proxy::deliver_composed(uint64_t id, std::shared_ptr<Body> page) {
  Composing& composing = *compositions_.at(id);
  std::vector<net::HttpField> fields(composing.fields.view().begin(), composing.fields.view().end());
  if (composing.coding) {
    if (const std::shared_ptr<Body> coded = encodings_.passing(page, *composing.coding)) {
      fields.push_back({"Content-Encoding", compress::name_of(*composing.coding)});
      page = coded;
    }
  }
  net::HttpResponder responder = std::move(composing.responder);
  responder.when_closed({});
  responder.start({.status = 200, .reason = {}, .fields = fields}, {.kind = net::BodyFraming::Kind::kChunked});
  deliver(std::move(responder), std::move(page));
}

void Proxy::fail_composed(uint64_t id, const std::string& what) {
  const auto node = compositions_.extract(id);
  counters_.failures.add();
  log_debug("cache", "the page {} cannot be composed: {}", node.mapped()->url, what);
  std::string status;
  append_cache_status(status, name_, {.forwarded = {}, .detail = "esi"});
  node.mapped()->responder.when_closed({});
  respond_error(node.mapped()->responder, 502, "a part of this page could not be had", status);
}

// Each view of the page finds it again.
void Proxy::log_fault(std::string_view url, const esi::Fault& fault) {
  constexpr Duration kFaultLogEvery = std::chrono::seconds(10);
  if (loop_.now() < next_fault_log_) return;
  next_fault_log_ = loop_.now() + kFaultLogEvery;
  log_warning("cache", "the page {} is sent without ESI from byte {} on: {}", url, fault.offset, fault.what);
}

}  // namespace verge::cache

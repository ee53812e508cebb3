// How the proxy gives clients what is stored: whole, parts, in content codings, or that it is what they have.
#include <algorithm>
#include <array>

#include <fmt/format.h>

#include "cache/accept_encoding.h"
#include "cache/multipart_ranges.h"
#include "cache/proxy.h"
#include "cache/validators.h"
#include "net/http_response.h"

namespace verge::cache {
namespace {

// What a 304 repeats of the answer (RFC 9110 section 15.4.5).
constexpr std::array<std::string_view, 7> kNotModifiedFields = {
    "cache-control", "content-location", "date", "etag", "expires", "vary", "last-modified"};

}  // namespace

bool Proxy::is_negotiated(const Asked& asked, const Answer& answer) const {
  return answer.is_compressible() && !asked.policy->codings.empty();
}

std::optional<compress::ContentCoding> Proxy::coding_for(const Asked& asked, std::optional<uint64_t> length) const {
  const PathPolicy& policy = *asked.policy;
  // Ranges are of the bytes as they are.
  if (!asked.traits.accept_encoding || asked.traits.range) return std::nullopt;
  if (length && *length < policy.coded_bytes_min) return std::nullopt;
  return preferred_coding(asked.fields, policy.codings);
}

void Proxy::append_age_and_status(const Asked& asked, const Answer& answer, CacheStatus status) {
  if (is_negotiated(asked, answer) && !answer.varies_on_encoding()) head_scratch_.append("Vary: Accept-Encoding\r\n");
  const int64_t now = now_ms();
  const Seconds age = answer.freshness().age(now);
  if (status.is_hit) status.ttl = answer.freshness().lifetime - age;
  fmt::format_to(std::back_inserter(head_scratch_), "Age: {}\r\nCache-Status: ", age);
  append_cache_status(head_scratch_, name_, status);
  head_scratch_.append("\r\n");
}

void Proxy::write_head(const Asked& asked, const Answer& answer, std::string_view status_line,
                       const CacheStatus& status) {
  head_scratch_.clear();
  if (status_line.empty()) {
    head_scratch_.append(answer.head());
  } else {
    head_scratch_.append(status_line);
    for (const net::HttpField& field : answer.fields()) {
      if (net::equals_ignoring_case(field.name, "content-range")) continue;
      head_scratch_.append(field.name).append(": ").append(field.value).append("\r\n");
    }
  }
  append_age_and_status(asked, answer, status);
}

void Proxy::write_coded_head(const Asked& asked, const Answer& answer, const CacheStatus& status,
                             compress::ContentCoding coding) {
  const std::string_view head = answer.head(), name = compress::name_of(coding);
  head_scratch_ = head.substr(0, answer.tag_end());
  if (answer.tag_end() > 0) head_scratch_.append("-").append(name);
  head_scratch_.append(head.substr(answer.tag_end())).append("Content-Encoding: ").append(name).append("\r\n");
  append_age_and_status(asked, answer, status);
}

void Proxy::write_not_modified(const Asked& asked, const Answer& answer, std::span<const net::HttpField> fields,
                               const CacheStatus& status) {
  head_scratch_ = "HTTP/1.1 304 Not Modified\r\n";
  for (const net::HttpField& field : fields) {
    const bool is_repeated = std::ranges::any_of(
        kNotModifiedFields, [&](std::string_view name) { return net::equals_ignoring_case(name, field.name); });
    if (is_repeated) head_scratch_.append(field.name).append(": ").append(field.value).append("\r\n");
  }
  append_age_and_status(asked, answer, status);
}

bool Proxy::serve_if_not_modified(const Asked& asked, net::HttpResponder& responder, const Answer& answer,
                                  const CacheStatus& status, std::optional<compress::ContentCoding> coding) {
  if (!asked.traits.conditional || (answer.status() != 200 && answer.status() != 203 && answer.status() != 206)) {
    return false;
  }
  std::span<const net::HttpField> fields = answer.fields();
  std::string tag;
  std::vector<net::HttpField> coded;
  if (coding) fields = coded = coded_fields(fields, *coding, tag);
  if (evaluate_preconditions(asked.fields, fields, now_ms() / 1000) != Precondition::kNotModified) return false;
  write_not_modified(asked, answer, fields, status);
  responder.respond_prepared(head_scratch_);
  return true;
}

void Proxy::serve_stored(const Asked& asked, net::HttpResponder responder, const Store::AnswerPointer& answer,
                         CacheStatus status) {
  if (composes(asked) && answer->is_template(asked.policy->esi)) {
    const Freshness& freshness = answer->freshness();
    if (status.is_hit) status.ttl = freshness.left(now_ms());
    return compose(asked, std::move(responder), answer->fields(), answer->body(), status, freshness.age(now_ms()));
  }
  const std::shared_ptr<Body>& body = answer->body();
  const std::optional<uint64_t> length = body->length();
  std::optional<compress::ContentCoding> coding;
  if (is_negotiated(asked, *answer)) coding = coding_for(asked, length);
  if (serve_if_not_modified(asked, responder, *answer, status, coding)) return;
  if (coding && serve_coded(asked, responder, answer, status, *coding)) return;
  if (asked.traits.range && asked.method == "GET" && answer->status() == 200 && length &&
      range_applies(asked.fields, answer->fields(), now_ms() / 1000)) {
    const auto specs = parse_range(net::find_field(asked.fields, "range").value_or(""));
    if (specs)
      return serve_ranges(asked, std::move(responder), *answer, satisfiable(*specs, *length), *length, 0, status);
  }
  write_head(asked, *answer, {}, status);
  const bool bodiless = answer->status() == 204;
  const Payload* whole = body->whole();
  if (whole != nullptr && body->trailers().empty()) {
    if (!bodiless) fmt::format_to(std::back_inserter(head_scratch_), "Content-Length: {}\r\n", whole->size());
    return responder.respond_prepared(head_scratch_, *whole, 0, whole->size());
  }
  if (asked.method == "HEAD") {
    if (length) fmt::format_to(std::back_inserter(head_scratch_), "Content-Length: {}\r\n", *length);
    return responder.respond_prepared(head_scratch_);
  }
  // Trailers go behind a body that is sent in chunks.
  start_growing(asked, std::move(responder), *answer, {answer->fields().begin(), answer->fields().end()}, status, body,
                whole != nullptr ? std::nullopt : length);
}

// Field by field, as the server writes heads of bodies that follow.
void Proxy::start_growing(const Asked& asked, net::HttpResponder responder, const Answer& answer,
                          std::vector<net::HttpField> fields, CacheStatus status, std::shared_ptr<Body> body,
                          std::optional<uint64_t> length) {
  const std::string age = std::to_string(answer.freshness().age(now_ms()));
  if (status.is_hit) status.ttl = answer.freshness().left(now_ms());
  std::string status_text;
  append_cache_status(status_text, name_, status);
  if (is_negotiated(asked, answer) && !answer.varies_on_encoding()) fields.push_back({"Vary", "Accept-Encoding"});
  fields.push_back({"Age", age});
  fields.push_back({"Cache-Status", status_text});
  net::BodyFraming framing{.kind = net::BodyFraming::Kind::kChunked};
  if (length) framing = {.kind = net::BodyFraming::Kind::kLength, .length = *length};
  responder.start({.status = answer.status(), .reason = answer.reason(), .fields = fields}, framing);
  if (asked.method == "HEAD") return responder.finish();
  deliver(std::move(responder), std::move(body));
}

bool Proxy::serve_coded(const Asked& asked, net::HttpResponder& responder, const Store::AnswerPointer& answer,
                        const CacheStatus& status, compress::ContentCoding coding) {
  const std::shared_ptr<Body> coded =
      encodings_.kept(answer->body(), coding, [this, answer] { shared_.store.settle(answer); });
  if (!coded) return false;
  if (const Payload* whole = coded->whole()) {
    write_coded_head(asked, *answer, status, coding);
    fmt::format_to(std::back_inserter(head_scratch_), "Content-Length: {}\r\n", whole->size());
    responder.respond_prepared(head_scratch_, *whole, 0, whole->size());
    return true;
  }
  std::string tag;
  std::vector<net::HttpField> fields = coded_fields(answer->fields(), coding, tag);
  fields.push_back({"Content-Encoding", compress::name_of(coding)});
  start_growing(asked, std::move(responder), *answer, std::move(fields), status, coded, coded->length());
  return true;
}

void Proxy::serve_ranges(const Asked& asked, net::HttpResponder responder, const Answer& answer,
                         std::vector<ByteRange> ranges, uint64_t length, uint64_t body_first,
                         const CacheStatus& status) {
  const auto write = std::back_inserter(head_scratch_);
  if (ranges.empty()) {
    write_head(asked, answer, "HTTP/1.1 416 Range Not Satisfiable\r\n", status);
    fmt::format_to(write, "Content-Range: bytes */{}\r\nContent-Length: 0\r\n", length);
    return responder.respond_prepared(head_scratch_);
  }
  const bool is_several = ranges.size() > 1;
  const ByteRange range = ranges.front();
  const uint64_t offset = range.first - body_first;
  if (const Payload* whole = answer.body()->whole(); whole != nullptr && !is_several) {
    write_head(asked, answer, "HTTP/1.1 206 Partial Content\r\n", status);
    fmt::format_to(write, "Content-Range: {}\r\nContent-Length: {}\r\n", content_range(range, length), range.size());
    return responder.respond_prepared(head_scratch_, *whole, offset, range.size());
  }
  // What still arrives may be let go behind who reads it.
  if (answer.body()->state() != Body::State::kComplete) std::ranges::sort(ranges, {}, &ByteRange::first);
  std::vector<net::HttpField> fields;
  for (const net::HttpField& field : answer.fields()) {
    const bool is_replaced = net::equals_ignoring_case(field.name, "content-range") ||
                             (is_several && net::equals_ignoring_case(field.name, "content-type"));
    if (!is_replaced) fields.push_back(field);
  }
  MultipartRanges several;
  std::string which;
  if (is_several) {
    several = multipart_ranges(ranges, length, body_first,
                               net::find_field(answer.fields(), "content-type").value_or(""), multipart_boundary());
    fields.push_back({"Content-Type", several.content_type});
  } else {
    which = content_range(range, length);
    fields.push_back({"Content-Range", which});
    several.bytes = range.size();
    several.plan.parts.front() = {.before = {}, .first = offset, .size = range.size()};
  }
  const std::string age = std::to_string(answer.freshness().age(now_ms()));
  std::string status_text;
  CacheStatus told = status;
  if (told.is_hit) told.ttl = answer.freshness().left(now_ms());
  append_cache_status(status_text, name_, told);
  fields.insert(fields.end(), {{"Age", age}, {"Cache-Status", status_text}});
  responder.start({.status = 206, .reason = {}, .fields = fields},
                  {.kind = net::BodyFraming::Kind::kLength, .length = several.bytes});
  deliver(std::move(responder), answer.body(), std::move(several.plan));
}

bool Proxy::serve_from_part(const Asked& asked, net::HttpResponder& responder) {
  const int64_t now = now_ms();
  for (const Store::Found& found : shared_.store.find_all(partial_url(asked.url), asked.fields)) {
    const Answer& answer = *found.answer;
    if (may_use(answer.freshness(), asked.control, found.is_softly_purged, now).use != Use::kFresh) continue;
    if (answer.body()->state() != Body::State::kComplete) continue;
    if (!serve_part(asked, responder, answer, {.is_hit = true})) continue;
    counters_.hits.add();
    return true;
  }
  return false;
}

bool Proxy::serve_part(const Asked& asked, net::HttpResponder& responder, const Answer& part,
                       const CacheStatus& status) {
  const auto specs = parse_range(net::find_field(asked.fields, "range").value_or(""));
  std::optional<ContentRange> held = usable_range(part);
  const bool arrives = part.body()->state() == Body::State::kGrowing;
  const std::optional<ContentRange> stated = part.range();
  if (arrives && stated && part.body()->length() == stated->range.size()) held = stated;
  if (!specs || !held || !held->length) return false;
  const uint64_t length = *held->length;
  const std::vector<ByteRange> ranges = satisfiable(*specs, length);
  if (ranges.empty() || !range_applies(asked.fields, part.fields(), now_ms() / 1000)) return false;
  const ByteRange hull = hull_of(ranges);
  if (hull.first < held->range.first || hull.last > held->range.last) return false;
  if (!serve_if_not_modified(asked, responder, part, status, std::nullopt)) {
    serve_ranges(asked, std::move(responder), part, ranges, length, held->range.first, status);
  }
  return true;
}

std::optional<Completion> Proxy::completion_for(const Asked& asked) {
  if (asked.method != "GET") return std::nullopt;
  std::optional<RangeSpec> wanted;
  if (asked.traits.range) {
    const auto specs = parse_range(net::find_field(asked.fields, "range").value_or(""));
    if (!specs || specs->size() != 1) return std::nullopt;
    wanted = specs->front();
  }
  std::vector<Store::AnswerPointer> parts;
  for (const Store::Found& found : shared_.store.find_all(partial_url(asked.url), asked.fields)) {
    if (range_applies(asked.fields, found.answer->fields(), now_ms() / 1000)) parts.push_back(found.answer);
  }
  return completion_of(parts, wanted);
}

void Proxy::deliver(net::HttpResponder responder, std::shared_ptr<Body> body, Delivery::Plan plan) {
  if (!responder.is_open()) return;
  const uint64_t id = next_id_++;
  auto made = std::make_unique<Delivery>(loop_, std::move(responder), std::move(body), std::move(plan),
                                         [this, id] { deliveries_.erase(id); });
  Delivery& delivery = *deliveries_.emplace(id, std::move(made)).first->second;
  delivery.pump();
}

void Proxy::respond_error(net::HttpResponder& responder, int status, std::string_view what,
                          std::string_view cache_status) {
  const std::string body = fmt::format("{} {}: {}\n", status, net::reason_phrase(status), what);
  responder.respond({.status = status,
                     .content_type = "text/plain; charset=utf-8",
                     .fields = {{"Cache-Control", "no-store"}, {"Cache-Status", cache_status}},
                     .body = body});
}

}  // namespace verge::cache

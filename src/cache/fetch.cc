#include "cache/fetch.h"

#include <algorithm>
#include <charconv>
#include <utility>

#include "cache/structured_field.h"
#include "cache/validators.h"
#include "net/http_response.h"

namespace verge::cache {
namespace {

// How long requests for a URL whose answer could not be stored do not wait for each other.
constexpr int64_t kUnsharableMs = 10'000;

int64_t wall_ms(const Clock& clock) { return clock.wall().microseconds / 1000; }

// What is passed on of the origin's fields, with a Date (RFC 9110 section 6.6.1).
std::vector<net::HttpField> passed_fields(std::span<const net::HttpField> fields, const std::string& date) {
  std::vector<net::HttpField> passed;
  passed.reserve(fields.size() + 1);
  bool has_date = false;
  for (const net::HttpField& field : fields) {
    if (net::equals_ignoring_case(field.name, "content-length") || is_hop_by_hop(fields, field.name)) continue;
    has_date = has_date || net::equals_ignoring_case(field.name, "date");
    passed.push_back(field);
  }
  if (!has_date) passed.push_back({"Date", date});
  return passed;
}

Error broken_part() {
  return {.code = "http.bad-answer", .what = "the part is not as long as its Content-Range says", .fix = {}};
}

std::optional<uint64_t> parse_length(std::string_view text) {
  uint64_t length = 0;
  const auto [end, problem] = std::from_chars(text.data(), text.data() + text.size(), length);
  if (problem != std::errc{} || end != text.data() + text.size()) return std::nullopt;
  return length;
}

}  // namespace

std::string_view origin_of(std::string_view url) {
  const size_t scheme = url.find("://");
  return scheme == std::string_view::npos ? url : url.substr(0, url.find('/', scheme + 3));
}

std::vector<uint64_t> tags_of(std::string_view url, std::span<const net::HttpField> fields) {
  const std::string_view origin = origin_of(url);
  std::vector<uint64_t> tags = {
      tag_hash(TagKind::kUrl, plain_part(url)),
      tag_hash(TagKind::kHost, origin.substr(std::min(origin.size(), origin.find("//") + 2)))};
  for_each_tag(fields, [&](std::string_view tag) { tags.push_back(tag_hash(TagKind::kTag, tag)); });
  const std::vector<uint64_t> groups = groups_of(url, fields, "cache-groups");
  tags.insert(tags.end(), groups.begin(), groups.end());
  return tags;
}

std::vector<uint64_t> groups_of(std::string_view url, std::span<const net::HttpField> fields, std::string_view name) {
  std::vector<uint64_t> groups;
  const std::optional<std::string> text = combined_field(fields, name);
  if (!text) return groups;
  for (const SfItem& item : parse_sf_list(*text).value_or(SfList{})) {
    const auto* group = std::get_if<std::string>(&item);
    if (group == nullptr) continue;
    groups.push_back(tag_hash(TagKind::kGroup, std::string(origin_of(url)) + "\n" + *group));
  }
  return groups;
}

Fetch::Fetch(runtime::Loop& loop, const Shared& shared, const SiteOptions& site, Origins& origins, FetchRequest request,
             Told told)
    : loop_(loop),
      shared_(shared),
      site_(site),
      origins_(origins),
      request_(std::move(request)),
      told_(std::move(told)),
      alive_(std::make_shared<Fetch*>(this)) {}

Fetch::~Fetch() {
  settle({});
  if (body_) body_->break_off();
  if (stored_) shared_.store.erase(stored_);
  shared_.store.give_back(grown_bytes_);
}

void Fetch::start() {
  fetched_at_ = shared_.purges.generation();
  started_ = shared_.store.begin_fetch();
  try_origin();
}

CodeRoute::Request Fetch::code_request() const {
  return {.method = request_.method,
          .url = request_.code_url,
          .fields = request_.fields.view(),
          .body = request_.body,
          .client = &request_.client,
          .nesting = request_.nesting,
          .may_fall_back = origins_.size() > 0};
}

void Fetch::try_origin() {
  if (request_.code) {
    times_.requested_ms = wall_ms(shared_.clock);
    call_ = request_.code->begin(code_request(), *this);
    return;
  }
  const std::optional<size_t> chosen = origins_.choose(tried_, loop_.now());
  if (!chosen) {
    // Told as all else is: not from within start().
    loop_.post([alive = std::weak_ptr(alive_)] {
      if (const auto fetch = alive.lock()) {
        (*fetch)->on_failed({"cache.no-origin", "no origin can be reached", "check site.origins and the network"});
      }
    });
    return;
  }
  origin_ = *chosen;
  tried_ |= uint64_t{1} << (origin_ % 64);
  if (told_.asks) told_.asks(origins_.url(origin_));
  times_.requested_ms = wall_ms(shared_.clock);
  net::BodyFraming framing;
  if (request_.has_body) framing = {.kind = net::BodyFraming::Kind::kLength, .length = request_.body.size()};
  const std::string_view authority =
      (site_.sends_client_host || origins_.is_shield(origin_)) && !request_.authority.empty()
          ? std::string_view(request_.authority)
          : origins_.authority(origin_);
  const auto begin = [&](net::UpstreamObserver& observer) {
    std::unique_ptr<net::UpstreamCall> call = origins_.upstream(origin_).begin({.method = request_.method,
                                                                                .target = request_.target,
                                                                                .authority = authority,
                                                                                .fields = request_.fields.view(),
                                                                                .framing = framing,
                                                                                .upgrade = std::nullopt},
                                                                               observer);
    if (request_.has_body) {
      call->write_body(request_.body.view());
      call->finish_body();
    }
    return call;
  };
  call_ = request_.answer_code ? request_.answer_code->begin_on_answer(code_request(), begin, *this) : begin(*this);
}

void Fetch::abandon() {
  abandoned_ = true;
  told_.asks = nullptr;
  told_.interim = nullptr;
  told_.head = nullptr;
  told_.failed = nullptr;
  // Before its head comes it may turn out to be for all.
  if (has_head_ && !stored_ && body_ && body_->readers() == 0) end();
}

void Fetch::settle(const PendingFetches::Outcome& outcome) {
  if (std::exchange(request_.settles, false)) shared_.pending.settle(request_.shared_as, outcome);
}

void Fetch::on_interim(const net::ResponseHead& head) {
  if (told_.interim) told_.interim(head);
}

std::vector<Selector> Fetch::selectors(std::span<const net::HttpField> fields) const {
  std::vector<Selector> selectors = selectors_of(fields, request_.client_fields.view());
  // The origin was not told what codings the client takes: they are made here.
  if (request_.takes_identity)
    std::erase_if(selectors, [](const Selector& one) { return one.name == "accept-encoding"; });
  return selectors;
}

AnswerParts Fetch::parts_of(const net::ResponseHead& head, std::span<const net::HttpField> fields) const {
  return {.status = head.status,
          .reason = std::string(head.reason),
          .fields = {},
          .freshness = {},
          .selectors = selectors(fields),
          .range = std::nullopt,
          .body = body_,
          .url = request_.url,
          .tags = tags_of(request_.url, fields),
          .fetched_at = fetched_at_,
          .stored_because = {}};
}

// The shield could not reach what may be reached from here.
bool Fetch::goes_on_elsewhere(int status) const {
  if (request_.code) return false;
  const bool may_be_repeated = request_.method == "GET" || request_.method == "HEAD";
  const bool is_unreached = status == 502 || status == 503 || status == 504 || status == 508;
  return origins_.is_shield(origin_) && is_unreached && may_be_repeated && origins_.size() > 1;
}

bool Fetch::fits_completion(const net::ResponseHead& head, const net::BodyFraming& framing) {
  const std::optional<Completion>& completion = request_.completion;
  if (completion && head.status == 206) {
    const bool is_long_enough =
        framing.kind != net::BodyFraming::Kind::kLength || framing.length == completion->gap.size();
    if (is_long_enough && completion->fits(head.fields)) {
      gap_left_ = completion->gap.size();
      return true;
    }
  }
  request_.completion.reset();
  // The whole, as it is by now, will do for all; so will an error.
  return head.status == 200 || head.status >= 500;
}

// The fields of the stored part that the gap begins at, with those that came (RFC 9111 section 3.4).
void Fetch::become_complete(const Completion& completion, AnswerParts& parts,
                            std::span<const net::HttpField> fields) const {
  const OwnedFields updated = updated_fields(completion.part().fields(), fields);
  std::vector<net::HttpField> kept(updated.view().begin(), updated.view().end());
  std::erase_if(kept,
                [](const net::HttpField& field) { return net::equals_ignoring_case(field.name, "content-range"); });
  parts.fields = OwnedFields(kept);
  parts.reason.clear();
  parts.status = completion.is_whole() ? 200 : 206;
  parts.range = std::nullopt;
  parts.url = request_.url;
  if (completion.is_whole()) return;
  parts.range = ContentRange{.range = completion.united(), .length = completion.length};
  parts.url = partial_url(request_.url);
}

StorageVerdict Fetch::may_keep(int status, std::optional<uint64_t> length,
                               const std::optional<ContentRange>& range) const {
  if (!request_.may_be_stored) return {false, "the request is not one that answers are kept for"};
  if (length.value_or(0) > site_.object_bytes_max) return {false, "it is too large"};
  if (status == 206 && (!range || !range->length)) {
    return {false, "its Content-Range does not say what it is a part of"};
  }
  return {true, "may be stored"};
}

// What it would be for GET, where it is the answer to HEAD.
std::optional<uint64_t> Fetch::length_of(const net::ResponseHead& head, const net::BodyFraming& framing) const {
  if (request_.completion) return request_.completion->united().size();
  if (request_.method == "HEAD") {
    const auto announced = net::find_field(head.fields, "content-length");
    return announced ? parse_length(*announced) : std::nullopt;
  }
  if (framing.kind == net::BodyFraming::Kind::kNone) return 0;
  return framing.kind == net::BodyFraming::Kind::kLength ? std::optional(framing.length) : std::nullopt;
}

void Fetch::on_head(const net::ResponseHead& head, const net::BodyFraming& framing) {
  if (goes_on_elsewhere(head.status)) {
    call_ = nullptr;
    return try_origin();
  }
  if (request_.completion && !fits_completion(head, framing)) {
    request_.fields = std::move(request_.plain_fields);
    tried_ = 0;
    call_ = nullptr;
    return try_origin();
  }
  has_head_ = true;
  if (!request_.code) origins_.succeeded(origin_);
  times_.received_ms = wall_ms(shared_.clock);
  if (head.status == 304 && request_.former) return on_validated(head);
  if (head.status == 200 && request_.described && update_described(head)) return;
  const std::string date = net::http_date({times_.received_ms * 1000});
  const std::vector<net::HttpField> passed = passed_fields(head.fields, date);
  const std::optional<CacheControl> targeted = parse_targeted_cache_control(passed);
  const CacheControl control = targeted ? *targeted : parse_cache_control(passed);
  const Freshness freshness =
      freshness_of(head.status, passed, control, targeted.has_value(), times_, request_.storage);
  const std::optional<uint64_t> length = length_of(head, framing);
  body_ = std::make_shared<Body>(length);
  body_->when_read([loop = &loop_, alive = std::weak_ptr(alive_)] {
    loop->post([alive] {
      if (const auto fetch = alive.lock()) (*fetch)->on_read();
    });
  });
  std::optional<ContentRange> range;
  if (head.status == 206) range = parse_content_range(net::find_field(passed, "content-range").value_or(""));
  StorageVerdict verdict = may_store(request_.method, request_.client_fields.view(), request_.control, head.status,
                                     passed, control, freshness);
  if (verdict.stores) verdict = may_keep(head.status, length, range);
  Fetched fetched{.status = head.status,
                  .reason = std::string(head.reason),
                  .fields = OwnedFields(passed),
                  .body = body_,
                  .length = length,
                  .stored = nullptr,
                  .is_validated = false,
                  .completed = nullptr,
                  .verdict = verdict.reason};
  if (verdict.stores || request_.completion) {
    AnswerParts parts = parts_of(head, passed);
    parts.fields = OwnedFields(stored_fields(passed, control));
    parts.freshness = freshness;
    parts.range = range;
    if (range) parts.url = partial_url(request_.url);
    parts.stored_because = verdict.reason;
    const std::optional<Completion>& completion = request_.completion;
    if (completion) become_complete(*completion, parts, OwnedFields(parts.fields).view());
    const auto made = std::make_shared<const Answer>(std::move(parts));
    if (request_.completion) fetched.completed = made;
    if (verdict.stores && shared_.store.insert(made, started_)) stored_ = made;
    fetched.stored = stored_;
  }
  if (request_.completion && request_.completion->before) body_->append_all(*request_.completion->before->body());
  if (!stored_) {
    body_->forget_what_is_read();
    if (request_.settles && !verdict.stores)
      shared_.store.note_unsharable(request_.shared_as, times_.received_ms + kUnsharableMs, verdict.reason);
  }
  const Store::AnswerPointer for_others = stored_;
  if (told_.head) told_.head(std::move(fetched));
  settle({.answer = for_others, .failure = std::nullopt});
  if (abandoned_) return abandon();
  // Judged by the parts alone: the client has it already, say.
  if (request_.completion && !stored_ && body_->readers() == 0) end();
}

Store::AnswerPointer Fetch::refreshed(const Answer& former, const net::ResponseHead& head) {
  const std::string date = net::http_date({times_.received_ms * 1000});
  const std::vector<net::HttpField> newer = passed_fields(head.fields, date);
  AnswerParts parts = parts_of(head, newer);
  parts.status = former.status();
  parts.reason = former.reason();
  parts.fields = updated_fields(former.fields(), stored_fields(newer, parse_cache_control(newer)));
  parts.body = former.body();
  parts.range = former.range();
  parts.url = former.url();
  const std::span<const net::HttpField> fields = parts.fields.view();
  const std::optional<CacheControl> targeted = parse_targeted_cache_control(fields);
  const CacheControl control = targeted ? *targeted : parse_cache_control(fields);
  parts.freshness = freshness_of(former.status(), fields, control, targeted.has_value(), times_, request_.storage);
  parts.selectors = selectors(fields);
  parts.tags = tags_of(request_.url, fields);
  parts.stored_because =
      may_store("GET", request_.client_fields.view(), {}, former.status(), fields, control, parts.freshness).stores
          ? former.stored_because()
          : std::string_view();
  return std::make_shared<const Answer>(std::move(parts));
}

void Fetch::keep_refreshed(const Store::AnswerPointer& former, const Store::AnswerPointer& refreshed) {
  // Nothing of what a no-store request brought is kept.
  if (request_.control.no_store) return;
  if (refreshed->stored_because().empty()) {
    // What may not be kept for it alone says nothing of what others are given.
    if (net::find_field(request_.client_fields.view(), "authorization")) return;
    shared_.store.erase(former);
    if (shared_.disk != nullptr) shared_.disk->forget(former->url());
    return;
  }
  shared_.store.replace(former, refreshed);
  (void)rewrite(refreshed);
}

bool Fetch::rewrite(const Store::AnswerPointer& answer) {
  const Body& body = *answer->body();
  if (shared_.disk == nullptr) return true;
  if (body.state() != Body::State::kComplete || body.size() > kRewrittenMax) return false;
  shared_.disk->put(answer, started_);
  return true;
}

void Fetch::tell_of_stored(const net::ResponseHead& head, const Store::AnswerPointer& answer,
                           std::string_view verdict) {
  if (!told_.head) return;
  told_.head({.status = head.status,
              .reason = std::string(head.reason),
              .fields = {},
              .body = nullptr,
              .length = 0,
              .stored = answer,
              .is_validated = true,
              .completed = nullptr,
              .verdict = verdict});
}

void Fetch::on_validated(const net::ResponseHead& head) {
  const Store::AnswerPointer answer = refreshed(*request_.former, head);
  keep_refreshed(request_.former, answer);
  const bool serves_others = !answer->stored_because().empty();
  tell_of_stored(head, answer, "validated");
  settle({.answer = serves_others ? answer : nullptr, .failure = std::nullopt});
}

bool Fetch::update_described(const net::ResponseHead& head) {
  const Store::AnswerPointer& stored = request_.described;
  const auto agrees = [&](std::string_view name) {
    const auto received = net::find_field(head.fields, name);
    return !received || net::find_field(stored->fields(), name) == received;
  };
  const auto length = net::find_field(head.fields, "content-length");
  const bool is_as_long = !length || parse_length(*length) == stored->body()->length();
  if (agrees("etag") && agrees("last-modified") && is_as_long) {
    const Store::AnswerPointer answer = refreshed(*stored, head);
    keep_refreshed(stored, answer);
    tell_of_stored(head, answer, "described");
    return true;
  }
  // It is to be asked for again before it is used.
  AnswerParts parts = stored->parts();
  parts.url = stored->url();
  parts.tags = stored->marks().tags;
  parts.freshness.lifetime = 0;
  parts.freshness.source = LifetimeSource::kNone;
  parts.freshness.stale_while_revalidate = 0;
  const auto outdated = std::make_shared<const Answer>(std::move(parts));
  shared_.store.replace(stored, outdated);
  if (!rewrite(outdated)) shared_.disk->forget(stored->url());
  return false;
}

void Fetch::on_body(std::string_view piece) {
  if (!body_) return;  // of a 304
  if (request_.completion) {
    if (piece.size() > gap_left_) return on_failed(broken_part());
    gap_left_ -= piece.size();
  }
  if (stored_ && (body_->size() + piece.size() > site_.object_bytes_max || !shared_.store.grow(piece.size()))) {
    stop_storing();
  } else if (stored_) {
    grown_bytes_ += piece.size();
  }
  body_->append(Payload(piece));
  if (!stored_) hold_back();
}

// Those that are part of what is stored now.
void Fetch::forget_parts_within() {
  const std::optional<ContentRange>& range = stored_->range();
  if (!range && !request_.completion) return;
  for (const Store::Found& found : shared_.store.find_all(partial_url(request_.url), request_.client_fields.view())) {
    const std::optional<ContentRange>& other = found.answer->range();
    if (found.answer == stored_ || !other || !can_be_combined(found.answer->fields(), stored_->fields())) continue;
    const bool is_within =
        !range || (other->range.first >= range->range.first && other->range.last <= range->range.last);
    if (is_within) shared_.store.erase(found.answer);
  }
}

void Fetch::stop_storing() {
  shared_.store.erase(stored_);
  shared_.store.give_back(std::exchange(grown_bytes_, 0));
  stored_ = nullptr;
  body_->forget_what_is_read();
}

void Fetch::hold_back() {
  if (paused_ || body_->lag() <= kLagMax) return;
  paused_ = true;
  call_->pause();
}

// A reader came, went or read on.
void Fetch::on_read() {
  if (stored_ || !body_ || body_->state() != Body::State::kGrowing) return;
  if (body_->readers() == 0) {
    if (abandoned_ || body_->has_been_read()) end();
    return;
  }
  if (paused_ && body_->lag() < kLagMax / 2) {
    paused_ = false;
    call_->resume();
  }
}

void Fetch::on_end(std::span<const net::HttpField> trailers) {
  if (body_) {
    if (gap_left_ > 0) return on_failed(broken_part());
    if (request_.completion && request_.completion->after) body_->append_all(*request_.completion->after->body());
    body_->complete(trailers);
    if (stored_) shared_.store.settle(stored_);
    if (stored_ && shared_.disk != nullptr) shared_.disk->put(stored_, started_);
    if (stored_) forget_parts_within();
    shared_.store.give_back(std::exchange(grown_bytes_, 0));
    stored_ = nullptr;  // it stays
  }
  end();
}

void Fetch::on_failed(const Error& error) {
  if (request_.code && !has_head_) {
    request_.code = nullptr;
    call_ = nullptr;
    return try_origin();
  }
  const bool never_reached = error.code != "http.closed" && error.code != "http.bad-answer";
  if (!has_head_ && never_reached) {
    origins_.failed(origin_, loop_.now());
    // Nothing was done there yet, or the method may be repeated.
    const bool may_be_repeated = request_.method == "GET" || request_.method == "HEAD" ||
                                 error.code == "http.connect-refused" || error.code == "http.connect-failed";
    if (may_be_repeated && error.code != "http.timeout" && error.code != "cache.no-origin" &&
        origins_.choose(tried_, loop_.now())) {
      call_ = nullptr;
      return try_origin();
    }
  }
  if (body_) body_->break_off();
  if (stored_) shared_.store.erase(std::exchange(stored_, nullptr));
  shared_.store.give_back(std::exchange(grown_bytes_, 0));
  const bool has_nothing = !has_head_;
  if (has_nothing && told_.failed) std::exchange(told_.failed, nullptr)(error);
  settle(has_nothing ? PendingFetches::Outcome{.answer = nullptr, .failure = error} : PendingFetches::Outcome{});
  end();
}

void Fetch::end() {
  call_ = nullptr;
  const auto ended = std::exchange(told_.ended, nullptr);
  if (ended) ended(*this);
}

}  // namespace verge::cache

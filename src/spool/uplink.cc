#include "spool/uplink.h"

#include <algorithm>
#include <charconv>

#include <fmt/format.h>

#include "base/log.h"
#include "model/event.h"
#include "net/address.h"
#include "spool/record.h"

namespace verge::spool {
namespace {

constexpr Duration kFirstPause = std::chrono::milliseconds(100);

// "http://host:port/" to "host:port"; 80, or 443 with https, when no port is named.
std::string authority_of(std::string_view url) {
  const size_t scheme = url.find("://");
  const bool tls = scheme == 5;
  if (scheme != std::string_view::npos) url.remove_prefix(scheme + 3);
  while (url.ends_with('/')) url.remove_suffix(1);
  std::string authority(url);
  const size_t bracket = authority.rfind(']');
  const size_t colon = authority.rfind(':');
  if (colon == std::string::npos || (bracket != std::string::npos && colon < bracket))
    authority.append(tls ? ":443" : ":80");
  return authority;
}

std::optional<Duration> retry_after(const net::HttpAnswer& answer) {
  const std::optional<std::string_view> field = answer.field("Retry-After");
  if (!field) return std::nullopt;
  uint32_t seconds = 0;
  const auto [end, problem] = std::from_chars(field->data(), field->data() + field->size(), seconds);
  if (problem != std::errc{}) return std::nullopt;
  return std::chrono::seconds(seconds);
}

}  // namespace

Uplink::Uplink(runtime::Loop& loop, runtime::Loop& worker, storage::FileSystem& file_system,
               std::string spool_directory, SpoolWriter& spool, const NodeId& node, std::string name,
               std::string parent, const UplinkOptions& options)
    : loop_(loop),
      worker_(worker),
      file_system_(file_system),
      spool_directory_(std::move(spool_directory)),
      spool_(spool),
      node_(node),
      name_(std::move(name)),
      parent_(authority_of(parent)),
      options_(options),
      random_(system_seed()),
      timer_(loop) {
  for (const Priority priority : kPriorities) {
    stream(priority).sent_through = spool_.progress(priority).delivered_through;
    // What was there at the start is backlog.
    stream(priority).backlog = stream(priority).sent_through + 1 < spool_.progress(priority).end;
  }
}

Uplink::~Uplink() = default;

void Uplink::start() { look(); }

void Uplink::wake() {
  if (wake_posted_.exchange(true)) return;
  loop_.post([this, alive = guard_] {
    if (alive.expired()) return;
    wake_posted_ = false;
    if (!busy_) look();
  });
}

void Uplink::stop() {
  stopped_ = true;
  alive_.reset();
  timer_.cancel();
  client_.reset();
}

void Uplink::drain(std::function<void()> done) {
  drained_ = std::move(done);
  draining_ = true;
  paused_until_.reset();
  if (!busy_) look();
}

void Uplink::finish_drain() {
  if (drained_) std::exchange(drained_, nullptr)();
}

// Decides what to do next: send, or wait for how long.
void Uplink::look() {
  if (stopped_) return;
  const MonotonicTime now = loop_.tick();
  for (const Priority priority : kPriorities) {
    Stream& its = stream(priority);
    const bool waits = its.sent_through + 1 < spool_.progress(priority).end;
    if (!waits) its.waiting_since.reset();
    if (waits && !its.waiting_since) its.waiting_since = now;
    waiting_since_ns_[static_cast<size_t>(priority)] =
        its.waiting_since ? its.waiting_since->time_since_epoch().count() : 0;
  }
  if (paused_until_ && *paused_until_ > now) {
    timer_.after(*paused_until_ - now, [this] { look(); });
    return;
  }
  paused_until_.reset();
  Duration until_next = Duration::max();
  if (const std::optional<Priority> next = due(now, until_next)) return prepare(*next);
  if (draining_) return finish_drain();
  if (until_next != Duration::max()) timer_.after(until_next, [this] { look(); });
}

// The most important stream that is to be sent now. A batch that is due takes the others along in turn: what is there
// is sent while the line is warm.
std::optional<Priority> Uplink::due(MonotonicTime now, Duration& until_next) const {
  for (const Priority priority : kPriorities) {
    const Stream& its = streams_[static_cast<size_t>(priority)];
    if (!its.waiting_since) continue;
    const StreamProgress& progress = spool_.progress(priority);
    const uint64_t bytes = progress.appended_bytes - std::min<uint64_t>(its.sent_bytes, progress.appended_bytes);
    const Duration age = now - *its.waiting_since;
    if (priority == Priority::kCritical || its.backlog || draining_ || bytes >= options_.batch_bytes_max ||
        age >= options_.batch_age_max) {
      return priority;
    }
    until_next = std::min(until_next, options_.batch_age_max - age);
  }
  return std::nullopt;
}

void Uplink::prepare(Priority priority) {
  busy_ = true;
  timer_.cancel();
  const uint64_t from = stream(priority).sent_through + 1;
  const uint64_t end = spool_.progress(priority).end;
  worker_.post([this, priority, from, end, alive = guard_] {
    if (alive.expired()) return;
    auto batch = std::make_shared<Prepared>(read_batch(priority, from, end));
    loop_.post([this, batch, alive] {
      if (alive.expired()) return;
      if (batch->error) return on_failure(*batch->error, std::nullopt);
      if (!batch->body.empty()) return send(batch);
      log_warning("uplink", "there are no {} records up to {} in the log; going on behind them", name_of(batch->stream),
                  batch->through);
      on_delivered(*batch);
    });
  });
}

// On the worker: gathers records from `from` on, whole frames, until the batch is full.
Uplink::Prepared Uplink::read_batch(Priority priority, uint64_t from, uint64_t end) {
  const size_t index = static_cast<size_t>(priority);
  Prepared batch{.stream = priority, .through = end - 1};
  std::unique_ptr<storage::LogReader>& reader = readers_[index];
  if (!reader) {
    reader = std::make_unique<storage::LogReader>(file_system_, Spool::stream_directory(spool_directory_, priority));
  }
  if (read_position_[index] != from) reader->seek(from);
  BatchBuilder builder({node_, spool_.incarnation(), priority, name_, from});
  while (builder.bytes() < options_.batch_bytes_max && builder.count() < kBatchRecordsTarget) {
    const Result<std::optional<storage::FrameView>> frame = reader->next(end);
    if (!frame) {
      // Nothing is passed over: what cannot be read now is read again later.
      read_position_[index] = 0;
      batch.error = frame.error();
      return batch;
    }
    if (!*frame) break;
    uint64_t sequence = (*frame)->first_sequence;
    FrameRecords records((*frame)->body);
    while (const std::optional<StoredRecord> record = records.next()) {
      if (sequence >= from) builder.add(sequence, record->event);
      ++sequence;
    }
    batch.through = sequence - 1;
    batch.more = sequence < end;
  }
  read_position_[index] = batch.through + 1;
  batch.records = builder.count();
  batch.event_bytes = builder.bytes();
  if (builder.count() > 0) batch.body = builder.take(options_.compression);
  return batch;
}

void Uplink::send(std::shared_ptr<Prepared> batch) {
  const auto post = [this, batch] {
    const std::string type(kBatchContentType);
    net::HttpCall call{.method = "POST", .target = "/v1/uplink", .timeout = options_.timeout};
    call.fields = {{"Content-Type", type}};
    if (!authorization_.empty()) call.fields.push_back({"Authorization", authorization_});
    call.body = Payload(batch->body);
    client_->request(call, [this, batch](Result<net::HttpAnswer> answer) { on_answer(batch, std::move(answer)); });
  };
  if (client_) return post();
  connect_then(post);
}

// Resolves the parent's name where that cannot hold up the loop.
void Uplink::connect_then(std::function<void()> next) {
  worker_.post([this, next = std::move(next), alive = guard_] {
    if (alive.expired()) return;
    Result<net::Address> address = net::Address::resolve(parent_);
    loop_.post([this, next, address = std::move(address), alive] {
      if (alive.expired()) return;
      if (!address) return on_failure(address.error(), std::nullopt);
      const ParentAccess access = options_.access ? options_.access() : ParentAccess{};
      authorization_ = access.token.empty() ? "" : "Bearer " + access.token;
      client_ = std::make_unique<net::HttpClient>(loop_, *address, parent_, net::HttpClientLimits{}, access.tls);
      next();
    });
  });
}

void Uplink::on_answer(const std::shared_ptr<Prepared>& batch, Result<net::HttpAnswer> answer) {
  counters_.bytes_sent = earlier_bytes_sent_ + client_->bytes_sent();
  counters_.bytes_received = earlier_bytes_received_ + client_->bytes_received();
  if (!answer) return on_failure(answer.error(), std::nullopt);
  // Only the parent's own word counts: a proxy's 200 with another body is no delivery.
  if (answer->status == 200 && answer->body.view().starts_with("{\"durable\":true")) {
    counters_.batches.add();
    counters_.records.add(batch->records);
    counters_.event_bytes.add(batch->event_bytes);
    counters_.last_delivery_us = SystemClock().wall().microseconds;
    if (!counters_.connected.exchange(true)) log_info("uplink", "delivering to {}", parent_);
    failures_in_a_row_ = 0;
    return on_delivered(*batch);
  }
  if (answer->status == 401) {
    const bool shown = !authorization_.empty();
    return on_failure({"uplink.unauthorized",
                       fmt::format("{} {}", parent_, shown ? "does not know this node's token" : "demands a token"),
                       "give this node (parent.token) one of the parent's http.uplink_tokens"},
                      retry_after(*answer));
  }
  on_failure(
      {"uplink.refused", fmt::format("{} answered {}: {}", parent_, answer->status, answer->body.view().substr(0, 200)),
       "check that parent.url names the http listener of a Verge node"},
      retry_after(*answer));
}

void Uplink::on_delivered(const Prepared& batch) {
  busy_ = false;
  Stream& its = stream(batch.stream);
  its.sent_through = batch.through;
  its.sent_bytes += batch.event_bytes;
  its.backlog = batch.more;
  its.waiting_since.reset();
  if (!batch.more) its.sent_bytes = spool_.progress(batch.stream).appended_bytes;
  spool_.delivered(batch.stream, batch.through);
  look();
}

void Uplink::on_failure(const Error& error, std::optional<Duration> asked_pause) {
  busy_ = false;
  counters_.failures.add();
  if (counters_.connected.exchange(false) || failures_in_a_row_ == 0) {
    log_warning("uplink", "not delivered, will try again: {}", error.line());
  }
  // The name may stand for another address next time.
  if (client_) {
    earlier_bytes_sent_ += client_->bytes_sent();
    earlier_bytes_received_ += client_->bytes_received();
    client_.reset();
  }
  if (draining_) return finish_drain();
  const uint32_t doublings = std::min<uint32_t>(failures_in_a_row_++, 16);
  const Duration ceiling = std::min<Duration>(kFirstPause * (1LL << doublings), options_.retry_max);
  const Duration pause = Duration(static_cast<int64_t>(random_.unit() * static_cast<double>(ceiling.count())));
  paused_until_ = loop_.tick() + std::max(pause, asked_pause.value_or(Duration(0)));
  look();
}

Duration Uplink::waiting(Priority priority) const {
  const int64_t since = waiting_since_ns_[static_cast<size_t>(priority)];
  if (since == 0) return Duration(0);
  return std::chrono::steady_clock::now().time_since_epoch() - Duration(since);
}

}  // namespace verge::spool

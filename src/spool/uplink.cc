#include "spool/uplink.h"

#include <algorithm>
#include <charconv>

#include <fmt/format.h>

#include "base/log.h"
#include "model/event.h"
#include "net/address.h"

namespace verge::spool {
namespace {

constexpr Duration kFirstPause = std::chrono::milliseconds(100);
// Of what a parent or a proxy asks for.
constexpr Duration kRetryAfterMax = std::chrono::minutes(5);
// A log that could not be read is tried again then.
constexpr Duration kReadAgain = std::chrono::seconds(1);
// So many refused records are tried again at a time; more are given up at once.
constexpr size_t kRefusedMax = 1024;

// The parent understood, and will not have it however often it comes.
bool is_refusal(int status) { return status == 400 || status == 413 || status == 422; }

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
  return std::min<Duration>(std::chrono::seconds(seconds), kRetryAfterMax);
}

SendPlan plan_for(const SpoolWriter& spool, const UplinkOptions& options) {
  std::array<SendPlan::Start, kStreams> start;
  for (const Priority stream : kPriorities) {
    start[static_cast<size_t>(stream)] = {spool.delivered_at_start(stream), spool.progress(stream).end};
  }
  return {{.batch_bytes_max = options.batch_bytes_max,
           .batch_age_max = options.batch_age_max,
           .backlog_share = options.backlog_share},
          std::move(start)};
}

}  // namespace

Uplink::Uplink(runtime::Loop& loop, std::array<runtime::Loop*, kLanes> workers, storage::FileSystem& file_system,
               std::string spool_directory, SpoolWriter& spool, const NodeId& node, std::string name,
               std::string parent, const UplinkOptions& options)
    : loop_(loop),
      workers_(workers),
      file_system_(file_system),
      spool_directory_(std::move(spool_directory)),
      spool_(spool),
      node_(node),
      name_(std::move(name)),
      parent_(authority_of(parent)),
      options_(options),
      random_(system_seed()),
      plan_(plan_for(spool, options)),
      lanes_{LaneState{.lane = Lane::kExpress}, LaneState{.lane = Lane::kBulk}},
      timer_(loop) {}

Uplink::~Uplink() = default;

void Uplink::start() { look(); }

void Uplink::wake() {
  if (wake_posted_.exchange(true)) return;
  loop_.post([this, alive = guard_] {
    if (alive.expired()) return;
    wake_posted_ = false;
    look();
  });
}

void Uplink::stop() {
  stopped_ = true;
  alive_.reset();
  timer_.cancel();
  for (LaneState& lane : lanes_) lane.client.reset();
}

void Uplink::drain(std::function<void()> done) {
  drained_ = std::move(done);
  draining_ = true;
  paused_until_.reset();
  look();
}

void Uplink::finish_drain() {
  if (drained_) std::exchange(drained_, nullptr)();
}

// Takes each lane as far as it goes, and sets the timer for when there may be more to do.
void Uplink::look() {
  if (stopped_) return;
  const MonotonicTime now = loop_.tick();
  timer_.cancel();
  for (const Priority stream : kPriorities) {
    const StreamProgress& progress = spool_.progress(stream);
    plan_.observe(stream, progress.end, progress.appended_bytes, now);
    const std::optional<MonotonicTime> since = plan_.waiting_since(stream);
    waiting_since_ns_[static_cast<size_t>(stream)] = since ? since->time_since_epoch().count() : 0;
  }
  if (paused_until_ && *paused_until_ > now) {
    timer_.after(*paused_until_ - now, [this] { look(); });
    return;
  }
  paused_until_.reset();
  MonotonicTime look_again = MonotonicTime::max();
  for (LaneState& lane : lanes_) step(lane, now, look_again);
  const bool idle = std::ranges::none_of(lanes_, [](const LaneState& lane) {
    return lane.preparing || lane.next != nullptr || lane.under_way != nullptr;
  });
  if (draining_ && idle) return finish_drain();
  if (look_again != MonotonicTime::max()) timer_.after(look_again - now, [this] { look(); });
}

void Uplink::step(LaneState& lane, MonotonicTime now, MonotonicTime& look_again) {
  if (lane.next && !lane.under_way) send(lane);
  if (lane.next || lane.preparing) return;
  if (const auto stretch = plan_.next(lane.lane, now, draining_, look_again)) prepare(lane, *stretch);
}

void Uplink::prepare(LaneState& lane, const SendPlan::Stretch& stretch) {
  lane.preparing = true;
  workers_[static_cast<size_t>(lane.lane)]->post(
      [this, &lane, stretch, alive = guard_,
       limits = BatchLimits{.floor = plan_.floor(stretch.stream),
                            .level = line_.compression_level(),
                            .bytes = line_.batch_bytes(options_.batch_bytes_max)}] {
        if (alive.expired()) return;
        auto batch = std::make_shared<Prepared>(read_batch(lane.lane, stretch, limits));
        loop_.post([this, &lane, batch, alive] {
          if (!alive.expired()) on_prepared(lane, batch);
        });
      });
}

// On the worker: gathers records from the front of the stretch, until the batch is full.
Uplink::Prepared Uplink::read_batch(Lane lane, const SendPlan::Stretch& stretch, const BatchLimits& limits) {
  const auto start = std::chrono::steady_clock::now();
  Prepared batch{.stretch = stretch, .end = stretch.sequences.end};
  std::unique_ptr<RecordReader>& reader = readers_[static_cast<size_t>(lane)][static_cast<size_t>(stretch.stream)];
  if (!reader) {
    reader = std::make_unique<RecordReader>(file_system_, Spool::stream_directory(spool_directory_, stretch.stream),
                                            spool_.keys());
  }
  reader->seek(stretch.sequences.begin);
  const Duration ttl = options_.ttl[static_cast<size_t>(stretch.stream)];
  const uint32_t now_s = spool_.age_clock().seconds(start);
  BatchBuilder builder({node_, spool_.incarnation(), stretch.stream, name_, limits.floor});
  while (true) {
    const Result<std::optional<RecordReader::Numbered>> read = reader->next(stretch.sequences.end);
    if (!read) {
      batch.error = read.error();
      return batch;
    }
    const std::optional<RecordReader::Numbered>& next = *read;
    if (!next) break;
    const auto& [sequence, age_s, record] = *next;
    if (ttl > Duration(0) && std::chrono::seconds(now_s - std::min(age_s, now_s)) > ttl) {
      ++batch.expired;
      continue;
    }
    if (builder.count() > 0 && (builder.count() >= stretch.records_max || builder.count() >= kBatchRecordsTarget ||
                                builder.bytes() + record.event.size() > limits.bytes)) {
      reader->unread();
      batch.end = sequence;
      break;
    }
    if (builder.count() == 0) {
      batch.first_record = sequence;
      batch.first_event = record.event;
    }
    builder.add(sequence, record.event);
  }
  batch.damaged = reader->take_damaged();
  batch.records = builder.count();
  batch.event_bytes = builder.bytes();
  if (builder.count() > 0) batch.body = builder.take(limits.level);
  batch.took = std::chrono::steady_clock::now() - start;
  return batch;
}

void Uplink::on_prepared(LaneState& lane, const PreparedPointer& batch) {
  lane.preparing = false;
  if (std::exchange(lane.is_stale, false)) {
    plan_.released(batch->stretch, 0);
    return look();
  }
  if (const std::optional<Error>& error = batch->error) {
    counters_.failures.add();
    log_warning("uplink", "the {} stream cannot be read, will try again: {}", name_of(batch->stretch.stream),
                error->line());
    plan_.released(batch->stretch, 0);
    paused_until_ = loop_.tick() + kReadAgain;
    if (draining_) return finish_drain();
    return look();
  }
  for (const storage::DamagedRange& range : batch->damaged) {
    counters_.damaged.add(range.end_sequence - range.first_sequence);
    log_error("uplink", "{} is damaged at byte {}: records {} to {} of the {} stream are lost", range.path,
              range.offset, range.first_sequence, range.end_sequence - 1, name_of(batch->stretch.stream));
  }
  counters_.expired.add(batch->expired);
  plan_.shorten(batch->stretch, batch->end, batch->event_bytes);
  if (batch->records == 0) {
    // Sequences that were never used, or that are lost.
    plan_.delivered(lane.lane, batch->stretch, 0);
    spool_.delivered(batch->stretch.stream, batch->stretch.sequences);
  } else {
    lane.next = batch;
  }
  look();
}

void Uplink::send(LaneState& lane) {
  if (!lane.client) {
    if (!lane.connecting) connect(lane);
    return;
  }
  lane.under_way = std::exchange(lane.next, nullptr);
  lane.under_way->sent = loop_.tick();
  const std::string type(kBatchContentType);
  net::HttpCall call{.method = "POST",
                     .target = "/v1/uplink",
                     .timeout = line_.timeout(options_.timeout, lane.under_way->body.size())};
  call.fields = {{"Content-Type", type}};
  if (!lane.authorization.empty()) call.fields.push_back({"Authorization", lane.authorization});
  call.body = Payload(lane.under_way->body);
  lane.client->request(call, [this, &lane](Result<net::HttpAnswer> answer) { on_answer(lane, std::move(answer)); });
}

// Resolves the parent's name where that cannot hold up the loop.
void Uplink::connect(LaneState& lane) {
  lane.connecting = true;
  workers_[static_cast<size_t>(lane.lane)]->post([this, &lane, alive = guard_] {
    if (alive.expired()) return;
    Result<net::Address> address = net::Address::resolve(parent_);
    loop_.post([this, &lane, address = std::move(address), alive] {
      if (alive.expired()) return;
      lane.connecting = false;
      if (!address) return on_failure(lane, address.error(), std::nullopt);
      const ParentAccess access = options_.access ? options_.access() : ParentAccess{};
      lane.authorization = access.token.empty() ? "" : "Bearer " + access.token;
      lane.client = std::make_unique<net::HttpClient>(loop_, *address, parent_, net::HttpClientLimits{}, access.tls);
      look();
    });
  });
}

void Uplink::count_bytes() {
  uint64_t sent = 0, received = 0;
  for (const LaneState& lane : lanes_) {
    sent += lane.earlier_bytes_sent + (lane.client ? lane.client->bytes_sent() : 0);
    received += lane.earlier_bytes_received + (lane.client ? lane.client->bytes_received() : 0);
  }
  counters_.bytes_sent = sent;
  counters_.bytes_received = received;
}

void Uplink::on_answer(LaneState& lane, Result<net::HttpAnswer> answer) {
  count_bytes();
  const PreparedPointer batch = lane.under_way;
  const Duration took = loop_.tick() - batch->sent;
  if (!answer) {
    if (answer.error().code == "http.timeout") line_.timed_out(batch->body.size(), took);
    return on_failure(lane, answer.error(), std::nullopt);
  }
  // Only the parent's own word counts: a proxy's 200 with another body is no delivery.
  if (answer->status == 200 && answer->body.view().starts_with("{\"durable\":true")) {
    line_.measure(batch->event_bytes, batch->body.size(), took, batch->took);
    counters_.line_bytes_per_s = static_cast<uint64_t>(line_.bytes_per_s());
    counters_.compression_level = line_.compression_level();
    return on_delivered(lane, batch);
  }
  if (answer->status == 401) {
    const std::string_view what = lane.authorization.empty() ? "demands a token" : "does not know this node's token";
    return on_failure(lane,
                      {"uplink.unauthorized", fmt::format("{} {}", parent_, what),
                       "give this node (parent.token) one of the parent's http.uplink_tokens"},
                      retry_after(*answer));
  }
  const Error refusal{"uplink.refused",
                      fmt::format("{} answered {}: {}", parent_, answer->status, answer->body.view().substr(0, 200)),
                      "check that parent.url names the http listener of a Verge node"};
  if (is_refusal(answer->status)) return on_refused(lane, batch, refusal);
  on_failure(lane, refusal, retry_after(*answer));
}

void Uplink::on_delivered(LaneState& lane, const PreparedPointer& batch) {
  lane.under_way = nullptr;
  counters_.batches.add();
  counters_.records.add(batch->records);
  counters_.event_bytes.add(batch->event_bytes);
  counters_.last_delivery_us = SystemClock().wall().microseconds;
  if (!counters_.connected.exchange(true)) log_info("uplink", "delivering to {}", parent_);
  failures_in_a_row_ = 0;
  spool_.age_clock().set_running(true, loop_.tick());
  if (batch->records == 1) attempts_.erase({batch->stretch.stream, batch->first_record});
  plan_.line_stands();
  plan_.delivered(lane.lane, batch->stretch, batch->event_bytes);
  spool_.delivered(batch->stretch.stream, batch->stretch.sequences);
  look();
}

// The line stands, but what was sent will not do.
void Uplink::on_refused(LaneState& lane, const PreparedPointer& batch, const Error& refusal) {
  lane.under_way = nullptr;
  counters_.refusals.add();
  failures_in_a_row_ = 0;
  plan_.line_stands();
  if (batch->records > 1) {
    log_warning("uplink", "{} records of the {} stream were refused, will be tried in halves: {}", batch->records,
                name_of(batch->stretch.stream), refusal.what);
    plan_.halve(batch->stretch, batch->records, batch->event_bytes);
    return look();
  }
  const std::pair key(batch->stretch.stream, batch->first_record);
  uint32_t& attempts = attempts_[key];
  ++attempts;
  const bool is_last = attempts >= options_.attempts[static_cast<size_t>(key.first)] || attempts_.size() > kRefusedMax;
  const Duration pause =
      std::min<Duration>(kFirstPause * (1LL << std::min<uint32_t>(attempts, 16)), options_.retry_max);
  // What the stretch spans beside the record holds nothing.
  spool_.delivered(key.first, {batch->stretch.sequences.begin, key.second});
  spool_.delivered(key.first, {key.second + 1, batch->stretch.sequences.end});
  plan_.defer(batch->stretch, key.second, is_last ? MonotonicTime::max() : loop_.now() + pause);
  if (is_last) {
    attempts_.erase(key);
    give_up(batch, refusal);
  }
  look();
}

void Uplink::give_up(const PreparedPointer& batch, const Error& refusal) {
  const SendPlan::Stretch record{.stream = batch->stretch.stream,
                                 .sequences = {batch->first_record, batch->first_record + 1}};
  DeadLetter letter{.stream = record.stream,
                    .sequence = batch->first_record,
                    .time = SystemClock().wall(),
                    .code = std::string(refusal.code),
                    .what = refusal.what,
                    .event = batch->first_event};
  spool_.bury(std::move(letter), loop_, [this, record, alive = guard_](const Result<void>& kept) {
    if (alive.expired()) return;
    if (!kept) {
      log_warning("uplink", "a refused record cannot be put aside, will try again: {}", kept.error().line());
      plan_.defer(record, record.sequences.begin, loop_.tick() + options_.retry_max);
      return look();
    }
    counters_.buried.add();
    log_error("uplink",
              "record {} of the {} stream was refused for good and is kept as a dead letter: verge spool dlq ls",
              record.sequences.begin, name_of(record.stream));
    plan_.delivered(Lane::kBulk, record, 0);
    look();
  });
}

void Uplink::close(LaneState& lane) {
  if (!lane.client) return;
  lane.earlier_bytes_sent += lane.client->bytes_sent();
  lane.earlier_bytes_received += lane.client->bytes_received();
  lane.client.reset();
}

void Uplink::on_failure(LaneState& lane, const Error& error, std::optional<Duration> asked_pause) {
  counters_.failures.add();
  if (counters_.connected.exchange(false) || failures_in_a_row_ == 0) {
    log_warning("uplink", "not delivered, will try again: {}", error.line());
  }
  for (PreparedPointer* batch : {&lane.under_way, &lane.next}) {
    if (!*batch) continue;
    plan_.released((*batch)->stretch, (*batch)->event_bytes);
    *batch = nullptr;
  }
  lane.is_stale = lane.preparing;
  plan_.line_broke();
  if (options_.ttl_stops_in_outage) spool_.age_clock().set_running(false, loop_.tick());
  // The name may stand for another address next time.
  close(lane);
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

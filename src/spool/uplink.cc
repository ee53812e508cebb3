#include "spool/uplink.h"

#include <fmt/format.h>

#include "net/address.h"
#include "spool/batch.h"

namespace verge::spool {
namespace {

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

std::array<SendPlan::Start, kStreams> start_of(const SpoolWriter& spool) {
  std::array<SendPlan::Start, kStreams> start;
  for (const Priority stream : kPriorities) {
    start[static_cast<size_t>(stream)] = {spool.delivered_at_start(stream), spool.progress(stream).end};
  }
  return start;
}

}  // namespace

Uplink::Uplink(runtime::Loop& loop, std::array<runtime::Loop*, kLanes> workers, storage::FileSystem& file_system,
               const std::string& spool_directory, SpoolWriter& spool, const NodeId& node, const std::string& name,
               std::vector<ParentPath> paths, const UplinkOptions& options)
    : loop_(loop),
      workers_(workers),
      spool_(spool),
      paths_(made_of(std::move(paths))),
      access_(options.access),
      watch_(options.watch),
      batch_age_max_(options.delivery.batch_age_max),
      readers_{BatchReader(file_system, spool_directory, spool.keys(), {node, spool.lives(), name}, options.ttl, clock_,
                           spool.age_clock()),
               BatchReader(file_system, spool_directory, spool.keys(), {node, spool.lives(), name}, options.ttl, clock_,
                           spool.age_clock())},
      connections_{std::vector<Connection>(paths_.size()), std::vector<Connection>(paths_.size())},
      path_counters_(paths_.size()),
      redundant_paths_(*this, clock_, system_seed(), names_of(paths_),
                       {.redundant = options.redundant, .retry_max = options.delivery.retry_max}, path_counters_),
      delivery_(*this, clock_, system_seed(), paths_.front().authority, start_of(spool), options.delivery, counters_),
      timer_(loop) {}

Uplink::~Uplink() = default;

std::vector<Uplink::Path> Uplink::made_of(std::vector<ParentPath> paths) {
  std::vector<Path> made;
  for (ParentPath& path : paths) {
    const std::string authority = authority_of(path.url);
    std::string name = path.from_text.empty() ? authority : fmt::format("{} from {}", authority, path.from_text);
    made.push_back({authority, std::move(path.from), std::move(name),
                    std::make_unique<net::Resolver>(fmt::format("resolver-{}", made.size() + 1))});
  }
  return made;
}

std::vector<std::string> Uplink::names_of(const std::vector<Path>& paths) {
  std::vector<std::string> names;
  for (const Path& path : paths) names.push_back(path.name);
  return names;
}

void Uplink::turn(const std::function<void()>& input) {
  if (!alive_) return;
  const MonotonicTime now = loop_.tick();
  for (const Priority stream : kPriorities) {
    const StreamProgress& progress = spool_.progress(stream);
    delivery_.observe(stream, progress.end, progress.appended_bytes);
  }
  // What somebody waits for does not wait for a batch to fill.
  delivery_.observe_space(spool_.is_short_of_space() || spool_.awaited().any());
  input();
  while (const std::optional<RedundantPaths::Outcome> outcome = redundant_paths_.take_outcome()) {
    delivery_.answered(outcome->lane, outcome->answer, outcome->took);
  }
  for (const Priority stream : kPriorities) {
    const std::optional<MonotonicTime> since = delivery_.waiting_since(stream);
    waiting_since_ns_[static_cast<size_t>(stream)] = since ? since->time_since_epoch().count() : 0;
  }
  timer_.cancel();
  const MonotonicTime due = std::min(delivery_.look_again(), redundant_paths_.look_again());
  if (due != MonotonicTime::max()) {
    timer_.after(std::max(due - now, Duration(0)), [this] {
      turn([this] {
        redundant_paths_.look();
        delivery_.look();
      });
    });
  }
  if (delivery_.is_drained() && drained_) std::exchange(drained_, nullptr)();
}

void Uplink::start() {
  turn([this] { delivery_.look(); });
}

void Uplink::wake() {
  if (wake_posted_.exchange(true)) return;
  loop_.post([this, alive = guard_] {
    if (alive.expired()) return;
    wake_posted_ = false;
    turn([this] { delivery_.look(); });
  });
}

void Uplink::stop() {
  alive_.reset();
  timer_.cancel();
  for (std::vector<Connection>& of_lane : connections_) {
    for (Connection& connection : of_lane) connection.client.reset();
  }
}

void Uplink::drain(std::function<void()> done) {
  drained_ = std::move(done);
  turn([this] { delivery_.drain(); });
}

void Uplink::prepare(Lane lane, const SendPlan::Stretch& stretch, const BatchLimits& limits) {
  workers_[static_cast<size_t>(lane)]->post([this, lane, stretch, limits, alive = guard_] {
    if (alive.expired()) return;
    auto batch =
        std::make_unique<PreparedBatch>(readers_[static_cast<size_t>(lane)].read(stretch, limits, watch_.read));
    loop_.post([this, lane, batch = std::move(batch), alive]() mutable {
      if (!alive.expired()) turn([&] { delivery_.prepared(lane, std::move(batch)); });
    });
  });
}

void Uplink::send(Lane lane, const Payload& body, Duration timeout) { redundant_paths_.send(lane, body, timeout); }

void Uplink::send(Lane lane, size_t path, const Payload& body, Duration timeout) {
  Connection& connection = connection_of(lane, path);
  connection.body = body;
  connection.timeout = timeout;
  if (connection.client) return request(lane, path);
  connect(lane, path);
}

void Uplink::connect(Lane lane, size_t path) {
  const Path& to = paths_[path];
  to.resolver->resolve(to.authority, to.from.address.family(), loop_,
                       [this, lane, path, alive = guard_](const Result<net::Address>& address) {
                         if (!alive.expired()) on_resolved(lane, path, address);
                       });
}

void Uplink::on_resolved(Lane lane, size_t path, const Result<net::Address>& address) {
  if (!address) return on_answer(lane, path, std::unexpected(address.error()), Duration(0));
  const ParentAccess access = access_ ? access_(path) : ParentAccess{};
  Connection& connection = connection_of(lane, path);
  connection.authorization = access.token.empty() ? "" : "Bearer " + access.token;
  connection.client = std::make_unique<net::HttpClient>(loop_, *address, paths_[path].authority,
                                                        net::HttpClientLimits{}, access.tls, paths_[path].from);
  request(lane, path);
}

void Uplink::request(Lane lane, size_t path) {
  Connection& connection = connection_of(lane, path);
  const std::string type(kBatchContentType);
  net::HttpCall call{
      .method = "POST", .target = "/v1/uplink", .fields = {{"Content-Type", type}}, .timeout = connection.timeout};
  if (!connection.authorization.empty()) call.fields.push_back({"Authorization", connection.authorization});
  call.body = std::exchange(connection.body, {});
  connection.client->request(call, [this, lane, path, sent = loop_.tick()](const Result<net::HttpAnswer>& answer) {
    on_answer(lane, path, answer, loop_.tick() - sent);
  });
}

void Uplink::on_answer(Lane lane, size_t path, const Result<net::HttpAnswer>& answer, Duration took) {
  count_bytes();
  const bool shows_token = !connection_of(lane, path).authorization.empty();
  const ParentAnswer read = read_answer(answer, paths_[path].authority, shows_token, clock_.wall());
  turn([&] { redundant_paths_.answered(lane, path, read, took); });
}

void Uplink::close(Lane lane, size_t path) {
  Connection& connection = connection_of(lane, path);
  if (!connection.client) return;
  connection.earlier_bytes_sent += connection.client->bytes_sent();
  connection.earlier_bytes_received += connection.client->bytes_received();
  connection.client.reset();
}

void Uplink::delivered(Priority stream, IntervalSet::Interval sequences) {
  spool_.delivered(stream, sequences);
  if (watch_.delivered) watch_.delivered(stream, sequences);
}

void Uplink::confirmed(Priority stream, IntervalSet::Interval sequences) {
  spool_.awaited().confirmed(stream, sequences);
}

void Uplink::bury(DeadLetter letter) {
  const Priority stream = letter.stream;
  const uint64_t sequence = letter.sequence;
  spool_.bury(std::move(letter), loop_, [this, stream, sequence, alive = guard_](const Result<void>& kept) {
    if (!alive.expired()) turn([&] { delivery_.buried(stream, sequence, kept); });
  });
}

void Uplink::age(bool running) { spool_.age_clock().set_running(running, loop_.tick()); }

void Uplink::count_bytes() {
  uint64_t sent = 0, received = 0;
  for (const std::vector<Connection>& of_lane : connections_) {
    for (const Connection& connection : of_lane) {
      sent += connection.earlier_bytes_sent + (connection.client ? connection.client->bytes_sent() : 0);
      received += connection.earlier_bytes_received + (connection.client ? connection.client->bytes_received() : 0);
    }
  }
  counters_.bytes_sent = sent;
  counters_.bytes_received = received;
}

Duration Uplink::waiting(Priority priority) const {
  const int64_t since = waiting_since_ns_[static_cast<size_t>(priority)];
  if (since == 0) return Duration(0);
  return std::chrono::steady_clock::now().time_since_epoch() - Duration(since);
}

Duration Uplink::late(Priority stream) const {
  const Duration may_wait = stream == Priority::kCritical ? Duration(0) : batch_age_max_;
  return std::max(Duration(0), waiting(stream) - may_wait);
}

}  // namespace verge::spool

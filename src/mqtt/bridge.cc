#include "mqtt/bridge.h"

#include <algorithm>
#include <utility>

#include <fmt/format.h>
#include <sys/socket.h>

#include "base/log.h"
#include "model/topic.h"
#include "mqtt/encode.h"

namespace verge::mqtt {
namespace {

constexpr std::string_view kVia = "verge-via";
constexpr Duration kPauseMin = std::chrono::milliseconds(100);
constexpr Duration kConnectMax = std::chrono::seconds(10);
constexpr size_t kOutputMax = 1U << 20;  // of one side, until the other is read no further
constexpr size_t kPacketBytesMax = 256U << 20;
constexpr uint32_t kForever = UINT32_MAX;
constexpr uint16_t kSubscribeId = 65535;
constexpr uint16_t kUnsubscribeId = 65534;

}  // namespace

std::optional<std::string> bridged_topic(const std::vector<BridgeTopic>& topics, bool out, std::string_view topic) {
  for (const BridgeTopic& each : topics) {
    if (!(out ? each.out : each.in)) continue;
    const std::string& from = out ? each.local_prefix : each.remote_prefix;
    const std::string& to = out ? each.remote_prefix : each.local_prefix;
    if (!topic.starts_with(from) || !topic_matches(from + each.filter, topic)) continue;
    std::string there = to;
    there.append(topic.substr(from.size()));
    if (!is_topic_name(there)) return std::nullopt;
    return there;
  }
  return std::nullopt;
}

Bridge::Bridge(Broker& home, BridgeOptions options)
    : home_(home),
      options_(std::move(options)),
      local_id_(local_client_id(options_.name)),
      via_out_(options_.node + ":out"),
      via_in_(options_.node + ":in"),
      random_(system_seed()),
      resolver_("bridge-names"),
      retry_timer_(home.loop()),
      keep_alive_timer_(home.loop()) {}

void Bridge::start() { prepare(); }

void Bridge::stop() {
  stopped_ = true;
  retry_timer_.cancel();
  keep_alive_timer_.cancel();
  connecting_.reset();
  for (Side* side : {remote_.get(), local_.get()}) {
    if (side == nullptr || !side->stream_.is_open()) continue;
    append_disconnect(side->stream_.output(), Reason::kSuccess, side->version_);
    side->stream_.close();
  }
  counters_.connected.set(0);
}

BridgeView Bridge::view() const {
  BridgeView view{.name = options_.name,
                  .address = options_.address,
                  .is_connected = counters_.connected.value() != 0,
                  .problem = problem_};
  for (const ClientView& client : home_.clients(local_id_, 1)) view.waiting_bytes = client.waiting_bytes;
  return view;
}

void Bridge::prepare() {
  preparing_ = true;
  open_local(/*receive_maximum=*/1);  // what comes now comes again
}

void Bridge::open_local(uint16_t receive_maximum) {
  int ends[2];
  if (::socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, ends) != 0) {
    return fail("no pair of sockets can be made");
  }
  net::Socket own(ends[0]);
  home_.accept_bridge(net::Socket(ends[1]));
  local_ = std::make_unique<Side>(*this, /*is_remote=*/false, Version::k5, std::move(own));
  Connect connect{.clean_start = false, .client_id = local_id_};
  connect.properties.session_expiry_s = kForever;
  if (receive_maximum > 0) connect.properties.receive_maximum = receive_maximum;
  append_connect(local_->stream_.output(), connect);
}

void Bridge::connect() {
  if (stopped_) return;
  const uint64_t attempt = ++attempt_;
  resolver_.resolve(options_.address, AF_UNSPEC, home_.loop(), [this, attempt](Result<net::Address> address) {
    if (stopped_ || attempt != attempt_) return;
    if (!address) return fail(address.error().what);
    connecting_ = std::make_unique<net::Connecting>(home_.loop(), *address, options_.host, options_.tls, kConnectMax,
                                                    [this](Result<net::Socket> socket) {
                                                      connecting_.reset();
                                                      if (!socket) return fail(socket.error().what);
                                                      open_remote(std::move(*socket));
                                                    });
  });
}

void Bridge::open_remote(net::Socket socket) {
  if (stopped_) return;
  remote_ = std::make_unique<Side>(*this, /*is_remote=*/true, options_.version, std::move(socket));
  const bool any_at_qos_2 =
      std::ranges::any_of(options_.topics, [](const BridgeTopic& topic) { return topic.out && topic.qos == 2; });
  Connect connect{.version = options_.version,
                  .clean_start = !had_session_ && any_at_qos_2,
                  .keep_alive_s = static_cast<uint16_t>(
                      std::chrono::duration_cast<std::chrono::seconds>(options_.keep_alive).count()),
                  .client_id = options_.client_id};
  // A clean session of 3.1.1 would end with the connection.
  if (options_.version == Version::k311) connect.clean_start = false;
  if (!options_.user.empty()) {
    connect.user_name = options_.user;
    if (!options_.password.empty()) connect.password = options_.password;
  }
  if (options_.version == Version::k5) {
    connect.properties.session_expiry_s = kForever;
    connect.properties.receive_maximum = static_cast<uint16_t>(std::min<size_t>(home_.limits().pending_max, 65535));
    connect.properties.maximum_packet_size = static_cast<uint32_t>(home_.limits().packet_bytes_max);
  }
  append_connect(remote_->stream_.output(), connect);
  remote_->heard_ = home_.loop().now();
  keep_alive();
}

void Bridge::keep_alive() {
  keep_alive_timer_.after(options_.keep_alive / 2, [this] {
    if (!remote_ || failing_ || stopped_) return;
    if (home_.loop().now() - remote_->heard_ > options_.keep_alive * 3 / 2) return fail("it does not answer any more");
    append_ping(remote_->stream_.output(), PacketType::kPingreq);
    keep_alive();
  });
}

void Bridge::Side::on_bytes(std::string_view bytes) {
  heard_ = bridge_.home_.loop().now();
  bytes = input_.begin(bytes);
  Frame frame;
  Violation problem;
  while (stream_.is_open() && !bridge_.failing_) {
    const Framing framing = next_frame(bytes, kPacketBytesMax, frame, problem);
    if (framing == Framing::kNeedMore) break;
    if (framing == Framing::kViolation) return bridge_.fail("it sends what is not MQTT");
    if (!bridge_.take(*this, frame)) return;
  }
  input_.keep(bytes);
  bridge_.hold_where_full();
}

void Bridge::Side::on_closed(std::string_view reason) {
  bridge_.fail(is_remote_ ? std::string(reason) : fmt::format("this node's broker: {}", reason));
}

void Bridge::Side::on_drained() { bridge_.hold_where_full(); }

// Who brings what the other side does not take is read no further.
void Bridge::hold_where_full() {
  if (!local_ || !remote_ || failing_) return;
  const auto hold = [](Side& from, const Side& to) {
    const bool is_full = to.stream_.queued_bytes() > kOutputMax;
    if (!from.stream_.is_open() || from.is_held_ == is_full) return;
    from.is_held_ = is_full;
    if (is_full) {
      from.stream_.pause_reading();
    } else {
      from.stream_.resume_reading();
    }
  };
  hold(*local_, *remote_);
  hold(*remote_, *local_);
}

bool Bridge::take(Side& from, const Frame& frame) {
  switch (frame.type) {
    case PacketType::kConnack:
      return take_connack(from, frame);
    case PacketType::kPublish: {
      const Parsed<Publish> publish = parse_publish(frame, from.version_);
      if (!publish) break;
      return relay_publish(from, *publish);
    }
    case PacketType::kPuback:
    case PacketType::kPubrec:
    case PacketType::kPubrel:
    case PacketType::kPubcomp: {
      const Parsed<Acknowledgement> acknowledgement = parse_acknowledgement(frame, from.version_);
      if (!acknowledgement) break;
      return relay_acknowledgement(from, frame.type, *acknowledgement);
    }
    case PacketType::kSuback: {
      const Parsed<Suback> suback = parse_suback(frame, from.version_);
      if (!suback) break;
      if (std::ranges::any_of(suback->codes, [](uint8_t code) { return code >= 0x80; })) {
        log_warning("mqtt", "bridge {}: {} refuses a subscription", options_.name,
                    from.is_remote_ ? options_.address : "this node");
      }
      if (!preparing_ || from.is_remote_) return true;
      // The session stands; it is taken up again once the other broker is there.
      preparing_ = false;
      prepared_ = true;
      append_disconnect(local_->stream_.output(), Reason::kSuccess, Version::k5);
      local_->stream_.close();
      home_.loop().post([this] {
        if (stopped_) return;
        local_.reset();
        connect();
      });
      return false;
    }
    case PacketType::kUnsuback:
    case PacketType::kPingresp:
      return true;
    case PacketType::kDisconnect: {
      const Parsed<Disconnect> parsed = parse_disconnect(frame, from.version_);
      fail(fmt::format("{} ended the connection (reason {:#x})", from.is_remote_ ? "it" : "this node's broker",
                       parsed ? static_cast<int>(parsed->reason) : 0));
      return false;
    }
    default:
      break;
  }
  fail("it sends what a broker does not");
  return false;
}

bool Bridge::take_connack(Side& from, const Frame& frame) {
  const Parsed<Connack> connack = parse_connack(frame, from.version_);
  if (!connack || connack->reason != Reason::kSuccess) {
    fail(fmt::format("{} refuses the connection (reason {:#x})", from.is_remote_ ? "it" : "this node's broker",
                     connack ? static_cast<int>(connack->reason) : 0));
    return false;
  }
  if (!from.is_remote_) {
    if (preparing_) had_session_ = connack->session_present;
    subscribe(from);
    return true;
  }
  // Identifiers of a session that is gone would name other messages.
  if (!connack->session_present) home_.forget_receipts(local_id_);
  had_session_ = true;  // from now on both know the same
  const Properties& properties = connack->properties;
  packet_bytes_max_ = properties.maximum_packet_size.value_or(0);
  if (!problem_.empty() || counters_.connections.value() == 0) {
    log_info("mqtt", "bridge {}: connected to {}", options_.name, options_.address);
  }
  problem_.clear();
  pause_ = Duration(0);
  counters_.connections.add();
  counters_.connected.set(1);
  subscribe(from);
  open_local(properties.receive_maximum.value_or(0));
  return true;
}

// To all that is configured; here, also from what was once and is not any more.
void Bridge::subscribe(Side& side) {
  Subscribe request{.packet_id = kSubscribeId, .properties = {}, .requests = {}};
  std::vector<std::string> filters;
  filters.reserve(options_.topics.size());
  for (const BridgeTopic& topic : options_.topics) {
    if (!(side.is_remote_ ? topic.in : topic.out)) continue;
    filters.push_back((side.is_remote_ ? topic.remote_prefix : topic.local_prefix) + topic.filter);
    SubscriptionOptions wanted{.qos = topic.qos};
    if (side.version_ == Version::k5) {
      wanted.no_local = true;
      wanted.retain_as_published = true;
      wanted.retain_handling = 1;
    }
    request.requests.push_back({filters.back(), wanted});
  }
  if (!side.is_remote_) {
    Unsubscribe old{.packet_id = kUnsubscribeId, .filters = {}};
    const std::vector<SubscriptionView> held = home_.subscriptions(local_id_, SIZE_MAX);
    for (const SubscriptionView& each : held) {
      if (std::ranges::find(filters, each.filter) == filters.end()) old.filters.push_back(each.filter);
    }
    if (!old.filters.empty()) append_unsubscribe(side.stream_.output(), old, side.version_);
    if (preparing_ && filters.empty()) {
      // Nothing goes out. What is asked for brings the answer that prepare() waits for.
      filters.emplace_back("$verge/bridge/none");
      request.requests.push_back({filters.back(), {}});
    }
  }
  if (!request.requests.empty()) append_subscribe(side.stream_.output(), request, side.version_);
}

// To the other broker not as a failure: PUBREL follows, at which this node finds nothing, and says so.
void Bridge::done_with(Side& from, const Publish& publish) {
  if (publish.qos == 0) return;
  append_acknowledgement(
      from.stream_.output(), publish.qos == 1 ? PacketType::kPuback : PacketType::kPubrec,
      {.packet_id = publish.packet_id, .reason = from.is_remote_ ? Reason::kSuccess : Reason::kImplementationSpecific},
      from.version_);
}

bool Bridge::relay_publish(Side& from, Publish publish) {
  const bool out = !from.is_remote_;
  if (preparing_) return true;  // it comes again with the connection that is kept
  Side* to = out ? remote_.get() : local_.get();
  if (to == nullptr || !to->stream_.is_open()) return false;
  Properties& properties = publish.properties;
  // What went out here, or came in, is not brought in again; what came in may go out.
  const bool has_been_here = std::ranges::any_of(properties.user, [&](const UserProperty& property) {
    return property.first == kVia && property.second.starts_with(options_.node) &&
           (!out || property.second == via_out_);
  });
  if (has_been_here) {
    counters_.looped.add();
    done_with(from, publish);
    return true;
  }
  const std::optional<std::string> topic = bridged_topic(options_.topics, out, publish.topic);
  if (!topic || (!out && is_reserved_topic(*topic))) {
    counters_.dropped.add();
    done_with(from, publish);
    return true;
  }
  publish.topic = *topic;
  properties.subscription_identifiers.clear();
  properties.topic_alias.reset();
  properties.user.emplace_back(kVia, out ? via_out_ : via_in_);
  std::string packet;
  append_publish(packet, publish, to->version_);
  const size_t bytes_max = out ? packet_bytes_max_ : home_.limits().packet_bytes_max;
  if (bytes_max > 0 && packet.size() > bytes_max) {
    counters_.dropped.add();
    log_warning("mqtt", "bridge {}: a message of {} bytes is too large for the other side and dropped", options_.name,
                packet.size());
    done_with(from, publish);
    return true;
  }
  to->stream_.output().append(packet);
  (out ? counters_.out : counters_.in).add();
  return true;
}

bool Bridge::relay_acknowledgement(const Side& from, PacketType type, Acknowledgement acknowledgement) {
  Side* to = from.is_remote_ ? local_.get() : remote_.get();
  if (to == nullptr || !to->stream_.is_open()) return !failing_;
  const bool is_refused =
      is_failure(acknowledgement.reason) && type != PacketType::kPubrel && type != PacketType::kPubcomp;
  if (is_refused && !from.is_remote_) {
    // It cannot be kept now: the other broker is to send it again.
    fail("this node cannot store what it sends");
    return false;
  }
  if (is_refused) counters_.dropped.add();
  acknowledgement.durability = {};
  // That nobody subscribes here is nothing to the other broker.
  if (!is_failure(acknowledgement.reason)) acknowledgement.reason = Reason::kSuccess;
  append_acknowledgement(to->stream_.output(), type, acknowledgement, to->version_);
  return true;
}

void Bridge::fail(std::string reason) {
  if (failing_ || stopped_) return;
  failing_ = true;
  counters_.connected.set(0);
  if (reason != problem_) log_warning("mqtt", "bridge {} to {}: {}", options_.name, options_.address, reason);
  problem_ = std::move(reason);
  keep_alive_timer_.cancel();
  for (Side* side : {remote_.get(), local_.get()}) {
    if (side != nullptr) side->stream_.close();
  }
  home_.loop().post([this] {
    if (stopped_) return;
    remote_.reset();
    local_.reset();
    connecting_.reset();
    failing_ = false;
    retry();
  });
}

void Bridge::retry() {
  pause_ = std::min(options_.retry_max, std::max(kPauseMin, pause_ * 2));
  const auto half = static_cast<uint64_t>((pause_ / 2).count());
  retry_timer_.after(Duration(half + random_.below(half + 1)), [this] {
    if (prepared_) {
      connect();
    } else {
      prepare();
    }
  });
}

}  // namespace verge::mqtt

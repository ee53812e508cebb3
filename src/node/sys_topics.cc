#include "node/sys_topics.h"

#include <algorithm>
#include <utility>

#include <fmt/format.h>

#include "base/version.h"

namespace verge::node {

SysTopics::SysTopics(mqtt::Broker& broker, Duration every, std::function<Totals()> totals)
    : broker_(broker),
      every_(every),
      totals_(std::move(totals)),
      started_(std::chrono::steady_clock::now()),
      timer_(broker.loop()) {
  timer_.after(every_, [this] { publish(); });
}

void SysTopics::publish() {
  const Totals totals = totals_();
  const auto uptime = std::chrono::duration_cast<std::chrono::seconds>(broker_.loop().now() - started_).count();
  const auto number = [this](std::string_view topic, uint64_t value) { say(topic, fmt::format("{}", value)); };
  say("version", fmt::format("verge {}", kVersion));
  say("uptime", fmt::format("{} seconds", uptime));
  number("clients/connected", totals.connections);
  number("clients/disconnected", totals.sessions - std::min(totals.connections, totals.sessions));
  number("clients/total", std::max(totals.connections, totals.sessions));
  number("subscriptions/count", totals.subscriptions);
  number("retained messages/count", totals.retained);
  number("store/messages/bytes", totals.away_bytes);
  number("bytes/received", totals.received_bytes);
  number("publish/messages/received", totals.received);
  number("publish/messages/sent", totals.sent);
  number("publish/messages/dropped", totals.dropped);
  timer_.after(every_, [this] { publish(); });
}

void SysTopics::say(std::string_view topic, std::string_view payload) {
  broker_.publish(std::make_shared<const mqtt::Message>(mqtt::Message{.topic = fmt::format("$SYS/broker/{}", topic),
                                                                      .payload = Payload(payload),
                                                                      .properties = {},
                                                                      .received = broker_.loop().now()}));
}

}  // namespace verge::node

// SysTopics: what the broker says of itself below $SYS/broker, to who subscribes to it. The names are those that tools
// for mosquitto know. Nothing is retained: each message comes again after `every`.
//
// Threading: on the broker's loop.
#pragma once

#include <functional>

#include "base/clock.h"
#include "mqtt/broker.h"
#include "node/readings.h"
#include "runtime/loop.h"

namespace verge::node {

class SysTopics {
 public:
  // `totals`: of all loops. Made before the broker's loop runs, and destroyed when it has stopped.
  SysTopics(mqtt::Broker& broker, Duration every, std::function<Totals()> totals);

 private:
  void publish();
  void say(std::string_view topic, std::string_view payload);

  mqtt::Broker& broker_;
  const Duration every_;
  const std::function<Totals()> totals_;
  const MonotonicTime started_;
  runtime::Timer timer_;
};

}  // namespace verge::node

// BenchRun: what both benchmarks have in common. All connections are made and subscribed first; then messages are
// published at a fixed rate through a Pacer; then what is still on its way is waited for.
//
// One thread, one loop. A connection that breaks ends the run with an error: figures with a hole in them are none.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "base/error.h"
#include "base/metrics.h"
#include "cli/pacer.h"
#include "cli/publisher.h"
#include "mqtt/client.h"
#include "runtime/loop.h"

namespace verge::cli {

struct Load {
  std::string target;         // HOST:PORT
  size_t publishers = 10;     // connections that publish
  double rate = 1000;         // messages a second, all publishers together
  double seconds = 10;        // counted
  double warmup_seconds = 1;  // before that, not counted
  int qos = 0;
  size_t payload_bytes = 0;
  size_t batch = 1;  // messages a write: one publisher sends so many at once, less often
  int mqtt_version = 311;
};

// `text` with every "%d" replaced by the number.
std::string numbered(std::string_view text, size_t number);

class BenchRun {
 public:
  explicit BenchRun(const Load& load);
  virtual ~BenchRun() = default;
  BenchRun(const BenchRun&) = delete;
  BenchRun& operator=(const BenchRun&) = delete;

  // Returns when all is done, or with the first error.
  Result<void> run();

 protected:
  // One more connection than there are publishers, when `extra_subscriber`.
  virtual std::vector<std::string> filters_of(size_t connection) const = 0;
  virtual std::string topic_of(size_t publisher) const = 0;
  virtual std::string_view compose(size_t publisher, const Publisher::Message& message) = 0;
  // The message is about to be published; its QoS may still be changed.
  virtual void on_due(Publisher::Message& message, size_t publisher) = 0;
  virtual void on_message(size_t connection, const mqtt::Publish& publish) = 0;
  virtual void on_acknowledged(const Publisher::Message& message, mqtt::Reason reason) = 0;
  // The first counted message is about to be sent.
  virtual void on_counting() {}
  [[nodiscard]] virtual bool drained() const = 0;

  void add_subscriber() { extra_subscriber_ = true; }
  void end_if_drained();
  void fail_with(Error error);

  [[nodiscard]] bool counted(uint64_t message_number) const { return message_number >= first_counted_; }
  [[nodiscard]] MonotonicTime due_of(uint64_t message_number) const { return pacer_.due(message_number / load_.batch); }
  [[nodiscard]] MonotonicTime counting_since() const { return due_of(first_counted_); }
  [[nodiscard]] bool publishers_idle() const;
  [[nodiscard]] uint64_t sent() const;
  [[nodiscard]] uint64_t offered() const { return messages_; }
  [[nodiscard]] uint64_t uncounted() const { return first_counted_; }
  [[nodiscard]] const Histogram::Snapshot& pacing() const { return pacer_.lateness(); }

  const Load load_;

 private:
  struct Connection final : mqtt::ClientObserver {
    Connection(BenchRun& owner, size_t index) : run(owner), number(index) {}
    void on_connected(const mqtt::Connack& connack) override;
    void on_subscribed(const mqtt::Suback& suback) override;
    void on_message(const mqtt::Publish& publish) override { run.on_message(number, publish); }
    void on_acknowledged(const mqtt::Acknowledgement& acknowledgement) override;
    void on_disconnected(std::string_view reason) override;

    BenchRun& run;
    const size_t number;
    std::unique_ptr<mqtt::Client> client;
    std::unique_ptr<Publisher> publisher;  // none for the extra subscriber
    size_t subscriptions_open = 0;
  };

  void connect_more();
  void ready(Connection& connection);
  void start();
  void write(uint64_t index, MonotonicTime due);
  void drain();
  void resume_while_waiting();

  runtime::Loop loop_{"bench"};
  Pacer pacer_;
  runtime::Timer timeout_;
  runtime::Timer resume_;
  net::Address address_;
  std::vector<std::unique_ptr<Connection>> connections_;
  bool extra_subscriber_ = false;
  size_t connecting_ = 0;
  size_t ready_ = 0;
  uint64_t messages_ = 0;       // all that will be published
  uint64_t first_counted_ = 0;  // the number of the first message after the warm-up
  bool draining_ = false;
  bool ended_ = false;
  Result<void> result_;
};

}  // namespace verge::cli

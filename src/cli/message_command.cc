// verge pub and verge sub: one message to a broker, and those that come from it.
#include <cstdio>
#include <fstream>
#include <iterator>
#include <memory>

#include <fmt/format.h>

#include "base/text.h"
#include "cli/command_line.h"
#include "cli/mqtt_commands.h"
#include "mqtt/client.h"
#include "mqtt/twin_document.h"
#include "net/address.h"

namespace verge::cli {
namespace {

constexpr uint16_t kKeepAliveSeconds = 60;

struct BrokerOptions {
  std::string target = "127.0.0.1:1883";
  std::string client_id;
  std::string user;
  std::string password_file;
};

void add_broker_options(Command& command, BrokerOptions& options) {
  command.add_option("--target", options.target, "Where the broker listens, without TLS")
      ->type_name("HOST:PORT")
      ->capture_default_str();
  command.add_option("--id", options.client_id, "The client id; the broker gives one by itself")->type_name("ID");
  command.add_option("--user", options.user, "The user name")->type_name("USER");
  command.add_option("--password-file", options.password_file, "Its first line is the password")->type_name("FILE");
}

int fail_with(std::string_view command, const Error& error) {
  fmt::print(stderr, "verge {}: {}\n", command, error.line());
  return kFailure;
}

// One connection, to its end.
class Exchange : public mqtt::ClientObserver {
 public:
  // The exit status.
  int run(std::string_view command, const BrokerOptions& options) {
    const Result<net::Address> address = net::Address::resolve(options.target);
    if (!address) return fail_with(command, address.error());
    std::string password;
    if (!options.password_file.empty()) {
      std::ifstream in(options.password_file);
      if (!std::getline(in, password)) {
        return fail_with(command, {"cli.input", fmt::format("{} cannot be read", options.password_file),
                                   "name a file whose first line is the password"});
      }
    }
    mqtt::Connect connect{.keep_alive_s = kKeepAliveSeconds, .client_id = options.client_id};
    if (!options.user.empty()) connect.user_name = options.user;
    if (!options.password_file.empty()) connect.password = password;
    auto client = mqtt::Client::open(loop_, *address, connect, *this);
    if (!client) return fail_with(command, client.error());
    client_ = std::move(*client);
    loop_.run();
    if (!failure_.empty()) {
      fmt::print(stderr, "verge {}: {}: {}\n", command, options.target, failure_);
      return kFailure;
    }
    return status_;
  }

 protected:
  void end(int status) {
    status_ = status;
    if (client_) client_->disconnect();
    loop_.stop();
  }
  void on_disconnected(std::string_view reason) override {
    failure_ = reason;
    loop_.stop();
  }
  mqtt::Client& client() { return *client_; }

 private:
  runtime::Loop loop_{"client"};
  std::unique_ptr<mqtt::Client> client_;
  std::string failure_;
  int status_ = kSuccess;
};

struct PubOptions {
  BrokerOptions broker;
  std::string topic;
  std::string payload;
  std::string file;
  int qos = 1;
  bool retain = false;
  bool json = false;
  std::vector<std::string> properties;
};

class Publishing final : public Exchange {
 public:
  Publishing(const PubOptions& options, std::string payload) : options_(options), payload_(std::move(payload)) {}

 private:
  void on_connected(const mqtt::Connack&) override {
    mqtt::Publish publish{.qos = static_cast<uint8_t>(options_.qos),
                          .retain = options_.retain,
                          .topic = options_.topic,
                          .properties = {},
                          .payload = payload_};
    for (const std::string_view property : options_.properties) {
      const size_t equals = property.find('=');
      publish.properties.user.emplace_back(property.substr(0, equals), property.substr(equals + 1));
    }
    client().publish(publish);
    if (options_.qos == 0) report(mqtt::Reason::kSuccess);
  }
  void on_acknowledged(const mqtt::Acknowledgement& acknowledgement) override { report(acknowledgement.reason); }

  void report(mqtt::Reason reason) {
    const auto code = static_cast<int>(reason);
    if (options_.json) {
      fmt::print(R"({{"topic":{},"bytes":{},"qos":{},"reason":{}}})"
                 "\n",
                 json_string(options_.topic), payload_.size(), options_.qos, code);
    } else if (mqtt::is_failure(reason)) {
      fmt::print(stderr, "verge pub: the broker refused the message (reason {:#x})\n", code);
    } else if (reason == mqtt::Reason::kNoMatchingSubscribers) {
      fmt::print(stderr, "nobody subscribes to {}\n", printable(options_.topic));
    }
    end(mqtt::is_failure(reason) ? kFailure : kSuccess);
  }

  const PubOptions& options_;
  const std::string payload_;
};

int publish(const PubOptions& options) {
  std::string payload = options.payload;
  if (options.file == "-") {
    std::string text;
    char buffer[1 << 16];
    while (const size_t got = std::fread(buffer, 1, sizeof(buffer), stdin)) text.append(buffer, got);
    payload = std::move(text);
  } else if (!options.file.empty()) {
    std::ifstream in(options.file, std::ios::binary);
    if (!in) return fail_with("pub", {"cli.input", options.file + " cannot be read", "name a file that can be read"});
    payload.assign(std::istreambuf_iterator<char>(in), {});
  }
  for (const std::string& property : options.properties) {
    if (property.find('=') != std::string::npos) continue;
    fmt::print(stderr, "verge pub: --property is NAME=VALUE\n");
    return kUsage;
  }
  return Publishing(options, std::move(payload)).run("pub", options.broker);
}

struct SubOptions {
  BrokerOptions broker;
  std::vector<std::string> filters;
  int qos = 1;
  uint64_t count = 0;
  bool json = false;
};

class Subscribing final : public Exchange {
 public:
  explicit Subscribing(const SubOptions& options) : options_(options) {}

 private:
  void on_connected(const mqtt::Connack&) override {
    for (const std::string& filter : options_.filters) client().subscribe(filter, static_cast<uint8_t>(options_.qos));
  }
  void on_subscribed(const mqtt::Suback& suback) override {
    const std::string& filter = options_.filters[answered_++];
    const int code = suback.codes.empty() ? 0x80 : suback.codes.front();
    if (code < 0x80) return;
    fmt::print(stderr, "verge sub: the broker refused {} (reason {:#x})\n", printable(filter), code);
    end(kFailure);
  }
  void on_message(const mqtt::Publish& publish) override {
    if (options_.count > 0 && taken_ == options_.count) return;  // the rest of a packet
    if (options_.json) {
      std::string line =
          fmt::format(R"({{"topic":{},"qos":{},"retain":{},)", json_string(publish.topic), publish.qos, publish.retain);
      if (is_utf8(publish.payload)) {
        line.append(R"("payload":)").append(json_string(publish.payload));
      } else {
        line.append(R"("payload_base64":")").append(base64(publish.payload)).append("\"");
      }
      std::string properties;
      for (const auto& [name, value] : publish.properties.user) {
        properties.append(properties.empty() ? "" : ",")
            .append(json_string(name))
            .append(":")
            .append(json_string(value));
      }
      if (!properties.empty()) line.append(R"(,"properties":{)").append(properties).append("}");
      fmt::print("{}}}\n", line);
    } else {
      fmt::print("{} {}\n", printable(publish.topic), printable(publish.payload));
    }
    std::fflush(stdout);
    if (++taken_ == options_.count) end(kSuccess);
  }

  const SubOptions& options_;
  size_t answered_ = 0;
  uint64_t taken_ = 0;
};

}  // namespace

void add_pub(Command& app, Outcome& outcome) {
  Command* pub = app.add_command("pub", "Publish one message by MQTT");
  pub->group(kGroupTry);
  const auto options = std::make_shared<PubOptions>();
  pub->add_option("topic", options->topic, "The topic")->required()->type_name("TOPIC");
  pub->add_option("payload", options->payload, "The payload")->type_name("PAYLOAD");
  pub->add_option("--file", options->file, "The payload is this file; - for standard input")->type_name("FILE");
  pub->add_option("--qos", options->qos, "0, 1 or 2")->check(between(0, 2))->capture_default_str();
  pub->add_flag("--retain", options->retain, "The broker keeps it for who subscribes later");
  pub->add_option("--property", options->properties, "A user property; again for more")->type_name("NAME=VALUE");
  add_broker_options(*pub, options->broker);
  pub->add_flag("--json", options->json, "JSON on stdout: topic, bytes, qos and the reason code of the answer");
  set_examples(*pub,
               "  verge pub plant/press-7/oven '{\"temperature\":120}'\n"
               "  verge pub config/press-7 --file press-7.json --retain --qos 2");
  pub->callback([&outcome, options] { outcome.run = [options] { return publish(*options); }; });
}

void add_sub(Command& app, Outcome& outcome) {
  Command* sub = app.add_command("sub", "Print the messages that come by MQTT");
  sub->group(kGroupTry);
  const auto options = std::make_shared<SubOptions>();
  sub->add_option("filter", options->filters, "Topic filters")->required()->type_name("FILTER");
  sub->add_option("--qos", options->qos, "0, 1 or 2")->check(between(0, 2))->capture_default_str();
  sub->add_option("--count", options->count, "End after so many; 0: go on")->capture_default_str();
  add_broker_options(*sub, options->broker);
  sub->add_flag("--json", options->json, "JSON on stdout, one object a line");
  set_examples(*sub,
               "  verge sub 'plant/#'\n"
               "  verge sub 'plant/+/oven' --count 1 --json");
  sub->callback(
      [&outcome, options] { outcome.run = [options] { return Subscribing(*options).run("sub", options->broker); }; });
}

void add_twin_watch(Command& twin, Outcome& outcome) {
  Command* watch = twin.add_command("watch", "Print a twin, and what becomes of it, as MQTT clients see it");
  struct WatchOptions {
    SubOptions sub;
    std::string device = "+";
  };
  const auto options = std::make_shared<WatchOptions>();
  watch->add_option("device", options->device, "The device; all otherwise")->type_name("DEVICE");
  watch->add_option("--count", options->sub.count, "End after so many; 0: go on")->capture_default_str();
  add_broker_options(*watch, options->sub.broker);
  watch->add_flag("--json", options->sub.json, "JSON on stdout, one object a line");
  set_examples(*watch, "  verge twin watch press-7\n");
  watch->callback([&outcome, options] {
    outcome.run = [options] {
      options->sub.filters = {mqtt::twin_topic(options->device, "document"),
                              mqtt::twin_topic(options->device, "delta")};
      return Subscribing(options->sub).run("twin", options->sub.broker);
    };
  });
}

}  // namespace verge::cli

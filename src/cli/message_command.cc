// verge pub and verge sub: one message to a broker, and those that come from it.
#include <algorithm>
#include <cstdio>
#include <fstream>
#include <iterator>
#include <memory>

#include <fmt/format.h>

#include "base/text.h"
#include "cli/command_line.h"
#include "cli/mqtt_commands.h"
#include "model/topic.h"
#include "mqtt/client.h"
#include "mqtt/reason_words.h"
#include "mqtt/twin_document.h"
#include "net/address.h"
#include "net/connecting.h"
#include "net/tls_context.h"

namespace verge::cli {
namespace {

constexpr uint16_t kKeepAliveSeconds = 60;

constexpr Duration kConnectMax = std::chrono::seconds(10);

struct BrokerOptions {
  std::string target;  // empty: this machine, at the customary port
  bool tls = false;
  std::string authorities;
  net::TlsIdentity identity;
  std::string client_id;
  std::string user;
  std::string password_file;

  [[nodiscard]] bool speaks_tls() const { return tls || !authorities.empty() || !identity.certificate.empty(); }
  [[nodiscard]] std::string address() const {
    return !target.empty() ? target : speaks_tls() ? "127.0.0.1:8883" : "127.0.0.1:1883";
  }
  // What the broker's certificate must be for.
  [[nodiscard]] std::string server_name() const {
    std::string host = address();
    host.erase(std::min(host.rfind(':'), host.size()));
    return host.starts_with('[') && host.ends_with(']') ? host.substr(1, host.size() - 2) : host;
  }
};

void add_broker_options(Command& command, BrokerOptions& options) {
  command.add_option("--target", options.target, "Where the broker listens [127.0.0.1:1883; with TLS 127.0.0.1:8883]")
      ->type_name("HOST:PORT");
  command.add_flag("--tls", options.tls,
                   "Speak TLS; the broker's certificate must be for HOST, by an authority of the system");
  command
      .add_option("--ca,--cafile", options.authorities, "Speak TLS, and trust the authorities in this PEM file instead")
      ->type_name("FILE");
  Option* certificate =
      command.add_option("--cert", options.identity.certificate, "Speak TLS, and show this certificate (PEM)");
  Option* key = command.add_option("--key", options.identity.key, "Its private key (PEM), without a passphrase");
  certificate->type_name("FILE")->needs("--key");
  key->type_name("FILE")->needs("--cert");
  command.add_option("--id", options.client_id, "The client id; the broker gives one by itself")->type_name("ID");
  command.add_option("--user", options.user, "The user name")->type_name("USER");
  command.add_option("--password-file", options.password_file, "Its first line is the password")->type_name("FILE");
}

int fail_with(std::string_view command, const Error& error) {
  fmt::print(stderr, "verge {}: {}\n", command, error.line());
  return kFailure;
}

// What to do about a refusal; empty where the reason says it.
std::string fix_of(mqtt::Reason reason, const BrokerOptions& options) {
  const bool is_nobody = options.user.empty() && options.identity.certificate.empty();
  switch (reason) {
    case mqtt::Reason::kBadUserNameOrPassword:
      return options.user.empty() ? "give --user and --password-file"
                                  : "correct --user, or the first line of the file that --password-file names";
    case mqtt::Reason::kNotAuthorized:
      return is_nobody ? "give --user and --password-file, or --cert and --key"
                       : "let this user do it; in a node [[mqtt.acl]] says who may do what";
    case mqtt::Reason::kClientIdentifierNotValid:
      return "give another --id";
    case mqtt::Reason::kUnsupportedProtocolVersion:
      return "name a broker that speaks MQTT 5";
    case mqtt::Reason::kServerUnavailable:
    case mqtt::Reason::kServerBusy:
    case mqtt::Reason::kServerShuttingDown:
    case mqtt::Reason::kMessageRateTooHigh:
      return "try again later";
    case mqtt::Reason::kTopicFilterInvalid:
      return "'+' stands alone for one level, '#' alone for all levels that remain";
    case mqtt::Reason::kPacketTooLarge:
      return "send less at once";
    default:
      return {};
  }
}

Error refusal_of(mqtt::Reason reason, std::string_view what, const BrokerOptions& options) {
  return {"cli.broker-refused",
          fmt::format("the broker refused {}: {} ({:#x})", what, words_of(reason), static_cast<unsigned>(reason)),
          fix_of(reason, options)};
}

// One connection, to its end.
class Exchange : public mqtt::ClientObserver {
 public:
  // The exit status.
  int run(std::string_view command, const BrokerOptions& options) {
    command_ = command;
    broker_ = &options;
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
    if (const Result<void> opened = open(options, connect); !opened) return fail_with(command, opened.error());
    loop_.run();
    return status_;
  }

 protected:
  void end(int status) {
    status_ = status;
    if (client_) client_->disconnect();
    loop_.stop();
  }
  void end(const Error& error) { end(fail_with(command_, error)); }
  void on_refused(mqtt::Reason reason, std::string_view said) override {
    Error error = refusal_of(reason, "the connection", *broker_);
    if (!said.empty()) error.what.append(": ").append(printable(said));
    break_off(fail_with(command_, error));
  }
  void on_disconnected(std::string_view reason) override {
    fmt::print(stderr, "verge {}: {}: {}\n", command_, broker_->address(), reason);
    break_off(kFailure);
  }
  mqtt::Client& client() { return *client_; }
  [[nodiscard]] const BrokerOptions& broker() const { return *broker_; }

 private:
  // `connect`, which has views, outlives the loop's run.
  Result<void> open(const BrokerOptions& options, const mqtt::Connect& connect) {
    const Result<net::Address> address = net::Address::resolve(options.address());
    if (!address) return std::unexpected(address.error());
    if (!options.speaks_tls()) {
      auto client = mqtt::Client::open(loop_, *address, connect, *this);
      if (!client) return std::unexpected(client.error());
      client_ = std::move(*client);
      return {};
    }
    const auto tls = net::TlsContext::client({.server_name = options.server_name(),
                                              .ca = options.authorities,
                                              .identity = options.identity,
                                              .protocols = {}});
    if (!tls) return std::unexpected(tls.error());
    const auto connected = [this, &connect](Result<net::Socket> socket) {
      if (socket) {
        client_ = mqtt::Client::over(loop_, std::move(*socket), connect, *this);
      } else {
        break_off(fail_with(command_, socket.error()));
      }
    };
    connecting_ =
        std::make_unique<net::Connecting>(loop_, *address, options.server_name(), *tls, kConnectMax, connected);
    return {};
  }
  void break_off(int status) {
    status_ = status;
    loop_.stop();
  }

  runtime::Loop loop_{"client"};
  std::unique_ptr<net::Connecting> connecting_;
  std::unique_ptr<mqtt::Client> client_;
  std::string_view command_;
  const BrokerOptions* broker_ = nullptr;
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
      return end(refusal_of(reason, "the message", broker()));
    } else if (reason == mqtt::Reason::kNoMatchingSubscribers) {
      fmt::print(stderr, "nobody subscribes to {}\n", printable(options_.topic));
    }
    end(mqtt::is_failure(reason) ? kFailure : kSuccess);
  }

  const PubOptions& options_;
  const std::string payload_;
};

int publish(const PubOptions& options) {
  if (!is_topic_name(options.topic)) {
    fail_with("pub", {"cli.topic", fmt::format("{} is no topic to publish to", json_string(options.topic)),
                      "a topic is not empty and has no '+' and '#', which stand in filters"});
    return kUsage;
  }
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
    end(refusal_of(static_cast<mqtt::Reason>(code), printable(filter), broker()));
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
               "  verge pub config/press-7 --file press-7.json --retain --qos 2\n"
               "  verge pub a/b x --target broker.example:8883 --ca ca.pem --cert press-7.pem --key press-7.key");
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

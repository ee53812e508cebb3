#include <cstdio>

#include "cli/bench_decide.h"
#include "cli/bench_ingest.h"
#include "cli/bench_jetstream.h"
#include "cli/bench_purge.h"
#include "cli/bench_spool.h"
#include "cli/command_line.h"
#include "cli/commands.h"
#include "cli/constant_server.h"
#include "cli/echo_server.h"

namespace verge::cli {
namespace {

void add_load(Command& command, Load& load) {
  command.add_option("--target", load.target, "Where the broker listens")
      ->required()
      ->type_name("HOST:PORT")
      ->check(no_address);
  command.add_option("--publishers", load.publishers, "Connections that publish")
      ->check(between(1, 60000))
      ->capture_default_str();
  command.add_option("--rate", load.rate, "Messages a second, all publishers together")
      ->check(between(0.001, 1e8))
      ->capture_default_str();
  command.add_option("--seconds", load.seconds, "How long is measured")
      ->check(between(0.001, 1e6))
      ->capture_default_str();
  command.add_option("--warmup", load.warmup_seconds, "Seconds at the same rate before that, not counted")
      ->check(between(0.0, 1e6))
      ->capture_default_str();
  command.add_option("--qos", load.qos, "MQTT quality of service, 0 or 1")->check(between(0, 1))->capture_default_str();
  command.add_option("--payload-bytes", load.payload_bytes, "Size of a payload; a shorter one is padded")
      ->check(between(0, 1 << 20))
      ->capture_default_str();
  command.add_option("--batch", load.batch, "Messages a write")->check(between(1, 100000))->capture_default_str();
  command.add_option("--mqtt-version", load.mqtt_version, "311 for MQTT 3.1.1, or 5")
      ->check(one_of({311, 5}))
      ->capture_default_str();
}

int fail_with(const Error& error) {
  fmt::print(stderr, "verge: {}\n", error.line());
  return kFailure;
}

int run_decide(const DecideOptions& options, bool json) {
  const Result<DecideFigures> figures = bench_decide(options);
  if (!figures) return fail_with(figures.error());
  fmt::print("{}", json ? json_of(*figures) + "\n" : text_of(*figures));
  if (passed(*figures)) return kSuccess;
  if (figures->mismatched > 0) {
    fmt::print(stderr, "verge: {} commands are not the expected one; expected '{}', received '{}'\n",
               figures->mismatched, figures->expected, figures->unexpected);
  }
  if (figures->received != figures->sent || figures->received == 0) {
    fmt::print(stderr, "verge: {} of {} publishes were answered by a command\n", figures->received, figures->sent);
  }
  return kFailure;
}

int run_ingest(const IngestOptions& options, bool json) {
  const Result<IngestFigures> figures = bench_ingest(options);
  if (!figures) return fail_with(figures.error());
  fmt::print("{}", json ? json_of(*figures) + "\n" : text_of(*figures));
  return kSuccess;
}

void add_decide(Command& bench, Outcome& outcome) {
  Command* command = bench.add_command("decide", "Time from a publish to the command that a rule makes of it");
  const auto options = std::make_shared<DecideOptions>();
  const auto json = std::make_shared<bool>(false);
  add_load(*command, options->load);
  command->add_option("--publish", options->publish, "Topic to publish to; %d is the publisher's number")
      ->capture_default_str();
  command->add_option("--receive", options->receive, "Topic of the commands; %d as above")->capture_default_str();
  command->add_option("--payload", options->payload, "What to publish; %d as above")->capture_default_str();
  command->add_option("--expect", options->expect, "What every command must be; %d as above")->capture_default_str();
  command->add_flag("--json", *json, "One JSON object: rate, p50_us, p99_us, max_us, sent, received, mismatched, ...");
  set_examples(*command,
               "  verge bench decide --target 127.0.0.1:1883 --publishers 10 --rate 10000 --seconds 10 \\\n"
               "    --publish plant/m%d/oven --payload '{\"device\":\"m%d\",\"temperature\":120.5}' \\\n"
               "    --receive plant/m%d/command --expect '{\"action\":\"SHUTDOWN_EQUIPMENT\"}'\n"
               "\n"
               "Exit status 1 when a command is missing or is not the expected one.");
  command->callback([&outcome, options, json] { outcome.run = [=] { return run_decide(*options, *json); }; });
}

void add_ingest(Command& bench, Outcome& outcome) {
  Command* command = bench.add_command("ingest", "How fast a broker takes messages in, and what they cost it");
  const auto options = std::make_shared<IngestOptions>();
  const auto json = std::make_shared<bool>(false);
  options->load.payload_bytes = 128;
  add_load(*command, options->load);
  command->add_option("--topic", options->topic, "Topic to publish to; %d is the publisher's number")
      ->capture_default_str();
  command->add_option("--pid", options->process_id, "Process of the broker, whose processor time is measured");
  command->add_flag("--subscribe", options->subscribe, "At QoS 0: subscribe as well, and measure and count arrivals");
  command->add_flag("--json", *json, "One JSON object: messages_per_s, p50_us, p99_us, lost, cpu_us_per_message, ...");
  set_examples(*command,
               "  verge bench ingest --target 127.0.0.1:1883 --publishers 50 --rate 20000 --seconds 10 --qos 1 \\\n"
               "    --payload-bytes 200 --batch 10 --pid $(pidof mosquitto)");
  command->callback([&outcome, options, json] { outcome.run = [=] { return run_ingest(*options, *json); }; });
}

int run_spool(const SpoolBenchOptions& options, bool json) {
  const Result<SpoolBenchFigures> figures = bench_spool(options);
  if (!figures) return fail_with(figures.error());
  fmt::print("{}", json ? json_of(*figures) + "\n" : text_of(*figures));
  return kSuccess;
}

void add_purge_bench(Command& bench, Outcome& outcome) {
  Command* command = bench.add_command("purge", "A purge of one tag that all stored answers carry");
  const auto options = std::make_shared<PurgeBenchOptions>();
  const auto json = std::make_shared<bool>(false);
  command->add_option("--answers", options->answers, "How many are stored; each takes about a KiB")
      ->check(between(uint64_t{1}, uint64_t{10'000'000}))
      ->capture_default_str();
  command->add_option("--tags", options->tags, "How many each carries")
      ->check(between(uint64_t{1}, uint64_t{1000}))
      ->capture_default_str();
  command->add_flag("--json", *json, "For machines: one JSON object");
  set_examples(*command, "  verge bench purge --answers 1000000 --tags 100\n");
  command->callback([&outcome, options, json] {
    outcome.run = [=] {
      const PurgeBenchFigures figures = bench_purge(*options);
      fmt::print("{}", *json ? json_of(figures) : text_of(figures));
      return figures.served_after == 0 ? kSuccess : kFailure;
    };
  });
}

void add_spool_bench(Command& bench, Outcome& outcome) {
  Command* command = bench.add_command("spool", "Durable appends a second, beside what the disk allows");
  const auto options = std::make_shared<SpoolBenchOptions>();
  const auto json = std::make_shared<bool>(false);
  command->add_option("--batch", options->batch_records, "Records a commit")
      ->check(between(1, 100000))
      ->capture_default_str();
  command->add_option("--record-bytes", options->record_bytes, "Size of a record")
      ->check(between(64, 1 << 20))
      ->capture_default_str();
  command->add_option("--seconds", options->seconds, "How long is measured, both together")
      ->check(between(0.001, 1e6))
      ->capture_default_str();
  command->add_flag("--encrypt", options->encrypt, "Encrypt the spool, with a key made for this run");
  command->add_option("--directory", options->directory, "On the disk to be measured; made, and removed afterwards")
      ->type_name("DIR");
  command->add_flag("--json", *json, "One JSON object: appends_per_s, raw_appends_per_s, record_bytes, ...");
  set_examples(*command,
               "  verge bench spool --batch 64\n"
               "  verge bench spool --batch 1024 --seconds 20 --directory /mnt/data/bench --json");
  command->callback([&outcome, options, json] { outcome.run = [=] { return run_spool(*options, *json); }; });
}

int run_jetstream(const JetstreamBenchOptions& options, bool json) {
  const Result<JetstreamBenchFigures> figures = bench_jetstream(options);
  if (!figures) return fail_with(figures.error());
  fmt::print("{}", json ? json_of(*figures) + "\n" : text_of(*figures));
  return kSuccess;
}

void add_jetstream_bench(Command& bench, Outcome& outcome) {
  Command* command = bench.add_command("jetstream", "Appends a second that a NATS JetStream server acknowledges");
  const auto options = std::make_shared<JetstreamBenchOptions>();
  const auto json = std::make_shared<bool>(false);
  command->add_option("--url", options->url, "Where the server listens")
      ->type_name("nats://HOST:PORT")
      ->capture_default_str();
  command->add_option("--stream", options->stream, "Made if it is not there; one replica, file storage, up to 1 GiB")
      ->capture_default_str();
  command->add_option("--inflight", options->inflight, "Publishes that wait for their acknowledgement")
      ->check(between(1, 1'000'000))
      ->capture_default_str();
  command->add_option("--record-bytes", options->record_bytes, "Size of a record")
      ->check(between(1, 1 << 20))
      ->capture_default_str();
  command->add_option("--seconds", options->seconds, "How long is measured")
      ->check(between(0.001, 1e6))
      ->capture_default_str();
  command->add_option("--warmup", options->warmup_seconds, "Seconds before that, not counted")
      ->check(between(0.0, 1e6))
      ->capture_default_str();
  command->add_option("--pid", options->process_id, "Process of the server, whose processor time is measured");
  command->add_flag("--json", *json, "One JSON object: appends_per_s, records, cpu_us_per_record, ...");
  set_examples(*command,
               "  verge bench jetstream --url nats://127.0.0.1:4222 --inflight 1024 --pid $(pidof nats-server)");
  command->callback([&outcome, options, json] { outcome.run = [=] { return run_jetstream(*options, *json); }; });
}

struct EchoOptions {
  std::string listen = "127.0.0.1:0";
  std::string payload = DecideOptions{}.expect;
  std::string ready_file;
};

void add_echo(Command& bench, Outcome& outcome) {
  Command* command = bench.add_command("echo", "The bare server that 'bench decide' is compared with");
  const auto options = std::make_shared<EchoOptions>();
  command->add_option("--listen", options->listen, "Address; port 0 is any")
      ->type_name("HOST:PORT")
      ->capture_default_str();
  command->add_option("--payload", options->payload, "The command that answers every publish")->capture_default_str();
  command->add_option("--ready-file", options->ready_file, "Written once it listens: {\"mqtt\":[\"HOST:PORT\"]}");
  set_examples(*command,
               "  verge bench echo --listen 127.0.0.1:1899 &\n"
               "  verge bench decide --target 127.0.0.1:1899 --rate 10000");
  command->callback([&outcome, options] {
    outcome.run = [options] {
      const Result<void> served = serve_echo(options->listen, options->payload, options->ready_file);
      return served ? kSuccess : fail_with(served.error());
    };
  });
}

struct ConstantOptions {
  std::string listen = "127.0.0.1:0";
  size_t body_bytes = 1024;
  std::string ready_file;
};

void add_constant(Command& bench, Outcome& outcome) {
  Command* command = bench.add_command("constant", "The bare HTTP server that caches are compared with");
  const auto options = std::make_shared<ConstantOptions>();
  command->add_option("--listen", options->listen, "Address; port 0 is any")
      ->type_name("HOST:PORT")
      ->capture_default_str();
  command->add_option("--body-bytes", options->body_bytes, "Size of the body that answers every request")
      ->check(between(0, 1 << 30))
      ->capture_default_str();
  command->add_option("--ready-file", options->ready_file, "Written once it listens: {\"http\":[\"HOST:PORT\"]}");
  set_examples(*command,
               "  verge bench constant --listen 127.0.0.1:8199 &\n"
               "  wrk -t1 -c64 -d5s http://127.0.0.1:8199/");
  command->callback([&outcome, options] {
    outcome.run = [options] {
      const Result<void> served = serve_constant(options->listen, options->body_bytes, options->ready_file);
      return served ? kSuccess : fail_with(served.error());
    };
  });
}

}  // namespace

void add_bench(Command& app, Outcome& outcome) {
  Command* bench = app.add_command("bench", "Measure this or any other MQTT broker, and the disk");
  bench->group(kGroupTry);
  bench->require_subcommand(1);
  set_examples(*bench,
               "  verge bench decide --target 127.0.0.1:1883 --rate 10000\n"
               "\n"
               "Messages are sent at a fixed rate whatever becomes of them, and latency counts from the instant\n"
               "at which a message was due: a broker that stalls cannot hide it.");
  add_decide(*bench, outcome);
  add_ingest(*bench, outcome);
  add_spool_bench(*bench, outcome);
  add_purge_bench(*bench, outcome);
  add_jetstream_bench(*bench, outcome);
  add_echo(*bench, outcome);
  add_constant(*bench, outcome);
}

}  // namespace verge::cli

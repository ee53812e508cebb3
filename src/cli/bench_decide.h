// `verge bench decide`: how long from a device's publish to the command that a rule makes of it, as the device sees it.
//
// Command k on a command topic is taken for the answer to publish k to it, so that no payload needs a number. Where
// the receive topic has a "%d" every publisher subscribes its own on its own connection, as a device does; otherwise
// one more connection receives all commands. Latency counts from the instant at which the publish was due.
#pragma once

#include <string>

#include "base/error.h"
#include "base/metrics.h"
#include "cli/bench_run.h"

namespace verge::cli {

struct DecideOptions {
  Load load;
  std::string publish = "plant/m%d/oven";
  std::string receive = "plant/m%d/command";
  std::string payload = R"({"device":"m%d","temperature":120.5})";  // padded with blanks to load.payload_bytes
  std::string expect = R"({"action":"SHUTDOWN_EQUIPMENT"})";
};

struct DecideFigures {
  double rate = 0;  // answered, a second of the counted time
  Histogram::Snapshot latency;
  Histogram::Snapshot undisturbed;  // those of `latency` in moments in which the hypervisor took no processor away
  Histogram::Snapshot pacing;
  uint64_t sent = 0;
  uint64_t received = 0;
  uint64_t mismatched = 0;
  std::string expected;  // of the first mismatch
  std::string unexpected;
};

Result<DecideFigures> bench_decide(const DecideOptions& options);

// Every publish was answered by the expected command.
bool passed(const DecideFigures& figures);
std::string text_of(const DecideFigures& figures);
std::string json_of(const DecideFigures& figures);

}  // namespace verge::cli

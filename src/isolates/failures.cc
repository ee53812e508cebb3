#include "isolates/failures.h"

#include <array>
#include <chrono>

#include <fmt/format.h>

namespace verge::isolates {
namespace {

int64_t milliseconds(Duration duration) {
  return std::chrono::duration_cast<std::chrono::milliseconds>(duration).count();
}

// Codes are literals: what a process says is looked up.
constexpr std::array kCodes = {std::string_view("workers.exception"),  std::string_view("workers.syntax"),
                               std::string_view("workers.no-handler"), std::string_view("workers.memory"),
                               std::string_view("workers.terminated"), std::string_view("workers.cpu"),
                               std::string_view("workers.subrequest"), std::string_view("workers.restarted"),
                               std::string_view("workers.start")};

// What begins so was said by the worker's code.
std::string own_words_of(const std::string& worker) { return fmt::format("worker {}: ", worker); }

}  // namespace

Error cpu_error(const std::string& worker, const WorkerLimits& limits) {
  return {"workers.cpu",
          fmt::format("worker {} used more than {} ms of processor time for a call", worker, milliseconds(limits.cpu)),
          "make it do less, or raise its cpu_ms"};
}

Error memory_error(const std::string& worker, const WorkerLimits& limits) {
  return {"workers.memory", fmt::format("worker {} used more than {} MB of memory", worker, limits.memory_bytes >> 20),
          "make it hold less, or raise its memory_mb"};
}

Error wall_error(const std::string& worker, const WorkerLimits& limits) {
  return {"workers.wall", fmt::format("worker {} took longer than {} ms for a call", worker, milliseconds(limits.wall)),
          "raise its wall_ms where it waits for others"};
}

Error subrequests_error(const Worker& worker) {
  return {
      "workers.subrequests",
      fmt::format("worker {} made more than {} subrequests in a call", worker.name(), worker.limits().subrequests_max),
      "make fewer, or raise its subrequests"};
}

Error answer_error(const Worker& worker) {
  return {"workers.answer-bytes",
          fmt::format("worker {} answered with more than {} bytes", worker.name(), worker.limits().answer_bytes_max),
          "answer with less, or raise its answer_bytes_max"};
}

Error error_of(const calls::Failure& failure, const Worker& worker) {
  if (failure.code == "workers.cpu") return cpu_error(worker.name(), worker.limits());
  if (failure.code == "workers.memory") return memory_error(worker.name(), worker.limits());
  std::string_view code = "workers.exception";
  for (const std::string_view known : kCodes) {
    if (known == failure.code) code = known;
  }
  std::string what = own_words_of(worker.name()).append(failure.text);
  if (!failure.position.empty()) what += fmt::format(" at {}", failure.position);
  return {code, std::move(what), std::string(failure.stack)};
}

std::string owner_text(const Error& error) {
  std::string text = fmt::format("{} [{}]", error.what, error.code);
  // Of what was thrown it is the stack, whose first lines have been said.
  const size_t frames = error.fix.find("\n    at ");
  if (frames != std::string::npos) return text.append(error.fix, frames);
  const bool is_advice = !error.fix.empty() && error.code != "workers.exception";
  return is_advice ? fmt::format("{}: {}", text, error.fix) : text;
}

std::string public_text(const Error& error, const std::string& worker) {
  if (!error.what.starts_with(own_words_of(worker))) return error.what;
  return fmt::format("worker {} {}", worker,
                     error.code == "workers.exception" ? "threw an exception" : "could not be started");
}

bool is_limit(const Error& error) {
  return error.code == "workers.cpu" || error.code == "workers.memory" || error.code == "workers.wall" ||
         error.code == "workers.subrequests" || error.code == "workers.answer-bytes";
}

}  // namespace verge::isolates

#include "jetstream/nats_setup.h"

#include <array>
#include <utility>

#include <fmt/format.h>

#include "base/log.h"

namespace verge::jetstream {
namespace {

constexpr int64_t kDuplicateWindowNs = 120'000'000'000;
constexpr int64_t kDuplicateWindowMinNs = 60'000'000'000;
// Of servers newer than this libnats: a message with the same id is on its way.
constexpr int kMessageIdUnderWay = 10158;

Result<void> make_stream(const NatsConnection& connection, const StreamSetup& setup) {
  const NatsLibrary& nats = connection.library();
  jsOptions js_options;
  nats.jsOptions_Init(&js_options);
  js_options.Wait = milliseconds(setup.make_wait);
  const std::string subjects = setup.name + ".>";
  std::array<const char*, 1> subject_list = {subjects.c_str()};
  jsStreamConfig config;
  nats.jsStreamConfig_Init(&config);
  config.Name = setup.name.c_str();
  config.Subjects = subject_list.data();
  config.SubjectsLen = static_cast<int>(subject_list.size());
  config.Retention = js_LimitsPolicy;
  config.Discard = js_DiscardNew;
  config.Storage = js_FileStorage;
  config.Replicas = static_cast<int64_t>(setup.replicas);
  config.Duplicates = kDuplicateWindowNs;
  config.MaxBytes = setup.bytes_max;
  jsStreamInfo* info = nullptr;
  const natsStatus status = nats.js_AddStream(&info, connection.context(), &config, &js_options, nullptr);
  if (status != NATS_OK) {
    return fail("jetstream.stream",
                fmt::format("the stream {} cannot be made with {} replicas: {}", setup.name, setup.replicas,
                            nats.reason(status)),
                "start as many servers with JetStream and room in one cluster, or lower store.replicas or "
                "store.overflow_bytes_max");
  }
  nats.jsStreamInfo_Destroy(info);
  log_info("jetstream", "made the stream {} with {} replicas", setup.name, setup.replicas);
  return {};
}

std::string wrong_with(const jsStreamConfig& config, uint64_t replicas) {
  if (config.Replicas < static_cast<int64_t>(replicas)) {
    return fmt::format("it has {} replicas, {} are wanted (store.replicas)", config.Replicas, replicas);
  }
  if (config.NoAck) return "it does not acknowledge (no_ack)";
  if (config.Duplicates < kDuplicateWindowMinNs) return "its duplicate window is shorter than a minute";
  if (config.Storage != js_FileStorage) return "its storage is not file";
  if (config.Retention != js_LimitsPolicy) return "its retention is not limits";
  return {};
}

}  // namespace

std::unexpected<Error> no_answer(const NatsConnection& connection, const std::string& stream, natsStatus status) {
  return fail("jetstream.unreachable",
              fmt::format("the stream {} does not answer: {}", stream, connection.library().reason(status)),
              "check that JetStream is on, and that most of the stream's servers run");
}

Result<void> prepare_stream(const NatsConnection& connection, const StreamSetup& setup, Duration wait) {
  const NatsLibrary& nats = connection.library();
  jsOptions js_options;
  nats.jsOptions_Init(&js_options);
  js_options.Wait = milliseconds(wait);
  jsStreamInfo* info = nullptr;
  auto code = static_cast<jsErrCode>(0);
  const natsStatus status = nats.js_GetStreamInfo(&info, connection.context(), setup.name.c_str(), &js_options, &code);
  if (status == NATS_NOT_FOUND || code == JSStreamNotFoundErr) return make_stream(connection, setup);
  if (status != NATS_OK) return no_answer(connection, setup.name, status);
  const std::string wrong = wrong_with(*info->Config, setup.replicas);
  nats.jsStreamInfo_Destroy(info);
  if (wrong.empty()) return {};
  return fail("jetstream.stream", fmt::format("the stream {} cannot be used: {}", setup.name, wrong),
              "change it with `nats stream edit`, or name another with store.stream");
}

Publication failed_publication(const std::string& stream, natsStatus status, jsErrCode code, const std::string& why) {
  using Outcome = Publication::Outcome;
  const auto no = [&](Outcome outcome, std::string_view error, std::string fix) {
    return Publication{
        outcome, 0, {error, fmt::format("the stream {} did not take a message: {}", stream, why), std::move(fix)}};
  };
  switch (static_cast<int>(code)) {
    case JSStreamWrongLastSequenceErr:
    case kMessageIdUnderWay:
      return no(Outcome::kTaken, "jetstream.raced", "send it again soon");
    case JSInsufficientResourcesErr:
    case JSStorageResourcesExceededErr:
    case JSAccountResourcesExceededErr:
    case JSStreamLimitsErr:
    case JSStreamStoreFailedErr:
      return no(Outcome::kRefused, "jetstream.full", "raise the stream's limits, or give the servers' disks room");
    case JSStreamMessageExceedsMaximumErr:
    case JSStreamNotMatchErr:
      return no(Outcome::kRefused, "jetstream.stream", "correct the stream's configuration");
    default:
      break;
  }
  const bool unheard = status == NATS_NO_RESPONDERS || status == NATS_INSUFFICIENT_BUFFER;
  return no(unheard ? Outcome::kUnheard : Outcome::kUncertain, "jetstream.unreachable",
            "check that most of its servers run");
}

}  // namespace verge::jetstream

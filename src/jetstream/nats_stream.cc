#include "jetstream/nats_stream.h"

#include <algorithm>
#include <array>
#include <chrono>
#include <thread>
#include <utility>

#include <fmt/format.h>
#include <fmt/ranges.h>
#include <nats/nats.h>

#include "base/log.h"
#include "jetstream/nats_library.h"

namespace verge::jetstream {
namespace {

constexpr int64_t kConnectWaitMs = 1000;
constexpr int64_t kReconnectWaitMs = 100;
constexpr int64_t kReconnectJitterMs = 50;
// A server that answers no ping for so long is gone, whatever TCP thinks.
constexpr int64_t kPingIntervalMs = 2000;
constexpr int kPingsOutMax = 2;
constexpr int64_t kCloseWaitMs = 1000;
// The servers agree on it among themselves.
constexpr int64_t kMakeWaitMs = 5000;
constexpr size_t kMessageBytesDefault = 1U << 20;
constexpr int64_t kDuplicateWindowNs = 120'000'000'000;
constexpr int64_t kDuplicateWindowMinNs = 60'000'000'000;
// Of servers newer than this libnats: a message with the same id is on its way.
constexpr int kMessageIdUnderWay = 10158;
constexpr const char* kKnownHeader = "Verge-Known";
constexpr const char* kAttemptHeader = "Verge-Attempt";

int64_t milliseconds(Duration duration) {
  return std::max<int64_t>(1, std::chrono::duration_cast<std::chrono::milliseconds>(duration).count());
}

using StatusText = decltype(&::natsStatus_GetText);

// Called by a thread of libnats for what no call could return, such as a missing permission.
void note_error(natsConnection*, natsSubscription*, natsStatus status, void* closure) {
  log_warning("jetstream", "the NATS server says: {}", reinterpret_cast<StatusText>(closure)(status));
}

}  // namespace

struct NatsStream::Connection {
  const NatsLibrary& library;
  natsOptions* options = nullptr;
  natsConnection* connection = nullptr;
  jsCtx* context = nullptr;

  explicit Connection(const NatsLibrary& of) : library(of) {}
  Connection(const Connection&) = delete;
  Connection& operator=(const Connection&) = delete;
  ~Connection() {
    drop();
    library.natsOptions_Destroy(options);
  }
  void drop() {
    library.jsCtx_Destroy(std::exchange(context, nullptr));
    library.natsConnection_Destroy(std::exchange(connection, nullptr));
  }

  natsStatus configure(const NatsOptions& wanted, void* closure) {
    std::vector<const char*> urls;
    for (const std::string& url : wanted.urls) urls.push_back(url.c_str());
    natsStatus status = library.natsOptions_Create(&options);
    const auto then = [&](auto&& step) {
      if (status == NATS_OK) status = step();
    };
    then([&] { return library.natsOptions_SetServers(options, urls.data(), static_cast<int>(urls.size())); });
    then([&] { return library.natsOptions_SetName(options, wanted.client.c_str()); });
    then([&] { return library.natsOptions_SetTimeout(options, kConnectWaitMs); });
    then([&] { return library.natsOptions_SetMaxReconnect(options, -1); });
    then([&] { return library.natsOptions_SetReconnectWait(options, kReconnectWaitMs); });
    then([&] { return library.natsOptions_SetReconnectJitter(options, kReconnectJitterMs, kReconnectJitterMs); });
    // As good as nothing is kept to be sent after a break: it would arrive when nobody waits for it any more.
    then([&] { return library.natsOptions_SetReconnectBufSize(options, 1); });
    then([&] { return library.natsOptions_SetFailRequestsOnDisconnect(options, true); });
    then([&] { return library.natsOptions_SetPingInterval(options, kPingIntervalMs); });
    then([&] { return library.natsOptions_SetMaxPingsOut(options, kPingsOutMax); });
    then([&] { return library.natsOptions_SetErrorHandler(options, note_error, closure); });
    if (!wanted.credentials_path.empty()) {
      then([&] {
        return library.natsOptions_SetUserCredentialsFromFiles(options, wanted.credentials_path.c_str(), nullptr);
      });
    }
    if (!wanted.token.empty()) then([&] { return library.natsOptions_SetToken(options, wanted.token.c_str()); });
    return status;
  }
};

NatsStream::NatsStream(const NatsOptions& options) : options_(options) {}

NatsStream::~NatsStream() {
  connection_.reset();
  library_->nats_CloseAndWait(kCloseWaitMs);
}

Result<std::unique_ptr<NatsStream>> NatsStream::open(const NatsOptions& options) {
  Result<std::unique_ptr<NatsLibrary>> library = NatsLibrary::load();
  if (!library) return std::unexpected(library.error());
  std::unique_ptr<NatsStream> stream(new NatsStream(options));
  stream->library_ = std::move(*library);
  const NatsLibrary& nats = *stream->library_;
  stream->connection_ = std::make_unique<Connection>(nats);
  const natsStatus status = stream->connection_->configure(options, reinterpret_cast<void*>(nats.natsStatus_GetText));
  if (status != NATS_OK) {
    return fail("jetstream.client", fmt::format("the NATS client cannot be set up: {}", nats.reason(status)),
                "check store.urls and store.credentials");
  }
  return stream;
}

Result<void> NatsStream::connect() {
  Connection& made = *connection_;
  made.drop();
  natsStatus status = library_->natsConnection_Connect(&made.connection, made.options);
  jsOptions js_options;
  library_->jsOptions_Init(&js_options);
  if (status == NATS_OK) status = library_->natsConnection_JetStream(&made.context, made.connection, &js_options);
  if (status == NATS_OK) return {};
  return fail("jetstream.unreachable",
              fmt::format("no NATS server of {} lets this node in: {}", fmt::join(options_.urls, ", "),
                          library_->reason(status)),
              "start them, or check store.urls, store.credentials, store.token and the network between");
}

bool NatsStream::connected() const {
  return library_->natsConnection_Status(connection_->connection) == NATS_CONN_STATUS_CONNECTED;
}

size_t NatsStream::message_bytes_max() const {
  const int64_t bytes = library_->natsConnection_GetMaxPayload(connection_->connection);
  return bytes > 0 ? static_cast<size_t>(bytes) : kMessageBytesDefault;
}

void NatsStream::pause(Duration duration) { std::this_thread::sleep_for(duration); }

Result<void> NatsStream::prepare(Duration wait) {
  const natsConnStatus status_now = library_->natsConnection_Status(connection_->connection);
  if (status_now != NATS_CONN_STATUS_CONNECTED) {
    checked_ = false;
    // At first, and where libnats gave up because it may not log in. Else it goes on by itself.
    if (status_now != NATS_CONN_STATUS_CLOSED) {
      return fail("jetstream.unreachable",
                  fmt::format("no NATS server of {} can be reached", fmt::join(options_.urls, ", ")),
                  "start them, or check store.urls and the network between");
    }
    if (const Result<void> begun = connect(); !begun) return begun;
  }
  if (checked_) return {};
  jsOptions js_options;
  library_->jsOptions_Init(&js_options);
  js_options.Wait = milliseconds(wait);
  jsStreamInfo* info = nullptr;
  auto code = static_cast<jsErrCode>(0);
  const natsStatus status =
      library_->js_GetStreamInfo(&info, connection_->context, options_.stream.c_str(), &js_options, &code);
  if (status == NATS_NOT_FOUND || code == JSStreamNotFoundErr) return make_stream();
  if (status != NATS_OK) {
    return fail("jetstream.unreachable",
                fmt::format("the stream {} does not answer: {}", options_.stream, library_->reason(status)),
                "check that JetStream is on, and that most of the stream's servers run");
  }
  const jsStreamConfig& config = *info->Config;
  std::string wrong;
  if (config.Retention != js_LimitsPolicy) wrong = "its retention is not limits";
  if (config.Storage != js_FileStorage) wrong = "its storage is not file";
  if (config.Duplicates < kDuplicateWindowMinNs) wrong = "its duplicate window is shorter than a minute";
  if (config.NoAck) wrong = "it does not acknowledge (no_ack)";
  if (config.Replicas < static_cast<int64_t>(options_.replicas)) {
    wrong = fmt::format("it has {} replicas, {} are wanted (store.replicas)", config.Replicas, options_.replicas);
  }
  library_->jsStreamInfo_Destroy(info);
  if (!wrong.empty()) {
    return fail("jetstream.stream", fmt::format("the stream {} cannot be used: {}", options_.stream, wrong),
                "change it with `nats stream edit`, or name another with store.stream");
  }
  checked_ = true;
  return {};
}

Result<void> NatsStream::make_stream() {
  jsOptions js_options;
  library_->jsOptions_Init(&js_options);
  js_options.Wait = kMakeWaitMs;
  const std::string subjects = options_.stream + ".>";
  std::array<const char*, 1> subject_list = {subjects.c_str()};
  jsStreamConfig config;
  library_->jsStreamConfig_Init(&config);
  config.Name = options_.stream.c_str();
  config.Subjects = subject_list.data();
  config.SubjectsLen = static_cast<int>(subject_list.size());
  config.Retention = js_LimitsPolicy;
  config.Discard = js_DiscardNew;
  config.Storage = js_FileStorage;
  config.Replicas = static_cast<int64_t>(options_.replicas);
  config.Duplicates = kDuplicateWindowNs;
  jsStreamInfo* info = nullptr;
  const natsStatus status = library_->js_AddStream(&info, connection_->context, &config, &js_options, nullptr);
  if (status != NATS_OK) {
    return fail("jetstream.stream",
                fmt::format("the stream {} cannot be made with {} replicas: {}", options_.stream, options_.replicas,
                            library_->reason(status)),
                "start as many servers with JetStream in one cluster, or lower store.replicas");
  }
  library_->jsStreamInfo_Destroy(info);
  log_info("jetstream", "made the stream {} with {} replicas", options_.stream, options_.replicas);
  checked_ = true;
  return {};
}

Result<std::optional<LastMessage>> NatsStream::last(const std::string& subject, Duration wait) {
  if (!connected()) {
    checked_ = false;
    return fail("jetstream.unreachable", "there is no connection to a NATS server", "start the NATS servers");
  }
  jsOptions js_options;
  library_->jsOptions_Init(&js_options);
  js_options.Wait = milliseconds(wait);
  natsMsg* found = nullptr;
  auto code = static_cast<jsErrCode>(0);
  const natsStatus status = library_->js_GetLastMsg(&found, connection_->context, options_.stream.c_str(),
                                                    subject.c_str(), &js_options, &code);
  if (status == NATS_NOT_FOUND && code == JSNoMessageFoundErr) return std::nullopt;
  if (status != NATS_OK) {
    checked_ = false;
    return fail("jetstream.unreachable",
                fmt::format("the stream {} does not answer: {}", options_.stream, library_->reason(status)),
                "check that most of its servers run");
  }
  const auto header = [&](const char* name) {
    const char* value = nullptr;
    return library_->natsMsgHeader_Get(found, name, &value) == NATS_OK && value != nullptr ? std::string(value)
                                                                                           : std::string();
  };
  LastMessage last{.sequence = library_->natsMsg_GetSequence(found),
                   .known = header(kKnownHeader),
                   .attempt = header(kAttemptHeader)};
  library_->natsMsg_Destroy(found);
  return last;
}

Publication NatsStream::publish(const Message& message, Duration wait) {
  using Outcome = Publication::Outcome;
  const auto no = [&](Outcome outcome, std::string_view code, const std::string& why, std::string fix) {
    if (outcome == Outcome::kUncertain || outcome == Outcome::kUnheard) checked_ = false;
    return Publication{
        outcome,
        0,
        {code, fmt::format("the stream {} did not take a message: {}", options_.stream, why), std::move(fix)}};
  };
  if (!connected()) {
    return no(Outcome::kUnheard, "jetstream.unreachable", "no connection to a server", "start the NATS servers");
  }
  natsMsg* sent = nullptr;
  natsStatus status = library_->natsMsg_Create(&sent, message.subject.c_str(), nullptr, message.body.data(),
                                               static_cast<int>(message.body.size()));
  if (status == NATS_OK) status = library_->natsMsgHeader_Set(sent, kKnownHeader, message.known.c_str());
  if (status == NATS_OK) status = library_->natsMsgHeader_Set(sent, kAttemptHeader, message.attempt.c_str());
  const std::string id = fmt::format("{}/{}", message.subject, message.after);
  jsPubOptions publish_options;
  library_->jsPubOptions_Init(&publish_options);
  publish_options.MaxWait = milliseconds(wait);
  publish_options.MsgId = id.c_str();
  publish_options.ExpectStream = options_.stream.c_str();
  publish_options.ExpectLastSubjectSeq = message.after;
  publish_options.ExpectNoMessage = message.after == 0;
  jsPubAck* acknowledgement = nullptr;
  auto code = static_cast<jsErrCode>(0);
  if (status == NATS_OK) {
    status = library_->js_PublishMsg(&acknowledgement, connection_->context, sent, &publish_options, &code);
  }
  const std::string why = status == NATS_OK ? "" : library_->reason(status);
  library_->natsMsg_Destroy(sent);
  if (status == NATS_OK) {
    const uint64_t sequence = acknowledgement->Sequence;
    const bool duplicate = acknowledgement->Duplicate;
    library_->jsPubAck_Destroy(acknowledgement);
    if (!duplicate) return {Outcome::kStored, sequence, {}};
    return no(Outcome::kTaken, "jetstream.raced", "another follows the same one", "send it again soon");
  }
  switch (static_cast<int>(code)) {
    case JSStreamWrongLastSequenceErr:
    case kMessageIdUnderWay:
      return no(Outcome::kTaken, "jetstream.raced", why, "send it again soon");
    case JSInsufficientResourcesErr:
    case JSStorageResourcesExceededErr:
    case JSAccountResourcesExceededErr:
    case JSStreamLimitsErr:
    case JSStreamStoreFailedErr:
      return no(Outcome::kRefused, "jetstream.full", why, "raise the stream's limits, or give the servers' disks room");
    case JSStreamMessageExceedsMaximumErr:
    case JSStreamNotMatchErr:
      checked_ = false;
      return no(Outcome::kRefused, "jetstream.stream", why, "correct the stream's configuration");
    default:
      break;
  }
  const bool unheard = status == NATS_NO_RESPONDERS || status == NATS_INSUFFICIENT_BUFFER;
  return no(unheard ? Outcome::kUnheard : Outcome::kUncertain, "jetstream.unreachable", why,
            "check that most of its servers run");
}

}  // namespace verge::jetstream

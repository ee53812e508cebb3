#include "jetstream/append_load.h"

#include <atomic>
#include <utility>

#include <fmt/format.h>

#include "jetstream/nats_library.h"

namespace verge::jetstream {
namespace {

constexpr int64_t kStreamBytesMax = 1LL << 30;
constexpr int64_t kConnectWaitMs = 5000;
constexpr int64_t kStallWaitMs = 10'000;
constexpr int64_t kCloseWaitMs = 1000;
constexpr uint64_t kLookEvery = 64;  // publishes between two looks at the clock

// Called by a thread of libnats for each publish that was not acknowledged.
void count_refusal(jsCtx*, jsPubAckErr*, void* closure) { ++*static_cast<std::atomic<uint64_t>*>(closure); }

}  // namespace

struct AppendLoad::Client {
  std::unique_ptr<NatsLibrary> nats;
  natsOptions* options = nullptr;
  natsConnection* connection = nullptr;
  jsCtx* context = nullptr;
  std::atomic<uint64_t> refused{0};

  explicit Client(std::unique_ptr<NatsLibrary> library) : nats(std::move(library)) {}
  Client(const Client&) = delete;
  Client& operator=(const Client&) = delete;
  ~Client() {
    nats->jsCtx_Destroy(context);
    nats->natsConnection_Destroy(connection);
    nats->natsOptions_Destroy(options);
    nats->nats_CloseAndWait(kCloseWaitMs);
  }

  natsStatus connect(const AppendLoadOptions& wanted) {
    const char* url = wanted.url.c_str();
    natsStatus status = nats->natsOptions_Create(&options);
    if (status == NATS_OK) status = nats->natsOptions_SetServers(options, &url, 1);
    if (status == NATS_OK) status = nats->natsOptions_SetTimeout(options, kConnectWaitMs);
    if (status == NATS_OK) status = nats->natsConnection_Connect(&connection, options);
    jsOptions js_options;
    nats->jsOptions_Init(&js_options);
    js_options.PublishAsync.MaxPending = static_cast<int64_t>(wanted.inflight);
    js_options.PublishAsync.StallWait = kStallWaitMs;
    js_options.PublishAsync.ErrHandler = count_refusal;
    js_options.PublishAsync.ErrHandlerClosure = &refused;
    if (status == NATS_OK) status = nats->natsConnection_JetStream(&context, connection, &js_options);
    return status;
  }

  natsStatus make_stream(const AppendLoadOptions& wanted) {
    const char* subject = wanted.stream.c_str();
    jsStreamConfig config;
    nats->jsStreamConfig_Init(&config);
    config.Name = subject;
    config.Subjects = &subject;
    config.SubjectsLen = 1;
    config.Retention = js_LimitsPolicy;
    config.Discard = js_DiscardOld;
    config.MaxBytes = kStreamBytesMax;
    config.Storage = js_FileStorage;
    config.Replicas = 1;
    jsStreamInfo* info = nullptr;
    const natsStatus status = nats->js_AddStream(&info, context, &config, nullptr, nullptr);
    if (status == NATS_OK) nats->jsStreamInfo_Destroy(info);
    return status;
  }
};

AppendLoad::AppendLoad(const AppendLoadOptions& options, std::unique_ptr<Client> client)
    : options_(options), client_(std::move(client)) {}

AppendLoad::~AppendLoad() = default;

Result<std::unique_ptr<AppendLoad>> AppendLoad::open(const AppendLoadOptions& options) {
  Result<std::unique_ptr<NatsLibrary>> library = NatsLibrary::load();
  if (!library) return std::unexpected(library.error());
  auto client = std::make_unique<Client>(std::move(*library));
  if (const natsStatus status = client->connect(options); status != NATS_OK) {
    return fail("jetstream.unreachable",
                fmt::format("no NATS server at {} lets this program in: {}", options.url, client->nats->reason(status)),
                "start one: nats-server -js");
  }
  if (const natsStatus status = client->make_stream(options); status != NATS_OK) {
    return fail("jetstream.stream",
                fmt::format("the stream {} cannot be made: {}", options.stream, client->nats->reason(status)),
                "start the server with JetStream (-js), and with room on its disk");
  }
  return std::unique_ptr<AppendLoad>(new AppendLoad(options, std::move(client)));
}

Result<uint64_t> AppendLoad::run(Duration duration, Duration wait) {
  const NatsLibrary& nats = *client_->nats;
  const std::string record(options_.record_bytes, 'x');
  const auto broken = [&](natsStatus status) {
    return fail("jetstream.unreachable", fmt::format("a publish was not acknowledged: {}", nats.reason(status)),
                "check the server's log");
  };
  const MonotonicTime end = std::chrono::steady_clock::now() + duration;
  uint64_t published = 0;
  while (published % kLookEvery != 0 || std::chrono::steady_clock::now() < end) {
    const natsStatus status = nats.js_PublishAsync(client_->context, options_.stream.c_str(), record.data(),
                                                   static_cast<int>(record.size()), nullptr);
    if (status != NATS_OK) return broken(status);
    ++published;
  }
  jsPubOptions publish_options;
  nats.jsPubOptions_Init(&publish_options);
  publish_options.MaxWait = std::chrono::duration_cast<std::chrono::milliseconds>(wait).count();
  const natsStatus status = nats.js_PublishAsyncComplete(client_->context, &publish_options);
  if (status != NATS_OK) return broken(status);
  if (client_->refused > 0) {
    return fail("jetstream.stream", fmt::format("{} of {} records were refused", client_->refused.load(), published),
                "check the stream's limits and the server's disk");
  }
  return published;
}

}  // namespace verge::jetstream

#include "jetstream/nats_connection.h"

#include <algorithm>
#include <chrono>
#include <utility>

#include <fmt/format.h>
#include <fmt/ranges.h>

#include "base/log.h"

namespace verge::jetstream {
namespace {

constexpr int64_t kConnectWaitMs = 1000;
constexpr int64_t kReconnectWaitMs = 100;
constexpr int64_t kReconnectJitterMs = 50;
// A server that answers no ping for so long is gone, whatever TCP thinks.
constexpr int64_t kPingIntervalMs = 500;
constexpr int kPingsOutMax = 2;
constexpr int64_t kCloseWaitMs = 1000;
constexpr size_t kMessageBytesDefault = 1U << 20;

using StatusText = decltype(&::natsStatus_GetText);

// Called by a thread of libnats for what no call could return, such as a missing permission.
void note_error(natsConnection*, natsSubscription*, natsStatus status, void* closure) {
  log_warning("jetstream", "the NATS server says: {}", reinterpret_cast<StatusText>(closure)(status));
}

}  // namespace

int64_t milliseconds(Duration duration) {
  return std::max<int64_t>(1, std::chrono::duration_cast<std::chrono::milliseconds>(duration).count());
}

NatsConnection::NatsConnection(const NatsOptions& options, std::unique_ptr<NatsLibrary> library)
    : wanted_(options), library_(std::move(library)) {}

NatsConnection::~NatsConnection() {
  drop();
  library_->natsOptions_Destroy(options_);
  library_->nats_CloseAndWait(kCloseWaitMs);
}

Result<std::shared_ptr<NatsConnection>> NatsConnection::open(const NatsOptions& options) {
  Result<std::unique_ptr<NatsLibrary>> library = NatsLibrary::load();
  if (!library) return std::unexpected(library.error());
  std::shared_ptr<NatsConnection> made(new NatsConnection(options, std::move(*library)));
  if (const natsStatus status = made->configure(); status != NATS_OK) {
    return fail("jetstream.client", fmt::format("the NATS client cannot be set up: {}", made->library_->reason(status)),
                "check store.urls and store.credentials");
  }
  return made;
}

natsStatus NatsConnection::configure() {
  const NatsLibrary& library = *library_;
  const NatsOptions& wanted = wanted_;
  void* closure = reinterpret_cast<void*>(library.natsStatus_GetText);
  std::vector<const char*> urls;
  for (const std::string& url : wanted.urls) urls.push_back(url.c_str());
  natsStatus status = library.natsOptions_Create(&options_);
  const auto then = [&](auto&& step) {
    if (status == NATS_OK) status = step();
  };
  then([&] { return library.natsOptions_SetServers(options_, urls.data(), static_cast<int>(urls.size())); });
  then([&] { return library.natsOptions_SetName(options_, wanted.client.c_str()); });
  then([&] { return library.natsOptions_SetTimeout(options_, kConnectWaitMs); });
  then([&] { return library.natsOptions_SetMaxReconnect(options_, -1); });
  then([&] { return library.natsOptions_SetReconnectWait(options_, kReconnectWaitMs); });
  then([&] { return library.natsOptions_SetReconnectJitter(options_, kReconnectJitterMs, kReconnectJitterMs); });
  // As good as nothing is kept to be sent after a break: it would arrive when nobody waits for it any more.
  then([&] { return library.natsOptions_SetReconnectBufSize(options_, 1); });
  then([&] { return library.natsOptions_SetFailRequestsOnDisconnect(options_, true); });
  then([&] { return library.natsOptions_SetPingInterval(options_, kPingIntervalMs); });
  then([&] { return library.natsOptions_SetMaxPingsOut(options_, kPingsOutMax); });
  then([&] { return library.natsOptions_SetErrorHandler(options_, note_error, closure); });
  if (!wanted.credentials_path.empty()) {
    then([&] {
      return library.natsOptions_SetUserCredentialsFromFiles(options_, wanted.credentials_path.c_str(), nullptr);
    });
  }
  if (!wanted.token.empty()) then([&] { return library.natsOptions_SetToken(options_, wanted.token.c_str()); });
  return status;
}

void NatsConnection::drop() {
  library_->jsCtx_Destroy(std::exchange(context_, nullptr));
  library_->natsConnection_Destroy(std::exchange(connection_, nullptr));
}

Result<void> NatsConnection::establish() {
  if (connected()) return {};
  if (library_->natsConnection_Status(connection_) != NATS_CONN_STATUS_CLOSED) {
    return fail("jetstream.unreachable",
                fmt::format("no NATS server of {} can be reached", fmt::join(wanted_.urls, ", ")),
                "start them, or check store.urls and the network between");
  }
  drop();
  natsStatus status = library_->natsConnection_Connect(&connection_, options_);
  jsOptions js_options;
  library_->jsOptions_Init(&js_options);
  if (status == NATS_OK) status = library_->natsConnection_JetStream(&context_, connection_, &js_options);
  if (status == NATS_OK) return {};
  return fail("jetstream.unreachable",
              fmt::format("no NATS server of {} lets this node in: {}", fmt::join(wanted_.urls, ", "),
                          library_->reason(status)),
              "start them, or check store.urls, store.credentials, store.token and the network between");
}

bool NatsConnection::connected() const {
  return library_->natsConnection_Status(connection_) == NATS_CONN_STATUS_CONNECTED;
}

size_t NatsConnection::message_bytes_max() const {
  const int64_t bytes = library_->natsConnection_GetMaxPayload(connection_);
  return bytes > 0 ? static_cast<size_t>(bytes) : kMessageBytesDefault;
}

}  // namespace verge::jetstream

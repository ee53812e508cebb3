// NatsLibrary: the functions of libnats that are used, looked up by name in a library that is loaded with dlopen when
// the first of its users asks for it, and stays loaded: its threads may outlive a connection.
//
// For the .cc files of this folder only: nobody else shall see libnats' header.
#pragma once

#include <memory>
#include <string>

#include <nats/nats.h>

#include "base/error.h"

namespace verge::jetstream {

struct NatsLibrary {
#define VERGE_NATS_FUNCTIONS(X)              \
  X(jsCtx_Destroy)                           \
  X(jsOptions_Init)                          \
  X(jsPubAck_Destroy)                        \
  X(jsPubOptions_Init)                       \
  X(jsStreamConfig_Init)                     \
  X(jsStreamInfo_Destroy)                    \
  X(js_AddStream)                            \
  X(js_DeleteMsg)                            \
  X(js_GetLastMsg)                           \
  X(js_GetMsg)                               \
  X(js_GetStreamInfo)                        \
  X(js_PublishAsync)                         \
  X(js_PublishAsyncComplete)                 \
  X(js_PublishMsg)                           \
  X(natsConnection_Connect)                  \
  X(natsConnection_Destroy)                  \
  X(natsConnection_GetMaxPayload)            \
  X(natsConnection_JetStream)                \
  X(natsConnection_RequestString)            \
  X(natsConnection_Status)                   \
  X(natsMsgHeader_Get)                       \
  X(natsMsgHeader_Set)                       \
  X(natsMsg_Create)                          \
  X(natsMsg_Destroy)                         \
  X(natsMsg_GetData)                         \
  X(natsMsg_GetDataLength)                   \
  X(natsMsg_GetSequence)                     \
  X(natsOptions_Create)                      \
  X(natsOptions_Destroy)                     \
  X(natsOptions_SetErrorHandler)             \
  X(natsOptions_SetFailRequestsOnDisconnect) \
  X(natsOptions_SetMaxPingsOut)              \
  X(natsOptions_SetMaxReconnect)             \
  X(natsOptions_SetName)                     \
  X(natsOptions_SetPingInterval)             \
  X(natsOptions_SetReconnectBufSize)         \
  X(natsOptions_SetReconnectJitter)          \
  X(natsOptions_SetReconnectWait)            \
  X(natsOptions_SetServers)                  \
  X(natsOptions_SetTimeout)                  \
  X(natsOptions_SetToken)                    \
  X(natsOptions_SetUserCredentialsFromFiles) \
  X(natsStatus_GetText)                      \
  X(nats_CloseAndWait)                       \
  X(nats_GetLastError)

#define VERGE_NATS_MEMBER(name) decltype(&::name) name = nullptr;  // NOLINT(bugprone-macro-parentheses)
  VERGE_NATS_FUNCTIONS(VERGE_NATS_MEMBER)
#undef VERGE_NATS_MEMBER

  // Errors: jetstream.library.
  static Result<std::unique_ptr<NatsLibrary>> load();

  // What the last failed call of this thread says of itself.
  [[nodiscard]] std::string reason(natsStatus status) const;
};

}  // namespace verge::jetstream

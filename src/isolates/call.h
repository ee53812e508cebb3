// One call of a worker, as who makes it sees it.
#pragma once

#include <memory>
#include <span>
#include <string_view>

#include "base/error.h"
#include "base/payload.h"
#include "calls/messages.h"
#include "isolates/outbound.h"

namespace verge::isolates {

// Views: needed for the call of Pool::begin() only.
struct CallRequest {
  calls::CallKind kind = calls::CallKind::kFetch;
  std::string_view method = "GET";
  std::string_view url;
  std::span<const calls::Field> fields;
  std::string_view place;  // a JSON object, where the client is; empty: not known
  Payload body;
  std::string_view cron;
  uint64_t time_ms = 0;
  std::span<const calls::Message> messages;
  std::string_view queue;  // kQueue, as the next
  std::span<const calls::QueuedMessage> queued;
};

struct CallFailure {
  Error error;  // workers.…
  // The worker called passThroughOnException(), and nothing of an answer was sent: the origin may be asked instead.
  bool passes_through = false;
};

// What becomes of a call: an answer, pieces of its body, the end; or, at any place, a failure, which is the end too.
// May destroy the call, not the pool, in each of these. A call of a kind other than fetch ends without an answer.
class CallObserver {
 public:
  virtual ~CallObserver() = default;
  // With the first piece of the body; `ends`: there are no more, and on_end() follows at once. Good until return.
  virtual void on_answer(const calls::Head& head, bool ends) = 0;
  // The answer as a whole, its body that of the request; `head.body` is a view of `body`. on_end() follows at once.
  virtual void on_relayed(const calls::Head& head, const Payload& body) {
    static_cast<void>(body);
    on_answer(head, true);
  }
  virtual void on_body(std::string_view piece) = 0;
  virtual void on_end() = 0;
  // After an answer with status 101 that does not end, the answer is a WebSocket: its messages, at most
  // calls::kMessageBytesMax each; that the worker closes it; and that there is room again where send_message() said
  // there was none.
  virtual void on_socket_message(bool is_text, std::string_view payload) {
    static_cast<void>(is_text), static_cast<void>(payload);
  }
  virtual void on_socket_end(uint16_t code, std::string_view reason) {
    static_cast<void>(code), static_cast<void>(reason);
  }
  virtual void on_socket_room() {}
  virtual void on_failed(const CallFailure& failure) = 0;
  // What the code asks for until its answer is over: who began the call may answer that itself, as an Outbound does.
  // Null: the pool's Outbound is asked.
  [[nodiscard]] virtual std::unique_ptr<Subrequest> begin_subrequest(const calls::Request& request, bool ends,
                                                                     SubrequestObserver& observer) {
    static_cast<void>(request), static_cast<void>(ends), static_cast<void>(observer);
    return nullptr;
  }
};

struct CallRecord;

// Destroyed before the end of the answer it cancels the call: the worker is told that the client has gone.
class Call {
 public:
  explicit Call(CallRecord& record);
  ~Call();
  Call(const Call&) = delete;
  Call& operator=(const Call&) = delete;

  // The observer has done with that many bytes of the body: as many more may come.
  void taken(size_t bytes);
  // The client does not take what is there: its time is not the worker's.
  void pause_clock(bool paused);

  // --- Of a WebSocket
  // A message of the client's. False: no further one before on_socket_room().
  bool send_message(bool is_text, std::string_view payload);
  // The client has closed it: `is_clean`, and said so.
  void send_close(uint16_t code, std::string_view reason, bool is_clean);
  // The client has taken a message of that size.
  void message_taken(size_t bytes);
  // Nothing more comes from the client, nor is anything wanted of the worker; it may end what it is at.
  void end_socket();

 private:
  friend struct CallRecord;
  CallRecord* record_;  // null once the call is over
};

}  // namespace verge::isolates

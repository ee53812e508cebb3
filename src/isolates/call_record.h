// A call and a subrequest as the pool keeps them, until their last frame. Only this folder includes this.
#pragma once

#include <memory>
#include <optional>
#include <string>

#include "base/clock.h"
#include "isolates/call.h"
#include "isolates/outbound.h"
#include "isolates/worker.h"

namespace verge::isolates {

class Process;

struct CallRecord {
  uint32_t id = 0;
  uint64_t number = 0;               // of the pool
  uint32_t status = 0;               // of the answer
  std::string_view error;            // the code of what it failed with
  Process* process = nullptr;        // null while it waits for one
  std::shared_ptr<Worker> worker;    // a deploy may replace it meanwhile
  CallObserver* observer = nullptr;  // null: nobody is interested in the answer any more
  Call* handle = nullptr;
  std::string frame;  // CALL, with a zero for the worker's id: sent again if the process ends before it is begun
  Payload body;
  size_t body_sent = 0;
  uint64_t body_window = 0;
  bool holds_body = false;  // it is long, and not sent before the worker wants it
  bool is_held = false;     // that has not been yet
  uint64_t answer_window = 0;
  uint64_t answer_bytes = 0;
  uint64_t subrequests = 0;
  MonotonicTime begun{};
  MonotonicTime deadline{};
  Duration extended{};  // of the deadline
  Duration foreseen{};  // of that, for a wait that was not over
  MonotonicTime paused_since{};
  bool is_paused = false;
  bool awaits_load = false;          // its wall time begins when the worker has started
  bool has_awaited_restart = false;  // once is enough: who says so is not trusted
  bool has_answer = false;
  bool is_socket = false;      // the answer switched to a WebSocket, which is open
  bool was_socket = false;     // as is_socket, and then from its end on
  uint64_t socket_window = 0;  // for messages to the worker
  uint64_t socket_given = 0;   // of messages from the worker, that may come
  bool waiting_is_text = false;
  std::optional<std::string> waiting_message;  // to the worker, for want of room
  bool is_cancelled = false;                   // the process was told
  int attempts = 0;

  void await_load() {
    awaits_load = true;
    // A start that takes long is ended by its own limit.
    deadline += 4 * worker->limits().start_cpu;
  }
  void let_go() {
    observer = nullptr;
    if (handle != nullptr) handle->record_ = nullptr;
    handle = nullptr;
  }
};

}  // namespace verge::isolates

// The payloads of frames (docs/formats/isolate-frames.md): written by append_…, read by read_…, which give nothing
// where the bytes are not such a payload. What is read is views into the payload.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "calls/frame.h"

namespace verge::calls {

struct Field {
  std::string_view name;
  std::string_view value;
  bool operator==(const Field&) const = default;
};
inline constexpr size_t kFieldsMax = 512;
// Of processor time, what the first call of a fresh realm may use besides: it compiles what it runs.
inline constexpr uint64_t kColdNs = 5'000'000;

enum class ModuleType : uint8_t { kJavaScript, kJson, kText, kBytes };

struct Module {
  std::string_view name;
  ModuleType type = ModuleType::kJavaScript;
  std::string_view source;
  bool operator==(const Module&) const = default;
};

// What a member of `env` stands for, besides a text.
enum class BindingKind : uint8_t { kKeyValue, kQueue };

struct Binding {
  std::string_view name;  // of the member
  BindingKind kind = BindingKind::kKeyValue;
  bool operator==(const Binding&) const = default;
};

enum class ProgramKind : uint8_t { kWorker, kModuleScript, kScript };

struct Load {
  std::string_view name;  // of the worker
  ProgramKind kind = ProgramKind::kWorker;
  uint64_t cpu_us = 0;  // a call
  uint64_t memory_bytes = 0;
  uint64_t start_cpu_us = 0;
  std::string_view compatibility_date;  // YYYY-MM-DD; empty: the newest behaviour
  std::vector<Module> modules;          // the first is the main one
  std::vector<Field> variables;         // of `env`
  std::vector<Binding> bindings;
  std::string_view code_cache;
  bool operator==(const Load&) const = default;
};
void append_load(std::string& out, uint32_t worker, const Load& load);
std::optional<Load> read_load(std::string_view payload);

enum class CallKind : uint8_t { kFetch, kScheduled, kEvent, kQueue };

struct Message {  // that a rule sent
  std::string_view topic;
  uint64_t time_ms = 0;  // since 1970
  std::string_view payload;
  bool operator==(const Message&) const = default;
};

enum class ContentKind : uint8_t { kJson, kText, kBytes };

struct QueuedMessage {
  std::string_view id;
  uint64_t time_ms = 0;  // since 1970, when it was sent
  uint32_t attempts = 1;
  ContentKind kind = ContentKind::kJson;
  std::string_view body;
  bool operator==(const QueuedMessage&) const = default;
};

struct Call {
  uint32_t worker = 0;
  CallKind kind = CallKind::kFetch;
  std::string_view method;  // kFetch, as the next two
  std::string_view url;
  std::vector<Field> fields;
  std::string_view place;         // kFetch: a JSON object, where the client is; empty: not known
  std::string_view cron;          // kScheduled
  uint64_t time_ms = 0;           // kScheduled; since 1970
  std::vector<Message> messages;  // kEvent
  std::string_view queue;         // kQueue, as the next
  std::vector<QueuedMessage> queued;
  std::string_view body;  // kFetch: or its beginning
  bool operator==(const Call&) const = default;
};
// `body_bytes` more of the body are sent behind what is appended, within the frame.
void append_call(std::string& out, uint32_t id, const Call& call, uint8_t flags, size_t body_bytes = 0);
// `call` is written over; its memory is used again.
bool read_call(std::string_view payload, Call& call);

struct Head {
  uint32_t status = 200;
  std::string_view reason;
  std::vector<Field> fields;
  std::string_view body;
  bool operator==(const Head&) const = default;
};
// `type`: HEAD or ANSWER. `body_bytes` as above.
void append_head(std::string& out, FrameType type, uint32_t id, const Head& head, uint8_t flags, size_t body_bytes = 0);
bool read_head(std::string_view payload, Head& head);

enum class RequestTarget : uint8_t { kFetch, kCacheMatch, kCachePut, kCacheRemove, kBinding };

struct Request {
  uint32_t call = 0;  // 0: of a script
  RequestTarget target = RequestTarget::kFetch;
  std::string_view cache;   // its name, or of kBinding the member of `env`; not of kFetch
  std::string_view method;  // of kBinding: what is asked of it, "get"
  std::string_view url;     // of kBinding: the key
  std::vector<Field> fields;
  uint32_t status = 0;  // kCachePut: of the answer to be kept, as the next two
  std::string_view reason;
  std::vector<Field> answer_fields;
  std::string_view body;
  bool operator==(const Request&) const = default;
};
void append_request(std::string& out, uint32_t id, const Request& request, uint8_t flags);
std::optional<Request> read_request(std::string_view payload);

struct Failure {
  std::string_view code;
  std::string_view text;
  std::string_view position;
  std::string_view stack;
  bool operator==(const Failure&) const = default;
};
void append_failure(std::string& out, FrameType type, uint32_t id, const Failure& failure, uint8_t flags = 0);
std::optional<Failure> read_failure(std::string_view payload);

struct Done {
  uint64_t cpu_us = 0;
  uint64_t memory_bytes = 0;
  bool operator==(const Done&) const = default;
};
void append_done(std::string& out, uint32_t id, const Done& done);
std::optional<Done> read_done(std::string_view payload);

enum class ConsoleLevel : uint8_t { kDebug, kLog, kInfo, kWarn, kError };
struct Console {
  uint32_t call = 0;
  ConsoleLevel level = ConsoleLevel::kLog;
  std::string_view text;
  bool operator==(const Console&) const = default;
};
void append_console(std::string& out, uint32_t worker, const Console& console);
std::optional<Console> read_console(std::string_view payload);

// CREDIT, SUBREQUEST_CREDIT, CALL_CREDIT, ANSWER_CREDIT; and LOADED, whose number is bytes of memory.
void append_number(std::string& out, FrameType type, uint32_t id, uint64_t number, uint8_t flags = 0);
std::optional<uint64_t> read_number(std::string_view payload);

}  // namespace verge::calls

#include "calls/messages.h"

#include "base/bytes.h"

namespace verge::calls {
namespace {

void append_fields(std::string& out, std::span<const Field> fields) {
  append_varint(out, fields.size());
  for (const Field& field : fields) {
    append_sized(out, field.name);
    append_sized(out, field.value);
  }
}

bool read_fields(ByteReader& reader, std::vector<Field>& fields, size_t fields_max = kFieldsMax) {
  fields.clear();
  const uint64_t count = reader.varint();
  if (count > fields_max) return false;
  for (uint64_t i = 0; i < count && reader.ok(); ++i) {
    const std::string_view name = reader.sized();
    fields.push_back({name, reader.sized()});
  }
  return reader.ok();
}

// A reader's byte that must be below `end`.
template <class Enum>
bool read_enum(ByteReader& reader, Enum last, Enum& value) {
  const auto byte = reader.fixed<uint8_t>();
  value = static_cast<Enum>(byte);
  return reader.ok() && byte <= static_cast<uint8_t>(last);
}

bool read_id(ByteReader& reader, uint32_t& id) {
  const uint64_t value = reader.varint();
  id = static_cast<uint32_t>(value);
  return reader.ok() && value <= UINT32_MAX;
}

constexpr size_t kModulesMax = 4096;
constexpr size_t kVariablesMax = 4096;
constexpr size_t kMessagesMax = 65'536;

}  // namespace

void append_load(std::string& out, uint32_t worker, const Load& load) {
  FrameWriter frame(out, FrameType::kLoad, worker);
  append_sized(out, load.name);
  append_fixed(out, static_cast<uint8_t>(load.kind));
  for (const uint64_t limit : {load.cpu_us, load.memory_bytes, load.start_cpu_us}) append_varint(out, limit);
  append_sized(out, load.compatibility_date);
  append_varint(out, load.modules.size());
  for (const Module& module : load.modules) {
    append_sized(out, module.name);
    append_fixed(out, static_cast<uint8_t>(module.type));
    append_sized(out, module.source);
  }
  append_fields(out, load.variables);
  append_sized(out, load.code_cache);
  frame.end();
}

std::optional<Load> read_load(std::string_view payload) {
  ByteReader reader(payload);
  Load load;
  load.name = reader.sized();
  if (!read_enum(reader, ProgramKind::kScript, load.kind)) return std::nullopt;
  for (uint64_t* limit : {&load.cpu_us, &load.memory_bytes, &load.start_cpu_us}) *limit = reader.varint();
  load.compatibility_date = reader.sized();
  const uint64_t modules = reader.varint();
  if (modules == 0 || modules > kModulesMax) return std::nullopt;
  for (uint64_t i = 0; i < modules && reader.ok(); ++i) {
    Module module{.name = reader.sized()};
    if (!read_enum(reader, ModuleType::kBytes, module.type)) return std::nullopt;
    module.source = reader.sized();
    load.modules.push_back(module);
  }
  if (!read_fields(reader, load.variables, kVariablesMax)) return std::nullopt;
  load.code_cache = reader.sized();
  if (!reader.ok() || !reader.empty()) return std::nullopt;
  return load;
}

void append_call(std::string& out, uint32_t id, const Call& call, uint8_t flags, size_t body_bytes) {
  FrameWriter frame(out, FrameType::kCall, id, flags);
  append_varint(out, call.worker);
  append_fixed(out, static_cast<uint8_t>(call.kind));
  switch (call.kind) {
    case CallKind::kFetch:
      append_sized(out, call.method);
      append_sized(out, call.url);
      append_fields(out, call.fields);
      append_sized(out, call.place);
      out.append(call.body);
      break;
    case CallKind::kScheduled:
      append_sized(out, call.cron);
      append_varint(out, call.time_ms);
      break;
    case CallKind::kEvent:
      append_varint(out, call.messages.size());
      for (const Message& message : call.messages) {
        append_sized(out, message.topic);
        append_varint(out, message.time_ms);
        append_sized(out, message.payload);
      }
      break;
  }
  frame.end(body_bytes);
}

bool read_call(std::string_view payload, Call& call) {
  ByteReader reader(payload);
  call.method = call.url = call.place = call.cron = call.body = {};
  call.time_ms = 0;
  call.fields.clear();
  call.messages.clear();
  if (!read_id(reader, call.worker) || !read_enum(reader, CallKind::kEvent, call.kind)) return false;
  switch (call.kind) {
    case CallKind::kFetch:
      call.method = reader.sized();
      call.url = reader.sized();
      if (!read_fields(reader, call.fields)) return false;
      call.place = reader.sized();
      if (!reader.ok()) return false;
      call.body = reader.rest();
      return true;
    case CallKind::kScheduled:
      call.cron = reader.sized();
      call.time_ms = reader.varint();
      break;
    case CallKind::kEvent:
      const uint64_t count = reader.varint();
      if (count > kMessagesMax) return false;
      for (uint64_t i = 0; i < count && reader.ok(); ++i) {
        Message message{.topic = reader.sized()};
        message.time_ms = reader.varint();
        message.payload = reader.sized();
        call.messages.push_back(message);
      }
      break;
  }
  return reader.ok() && reader.empty();
}

void append_head(std::string& out, FrameType type, uint32_t id, const Head& head, uint8_t flags, size_t body_bytes) {
  FrameWriter frame(out, type, id, flags);
  append_varint(out, head.status);
  append_sized(out, head.reason);
  append_fields(out, head.fields);
  out.append(head.body);
  frame.end(body_bytes);
}

bool read_head(std::string_view payload, Head& head) {
  ByteReader reader(payload);
  if (!read_id(reader, head.status)) return false;
  head.reason = reader.sized();
  if (!read_fields(reader, head.fields)) return false;
  head.body = reader.rest();
  return true;
}

void append_request(std::string& out, uint32_t id, const Request& request, uint8_t flags) {
  FrameWriter frame(out, FrameType::kRequest, id, flags);
  append_varint(out, request.call);
  append_fixed(out, static_cast<uint8_t>(request.target));
  append_sized(out, request.cache);
  append_sized(out, request.method);
  append_sized(out, request.url);
  append_fields(out, request.fields);
  append_varint(out, request.status);
  append_sized(out, request.reason);
  append_fields(out, request.answer_fields);
  out.append(request.body);
  frame.end();
}

std::optional<Request> read_request(std::string_view payload) {
  ByteReader reader(payload);
  Request request;
  if (!read_id(reader, request.call) || !read_enum(reader, RequestTarget::kCacheRemove, request.target)) {
    return std::nullopt;
  }
  request.cache = reader.sized();
  request.method = reader.sized();
  request.url = reader.sized();
  if (!read_fields(reader, request.fields) || !read_id(reader, request.status)) return std::nullopt;
  request.reason = reader.sized();
  if (!read_fields(reader, request.answer_fields)) return std::nullopt;
  request.body = reader.rest();
  return request;
}

void append_failure(std::string& out, FrameType type, uint32_t id, const Failure& failure, uint8_t flags) {
  FrameWriter frame(out, type, id, flags);
  append_sized(out, failure.code);
  append_sized(out, failure.text);
  append_sized(out, failure.position);
  out.append(failure.stack);
  frame.end();
}

std::optional<Failure> read_failure(std::string_view payload) {
  ByteReader reader(payload);
  Failure failure{.code = reader.sized()};
  failure.text = reader.sized();
  failure.position = reader.sized();
  if (!reader.ok()) return std::nullopt;
  failure.stack = reader.rest();
  return failure;
}

void append_done(std::string& out, uint32_t id, const Done& done) {
  FrameWriter frame(out, FrameType::kDone, id);
  append_varint(out, done.cpu_us);
  append_varint(out, done.memory_bytes);
  frame.end();
}

std::optional<Done> read_done(std::string_view payload) {
  ByteReader reader(payload);
  Done done;
  done.cpu_us = reader.varint();
  done.memory_bytes = reader.varint();
  if (!reader.ok() || !reader.empty()) return std::nullopt;
  return done;
}

void append_console(std::string& out, uint32_t worker, const Console& console) {
  FrameWriter frame(out, FrameType::kConsole, worker);
  append_varint(out, console.call);
  append_fixed(out, static_cast<uint8_t>(console.level));
  out.append(console.text);
  frame.end();
}

std::optional<Console> read_console(std::string_view payload) {
  ByteReader reader(payload);
  Console console;
  if (!read_id(reader, console.call) || !read_enum(reader, ConsoleLevel::kError, console.level)) return std::nullopt;
  console.text = reader.rest();
  return console;
}

void append_number(std::string& out, FrameType type, uint32_t id, uint64_t number, uint8_t flags) {
  FrameWriter frame(out, type, id, flags);
  append_varint(out, number);
  frame.end();
}

std::optional<uint64_t> read_number(std::string_view payload) {
  ByteReader reader(payload);
  const uint64_t number = reader.varint();
  if (!reader.ok() || !reader.empty()) return std::nullopt;
  return number;
}

}  // namespace verge::calls

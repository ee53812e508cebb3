#include "mqtt/twin_document.h"

#include <algorithm>
#include <charconv>
#include <map>
#include <memory>
#include <utility>

#include <fmt/format.h>
#include <simdjson.h>

#include "base/text.h"
#include "model/topic.h"

namespace verge::mqtt {
namespace {

constexpr size_t kDeviceBytes = 256;
constexpr size_t kDepthMax = 32;
constexpr size_t kTokenBytesMax = 256;
constexpr size_t kRequestBytesMax = 8U << 20;  // whatever the documents may have: what is parsed at all

// Objects as they are, everything else as its text.
struct Value {
  bool is_object = false;
  std::map<std::string, Value, std::less<>> members;
  std::string text;
};

Value value_of(simdjson::dom::element element) {
  Value value;
  simdjson::dom::object object;
  if (element.get(object) != simdjson::SUCCESS) {
    value.text = simdjson::minify(element);
    return value;
  }
  value.is_object = true;
  for (const auto& [name, member] : object) value.members.insert_or_assign(std::string(name), value_of(member));
  return value;
}

void append(std::string& out, const Value& value) {
  if (!value.is_object) {
    out.append(value.text);
    return;
  }
  out.push_back('{');
  for (const auto& [name, member] : value.members) {
    if (out.back() != '{') out.push_back(',');
    append_json_string(out, name);
    out.push_back(':');
    append(out, member);
  }
  out.push_back('}');
}

// RFC 7396.
void merge(Value& target, Value patch) {
  if (!patch.is_object) {
    target = std::move(patch);
    return;
  }
  if (!target.is_object) target = {.is_object = true, .members = {}, .text = {}};
  for (auto& [name, member] : patch.members) {
    if (!member.is_object && member.text == "null") {
      target.members.erase(name);
    } else {
      merge(target.members[name], std::move(member));
    }
  }
}

std::optional<double> number_of(std::string_view text) {
  double number = 0;
  const auto [end, problem] = std::from_chars(text.data(), text.data() + text.size(), number);
  if (problem != std::errc{} || end != text.data() + text.size()) return std::nullopt;
  return number;
}

bool are_equal(const Value& left, const Value& right) {
  if (left.text == right.text) return true;
  const std::optional<double> number = number_of(left.text);
  return number && number == number_of(right.text);
}

// What of `desired` is not so in `reported`.
Value difference(const Value& desired, const Value& reported) {
  Value differs{.is_object = true, .members = {}, .text = {}};
  for (const auto& [name, wanted] : desired.members) {
    const auto found = reported.members.find(name);
    if (wanted.is_object) {
      static const Value kNone{.is_object = true, .members = {}, .text = {}};
      const bool is_there = found != reported.members.end() && found->second.is_object;
      Value below = difference(wanted, is_there ? found->second : kNone);
      const bool is_other = found != reported.members.end() && !is_there;
      if (!below.members.empty() || is_other) differs.members.emplace(name, std::move(below));
    } else if (found == reported.members.end() || found->second.is_object || !are_equal(wanted, found->second)) {
      differs.members.emplace(name, wanted);
    }
  }
  return differs;
}

std::unexpected<Error> request_error(std::string what) {
  return fail("twin.request", std::move(what),
              R"(send {"desired":{…}} or {"reported":{…}}, and "version" to change only what was read)");
}

// The members of a request or a document.
struct Parsed {
  std::optional<Value> desired;
  std::optional<Value> reported;
  std::optional<uint64_t> version;
  std::string token;  // its JSON
};

Result<Parsed> parse(std::string_view text) {
  Parsed parsed;
  if (text.empty()) return parsed;
  simdjson::dom::parser parser(kRequestBytesMax);
  if (parser.allocate(std::min(text.size() + 64, kRequestBytesMax), kDepthMax) != simdjson::SUCCESS) {
    return request_error("it is too large");
  }
  simdjson::dom::object object;
  if (const auto problem = parser.parse(text.data(), text.size()).get(object); problem != simdjson::SUCCESS) {
    return request_error(fmt::format("it is no JSON object: {}", simdjson::error_message(problem)));
  }
  for (const auto& [name, member] : object) {
    simdjson::dom::object part;
    if (name == "desired" || name == "reported") {
      std::optional<Value>& into = name == "desired" ? parsed.desired : parsed.reported;
      if (member.get(part) != simdjson::SUCCESS && !member.is_null()) {
        return request_error(fmt::format("\"{}\" is no object", name));
      }
      into = value_of(member);
    } else if (name == "version") {
      uint64_t version = 0;
      if (member.get(version) != simdjson::SUCCESS) return request_error("\"version\" is no number from 0 on");
      parsed.version = version;
    } else if (name == "token") {
      parsed.token = simdjson::minify(member);
      if (parsed.token.size() > kTokenBytesMax) return request_error("\"token\" is longer than 256 bytes");
    } else if (name != "device" && name != "updated") {
      return request_error(fmt::format("\"{}\" has no meaning", printable(name)));
    }
  }
  return parsed;
}

Result<void> check_version(const Parsed& request, uint64_t version) {
  if (!request.version || *request.version == version) return {};
  return fail("twin.version", fmt::format("the version is {}, not {}", version, *request.version),
              "read the twin again, and repeat the change where it still fits");
}

// As far as it can be read.
std::string token_of(std::string_view request) {
  const Result<Parsed> parsed = parse(request);
  return parsed ? parsed->token : std::string();
}

}  // namespace

bool is_twin_device(std::string_view device) {
  return !device.empty() && device.size() <= kDeviceBytes && is_topic_name(device) && !device.contains('/');
}

std::optional<TwinRequest> twin_request_of(std::string_view topic) {
  if (!topic.starts_with(kTwinTopics)) return std::nullopt;
  topic.remove_prefix(kTwinTopics.size());
  const size_t end = topic.find('/');
  if (end == std::string_view::npos || !is_twin_device(topic.substr(0, end))) return std::nullopt;
  const std::string_view what = topic.substr(end + 1);
  TwinRequest request{.device = std::string(topic.substr(0, end))};
  if (what == "set") {
    request.operation = TwinOperation::kSet;
  } else if (what == "get") {
    request.operation = TwinOperation::kGet;
  } else if (what == "delete") {
    request.operation = TwinOperation::kDelete;
  } else {
    return std::nullopt;
  }
  return request;
}

std::string twin_topic(std::string_view device, std::string_view what) {
  return fmt::format("{}{}/{}", kTwinTopics, device, what);
}

std::string_view twin_of_topic(std::string_view topic) {
  if (!topic.starts_with(kTwinTopics)) return topic;
  return topic.substr(0, topic.find('/', kTwinTopics.size()));
}

Result<TwinChange> changed_twin(std::string_view device, std::string_view document, std::string_view request,
                                int64_t wall_ms, size_t bytes_max) {
  Result<Parsed> wanted = parse(request);
  if (!wanted) return std::unexpected(wanted.error());
  if (!wanted->desired && !wanted->reported) return request_error("it has neither \"desired\" nor \"reported\"");
  Result<Parsed> kept = parse(document);
  if (!kept) return std::unexpected(kept.error());
  const uint64_t version = kept->version.value_or(0);
  if (const Result<void> checked = check_version(*wanted, version); !checked) return std::unexpected(checked.error());
  const Value none{.is_object = true, .members = {}, .text = {}};
  Value desired = std::move(kept->desired).value_or(none);
  Value reported = std::move(kept->reported).value_or(none);
  std::string delta_before;
  append(delta_before, difference(desired, reported));
  const auto apply = [&](Value& target, std::optional<Value>& patch) {
    if (!patch) return;
    if (!patch->is_object) target = none;  // null: all of it goes
    if (patch->is_object) merge(target, std::move(*patch));
  };
  apply(desired, wanted->desired);
  apply(reported, wanted->reported);
  TwinChange change;
  change.document =
      fmt::format(R"({{"device":{},"version":{},"updated":{},"desired":)", json_string(device), version + 1, wall_ms);
  append(change.document, desired);
  change.document.append(R"(,"reported":)");
  append(change.document, reported);
  change.document.push_back('}');
  if (change.document.size() > bytes_max) {
    return fail("twin.too-large",
                fmt::format("it would have {} bytes, more than {}", change.document.size(), bytes_max),
                "keep less in it, or raise mqtt.twin_bytes_max");
  }
  std::string delta;
  append(delta, difference(desired, reported));
  change.is_delta_new = delta != delta_before;
  if (delta != "{}") change.delta = fmt::format(R"({{"version":{},"delta":{}}})", version + 1, delta);
  return change;
}

Result<void> check_twin(std::string_view device, std::string_view document, std::string_view request) {
  if (document.empty()) {
    return fail("twin.unknown", fmt::format("{} has no twin", printable(device)), "see verge twin list");
  }
  const Result<Parsed> wanted = parse(request);
  if (!wanted) return std::unexpected(wanted.error());
  const Result<Parsed> kept = parse(document);
  return check_version(*wanted, kept ? kept->version.value_or(0) : 0);
}

std::string twin_accepted(std::string_view device, std::string_view document, std::string_view request) {
  std::string answer(document);
  if (document.empty()) answer = fmt::format(R"({{"device":{}}})", json_string(device));
  if (const std::string token = token_of(request); !token.empty()) {
    answer.pop_back();
    answer.append(R"(,"token":)").append(token).append("}");
  }
  return answer;
}

std::string twin_rejected(const Error& error, std::string_view request) {
  std::string answer = fmt::format(R"({{"code":{},"message":{},"status":{})", json_string(error.code),
                                   json_string(error.what), twin_status(error.code));
  if (const std::string token = token_of(request); !token.empty()) answer.append(R"(,"token":)").append(token);
  return answer.append("}");
}

int twin_status(std::string_view code) {
  if (code == "twin.unknown") return 404;
  if (code == "twin.version") return 409;
  if (code == "twin.too-large") return 413;
  if (code == "twin.too-many") return 507;
  if (code == "twin.not-durable") return 503;
  return 400;
}

}  // namespace verge::mqtt

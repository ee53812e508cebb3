#include "payloads/protobuf.h"

#include <iterator>
#include <string>
#include <utility>
#include <vector>

#include <fmt/format.h>
#include <google/protobuf/descriptor.h>
#include <google/protobuf/descriptor.pb.h>
#include <google/protobuf/dynamic_message.h>
#include <google/protobuf/io/coded_stream.h>
#include <google/protobuf/stubs/logging.h>

#include "base/text.h"

namespace verge::payloads {
namespace {

namespace pb = google::protobuf;
using Field = pb::FieldDescriptor;

constexpr int64_t kMillisecondsPerSecond = 1000;
constexpr int64_t kNanosecondsPerMillisecond = 1'000'000;

class JsonWriter {
 public:
  explicit JsonWriter(std::string& json) : json_(json) {}

  // False when it would be too long.
  bool write(const pb::Message& message) {
    if (message.GetDescriptor()->full_name() == "google.protobuf.Timestamp") return write_time(message);
    json_.push_back('{');
    const pb::Reflection& reflection = *message.GetReflection();
    const char* separator = "";
    for (int i = 0; i < message.GetDescriptor()->field_count(); ++i) {
      const Field& field = *message.GetDescriptor()->field(i);
      if (!field.is_repeated() && field.has_presence() && !reflection.HasField(message, &field)) continue;
      json_.append(std::exchange(separator, ","));
      append_json_string(json_, field.name());
      json_.push_back(':');
      if (!write_field(message, field)) return false;
    }
    json_.push_back('}');
    return json_.size() <= kJsonBytesMax;
  }

 private:
  bool write_time(const pb::Message& message) {
    const pb::Reflection& reflection = *message.GetReflection();
    const Field* seconds = message.GetDescriptor()->FindFieldByName("seconds");
    const Field* nanoseconds = message.GetDescriptor()->FindFieldByName("nanos");
    const bool is_time = seconds != nullptr && nanoseconds != nullptr && seconds->type() == Field::TYPE_INT64 &&
                         nanoseconds->type() == Field::TYPE_INT32 && !seconds->is_repeated() &&
                         !nanoseconds->is_repeated();
    if (!is_time) return false;
    const int64_t whole = reflection.GetInt64(message, seconds);
    if (whole > INT64_MAX / kMillisecondsPerSecond - 1 || whole < INT64_MIN / kMillisecondsPerSecond + 1) return false;
    append(whole * kMillisecondsPerSecond + reflection.GetInt32(message, nanoseconds) / kNanosecondsPerMillisecond);
    return true;
  }

  bool write_field(const pb::Message& message, const Field& field) {
    if (!field.is_repeated()) return write_value(message, field, -1);
    const int count = message.GetReflection()->FieldSize(message, &field);
    json_.push_back(field.is_map() ? '{' : '[');
    for (int i = 0; i < count; ++i) {
      if (i > 0) json_.push_back(',');
      const bool written = field.is_map() ? write_entry(message.GetReflection()->GetRepeatedMessage(message, &field, i))
                                          : write_value(message, field, i);
      if (!written) return false;
    }
    json_.push_back(field.is_map() ? '}' : ']');
    return true;
  }

  bool write_entry(const pb::Message& entry) {
    const Field* key = entry.GetDescriptor()->map_key();
    if (key->cpp_type() == Field::CPPTYPE_STRING) {
      if (!write_value(entry, *key, -1)) return false;
    } else {
      json_.push_back('"');
      if (!write_value(entry, *key, -1)) return false;
      json_.push_back('"');
    }
    json_.push_back(':');
    return write_value(entry, *entry.GetDescriptor()->map_value(), -1);
  }

  // `at`: of a repeated field; -1: of one that is not.
  bool write_value(const pb::Message& message, const Field& field, int at) {
    const pb::Reflection& in = *message.GetReflection();
    const bool one = at < 0;
    switch (field.cpp_type()) {
      case Field::CPPTYPE_INT32:
        append(one ? in.GetInt32(message, &field) : in.GetRepeatedInt32(message, &field, at));
        break;
      case Field::CPPTYPE_INT64:
        append(one ? in.GetInt64(message, &field) : in.GetRepeatedInt64(message, &field, at));
        break;
      case Field::CPPTYPE_UINT32:
        append(one ? in.GetUInt32(message, &field) : in.GetRepeatedUInt32(message, &field, at));
        break;
      case Field::CPPTYPE_UINT64:
        append(one ? in.GetUInt64(message, &field) : in.GetRepeatedUInt64(message, &field, at));
        break;
      case Field::CPPTYPE_DOUBLE:
        append_json_number(json_, one ? in.GetDouble(message, &field) : in.GetRepeatedDouble(message, &field, at));
        break;
      case Field::CPPTYPE_FLOAT:
        append_json_number(
            json_, static_cast<double>(one ? in.GetFloat(message, &field) : in.GetRepeatedFloat(message, &field, at)));
        break;
      case Field::CPPTYPE_BOOL:
        append(one ? in.GetBool(message, &field) : in.GetRepeatedBool(message, &field, at));
        break;
      case Field::CPPTYPE_ENUM:
        write_enum(field, one ? in.GetEnumValue(message, &field) : in.GetRepeatedEnumValue(message, &field, at));
        break;
      case Field::CPPTYPE_STRING: {
        std::string room;
        const std::string& text = one ? in.GetStringReference(message, &field, &room)
                                      : in.GetRepeatedStringReference(message, &field, at, &room);
        append_json_string(json_, field.type() == Field::TYPE_BYTES ? base64(text) : text);
        break;
      }
      case Field::CPPTYPE_MESSAGE:
        return write(one ? in.GetMessage(message, &field) : in.GetRepeatedMessage(message, &field, at));
    }
    return json_.size() <= kJsonBytesMax;
  }

  void write_enum(const Field& field, int number) {
    const pb::EnumValueDescriptor* value = field.enum_type()->FindValueByNumber(number);
    if (value == nullptr) return append(number);
    append_json_string(json_, value->name());
  }

  template <class Value>
  void append(Value value) {
    fmt::format_to(std::back_inserter(json_), "{}", value);
  }

  std::string& json_;
};

// What is wrong with a descriptor set; the library says it to nobody else.
class Complaint final : public pb::DescriptorPool::ErrorCollector {
 public:
  void AddError(const std::string&, const std::string& element, const pb::Message*, ErrorLocation,
                const std::string& message) override {
    if (text.empty()) text = fmt::format("{}: {}", element, message);
  }
  std::string text;
};

class Protobuf final : public Format {
 public:
  Result<void> read(std::string_view descriptor_set, std::string_view type) {
    pb::FileDescriptorSet files;
    if (!files.ParseFromArray(descriptor_set.data(), static_cast<int>(descriptor_set.size())) ||
        files.file_size() == 0) {
      return fail("rule.payload", "the file is no descriptor set", "make it with protoc --descriptor_set_out=FILE");
    }
    for (const pb::FileDescriptorProto& file : files.file()) {
      Complaint complaint;
      if (pool_.BuildFileCollectingErrors(file, &complaint) != nullptr) continue;
      return fail("rule.payload",
                  fmt::format("{} cannot be used: {}", printable(file.name()), printable(complaint.text)),
                  "give protoc --include_imports too");
    }
    const pb::Descriptor* found = pool_.FindMessageTypeByName(std::string(type));
    if (found == nullptr) return unknown(files, type);
    prototype_ = factory_.GetPrototype(found);
    return {};
  }

  [[nodiscard]] bool append_json(std::string_view bytes, std::string& json) const override {
    if (bytes.size() > kProtobufBytesMax) return false;
    const std::unique_ptr<pb::Message> message(prototype_->New());
    pb::io::CodedInputStream in(reinterpret_cast<const uint8_t*>(bytes.data()), static_cast<int>(bytes.size()));
    in.SetRecursionLimit(static_cast<int>(kNestingMax));
    if (!message->ParsePartialFromCodedStream(&in) || !in.ConsumedEntireMessage()) return false;
    return JsonWriter(json).write(*message);
  }

 private:
  static std::unexpected<Error> unknown(const pb::FileDescriptorSet& files, std::string_view type) {
    std::vector<std::string> names;
    for (const pb::FileDescriptorProto& file : files.file()) {
      for (const pb::DescriptorProto& message : file.message_type()) {
        names.push_back(file.package().empty() ? message.name() : file.package() + "." + message.name());
      }
    }
    const std::string near = nearest(type, names);
    return fail("rule.payload", fmt::format("the file describes no message {}", printable(type)),
                near.empty() ? "give its full name, as in package.Message" : fmt::format("did you mean {}?", near));
  }

  pb::DescriptorPool pool_;
  pb::DynamicMessageFactory factory_{&pool_};
  const pb::Message* prototype_ = nullptr;  // the factory's
};

}  // namespace

Result<std::unique_ptr<const Format>> protobuf_format(std::string_view descriptor_set, std::string_view type) {
  pb::SetLogHandler(nullptr);  // it would write a line for each payload that cannot be read
  auto format = std::make_unique<Protobuf>();
  if (const Result<void> read = format->read(descriptor_set, type); !read) return std::unexpected(read.error());
  return format;
}

}  // namespace verge::payloads

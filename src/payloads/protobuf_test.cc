// Messages that another encoder wrote (the library's own) as JSON.
#include "payloads/protobuf.h"

#include <optional>
#include <string>

#include <gmock/gmock.h>
#include <google/protobuf/descriptor.pb.h>
#include <gtest/gtest.h>

namespace verge::payloads {
namespace {

namespace pb = google::protobuf;
using Proto = pb::FieldDescriptorProto;
using testing::HasSubstr;

Proto& add_field(pb::DescriptorProto& message, const char* name, int number, Proto::Type type, const char* of = "") {
  Proto& field = *message.add_field();
  field.set_name(name);
  field.set_number(number);
  field.set_label(Proto::LABEL_OPTIONAL);
  field.set_type(type);
  if (*of != '\0') field.set_type_name(of);
  return field;
}

// What protoc makes of plant.proto: message Reading { double value = 1; int64 count = 2; … }
std::string descriptor_set() {
  pb::FileDescriptorSet set;
  pb::FileDescriptorProto& time = *set.add_file();
  time.set_name("google/protobuf/timestamp.proto");
  time.set_package("google.protobuf");
  time.set_syntax("proto3");
  pb::DescriptorProto& timestamp = *time.add_message_type();
  timestamp.set_name("Timestamp");
  add_field(timestamp, "seconds", 1, Proto::TYPE_INT64);
  add_field(timestamp, "nanos", 2, Proto::TYPE_INT32);

  pb::FileDescriptorProto& file = *set.add_file();
  file.set_name("plant.proto");
  file.set_package("plant");
  file.set_syntax("proto3");
  file.add_dependency("google/protobuf/timestamp.proto");
  pb::EnumDescriptorProto& state = *file.add_enum_type();
  state.set_name("State");
  const char* const names[] = {"UNKNOWN", "RUNNING"};
  for (int i = 0; i < 2; ++i) {
    state.add_value()->set_name(names[i]);
    state.mutable_value(i)->set_number(i);
  }
  pb::DescriptorProto& reading = *file.add_message_type();
  reading.set_name("Reading");
  add_field(reading, "value", 1, Proto::TYPE_DOUBLE);
  add_field(reading, "count", 2, Proto::TYPE_UINT64);
  add_field(reading, "device_id", 3, Proto::TYPE_STRING);
  add_field(reading, "state", 4, Proto::TYPE_ENUM, ".plant.State");
  add_field(reading, "samples", 5, Proto::TYPE_SINT32).set_label(Proto::LABEL_REPEATED);
  add_field(reading, "raw", 6, Proto::TYPE_BYTES);
  add_field(reading, "taken", 7, Proto::TYPE_MESSAGE, ".google.protobuf.Timestamp");
  add_field(reading, "limits", 8, Proto::TYPE_MESSAGE, ".plant.Reading.LimitsEntry").set_label(Proto::LABEL_REPEATED);
  add_field(reading, "inner", 9, Proto::TYPE_MESSAGE, ".plant.Reading");
  Proto& note = add_field(reading, "note", 10, Proto::TYPE_BOOL);
  note.set_proto3_optional(true);
  note.set_oneof_index(0);
  reading.add_oneof_decl()->set_name("_note");
  pb::DescriptorProto& entry = *reading.add_nested_type();
  entry.set_name("LimitsEntry");
  entry.mutable_options()->set_map_entry(true);
  add_field(entry, "key", 1, Proto::TYPE_INT32);
  add_field(entry, "value", 2, Proto::TYPE_FLOAT);
  return set.SerializeAsString();
}

std::optional<std::string> json_of(std::string_view bytes) {
  static const auto kFormat = protobuf_format(descriptor_set(), "plant.Reading");
  if (!kFormat) return kFormat.error().line();
  std::string json;
  return (*kFormat)->append_json(bytes, json) ? std::optional(json) : std::nullopt;
}

constexpr std::string_view kDefaults =
    R"("value":0.0,"count":0,"device_id":"","state":"UNKNOWN","samples":[],"raw":"","limits":{})";

TEST(Protobuf, AFieldThatWasNotSentHasItsDefaultUnlessItHasPresence) {
  EXPECT_EQ(json_of(""), "{" + std::string(kDefaults) + "}");
  EXPECT_EQ(json_of(std::string("\x50\x00", 2)), "{" + std::string(kDefaults) + ",\"note\":false}");
}

TEST(Protobuf, EachKindOfFieldIsRead) {
  const std::string bytes(
      "\x09\x00\x00\x00\x00\x00\x00\xf8\x3f"      // value: 1.5
      "\x10\xff\xff\xff\xff\xff\xff\xff\xff\x7f"  // count: 2^63-1
      "\x1a\x04"
      "a\"\xc3\xa9"                               // device_id: a"é
      "\x20\x01"                                  // state: RUNNING
      "\x2a\x03\x01\x02\x03"                      // samples, packed: -1, 1, -2
      "\x28\x04"                                  // and one more: 2
      "\x32\x02\xff\x00"                          // raw
      "\x3a\x08\x08\x80\xe2\xcf\xaa\x06\x10\x00"  // taken: 1700000000 s
      "\x42\x07\x08\x03\x15\x00\x00\x20\x41"      // limits: {3: 10}
      "\x4a\x00"                                  // inner
      "\x7a\x01x",                                // an unknown field
      9 + 10 + 6 + 2 + 5 + 2 + 4 + 10 + 9 + 2 + 3);
  EXPECT_EQ(json_of(bytes),
            R"({"value":1.5,"count":9223372036854775807,"device_id":"a\"é","state":"RUNNING","samples":[-1,1,-2,2],)"
            R"("raw":"/wA=","taken":1700000000000,"limits":{"3":10.0},"inner":{)" +
                std::string(kDefaults) + "}}");
}

TEST(Protobuf, WhatIsNoPayloadIsNone) {
  EXPECT_EQ(json_of("\x09\x00"), std::nullopt);       // cut off
  EXPECT_EQ(json_of("\x0c"), std::nullopt);           // the end of a group that has not begun
  EXPECT_EQ(json_of("{\"value\":1}"), std::nullopt);  // JSON
  EXPECT_EQ(json_of(std::string(kProtobufBytesMax + 1, '\0')), std::nullopt);
  std::string deep;
  for (size_t i = 0; i < 2 * kNestingMax; ++i) {
    std::string length;
    for (size_t left = deep.size();; left >>= 7) {
      length.push_back(static_cast<char>((left & 0x7f) | (left > 0x7f ? 0x80 : 0)));
      if (left <= 0x7f) break;
    }
    deep = "\x4a" + length + deep;
  }
  EXPECT_EQ(json_of(deep), std::nullopt);
}

TEST(Protobuf, WhatIsWrongWithADescriptorIsSaid) {
  const auto refusal = [](std::string_view set, std::string_view type) {
    const auto format = protobuf_format(set, type);
    return format ? std::string("none") : format.error().line();
  };
  EXPECT_THAT(refusal("no descriptor", "plant.Reading"), HasSubstr("no descriptor set"));
  EXPECT_THAT(refusal("", "plant.Reading"), HasSubstr("no descriptor set"));
  EXPECT_THAT(refusal(descriptor_set(), "plant.Raeding"), HasSubstr("did you mean plant.Reading?"));
  pb::FileDescriptorSet set;
  set.ParseFromString(descriptor_set());
  set.mutable_file()->DeleteSubrange(0, 1);
  EXPECT_THAT(refusal(set.SerializeAsString(), "plant.Reading"), HasSubstr("--include_imports"));
}

}  // namespace
}  // namespace verge::payloads

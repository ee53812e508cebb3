// Reads the input as CBOR, and as a message of Protocol Buffers' own descriptors. What is read is JSON.
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <string>
#include <string_view>

#include <google/protobuf/descriptor.pb.h>
#include <simdjson.h>

#include "payloads/cbor.h"
#include "payloads/protobuf.h"

namespace {

using namespace verge;

std::string own_descriptors() {
  google::protobuf::FileDescriptorSet set;
  google::protobuf::FileDescriptorSet::descriptor()->file()->CopyTo(set.add_file());
  return set.SerializeAsString();
}

void check(const payloads::Format& format, std::string_view bytes) {
  std::string json;
  if (!format.append_json(bytes, json)) return;
  if (json.size() > payloads::kJsonBytesMax) std::abort();
  simdjson::dom::parser parser;
  if (parser.parse(json).error() != simdjson::SUCCESS) std::abort();
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* bytes, size_t size) {
  static const auto kCbor = payloads::cbor_format();
  static const auto kProtobuf = payloads::protobuf_format(own_descriptors(), "google.protobuf.FileDescriptorProto");
  const std::string_view input(reinterpret_cast<const char*>(bytes), size);
  check(*kCbor, input);
  check(**kProtobuf, input);
  return 0;
}

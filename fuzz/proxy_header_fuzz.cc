// PROXY headers and the fields that name clients: whatever comes, what is read keeps its promises, and however the
// bytes were cut, the same is read.
#include <cstdint>
#include <cstdlib>
#include <string_view>
#include <vector>

#include "net/forwarded.h"
#include "net/proxy_header.h"

using namespace verge::net;

namespace {

void check(bool holds) {
  if (!holds) std::abort();
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const std::string_view input(reinterpret_cast<const char*>(data), size);
  using Progress = ProxyHeader::Progress;
  const ProxyHeader whole = ProxyHeader::parse(input);
  if (whole.progress == Progress::kNeedMore) check(size < ProxyHeader::kBytesMax);
  if (whole.progress == Progress::kDone) {
    check(whole.bytes > 0 && whole.bytes <= size && whole.bytes <= ProxyHeader::kBytesMax);
    if (whole.client) check(!whole.client->ip_text().empty());
  }
  for (size_t cut = 0; cut < size && cut < 128; ++cut) {
    const ProxyHeader part = ProxyHeader::parse(input.substr(0, cut));
    if (part.progress == Progress::kNeedMore) continue;
    check(part.progress == whole.progress && part.bytes == whole.bytes);
    break;
  }
  const std::vector<Network> trusted = {*Network::parse("10.0.0.0/8"), *Network::parse("::/1")};
  if (const auto network = Network::parse(input); network) check(Network::parse(network->text()) == *network);
  for (const auto& [name, from] : {std::pair("X-Forwarded-For", ForwardedField::kXForwardedFor),
                                   std::pair("Forwarded", ForwardedField::kForwarded)}) {
    const std::vector<HttpField> fields = {{name, input}, {"X-Forwarded-Proto", input}};
    const ForwardedClient client = forwarded_client(fields, from, trusted);
    if (client.address) check(!client.address->ip_text().empty());
  }
  return 0;
}

// NatsOptions: which servers, which stream, and how to log in.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

namespace verge::jetstream {

struct NatsOptions {
  std::vector<std::string> urls;  // "nats://host:port"
  std::string stream;             // its name
  uint64_t replicas = 3;
  std::string client;            // how the servers name this connection, for their operators
  std::string credentials_path;  // a .creds file; empty: none
  std::string token;             // empty: none
};

}  // namespace verge::jetstream

// Web Cryptography between JavaScript and crypto_task.h. Included only by the realm_*.cc files.
#pragma once

#include <string>

#include <v8.h>

#include "workers/crypto_task.h"
#include "workers/realm.h"

namespace verge::workers {

// A task that another thread does, with copies of what it is about.
class CryptoWork final : public Work {
 public:
  explicit CryptoWork(const CryptoTask& task);
  ~CryptoWork() override;
  void run(const Stop& stop) override;
  [[nodiscard]] const Outcome<CryptoResult>& result() const { return result_; }

 private:
  std::string data_;
  std::string first_;
  std::string second_;
  CryptoTask task_;
  Outcome<CryptoResult> result_ = std::unexpected(Fault::Stopped);
};

// What JavaScript is told: an ArrayBuffer, a boolean, an array of two keys' handles, or the name of a DOMException.
v8::Local<v8::Value> value_of(Realm::State& state, const Outcome<CryptoResult>& result);

}  // namespace verge::workers

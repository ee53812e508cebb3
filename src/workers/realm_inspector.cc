#include "workers/realm_inspector.h"

#include <string>
#include <utility>
#include <vector>

#include <v8-version.h>

namespace verge::workers {
namespace {

constexpr int kGroup = 1;

}  // namespace

RealmInspector::RealmInspector(Realm::State& state) : state_(state) {
  inspector_ = v8_inspector::V8Inspector::create(state.isolate, this);
  constexpr std::string_view kName = "worker";
  const v8_inspector::StringView name(reinterpret_cast<const std::uint8_t*>(kName.data()), kName.size());
  inspector_->contextCreated(v8_inspector::V8ContextInfo(state.context_here(), kGroup, name));
}

RealmInspector::~RealmInspector() = default;

void RealmInspector::dispatch(std::string_view message) {
  if (has_ended_) return;
#if V8_MAJOR_VERSION >= 11
  if (!session_) session_ = inspector_->connect(kGroup, this, {}, v8_inspector::V8Inspector::kFullyTrusted);
#else
  if (!session_) session_ = inspector_->connect(kGroup, this, {});
#endif
  v8::Local<v8::String> text;
  if (!utf8(state_.isolate, message).ToLocal(&text)) return;
  std::vector<std::uint16_t> units(static_cast<std::size_t>(text->Length()));
  text->Write(state_.isolate, units.data(), 0, text->Length(), v8::String::NO_NULL_TERMINATION);
  session_->dispatchProtocolMessage(v8_inspector::StringView(units.data(), units.size()));
}

void RealmInspector::end() {
  if (!session_) return;
  has_ended_ = true;
  if (within_ > 0) session_->resume();
  is_paused_ = false;
}

void RealmInspector::settle() {
  if (std::exchange(has_ended_, false)) session_.reset();
}

void RealmInspector::runMessageLoopOnPause(int group) {
  static_cast<void>(group);
  if (within_ > 0 || has_ended_) return;
  ++within_;
  is_paused_ = true;
  while (is_paused_ && state_.host->inspector_wait()) {
  }
  is_paused_ = false;
  --within_;
}

v8::Local<v8::Context> RealmInspector::ensureDefaultContextInGroup(int group) {
  static_cast<void>(group);
  return state_.context_here();
}

double RealmInspector::currentTimeMS() { return static_cast<double>(state_.host->now().wall_ms); }

void RealmInspector::sendResponse(int call, std::unique_ptr<v8_inspector::StringBuffer> message) {
  static_cast<void>(call);
  send(message->string());
}

void RealmInspector::sendNotification(std::unique_ptr<v8_inspector::StringBuffer> message) { send(message->string()); }

void RealmInspector::send(const v8_inspector::StringView& message) {
  if (has_ended_) return;
  const v8::HandleScope handles(state_.isolate);
  const auto length = static_cast<int>(message.length());
  v8::MaybeLocal<v8::String> made =
      message.is8Bit()
          ? v8::String::NewFromOneByte(state_.isolate, message.characters8(), v8::NewStringType::kNormal, length)
          : v8::String::NewFromTwoByte(state_.isolate, message.characters16(), v8::NewStringType::kNormal, length);
  v8::Local<v8::String> text;
  if (made.ToLocal(&text)) state_.host->inspector_send(to_utf8(state_.isolate, text));
}

}  // namespace verge::workers

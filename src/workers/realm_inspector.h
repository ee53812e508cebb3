// RealmInspector: V8's inspector on one realm: messages of the Chrome DevTools Protocol go in, answers and events come
// out through Host::inspector_send(). One session.
//
// Where code stops at a breakpoint, it stands within the call that it was in, and Host::inspector_wait() is called for
// further messages until one says that it goes on.
#pragma once

#include <memory>
#include <string_view>

#include <v8-inspector.h>

#include "workers/realm_state.h"

namespace verge::workers {

class RealmInspector final : public v8_inspector::V8InspectorClient, private v8_inspector::V8Inspector::Channel {
 public:
  // Within the realm's isolate and context, before the program is compiled: of what was compiled before nothing is
  // told. `state` outlives it.
  explicit RealmInspector(Realm::State& state);
  ~RealmInspector() override;
  RealmInspector(const RealmInspector&) = delete;
  RealmInspector& operator=(const RealmInspector&) = delete;

  // Within the realm's isolate and context, as the next.
  void dispatch(std::string_view message);
  // Nobody inspects any more: code that stands goes on.
  void end();
  // No code stands or runs: what end() left is done.
  void settle();

 private:
  void runMessageLoopOnPause(int group) override;
  void quitMessageLoopOnPause() override { is_paused_ = false; }
  v8::Local<v8::Context> ensureDefaultContextInGroup(int group) override;
  double currentTimeMS() override;
  void sendResponse(int call, std::unique_ptr<v8_inspector::StringBuffer> message) override;
  void sendNotification(std::unique_ptr<v8_inspector::StringBuffer> message) override;
  void flushProtocolNotifications() override {}
  void send(const v8_inspector::StringView& message);

  Realm::State& state_;
  std::unique_ptr<v8_inspector::V8Inspector> inspector_;
  std::unique_ptr<v8_inspector::V8InspectorSession> session_;  // while somebody inspects
  int within_ = 0;                                             // calls of runMessageLoopOnPause
  bool is_paused_ = false;
  bool has_ended_ = false;
};

}  // namespace verge::workers

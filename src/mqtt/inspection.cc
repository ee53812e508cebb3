#include "mqtt/inspection.h"

#include "mqtt/broker.h"

namespace verge::mqtt {

std::vector<ClientView> Broker::clients(std::string_view only, size_t most) const {
  std::vector<ClientView> views;
  const auto show = [&](const Session& session) {
    views.push_back(
        {.client_id = session.client_id(),
         .user = session.user,
         .address = session.connection() == nullptr ? "" : session.connection()->stream().peer().text(),
         .version = session.version(),
         .subscriptions = session.subscriptions.size(),
         .waiting_bytes = session.waiting_bytes(),
         .expiry_s = static_cast<uint64_t>(std::chrono::duration_cast<std::chrono::seconds>(session.expiry()).count()),
         .is_durable = session.durable_name() != 0});
  };
  if (!only.empty()) {
    if (const auto found = sessions_.find(only); found != sessions_.end()) show(*found->second);
    return views;
  }
  for (const auto& [id, session] : sessions_) {
    if (views.size() == most) break;
    show(*session);
  }
  return views;
}

std::vector<SubscriptionView> Broker::subscriptions(std::string_view only, size_t most) const {
  std::vector<SubscriptionView> views;
  const auto show = [&](const Session& session) {
    for (const auto& [filter, options] : session.subscriptions) {
      if (views.size() == most) return;
      views.push_back({.client_id = session.client_id(), .filter = filter, .options = options});
    }
  };
  if (!only.empty()) {
    if (const auto found = sessions_.find(only); found != sessions_.end()) show(*found->second);
    return views;
  }
  for (const auto& [id, session] : sessions_) {
    if (views.size() == most) break;
    show(*session);
  }
  return views;
}

RetainedMessages::Page Broker::retained(std::string_view filter, size_t most, std::string_view after) const {
  return retained_.page(filter, after, {.messages_max = most, .bytes_max = SIZE_MAX, .visits_max = 10 * most + 10'000},
                        loop_.now());
}

bool Broker::kick(std::string_view client_id, bool with_session) {
  const auto found = sessions_.find(client_id);
  if (found == sessions_.end()) return false;
  Session& session = *found->second;
  if (with_session) session.set_expiry(Duration(0));
  if (Connection* connection = session.connection(); connection != nullptr) {
    connection->disconnect(Reason::kAdministrativeAction, /*with_will=*/true, "an administrator closed it");
    return true;
  }
  if (with_session) end_session(session);
  return with_session;
}

}  // namespace verge::mqtt

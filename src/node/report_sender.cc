#include "node/report_sender.h"

#include <cmath>
#include <utility>

#include <fmt/format.h>

#include "base/log.h"
#include "node/config_address.h"
#include "spool/parent_answer.h"

namespace verge::node {
namespace {

constexpr Duration kAskAgain = std::chrono::minutes(1);

}  // namespace

ReportSender::ReportSender(runtime::Loop& loop, Overview& overview, std::vector<spool::ParentPath> paths,
                           std::vector<spool::ParentAccess> access, Duration every, std::atomic<bool>& outage_is_said)
    : loop_(loop),
      overview_(overview),
      paths_(std::move(paths)),
      access_(std::move(access)),
      every_(every),
      outage_is_said_(outage_is_said),
      path_stands_(paths_.size()),
      timer_(loop) {
  for (std::atomic<bool>& stands : path_stands_) stands = true;
  parent_.url = paths_.front().url;
  parent_.every = every;
}

ReportSender::~ReportSender() = default;

void ReportSender::start() { send(); }

void ReportSender::replace_access(std::vector<spool::ParentAccess> access) {
  access_ = std::move(access);
  not_before_ = {};
  // The next one shows what is new.
  if (!under_way_ && client_) {
    earlier_bytes_ += client_->bytes_sent();
    client_.reset();
  }
}

void ReportSender::send() {
  const MonotonicTime now = loop_.tick();
  timer_.after(every_, [this] { send(); });
  if (under_way_) {
    // A request ends by itself; the resolver may take half a minute.
    if (!client_ && now - began_ >= 2 * every_) {
      on_not_reached({"net.resolve", fmt::format("no name server has said yet where {} is", paths_[path_].url),
                      "check this machine's resolver, or use an IP address"});
    }
    return;
  }
  if (now < not_before_) return;
  under_way_ = true;
  began_ = now;
  if (client_) return request();
  const std::string authority = authority_of_parent(paths_[path_].url);
  resolver_.resolve(authority, paths_[path_].from.address.family(), loop_,
                    [this, authority](const Result<net::Address>& address) {
                      if (!address) return fail(address.error());
                      const spool::ParentAccess& access = access_[path_];
                      authorization_ = access.token.empty() ? "" : "Bearer " + access.token;
                      client_ = std::make_unique<net::HttpClient>(loop_, *address, authority, net::HttpClientLimits{},
                                                                  access.tls, paths_[path_].from);
                      request();
                    });
}

void ReportSender::request() {
  overview::Report report = overview_.report(climbed_);
  report.every = every_;
  report.sent = sent_time_ = clock_.wall();
  sent_at_ = clock_.monotonic();
  climbing_.clear();
  for (const overview::NodeReport& node : report.nodes) climbing_[node.id] = {.state = node.state, .at = sent_at_};
  net::HttpCall call{.method = "POST",
                     .target = "/v1/report",
                     .fields = {{"Content-Type", "application/json"}},
                     .body = Payload(report_json(report)),
                     .timeout = 2 * every_};
  if (!authorization_.empty()) call.fields.push_back({"Authorization", authorization_});
  client_->request(call, [this](const Result<net::HttpAnswer>& answer) { on_answer(answer); });
}

void ReportSender::on_answer(const Result<net::HttpAnswer>& answer) {
  bytes_sent_ = earlier_bytes_ + client_->bytes_sent();
  if (!answer) return fail(answer.error());
  under_way_ = false;
  const MonotonicTime now = loop_.tick();
  if (answer->status == 429 || answer->status == 503) {
    not_before_ = now + kAskAgain;
    return on_reached();
  }
  const std::string authority = authority_of_parent(paths_[path_].url);
  if (answer->status != 200) {
    not_before_ = now + kAskAgain;
    return on_turned_away(spool::read_answer(answer, authority, !authorization_.empty(), clock_.wall()).error);
  }
  std::optional<overview::ReportAnswer> who = overview::parse_answer(answer->body.view());
  if (!who) {
    return on_turned_away({"uplink.refused", fmt::format("what {} answers is no answer of a node", authority),
                           "check that parent.url names the http listener of a Verge node"});
  }
  on_reached();
  for (auto& [id, climbed] : climbing_) climbed_.insert_or_assign(id, climbed);
  constexpr size_t kRememberedMax = 4 * overview::Roster::kNodesMax;
  if (climbed_.size() > kRememberedMax) climbed_.clear();
  if (!parent_.who || parent_.who->id != who->id) climbed_.clear();  // it knows nothing yet
  parent_.who = std::move(who);
  parent_.heard = now;
  parent_.round_trip_ms = std::chrono::duration<double, std::milli>(now - sent_at_).count();
  // The parent looked at its clock half of the way in between.
  const double ahead_ms = static_cast<double>(sent_time_.microseconds - parent_.who->now.microseconds) / 1000;
  const bool says_time = parent_.who->now.microseconds != 0;
  parent_.skew_ms = says_time ? std::round(ahead_ms + parent_.round_trip_ms / 2) : overview::kNothing;
  const auto round_trip = std::chrono::duration_cast<std::chrono::microseconds>(now - sent_at_);
  measure_ = (static_cast<uint64_t>(round_trip.count()) << 2U) | static_cast<uint64_t>(parent_.who->tier);
}

void ReportSender::on_reached() {
  reached_ = true;
  for (std::atomic<bool>& stands : path_stands_) stands = true;
  failures_in_a_row_ = 0;
  if (told_.empty()) return;
  told_.clear();
  outage_is_said_ = false;
  if (std::exchange(is_told_here_, false)) log_info("uplink", "the parent {} is reached", paths_[path_].url);
}

void ReportSender::on_not_reached(const Error& error) {
  failures_.add();
  path_stands_[path_] = false;
  if (++failures_in_a_row_ < paths_.size()) return;
  reached_ = false;
  if (told_ == error.code || !line_.due(loop_.tick())) return;
  const bool is_said = outage_is_said_.exchange(true) && told_.empty();
  told_ = error.code;
  if (is_said) return;
  is_told_here_ = true;
  log_warning("uplink", "the parent {} is not reached; what is stored waits here until it is: {}", paths_[path_].url,
              error.line());
}

void ReportSender::on_turned_away(const Error& error) {
  failures_in_a_row_ = paths_.size();
  on_not_reached(error);
}

void ReportSender::fail(const Error& error) {
  under_way_ = false;
  on_not_reached(error);
  path_ = (path_ + 1) % paths_.size();
  climbed_.clear();  // it may be another, or have forgotten
  measure_ = kNoMeasure;
  if (!client_) return;
  earlier_bytes_ += client_->bytes_sent();
  client_.reset();
}

}  // namespace verge::node

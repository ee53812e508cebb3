// CodeCall: a call of a worker that answers a request, seen as a call to an upstream; and AnswerCodeCall: the same, of
// a worker that is given an answer.
//
// What a worker fetches under the request's own URL goes on behind it in the flow of requests (cache/edge_code.h).
//
// Threading: on the loop of its worker's pool, which outlives it.
#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "cache/edge_code.h"
#include "isolates/call.h"
#include "net/upstream.h"
#include "traces/open_span.h"

namespace verge::node {

class LoopWorkers;
struct PlacedWorker;

// What a worker sees of a request's fields: who asks is the node's word. Views of what it is given.
std::vector<calls::Field> call_fields(std::span<const net::HttpField> fields, std::string_view url,
                                      std::string_view host, std::string_view client);
// Of a URL.
std::string_view host_of(std::string_view url);

class CodeCall final : public net::UpstreamCall, private isolates::CallObserver {
 public:
  // Who answers what the worker fetches under the request's own URL; null: nobody does.
  using OwnAnswer =
      std::function<std::unique_ptr<isolates::Subrequest>(const calls::Request&, isolates::SubrequestObserver&)>;

  // `observer`, `home` and `worker` outlive it.
  CodeCall(LoopWorkers& home, std::shared_ptr<const PlacedWorker> worker, const cache::CodeRoute::Request& request,
           net::UpstreamObserver& observer, OwnAnswer own_answer = {});
  ~CodeCall() override;
  CodeCall(const CodeCall&) = delete;
  CodeCall& operator=(const CodeCall&) = delete;

  void write_body(std::string_view) override {}
  void finish_body(std::span<const net::HttpField>) override {}
  [[nodiscard]] size_t queued_bytes() const override { return 0; }
  void pause() override;
  void resume() override;

 private:
  void on_answer(const calls::Head& head, bool ends) override;
  void on_body(std::string_view piece) override;
  void on_end() override;
  void on_failed(const isolates::CallFailure& failure) override;
  std::unique_ptr<isolates::Subrequest> begin_subrequest(const calls::Request& request, bool ends,
                                                         isolates::SubrequestObserver& observer) override;
  // The traceparent of what is done within.
  std::string begin_span(std::span<const net::HttpField> fields);
  std::unique_ptr<isolates::Subrequest> begin_fetch(const calls::Request& request, bool ends,
                                                    const cache::Nesting& nesting,
                                                    isolates::SubrequestObserver& observer);
  // Whether what the worker stands for may be asked instead, for a failure before its answer.
  [[nodiscard]] bool falls_back(const isolates::CallFailure& failure) const;
  void answer_with(const Error& error);

  LoopWorkers& home_;
  const std::shared_ptr<const PlacedWorker> worker_;
  net::UpstreamObserver& observer_;
  const OwnAnswer own_answer_;
  const std::string method_;
  const std::string url_;
  const net::Address client_;
  cache::Nesting nesting_;  // of what the worker fetches
  const bool may_fall_back_;
  std::string loops_;                     // CDN-Loop of the request
  std::optional<traces::OpenSpan> span_;  // where the request is traced
  std::unique_ptr<isolates::Call> call_;
  bool has_head_ = false;
  bool asks_sites_ = false;   // the worker fetched from sites of this node
  bool asks_others_ = false;  // and from elsewhere
  bool paused_ = false;
  size_t owed_ = 0;  // of the answer's body, without room given for it
  std::shared_ptr<CodeCall*> alive_ = std::make_shared<CodeCall*>(this);
};

class AnswerCodeCall final : public net::UpstreamCall, private net::UpstreamObserver {
 public:
  AnswerCodeCall(LoopWorkers& home, std::shared_ptr<const PlacedWorker> worker,
                 const cache::CodeRoute::Request& request, const cache::CodeRoute::BeginAnswer& begin_answer,
                 net::UpstreamObserver& observer);
  ~AnswerCodeCall() override;
  AnswerCodeCall(const AnswerCodeCall&) = delete;
  AnswerCodeCall& operator=(const AnswerCodeCall&) = delete;

  void write_body(std::string_view) override {}
  void finish_body(std::span<const net::HttpField>) override {}
  [[nodiscard]] size_t queued_bytes() const override { return 0; }
  void pause() override;
  void resume() override;

 private:
  class Given;
  class Outer;
  enum class Reader { kNone, kCode, kObserver };

  void on_head(const net::ResponseHead& head, const net::BodyFraming& framing) override;
  void on_body(std::string_view piece) override;
  void on_end(std::span<const net::HttpField> trailers) override;
  void on_failed(const Error& error) override;
  // The answer goes on as it is.
  void pass_on();
  void begin_code();
  // Hands on what has come to who reads it.
  void hand_on();
  std::unique_ptr<isolates::Subrequest> give(isolates::SubrequestObserver& observer);

  LoopWorkers& home_;
  const std::shared_ptr<const PlacedWorker> worker_;
  net::UpstreamObserver& observer_;
  const std::string method_;
  const std::string url_;
  std::vector<std::pair<std::string, std::string>> request_fields_;
  const Payload body_;
  const net::Address client_;
  const cache::Nesting nesting_;
  std::unique_ptr<net::UpstreamCall> answer_;
  // The answer, as far as it came and was not handed on.
  int status_ = 0;
  std::string reason_;
  std::vector<std::pair<std::string, std::string>> fields_;
  net::BodyFraming framing_;
  std::string piece_;
  bool ended_ = false;
  std::optional<Error> failure_;
  Reader reader_ = Reader::kNone;
  Given* given_ = nullptr;
  bool handed_head_ = false;
  bool reader_paused_ = false;
  std::unique_ptr<Outer> outer_;
  std::unique_ptr<CodeCall> code_;
  std::shared_ptr<AnswerCodeCall*> alive_ = std::make_shared<AnswerCodeCall*>(this);
};

}  // namespace verge::node

#include "node/binding_calls.h"

#include <algorithm>
#include <charconv>
#include <utility>

#include <fmt/format.h>

#include "base/bytes.h"
#include "base/text.h"
#include "node/key_value_text.h"

namespace verge::node {
namespace {

const isolates::WorkerBinding* binding_of(const isolates::Worker& worker, std::string_view name) {
  const std::vector<isolates::WorkerBinding>& all = worker.code().bindings;
  const auto found = std::ranges::find(all, name, &isolates::WorkerBinding::name);
  return found == all.end() ? nullptr : &*found;
}

std::string_view field_of(const calls::Request& request, std::string_view name) {
  const auto found = std::ranges::find(request.fields, name, &calls::Field::name);
  return found == request.fields.end() ? std::string_view() : found->value;
}

// What of an item is told beside its value; `expiration` is written to.
void append_fields(std::vector<calls::Field>& fields, const kv::Item& item, std::string& expiration) {
  if (!item.metadata.empty()) fields.push_back({"metadata", item.metadata});
  if (item.expires_s == 0) return;
  expiration = fmt::format("{}", item.expires_s);
  fields.push_back({"expiration", expiration});
}

// Who is told, while somebody is there to be told. Shared by the subrequest and what the store answers to.
struct Told {
  isolates::SubrequestObserver* observer;
};

class KeyValueCall final : public isolates::Subrequest {
 public:
  KeyValueCall(runtime::Loop& loop, kv::KeyValueStore& store, int64_t now_s, const isolates::WorkerBinding& binding,
               const calls::Request& request, bool ends, isolates::SubrequestObserver& observer)
      : loop_(loop),
        store_(store),
        now_s_(now_s),
        told_(std::make_shared<Told>(&observer)),
        space_(binding.target),
        what_(request.method),
        key_(request.url),
        ttl_(field_of(request, "ttl")),
        expiration_(field_of(request, "expiration")),
        metadata_(field_of(request, "metadata")),
        limit_(field_of(request, "limit")),
        cursor_(field_of(request, "cursor")) {
    gather(request.body);
    if (ends) {
      finish_body();
    } else {
      tell([](isolates::SubrequestObserver& its) { its.on_drained(); });
    }
  }
  ~KeyValueCall() override {
    told_->observer = nullptr;
    store_.arriving().give_back(body_.size());
  }
  KeyValueCall(const KeyValueCall&) = delete;
  KeyValueCall& operator=(const KeyValueCall&) = delete;

  void write_body(std::string_view piece) override {
    gather(piece);
    tell([](isolates::SubrequestObserver& its) { its.on_drained(); });
  }
  void finish_body() override {
    if (is_refused_) return;
    if (const Result<void> begun = ask(); !begun) refuse(begun.error());
  }
  // An answer comes as a whole, and waits with who asked.
  void pause() override {}
  void resume() override {}

 private:
  void gather(std::string_view piece) {
    // One byte more than may be says that it was too long.
    piece = piece.substr(0, kv::kValueBytesMax + 1 - std::min(body_.size(), kv::kValueBytesMax + 1));
    if (is_refused_ || piece.empty()) return;
    if (store_.arriving().take(piece.size())) {
      body_.append(piece);
      return;
    }
    is_refused_ = true;
    store_.arriving().give_back(body_.size());
    body_ = {};
    refuse({"kv.busy",
            fmt::format("values that are being put come to {} already", format_size(store_.arriving().bytes_max())),
            "ask again in a moment, or put less at once"});
  }

  Result<void> ask() {
    if (what_ == "list") return list();
    if (what_ == "getAll") return get_all();
    if (const Result<void> good = check_text_key(key_); !good) return good;
    if (what_ == "get") return get();
    if (what_ == "put") return put();
    if (what_ == "delete") return write(std::nullopt);
    return fail("workers.binding", fmt::format("keys and values know no '{}'", what_), "get, put, delete, list");
  }

  Result<void> get() {
    store_.get(space_, key_, answer<kv::ItemPointer>([](kv::ItemPointer item, isolates::SubrequestObserver& its) {
                 calls::Head head{.status = item ? 200U : 404U};
                 std::string expiration;
                 if (item) append_fields(head.fields, *item, expiration);
                 if (item) head.body = item->value;
                 its.on_answer(head, true);
               }));
    return {};
  }

  // Of several keys: of each its length (u32, little-endian) and its bytes. One is looked for after the other, so that
  // no more is in memory than may be answered: of each u8 1 or 0, the lengths of metadata and value, and these.
  struct Several {
    std::string space;
    std::vector<std::string> keys;
    size_t at = 0;
    std::string found;
  };
  Result<void> get_all() {
    constexpr size_t kKeysMax = 100;
    auto all = std::make_shared<Several>();
    all->space = space_;
    ByteReader in(body_);
    while (!in.empty()) {
      const std::string_view key = in.bytes(in.fixed<uint32_t>());
      if (!in.ok() || all->keys.size() == kKeysMax) return fail("kv.value", "the keys cannot be read", "");
      all->keys.emplace_back(key);
      if (const Result<void> good = check_text_key(all->keys.back()); !good) return good;
    }
    get_next(loop_, store_, told_, std::move(all));
    return {};
  }
  static void get_next(runtime::Loop& loop, kv::KeyValueStore& store, const std::shared_ptr<Told>& told,
                       std::shared_ptr<Several> all) {
    if (told->observer == nullptr) return;
    if (all->at == all->keys.size()) {
      told->observer->on_answer({.status = 200, .body = all->found}, true);
      return;
    }
    const std::string& key = all->keys[all->at++];
    store.get(all->space, key, [&loop, &store, told = told, all](Result<kv::ItemPointer> item) mutable {
      loop.post([&loop, &store, told = std::move(told), all = std::move(all), item = std::move(item)]() mutable {
        if (told->observer == nullptr) return;
        if (!item) return told->observer->on_failed(item.error());
        if (*item && all->found.size() + (*item)->value.size() > kv::kValueBytesMax) {
          return told->observer->on_failed(
              {"kv.value",
               fmt::format("the values of these keys are longer than {} together", format_size(kv::kValueBytesMax)),
               "get fewer at once"});
        }
        append_found(all->found, item->get());
        get_next(loop, store, told, std::move(all));
      });
    });
  }
  static void append_found(std::string& out, const kv::Item* item) {
    append_fixed(out, static_cast<uint8_t>(item == nullptr ? 0 : 1));
    append_fixed(out, static_cast<uint32_t>(item == nullptr ? 0 : item->metadata.size()));
    append_fixed(out, static_cast<uint32_t>(item == nullptr ? 0 : item->value.size()));
    if (item != nullptr) out.append(item->metadata).append(item->value);
  }

  Result<void> put() {
    if (const Result<void> good = check_metadata(metadata_); !good) return good;
    const Result<int64_t> expires_s = expiry_of(ttl_, expiration_, now_s_);
    if (!expires_s) return std::unexpected(expires_s.error());
    // What waits to be written has a bound of its own.
    store_.arriving().give_back(body_.size());
    return write(kv::Item{std::exchange(body_, {}), std::move(metadata_), *expires_s});
  }

  Result<void> write(std::optional<kv::Item> item) {
    auto done = answer<bool>([](bool, isolates::SubrequestObserver& its) { its.on_answer({.status = 204}, true); });
    store_.write({space_, key_, std::move(item)}, [done = std::move(done)](Result<void> result) mutable {
      done(result ? Result<bool>(true) : std::unexpected(std::move(result.error())));
    });
    return {};
  }

  Result<void> list() {
    kv::ListRequest request{.space = space_, .prefix = key_};
    const Result<size_t> limit = list_limit_of(limit_);
    if (!limit) return std::unexpected(limit.error());
    request.limit = *limit;
    if (!cursor_.empty()) {
      std::optional<std::string> after = read_cursor(cursor_);
      if (!after) return fail("kv.value", "the cursor is none of a list", "give that of the list before");
      request.after = *std::move(after);
    }
    auto done = answer<std::string>([](const std::string& json, isolates::SubrequestObserver& its) {
      its.on_answer({.status = 200, .body = json}, true);
    });
    store_.list(std::move(request), [done = std::move(done)](Result<kv::Listing> listing) mutable {
      // On the store's thread: a list may be long.
      done(listing ? Result<std::string>(listing_json(*listing)) : std::unexpected(std::move(listing.error())));
    });
    return {};
  }

  void refuse(Error error) {
    tell([error = std::move(error)](isolates::SubrequestObserver& its) { its.on_failed(error); });
  }

  // Says something in a later turn, if somebody is there still.
  template <class Say>
  void tell(Say say) {
    loop_.post([told = told_, say = std::move(say)] {
      if (told->observer != nullptr) say(*told->observer);
    });
  }

  // What a store is given to answer to.
  template <class T, class Say>
  kv::Done<T> answer(Say say) {
    return [told = told_, &loop = loop_, say](Result<T> result) mutable {
      loop.post([told = std::move(told), result = std::move(result), say]() mutable {
        if (told->observer == nullptr) return;
        if (!result) return told->observer->on_failed(result.error());
        say(*std::move(result), *told->observer);
      });
    };
  }

  runtime::Loop& loop_;
  kv::KeyValueStore& store_;
  const int64_t now_s_;
  const std::shared_ptr<Told> told_;
  const std::string space_;
  const std::string what_;
  const std::string key_;
  const std::string ttl_;
  const std::string expiration_;
  std::string metadata_;
  const std::string limit_;
  const std::string cursor_;
  std::string body_;  // there is room taken for it
  bool is_refused_ = false;
};

// Messages on their way to a queue: of each a field "KIND BYTES DELAY", and their bodies one after the other.
class SendCall final : public isolates::Subrequest {
 public:
  SendCall(runtime::Loop& loop, queues::QueueStore& store, const isolates::WorkerBinding& binding,
           const calls::Request& request, bool ends, isolates::SubrequestObserver& observer)
      : loop_(loop),
        store_(store),
        told_(std::make_shared<Told>(&observer)),
        queue_(binding.target),
        is_send_(request.method == "send"),
        body_(request.body) {
    for (const calls::Field& field : request.fields) {
      if (field.name == "message") heads_.emplace_back(field.value);
    }
    if (ends) {
      finish_body();
    } else {
      tell([](isolates::SubrequestObserver& its) { its.on_drained(); });
    }
  }
  ~SendCall() override { told_->observer = nullptr; }
  SendCall(const SendCall&) = delete;
  SendCall& operator=(const SendCall&) = delete;

  void write_body(std::string_view piece) override {
    body_.append(piece.substr(0, kBodyBytesMax + 1 - std::min(body_.size(), kBodyBytesMax + 1)));
    tell([](isolates::SubrequestObserver& its) { its.on_drained(); });
  }
  void finish_body() override {
    Result<std::vector<queues::NewMessage>> messages = read_messages();
    if (!messages) {
      return tell([error = messages.error()](isolates::SubrequestObserver& its) { its.on_failed(error); });
    }
    store_.send(queue_, *std::move(messages), [told = told_, &loop = loop_](Result<void> sent) mutable {
      loop.post([told = std::move(told), sent = std::move(sent)] {
        if (told->observer == nullptr) return;
        if (!sent) return told->observer->on_failed(sent.error());
        told->observer->on_answer({.status = 204}, true);
      });
    });
  }
  void pause() override {}
  void resume() override {}

 private:
  static constexpr size_t kMessagesMax = 100;
  static constexpr size_t kBodyBytesMax = 1U << 20;

  [[nodiscard]] Result<std::vector<queues::NewMessage>> read_messages() const {
    if (!is_send_) return fail("workers.binding", "a queue knows only 'send'", "");
    if (heads_.size() > kMessagesMax || body_.size() > kBodyBytesMax) {
      return fail("queues.message", "these are more than 100 messages, or more than 1 MiB", "send fewer at once");
    }
    std::vector<queues::NewMessage> messages;
    std::string_view rest = body_;
    for (const std::string& head : heads_) {
      unsigned kind = 0;
      size_t bytes = 0;
      int64_t seconds = 0;
      std::string_view words = head;
      const bool is_read = take_number(words, kind) && take_number(words, bytes);
      const bool is_good =
          is_read && kind <= 2 && bytes <= rest.size() && (words == "-" || take_number(words, seconds));
      if (!is_good) return fail("queues.message", "the messages cannot be read", "");
      messages.push_back({.kind = static_cast<queues::ContentKind>(kind),
                          .body = std::string(rest.substr(0, bytes)),
                          .delay = std::chrono::seconds(std::clamp<int64_t>(seconds, 0, 43'200))});
      rest.remove_prefix(bytes);
    }
    return messages;
  }
  // With the space behind it.
  template <class Number>
  static bool take_number(std::string_view& words, Number& number) {
    const auto [end, problem] = std::from_chars(words.data(), words.data() + words.size(), number);
    if (problem != std::errc{}) return false;
    words.remove_prefix(std::min<size_t>(end - words.data() + 1, words.size()));
    return true;
  }
  template <class Say>
  void tell(Say say) {
    loop_.post([told = told_, say = std::move(say)] {
      if (told->observer != nullptr) say(*told->observer);
    });
  }

  runtime::Loop& loop_;
  queues::QueueStore& store_;
  const std::shared_ptr<Told> told_;
  const std::string queue_;
  const bool is_send_;
  std::vector<std::string> heads_;
  std::string body_;
};

class Refusal final : public isolates::Subrequest {
 public:
  Refusal(runtime::Loop& loop, const Error& error, isolates::SubrequestObserver& observer) : later_(loop) {
    later_.after(Duration(0), [error, &observer] { observer.on_failed(error); });
  }
  void write_body(std::string_view) override {}
  void finish_body() override {}
  void pause() override {}
  void resume() override {}

 private:
  runtime::Timer later_;
};

}  // namespace

bool BindingCalls::answer_at_once(const isolates::Worker& worker, const calls::Request& request, calls::Head& answer) {
  if (request.method != "get" || store_ == nullptr) return false;
  const isolates::WorkerBinding* binding = binding_of(worker, request.cache);
  if (binding == nullptr || binding->kind != calls::BindingKind::kKeyValue) return false;
  // Before the look: what is written meanwhile makes a value that an isolate keeps an old one.
  const uint32_t counter = calls::WriteCounts::counter_of(binding->target);
  const uint64_t writes = counts_ == nullptr ? 0 : counts_->of(counter);
  std::optional<kv::ItemPointer> item = store_->find(binding->target, request.url);
  if (!item || (*item && (*item)->value.size() > calls::kWindowBytes)) return false;
  answered_ = *std::move(item);
  answer.status = answered_ ? 200 : 404;
  answer.reason = {};
  // What expires is asked for each time.
  if (counts_ != nullptr && (!answered_ || answered_->expires_s == 0)) {
    kept_by_ = fmt::format("{} {}", counter, writes);
    answer.reason = kept_by_;
  }
  answer.fields.clear();
  answer.body = {};
  if (!answered_) return true;
  append_fields(answer.fields, *answered_, expiration_);
  answer.body = answered_->value;
  return true;
}

std::unique_ptr<isolates::Subrequest> BindingCalls::begin(const isolates::Worker& worker, const calls::Request& request,
                                                          bool ends, isolates::SubrequestObserver& observer) {
  const isolates::WorkerBinding* binding = binding_of(worker, request.cache);
  const bool is_queue = binding != nullptr && binding->kind == calls::BindingKind::kQueue;
  if (is_queue && queues_ != nullptr) {
    return std::make_unique<SendCall>(loop_, *queues_, *binding, request, ends, observer);
  }
  if (binding == nullptr || is_queue || store_ == nullptr) {
    return std::make_unique<Refusal>(
        loop_, Error{"workers.binding", fmt::format("the worker has no binding {}", request.cache), "configure it"},
        observer);
  }
  const int64_t now_s = clock_.wall().microseconds / 1'000'000;
  return std::make_unique<KeyValueCall>(loop_, *store_, now_s, *binding, request, ends, observer);
}

}  // namespace verge::node

#include "runtime/passages.h"

#include "base/assert.h"

namespace verge::runtime {

void Passages::join(const std::vector<Loop*>& loops) {
  for (Loop* loop : loops) passages_.emplace_back().to = loop;
}

void Passages::await_room(Task resume) {
  VERGE_ASSERT(last_crowded_ != nullptr);
  Passage& passage = *last_crowded_;
  passage.waiting.push_back(std::move(resume));
  if (!passage.resuming) ask(passage);
}

void Passages::ask(Passage& passage) {
  passage.awaited = true;
  // The other loop may have taken the last task before it could see that somebody waits.
  if (has_room(passage) && passage.awaited.exchange(false)) {
    loop_.post([this, &passage] { resume(passage); });
  }
}

void Passages::leave(Passage& passage, size_t bytes) {
  --passage.tasks;
  passage.bytes -= bytes;
  if (passage.awaited && has_room(passage) && passage.awaited.exchange(false)) {
    loop_.post([this, &passage] { resume(passage); });
  }
}

void Passages::resume(Passage& passage) {
  if (passage.resuming) return;
  passage.resuming = true;
  resume_next(passage);
}

void Passages::resume_next(Passage& passage) {
  if (passage.waiting.empty() || is_at_bound(passage)) {
    passage.resuming = false;
    if (!passage.waiting.empty()) ask(passage);
    return;
  }
  Task next = std::move(passage.waiting.front());
  passage.waiting.pop_front();
  next();
  loop_.post([this, &passage] { resume_next(passage); });
}

}  // namespace verge::runtime

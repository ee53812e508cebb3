// LazyDeque: a std::deque that takes no memory until something is put into it. An empty one of libstdc++ holds 600
// bytes, which idle connections by the ten thousand need not have. What it took it keeps, until give_back(): a queue
// that runs empty a thousand times a second asks for no memory each time.
#pragma once

#include <deque>
#include <memory>
#include <utility>

namespace verge {

template <class T>
class LazyDeque {
 public:
  using Items = std::deque<T>;
  using iterator = typename Items::iterator;
  using const_iterator = typename Items::const_iterator;

  [[nodiscard]] bool empty() const { return items_ == nullptr || items_->empty(); }
  [[nodiscard]] size_t size() const { return items_ == nullptr ? 0 : items_->size(); }
  // There is something in it.
  [[nodiscard]] T& front() { return items_->front(); }
  [[nodiscard]] const T& front() const { return items_->front(); }
  [[nodiscard]] T& back() { return items_->back(); }
  [[nodiscard]] const T& back() const { return items_->back(); }
  [[nodiscard]] T& operator[](size_t place) { return (*items_)[place]; }
  [[nodiscard]] const T& operator[](size_t place) const { return (*items_)[place]; }
  [[nodiscard]] iterator begin() { return items_ == nullptr ? iterator() : items_->begin(); }
  [[nodiscard]] iterator end() { return items_ == nullptr ? iterator() : items_->end(); }
  [[nodiscard]] const_iterator begin() const {
    return items_ == nullptr ? const_iterator() : std::as_const(*items_).begin();
  }
  [[nodiscard]] const_iterator end() const {
    return items_ == nullptr ? const_iterator() : std::as_const(*items_).end();
  }

  void push_back(T item) {
    if (items_ == nullptr) items_ = std::make_unique<Items>();
    items_->push_back(std::move(item));
  }
  void pop_front() { items_->pop_front(); }
  void pop_back() { items_->pop_back(); }
  iterator erase(iterator place) { return items_->erase(place); }
  template <class Predicate>
  size_t erase_if(Predicate predicate) {
    return items_ == nullptr ? 0 : std::erase_if(*items_, std::move(predicate));
  }
  // Its memory, if nothing is in it.
  void give_back() {
    if (empty()) items_.reset();
  }

 private:
  std::unique_ptr<Items> items_;
};

}  // namespace verge

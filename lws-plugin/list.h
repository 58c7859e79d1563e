// Intrusive doubly linked lists and an intrusive timer heap: marking and unmarking allocate nothing and cost the same however many there
// are. The elements are somebody else's. Not thread-safe.
#pragma once

#include <cstddef>
#include <cstdint>
#include <limits>
#include <vector>

namespace jobcast::plugin {

template <class T>
struct Link {
  T* prev = nullptr;
  T* next = nullptr;
};

// Whether an element is in is its owner's to know.
template <class T, Link<T> T::* link>
class List {
 public:
  [[nodiscard]] bool empty() const { return !head_; }
  [[nodiscard]] T* front() const { return head_; }
  [[nodiscard]] T* back() const { return tail_; }
  [[nodiscard]] static T* next(const T* element) { return (element->*link).next; }
  [[nodiscard]] static T* prev(const T* element) { return (element->*link).prev; }

  void push_back(T* element) {
    element->*link = {tail_, nullptr};
    (tail_ ? (tail_->*link).next : head_) = element;
    tail_ = element;
  }

  void erase(T* element) {
    const Link<T> at = element->*link;
    (at.prev ? (at.prev->*link).next : head_) = at.next;
    (at.next ? (at.next->*link).prev : tail_) = at.prev;
    element->*link = {};
  }

 private:
  T* head_ = nullptr;
  T* tail_ = nullptr;
};

// Elements by `due`, the earliest on top; an element knows its place (kNotThere: not in).
template <class T, int64_t T::* due, uint32_t T::* place>
class TimerHeap {
 public:
  static constexpr uint32_t kNotThere = std::numeric_limits<uint32_t>::max();
  static constexpr int64_t kNever = std::numeric_limits<int64_t>::max();

  [[nodiscard]] T* top() const { return heap_.empty() ? nullptr : heap_.front(); }
  [[nodiscard]] int64_t top_due() const { return heap_.empty() ? kNever : heap_.front()->*due; }

  // Puts it in, moves it, or (kNever) takes it out.
  void set(T* element, int64_t when) {
    if (when == element->*due && (when == kNever) == (element->*place == kNotThere)) return;
    element->*due = when;
    if (when == kNever) return remove(element);
    if (element->*place == kNotThere) {
      element->*place = static_cast<uint32_t>(heap_.size());
      heap_.push_back(element);
    }
    sift(element->*place);
  }

 private:
  void remove(T* element) {
    const uint32_t at = element->*place;
    if (at == kNotThere) return;
    element->*place = kNotThere;
    T* last = heap_.back();
    heap_.pop_back();
    if (last == element) return;
    put(at, last);
    sift(at);
  }

  void put(uint32_t at, T* element) {
    heap_[at] = element;
    element->*place = at;
  }

  void sift(uint32_t at) {
    T* element = heap_[at];
    for (; at > 0 && element->*due < heap_[(at - 1) / 2]->*due; at = (at - 1) / 2) put(at, heap_[(at - 1) / 2]);
    for (;;) {
      uint32_t child = 2 * at + 1;
      if (child >= heap_.size()) break;
      if (child + 1 < heap_.size() && heap_[child + 1]->*due < heap_[child]->*due) ++child;
      if (heap_[child]->*due >= element->*due) break;
      put(at, heap_[child]);
      at = child;
    }
    put(at, element);
  }

  std::vector<T*> heap_;
};

}  // namespace jobcast::plugin

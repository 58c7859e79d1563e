// Result<T>: a value or an Error. Any thread; owns what it holds.
#pragma once

#include <optional>
#include <string>
#include <utility>
#include <variant>

#include "jobcast/status.h"

namespace jobcast {

// What the caller can do about it, never where it happened. The numbers are those of jobcast_status in jobcast/status.h.
enum class Errc : int {
  invalid = JOBCAST_INVALID,            // the input is wrong: tell its author which field, and the remedy
  unauthorized = JOBCAST_UNAUTHORIZED,  // authenticate, or do not ask
  not_found = JOBCAST_NOT_FOUND,        // absent, or not yours: the two look the same
  full = JOBCAST_FULL,                  // a stated limit is reached: come back later with less
  retry = JOBCAST_RETRY,                // a passing condition: the same call may succeed
  closed = JOBCAST_CLOSED,              // the other side is gone: reconnect
  corrupt = JOBCAST_CORRUPT,            // outside bytes that cannot be trusted: drop the source
  internal = JOBCAST_INTERNAL,          // our own fault, or the system's
};

// The word for it on every wire and in every log: "invalid", "not_found", …
[[nodiscard]] constexpr const char* name(Errc code) {
  switch (code) {
    case Errc::invalid: return "invalid";
    case Errc::unauthorized: return "unauthorized";
    case Errc::not_found: return "not_found";
    case Errc::full: return "full";
    case Errc::retry: return "retry";
    case Errc::closed: return "closed";
    case Errc::corrupt: return "corrupt";
    case Errc::internal: return "internal";
  }
  return "internal";
}

struct Error {
  Errc code = Errc::internal;
  std::string detail = {};  // one sentence for a person: what is wrong and the remedy; never a token or a payload
  std::string field = {};   // the input field at fault ("args.hands[1]"), or empty
};

template <class T>
class [[nodiscard]] Result {
 public:
  Result(T value) : state_(std::move(value)) {}
  Result(Error error) : state_(std::move(error)) {}
  Result(Errc code, std::string detail, std::string field = {}) : state_(Error{code, std::move(detail), std::move(field)}) {}

  [[nodiscard]] bool ok() const { return state_.index() == 0; }
  explicit operator bool() const { return ok(); }
  // Precondition: ok().
  [[nodiscard]] T& value() & { return std::get<0>(state_); }
  [[nodiscard]] const T& value() const& { return std::get<0>(state_); }
  [[nodiscard]] T&& value() && { return std::get<0>(std::move(state_)); }
  T* operator->() { return &std::get<0>(state_); }
  const T* operator->() const { return &std::get<0>(state_); }
  T& operator*() & { return std::get<0>(state_); }
  const T& operator*() const& { return std::get<0>(state_); }
  // Precondition: !ok().
  [[nodiscard]] const Error& error() const { return std::get<1>(state_); }

 private:
  std::variant<T, Error> state_;
};

template <>
class [[nodiscard]] Result<void> {
 public:
  Result() = default;
  Result(Error error) : error_(std::move(error)) {}
  Result(Errc code, std::string detail, std::string field = {}) : error_(Error{code, std::move(detail), std::move(field)}) {}

  [[nodiscard]] bool ok() const { return !error_; }
  explicit operator bool() const { return ok(); }
  // Precondition: !ok().
  [[nodiscard]] const Error& error() const { return *error_; }

 private:
  std::optional<Error> error_;
};

}  // namespace jobcast

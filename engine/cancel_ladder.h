// How a running attempt is ended, rung by rung. Pure: time is a parameter; whoever holds the ladder acts on the rung it comes to stand on.
//
//   running ── cancel, program can hear ──▶ asked ──▶ (acknowledged) ──▶ terminating ──▶ killing
//      └────── cancel, it cannot; or timeout ────────────────────────────────▲
//
// A program that has acknowledged has said that it is stopping: it gets grace_ms of its own before TERM, instead of what is left of
// cancel_ms.
#pragma once

#include <cstdint>
#include <optional>

#include "engine/job.h"

namespace jobcast::engine {

class CancelLadder {
 public:
  enum class Rung : uint8_t { running, asked, acknowledged, terminating, killing };

  CancelLadder(int64_t cancel_ms, int64_t grace_ms) : cancel_ms_(cancel_ms), grace_ms_(grace_ms) {}

  // Each is true when it brought the ladder to another rung.
  bool cancel(int64_t now_ms, bool program_can_hear);
  bool acknowledge(int64_t now_ms);
  bool time_out(int64_t now_ms);
  bool tick(int64_t now_ms);  // goes on where the rung's time is over

  [[nodiscard]] Rung rung() const { return rung_; }
  [[nodiscard]] std::optional<int64_t> due_ms() const { return due_ms_; }
  [[nodiscard]] Reason reason() const { return reason_; }  // none, user or timeout: what came first

 private:
  bool step(Rung rung, int64_t now_ms);

  int64_t cancel_ms_, grace_ms_;
  Rung rung_ = Rung::running;
  std::optional<int64_t> due_ms_;
  Reason reason_ = Reason::none;
};

}  // namespace jobcast::engine

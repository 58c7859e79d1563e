// The rungs and their times.
#include "engine/cancel_ladder.h"

namespace jobcast::engine {

bool CancelLadder::step(Rung rung, int64_t now_ms) {
  rung_ = rung;
  switch (rung) {
    case Rung::running:
    case Rung::killing: due_ms_.reset(); break;
    case Rung::asked: due_ms_ = now_ms + cancel_ms_; break;
    case Rung::acknowledged:
    case Rung::terminating: due_ms_ = now_ms + grace_ms_; break;
  }
  return true;
}

bool CancelLadder::cancel(int64_t now_ms, bool program_can_hear) {
  if (rung_ != Rung::running) return false;
  reason_ = Reason::user;
  return step(program_can_hear ? Rung::asked : Rung::terminating, now_ms);
}

bool CancelLadder::acknowledge(int64_t now_ms) { return rung_ == Rung::asked && step(Rung::acknowledged, now_ms); }

bool CancelLadder::time_out(int64_t now_ms) {
  if (rung_ != Rung::running) return false;  // it is being ended already, and its time is bounded
  reason_ = Reason::timeout;
  return step(Rung::terminating, now_ms);
}

bool CancelLadder::tick(int64_t now_ms) {
  if (!due_ms_ || now_ms < *due_ms_) return false;
  return step(rung_ == Rung::terminating ? Rung::killing : Rung::terminating, now_ms);
}

}  // namespace jobcast::engine

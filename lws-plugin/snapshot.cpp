// Frames that are built when the first session wants them.
#include "lws-plugin/snapshot.h"

namespace jobcast::plugin {
namespace {

std::string framed(Framing framing, const Event& event) {
  std::string frame;
  append_event(frame, framing, is_terminal(event.state) ? "job_completed" : "job_update", event.snapshot, {}, event.rev);
  return frame;
}

}  // namespace

Snapshot::Snapshot(const Event& event, Counter& frames_built)
    : ws_frame_(framed(Framing::ws, event)),
      job(event.job),
      rev(event.rev),
      state(event.state),
      owner(event.owner),
      json(std::string_view(ws_frame_).substr(ws_frame_.size() - 1 - event.snapshot.size(), event.snapshot.size())),
      frames_built_(frames_built) {
  ++frames_built_;
}

const std::string& Snapshot::frame(Framing framing) const {
  if (framing == Framing::ws) return ws_frame_;
  if (sse_frame_.empty()) {
    sse_frame_ = framed(Framing::sse, {job, rev, state, false, owner, json});
    ++frames_built_;
  }
  return sse_frame_;
}

const std::string& Snapshot::list_frame(Framing framing) const {
  std::string& frame = list_frames_[static_cast<size_t>(framing)];
  if (frame.empty()) {
    append_event(frame, framing, "job_list_update", "{\"rev\":" + std::to_string(rev) + ",\"job\":" + std::string(json) + "}", {}, rev);
    ++frames_built_;
  }
  return frame;
}

}  // namespace jobcast::plugin

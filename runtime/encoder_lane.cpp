#include "runtime/encoder_lane.h"

#include <algorithm>
#include <utility>

#include "core/device.h"

namespace chiasm {

EncoderLane::EncoderLane(const Family& family, const Context& ctx,
                         const EncoderLaneOptions& options)
    : family_(family), ctx_(ctx), options_(options) {
  preparing_ = std::thread([this] { prepare_all(); });
  encoding_ = std::thread([this] { encode_all(); });
}

EncoderLane::~EncoderLane() {
  {
    const std::scoped_lock lock(mutex_);
    stopping_ = true;
  }
  changed_.notify_all();
  preparing_.join();
  encoding_.join();
}

bool EncoderLane::add(const std::shared_ptr<Sequence>& sequence, std::size_t index) {
  const std::scoped_lock lock(mutex_);
  const bool known = std::ranges::any_of(jobs_, [&](const Job& job) {
    return job.done.sequence == sequence && job.done.index == index;
  });
  if (known) return true;
  if (jobs_.size() == kMost) return false;
  jobs_.emplace_back();
  jobs_.back().done.sequence = sequence;
  jobs_.back().done.index = index;
  changed_.notify_all();
  return true;
}

std::vector<EncoderLane::Done> EncoderLane::take_done() {
  const std::scoped_lock lock(mutex_);
  std::vector<Done> out;
  for (Job& job : jobs_) {
    if (job.state == State::done) out.push_back(std::move(job.done));
  }
  std::erase_if(jobs_, [](const Job& job) { return job.state == State::done; });
  return out;
}

bool EncoderLane::busy() const {
  const std::scoped_lock lock(mutex_);
  return !jobs_.empty();
}

void EncoderLane::wait(std::chrono::milliseconds most) {
  std::unique_lock lock(mutex_);
  changed_.wait_for(lock, most, [&] {
    return std::ranges::any_of(jobs_, [](const Job& job) { return job.state == State::done; });
  });
}

/// The first medium in a state; null where none is.
EncoderLane::Job* EncoderLane::first(State state) {
  const auto at = std::ranges::find(jobs_, state, &Job::state);
  return at != jobs_.end() ? &*at : nullptr;
}

void EncoderLane::prepare_all() {
  std::unique_lock lock(mutex_);
  for (;;) {
    Job* job = nullptr;
    changed_.wait(lock, [&] { return stopping_ || (job = first(State::waits)) != nullptr; });
    if (stopping_) return;
    job->state = State::is_prepared;
    lock.unlock();
    bool prepared = true;
    try {
      prepare(*job);
    } catch (...) {
      job->done.error = std::current_exception();
      prepared = false;
    }
    lock.lock();
    job->state = prepared ? State::ready : State::done;
    changed_.notify_all();
  }
}

void EncoderLane::prepare(Job& job) const {
  const double start = seconds_now();
  Context ctx = ctx_;
  const Poll interrupted = [&] { return stopping_ || job.unwanted(); };
  ctx.interrupted = &interrupted;
  ctx.poll();
  prepare_pieces(family_, ctx, job.placed(), options_.limits, job.medium);
  job.done.preprocess = seconds_now() - start;
}

void EncoderLane::encode_all() {
  std::unique_lock lock(mutex_);
  for (;;) {
    changed_.wait(lock, [&] { return stopping_ || first(State::ready) != nullptr; });
    if (stopping_) return;
    const std::vector<Part> parts = gather();
    for (const Part& part : parts) part.job->state = State::is_encoded;
    lock.unlock();
    encode_or_tell(parts);
    for (const Part& part : parts) settle(part);
    lock.lock();
    for (const Part& part : parts) {
      const Done& done = part.job->done;
      const bool ends = done.error || done.rows || done.cross;
      part.job->state = ends ? State::done : State::ready;
    }
    changed_.notify_all();
  }
}

/// The next pieces of the media that are ready, as many as fit a call; one at least.
std::vector<EncoderLane::Part> EncoderLane::gather() {
  std::vector<Part> parts;
  EncoderLoad load;
  for (Job& job : jobs_) {
    if (job.state != State::ready) continue;
    const Part part{&job, next_pieces(job.placed(), job.medium, load, options_.patches_per_call)};
    if (part.pieces.pieces == 0) break;
    parts.push_back(part);
  }
  return parts;
}

/// One packed call of the encoder.
void EncoderLane::encode(std::span<const Part> parts) {
  const double start = seconds_now();
  Context ctx = ctx_;
  const Poll interrupted = [&] {
    return stopping_ ||
           std::ranges::all_of(parts, [](const Part& part) { return part.job->unwanted(); });
  };
  ctx.interrupted = &interrupted;
  ctx.poll();
  std::vector<EncoderPart> pieces;
  for (const Part& part : parts) pieces.push_back(part.pieces);
  encode_pieces(family_, ctx, arena_, pieces);
  const double seconds = seconds_now() - start;
  for (const Part& part : parts) part.job->done.encode += seconds;
}

/// Media whose call fails are tried one by one: an error is its own medium's.
void EncoderLane::encode_or_tell(std::span<const Part> parts) {
  try {
    return encode(parts);
  } catch (...) {
    if (parts.size() == 1) parts[0].job->done.error = std::current_exception();
  }
  for (std::size_t i = 0; parts.size() > 1 && i < parts.size(); i++) {
    encode_or_tell(parts.subspan(i, 1));
  }
}

/// After its last piece, what the decoder takes of a medium.
void EncoderLane::settle(const Part& part) {
  Done& done = part.job->done;
  if (done.error || !move_on(part.pieces)) return;
  try {
    if (family_.decoder().has_cross()) {
      done.cross = remembered(family_, ctx_, arena_, part.pieces, options_.cross_dtype);
      ctx_.device->synchronize();  // the decoder's stream reads it
    } else {
      done.rows = assembled(family_, ctx_, part.pieces);
    }
  } catch (...) {
    done.error = std::current_exception();
  }
}

}  // namespace chiasm

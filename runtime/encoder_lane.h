#pragma once
/// Media that are prepared and encoded beside the engine's steps, on a stream of the device of
/// their own (Device::lane): a large picture does not keep answers waiting.
#include <atomic>
#include <chrono>
#include <condition_variable>
#include <exception>
#include <list>
#include <memory>
#include <mutex>
#include <optional>
#include <thread>
#include <vector>

#include "core/arena.h"
#include "core/context.h"
#include "runtime/encoding.h"

namespace chiasm {

struct EncoderLaneOptions {
  std::int64_t patches_per_call = 2048;  // as EngineOptions::patches_per_step
  DType cross_dtype = DType::f32;        // of keys and values that a decoder looks at
  AllLimits limits;
};

/// Two threads: one prepares the next medium on the host while the other has those before encoded.
/// Pieces of several media go in one call, as in the engine's steps.
class EncoderLane {
 public:
  /// What became of a medium: features for the rows of its prompt, or what a decoder looks at, or
  /// an error.
  struct Done {
    std::shared_ptr<Sequence> sequence;
    std::size_t index;  // in Prompt::media
    std::shared_ptr<const Tensor> rows;
    std::shared_ptr<const language::CrossMemory> cross;
    std::exception_ptr error;
    double preprocess = 0, encode = 0;  // seconds
  };

  /// Media that are on their way at most: each takes memory once it is prepared.
  static constexpr std::size_t kMost = 4;

  /// `ctx.device` is the lane. Begins to work.
  EncoderLane(const Family& family, const Context& ctx, const EncoderLaneOptions& options);
  /// Gives up what is on its way.
  ~EncoderLane();
  EncoderLane(const EncoderLane&) = delete;
  EncoderLane& operator=(const EncoderLane&) = delete;

  /// Takes a medium of a prompt, which must not change before it is done; false while too many are
  /// on their way. One that it has already is not taken again. Media of cancelled sequences are
  /// given up.
  bool add(const std::shared_ptr<Sequence>& sequence, std::size_t index);
  /// Those that are done since the last call.
  std::vector<Done> take_done();
  bool busy() const;
  /// Waits until a medium is done, so long at most.
  void wait(std::chrono::milliseconds most);

 private:
  enum class State { waits, is_prepared, ready, is_encoded, done };
  struct Job {
    State state = State::waits;
    Done done;
    EncodingMedium medium;

    const PlacedMedium& placed() const { return done.sequence->prompt.media[done.index]; }
    bool unwanted() const { return done.sequence->cancelled; }
  };
  struct Part {
    Job* job;
    EncoderPart pieces;
  };

  void prepare_all();
  void encode_all();
  Job* first(State state);
  void prepare(Job& job) const;
  std::vector<Part> gather();
  void encode(std::span<const Part> parts);
  void encode_or_tell(std::span<const Part> parts);
  void settle(const Part& part);

  const Family& family_;
  Context ctx_;
  EncoderLaneOptions options_;
  Arena arena_;  // of the thread that encodes

  mutable std::mutex mutex_;
  std::condition_variable changed_;
  std::list<Job> jobs_;  // in the order in which they came
  std::atomic<bool> stopping_ = false;
  std::thread preparing_, encoding_;
};

}  // namespace chiasm

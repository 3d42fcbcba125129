#pragma once
/// Data parallel: an engine for each device, behind the door of one.
#include <cstdint>
#include <deque>
#include <memory>
#include <mutex>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "core/error.h"
#include "runtime/engine.h"
#include "runtime/recent_prompts.h"

namespace chiasm {

/// Where an engine runs.
struct EnginePlace {
  Context ctx;
  Device* encoder_device = nullptr;  // EngineOptions::encoder_device
  std::string device;                // "cpu", or "cuda:1"
};

/// How one of them fares.
struct EngineState {
  std::string device;   // "cpu", or "cuda:1"
  std::string failure;  // why it is given no more requests; empty while it is
  EngineStats stats;
};

/// Each request goes to one engine, as a whole, where it waits, runs and is remembered. It is the
/// one whose requests may still come to the fewest tokens, those of this one included and those at
/// hand there (RecentPrompts) left out; of equals, the one that was given the fewest so far. An
/// engine whose device no longer answers is given no more while another's does. Thread-safe.
class Engines {
 public:
  /// One for each place, at least one, all with the same options. They share the family's weights
  /// in the host's memory; each device has its own copy of them.
  Engines(const Family& family, const language::Tokenizer& tokenizer,
          const std::vector<EnginePlace>& places, const EngineOptions& options);
  /// `draft` guesses ahead for the first engine, the only one then; null: none.
  Engines(const Family& family, const language::Tokenizer& tokenizer,
          const std::vector<EnginePlace>& places, const EngineOptions& options,
          std::unique_ptr<Draft> draft);

  /// Runs requests and their followers to their ends, as Engine::submit and Engine::wait do.
  /// `on_text` and `on_done` count a sequence's followers behind it. With `on_text` all go to one
  /// engine, which this thread then drives; else each goes its own way.
  void run(std::span<const std::shared_ptr<Sequence>> sequences, const OnChoice& on_text,
           const Poll& poll, const OnDone& on_done = {});

  /// What `work(engine, its context)` returns: for work whose requests belong to one engine, or
  /// that needs the device alone. It counts as a request of so many tokens.
  template <class Work>
  auto on_one(std::int64_t tokens, const Work& work) {
    const Claim claim = take({}, tokens);
    return watched(*claim, [&] { return work(claim->engine, claim->ctx); });
  }

  /// For what they all have in common: options, sizes.
  const Engine& one() const { return replicas_.front().engine; }
  const EngineOptions& options() const { return one().options(); }
  /// The sums of all.
  EngineStats stats() const;
  std::vector<EngineState> states() const;
  void set_tap(const Tap& tap);
  /// Collects the times of every operator from now on, from nothing; or stops.
  void profile(bool on);
  /// The sums of all since profile(true); empty without it.
  std::vector<OperatorTime> operator_times() const;

 private:
  struct Replica {
    Replica(const Family& family, const language::Tokenizer& tokenizer, const EnginePlace& place,
            const EngineOptions& options, std::unique_ptr<Draft> draft);

    std::string device;
    Context ctx;
    Engine engine;
    // Guarded by mutex_.
    RecentPrompts recent;
    std::int64_t tokens = 0;  // that its requests may still come to
    std::int64_t given = 0;   // requests so far
    std::string failure;
    std::shared_ptr<Profile> profile;
  };

  /// A replica that was chosen, and what counts for that while this lives.
  class Claim {
   public:
    Claim(Engines& owner, Replica& replica, std::int64_t tokens)
        : owner_(owner), replica_(&replica), tokens_(tokens) {}
    Claim(Claim&& other) noexcept
        : owner_(other.owner_),
          replica_(std::exchange(other.replica_, nullptr)),
          tokens_(other.tokens_) {}
    Claim& operator=(Claim&&) = delete;
    ~Claim() { release(); }
    void release();
    Replica& operator*() const { return *replica_; }
    Replica* operator->() const { return replica_; }

   private:
    Engines& owner_;
    Replica* replica_;
    std::int64_t tokens_;
  };
  /// What one engine gets of a call.
  struct Share;

  Claim take(const PromptMarks& prompt, std::int64_t tokens);
  std::vector<Share> share_out(std::span<const std::shared_ptr<Sequence>> sequences, bool together);
  void drive(Share& share, const OnChoice& on_text, const Poll& poll, const OnDone& on_done);
  void note(Replica& replica, const std::string& why);
  /// Has a device that fails in `work` looked at; the error names it.
  template <class Work>
  auto watched(Replica& replica, const Work& work) {
    try {
      return work();
    } catch (const DeviceError& e) {
      note(replica, e.what());
      // A new one: the engine gives the same to all whose requests it ends.
      fail<DeviceError>("device ", replica.device, ": ", e.what());
    }
  }

  std::deque<Replica> replicas_;
  mutable std::mutex mutex_;
};

}  // namespace chiasm

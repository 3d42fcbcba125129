#include "runtime/engines.h"

#include <algorithm>
#include <map>
#include <tuple>
#include <utility>

#include "core/device.h"
#include "runtime/draft.h"
#include "runtime/drivers.h"

namespace chiasm {

namespace {

/// Tokens that a request may come to, its prompt included: what it may make an engine compute, and
/// the room that its keys and values may take.
std::int64_t most_tokens(const Sequence& s, std::int64_t max_context) {
  const std::int64_t answer =
      std::clamp<std::int64_t>(s.longest(max_context) - s.prompt_length(), 0, max_context);
  return s.prompt_length() + s.branches() * answer;
}

/// A card that failed once in earnest (a lost bus, an illegal address) does not for the rest of the
/// process.
bool answers(Device& device) {
  try {
    device.synchronize();
    return true;
  } catch (const Error&) {
    return false;
  }
}

void add(EngineStats& sum, const EngineStats& s) {
  for (const auto member : {&EngineStats::waiting, &EngineStats::running, &EngineStats::pages,
                            &EngineStats::pages_in_use, &EngineStats::encoder_hits,
                            &EngineStats::encoder_misses, &EngineStats::encoder_bytes,
                            &EngineStats::encoder_disk_hits, &EngineStats::encoder_disk_writes,
                            &EngineStats::encoder_disk_failures, &EngineStats::steps_ahead}) {
    sum.*member += s.*member;
  }
}

}  // namespace

struct Engines::Share {
  std::vector<Claim> claims;  // on one replica
  std::vector<std::shared_ptr<Sequence>> leaders, all;

  Replica& replica() const { return *claims.front(); }
};

Engines::Replica::Replica(const Family& family, const language::Tokenizer& tokenizer,
                          const EnginePlace& place, const EngineOptions& options,
                          std::unique_ptr<Draft> draft)
    : device(place.device),
      ctx(place.ctx),
      engine(family, tokenizer, ctx, options, std::move(draft)),
      recent(options.remembered_prefixes) {}

Engines::Engines(const Family& family, const language::Tokenizer& tokenizer,
                 const std::vector<EnginePlace>& places, const EngineOptions& options)
    : Engines(family, tokenizer, places, options, nullptr) {}

Engines::Engines(const Family& family, const language::Tokenizer& tokenizer,
                 const std::vector<EnginePlace>& places, const EngineOptions& options,
                 std::unique_ptr<Draft> draft) {
  for (const EnginePlace& place : places) {
    EngineOptions own = options;
    own.encoder_device = place.encoder_device;
    replicas_.emplace_back(family, tokenizer, place, own, std::move(draft));
  }
}

void Engines::Claim::release() {
  if (replica_ == nullptr) return;
  const std::scoped_lock lock(owner_.mutex_);
  std::exchange(replica_, nullptr)->tokens -= tokens_;
}

/// Chooses a replica for a request; see the class.
Engines::Claim Engines::take(const PromptMarks& prompt, std::int64_t tokens) {
  const std::scoped_lock lock(mutex_);
  const bool all_failed = std::ranges::none_of(replicas_, &std::string::empty, &Replica::failure);
  Replica* best = nullptr;
  std::tuple<std::int64_t, std::int64_t> least;
  std::int64_t best_known = 0;
  for (Replica& replica : replicas_) {
    // Where none is left, a request hears from its device what is wrong.
    if (!replica.failure.empty() && !all_failed) continue;
    const std::int64_t known = replica.recent.known_tokens(prompt);
    const std::tuple cost{replica.tokens + tokens - known, replica.given};
    if (best != nullptr && cost >= least) continue;
    best = &replica;
    best_known = known;
    least = cost;
  }
  const std::int64_t counted = std::max<std::int64_t>(tokens - best_known, 0);
  best->tokens += counted;
  best->given++;
  if (!prompt.beginnings.empty() || !prompt.media.empty()) best->recent.add(prompt);
  return {*this, *best, counted};
}

std::vector<Engines::Share> Engines::share_out(std::span<const std::shared_ptr<Sequence>> sequences,
                                               bool together) {
  std::vector<Share> shares;
  for (const auto& sequence : sequences) {
    // Nothing is to be chosen, and nothing to be remembered for a choice, where there is but one.
    const bool alone = replicas_.size() == 1;
    if (shares.empty() || !(together || alone)) {
      Claim claim = take(alone ? PromptMarks() : marks_of(sequence->prompt),
                         most_tokens(*sequence, options().max_context));
      const auto there =
          std::ranges::find(shares, &*claim, [](const Share& s) { return &s.replica(); });
      Share& share = there != shares.end() ? *there : shares.emplace_back();
      share.claims.push_back(std::move(claim));
      share.leaders.push_back(sequence);
    } else {
      shares.front().leaders.push_back(sequence);
    }
  }
  for (Share& share : shares) {
    for (const auto& leader : share.leaders) {
      share.all.push_back(leader);
      share.all.insert(share.all.end(), leader->followers.begin(), leader->followers.end());
    }
  }
  return shares;
}

void Engines::drive(Share& share, const OnChoice& on_text, const Poll& poll,
                    const OnDone& on_done) {
  watched(share.replica(), [&] {
    Engine& engine = share.replica().engine;
    engine.submit(share.leaders);
    engine.wait(share.all, on_text, poll, on_done);
  });
}

void Engines::run(std::span<const std::shared_ptr<Sequence>> sequences, const OnChoice& on_text,
                  const Poll& poll, const OnDone& on_done) {
  std::vector<Share> shares = share_out(sequences, /*together=*/bool(on_text));
  if (shares.empty()) return;
  if (shares.size() == 1) return drive(shares.front(), on_text, poll, on_done);
  std::vector<Driver> drivers;
  for (Share& share : shares) {
    drivers.emplace_back([this, &share](const Poll& stop, const OnDone& told) {
      drive(share, {}, stop, told);
      for (Claim& claim : share.claims) claim.release();  // others' parts may take longer
    });
  }
  drive_all(drivers, poll, on_done);
}

/// After a failure: a device that no longer answers is given no more requests.
void Engines::note(Replica& replica, const std::string& why) {
  if (replica.ctx.device == nullptr || answers(*replica.ctx.device)) return;
  const std::scoped_lock lock(mutex_);
  if (replica.failure.empty()) replica.failure = why;
}

EngineStats Engines::stats() const {
  EngineStats sum;
  for (const Replica& replica : replicas_) add(sum, replica.engine.stats());
  return sum;
}

std::vector<EngineState> Engines::states() const {
  std::vector<EngineState> out;
  const std::scoped_lock lock(mutex_);
  for (const Replica& replica : replicas_) {
    out.push_back({replica.device, replica.failure, replica.engine.stats()});
  }
  return out;
}

void Engines::set_tap(const Tap& tap) {
  for (Replica& replica : replicas_) replica.engine.set_tap(tap);
}

/// Each has a profile of its own, since operators count for the stage that was entered last.
void Engines::profile(bool on) {
  const std::scoped_lock lock(mutex_);
  for (Replica& replica : replicas_) {
    replica.profile = on ? std::make_shared<Profile>() : nullptr;
    replica.engine.set_profile(replica.profile);
  }
}

std::vector<OperatorTime> Engines::operator_times() const {
  using Key = std::tuple<std::string, std::string, std::int64_t, std::int64_t>;
  std::map<Key, OperatorTime> sums;
  const std::scoped_lock lock(mutex_);
  for (const Replica& replica : replicas_) {
    if (replica.profile == nullptr) continue;
    for (const OperatorTime& t : replica.profile->times()) {
      OperatorTime& sum = sums.try_emplace({t.stage, t.name, t.out, t.in},
                                           OperatorTime{t.stage, t.name, t.out, t.in})
                              .first->second;
      sum.calls += t.calls;
      sum.rows += t.rows;
      sum.seconds += t.seconds;
    }
  }
  std::vector<OperatorTime> out;
  for (auto& [key, sum] : sums) out.push_back(std::move(sum));
  return out;
}

}  // namespace chiasm

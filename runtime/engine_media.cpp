// The engine's encoder side: pieces of waiting media, some in each step.
#include <algorithm>
#include <utility>

#include "runtime/encoder_lane.h"
#include "runtime/encoder_store.h"
#include "runtime/engine.h"

namespace chiasm {

/// Decodes a medium and cuts it into pieces when its turn comes; false when it cannot be read.
bool Engine::prepare_medium(Sequence& s, EncodingMedium& medium, const Poll& interrupted) {
  if (medium.prepared || medium.sound) return true;
  const PlacedMedium& placed = s.prompt.media[medium.index];
  const double start = seconds_now();
  const Timed timed = enter("preprocess");
  Context ctx = ctx_;
  if (interrupted) ctx.interrupted = &interrupted;
  try {
    prepare_pieces(family_, ctx, placed, options_.limits, medium);
  } catch (const Interrupted&) {
    return false;  // begun anew when another caller drives
  } catch (...) {
    abandon(s, std::current_exception());
    return false;
  }
  s.result.timings.preprocess += seconds_now() - start;
  return true;
}

struct Engine::OwnPart {
  Sequence* sequence;
  EncoderPart part;
};

/// The next pieces of whichever media wait, as many as fit a step; one at least.
std::vector<Engine::OwnPart> Engine::gather_pieces(EncoderLoad& load, const Poll& interrupted) {
  std::vector<OwnPart> parts;
  for (const auto& s : running_) {
    for (EncodingMedium& medium : s->media) {
      if (medium.ready) continue;
      // A call of the encoder goes through one adapter; others have the next.
      if (!parts.empty() && s->encoder_adapter() != parts[0].sequence->encoder_adapter()) break;
      if (!parts.empty() && load.patches >= options_.patches_per_step) return parts;
      if (!prepare_medium(*s, medium, interrupted)) break;
      const EncoderPart part =
          next_pieces(s->prompt.media[medium.index], medium, load, options_.patches_per_step);
      if (part.pieces == 0) return parts;
      parts.push_back({s.get(), part});
    }
  }
  return parts;
}

/// One packed call of the encoder, or what the lane has encoded. A tap and a profile see every
/// stage in its order.
void Engine::encode_some(const Poll& interrupted) {
  if (lane_ && ctx_.tap == nullptr && ctx_.profile == nullptr) return encode_beside();
  EncoderLoad load;
  const std::vector<OwnPart> own = gather_pieces(load, interrupted);
  if (own.empty()) return;
  std::vector<EncoderPart> parts;
  for (const OwnPart& each : own) parts.push_back(each.part);
  const double start = seconds_now();
  const Timed timed = enter("encode");
  Context ctx = ctx_;
  if (interrupted) ctx.interrupted = &interrupted;
  AdaptedRows adapted;
  if (const Lora* lora = own[0].sequence->encoder_adapter()) {
    adapted.all = &lora->weights;
    adapted.arena = &arena_;
    ctx.adapted = &adapted;
  }
  try {
    arena_.reserve(step_bytes(load, 0));
    encode_pieces(family_, ctx, arena_, parts);
    for (const OwnPart& each : own) count_encoded(ctx, each);
  } catch (const Interrupted&) {
    return;  // the caller that drives wants to leave; others' pieces are encoded at the next step
  } catch (...) {
    for (const OwnPart& each : own) abandon(*each.sequence, std::current_exception());
    return;
  }
  const double seconds = seconds_now() - start;
  const Sequence* counted = nullptr;  // a sequence's parts stand together and waited once
  for (const OwnPart& each : own) {
    Sequence* const s = each.sequence;
    if (s != std::exchange(counted, s)) s->result.timings.encode += seconds;
  }
}

/// After its last piece, a medium is ready.
void Engine::count_encoded(const Context& ctx, const OwnPart& own) {
  if (!move_on(own.part)) return;
  EncodingMedium& medium = *own.part.medium;
  if (family_.decoder().has_cross()) {
    own.sequence->cross = remembered(family_, ctx, arena_, own.part, options_.cross_dtype());
  } else {
    keep_features(*own.sequence, medium, assembled(family_, ctx, own.part));
  }
  make_ready(medium);
}

/// Gives a medium its features, which the next request with it gets without encoding it.
void Engine::keep_features(const Sequence& s, EncodingMedium& medium,
                           std::shared_ptr<const Tensor> rows) {
  const PlacedMedium& placed = s.prompt.media[medium.index];
  if (!placed.window) {
    const EncoderCache::Key key = s.cache_key(placed);
    encoded_.put(key, rows);
    if (options_.encoder_store) unsaved_.push_back({key, rows});
  }
  medium.rows = std::move(rows);
}

void Engine::make_ready(EncodingMedium& medium) {
  medium.prepared.reset();
  medium.sound.reset();
  medium.features = {};
  medium.ready = true;
}

/// Sends media that wait to the lane, and takes back those that it has encoded.
void Engine::encode_beside() {
  for (EncoderLane::Done& done : lane_->take_done()) {
    Sequence& s = *done.sequence;
    if (s.done || s.cancelled) continue;
    if (done.error) {
      abandon(s, done.error);
      continue;
    }
    const auto medium = std::ranges::find(s.media, done.index, &EncodingMedium::index);
    if (medium == s.media.end() || medium->ready) continue;
    s.result.timings.preprocess += done.preprocess;
    s.result.timings.encode += done.encode;
    if (done.cross) {
      s.cross = std::move(done.cross);
    } else {
      keep_features(s, *medium, std::move(done.rows));
    }
    make_ready(*medium);
  }
  for (const auto& s : running_) {
    if (s->done) continue;
    for (const EncodingMedium& medium : s->media) {
      if (!medium.ready && !lane_->add(s, medium.index)) return;
    }
  }
}

/// Features that were encoded before: kept in memory, or in the folder; null for others.
std::shared_ptr<const Tensor> Engine::find_features(const EncoderCache::Key& key) {
  std::shared_ptr<const Tensor> rows = encoded_.find(key);
  EncoderStore* const store = options_.encoder_store.get();
  if (store == nullptr) return rows;
  if (rows) {
    store->touch(key);
  } else if ((rows = store->find(key, family_.feature_width()))) {
    encoded_.put(key, rows);
  }
  return rows;
}

/// Writes to the folder what was encoded, one medium a step while others are served. Whoever waits
/// for a first token does not wait for a disk, as long as little piles up.
void Engine::save_features() {
  constexpr std::size_t kMostUnsaved = 16;
  const bool awaited = !waiting_.empty() || std::ranges::any_of(running_, [](const auto& s) {
    return s->tokens.empty();
  });
  if (awaited && unsaved_.size() <= kMostUnsaved) return;
  while (!unsaved_.empty()) {
    options_.encoder_store->put(unsaved_.front().key, *unsaved_.front().features);
    unsaved_.pop_front();
    if (!running_.empty()) return;
  }
}

}  // namespace chiasm

// Pictures that are encoded on a stream of their own while the decoder goes on: the same answers,
// steps in between, and what ends early. Over the emulated device, whose encoder a test can hold
// up.
#include <gtest/gtest.h>

#include <atomic>
#include <chrono>
#include <cstring>
#include <filesystem>
#include <future>
#include <thread>

#include "core/error.h"
#include "runtime/loader.h"
#include "tests/parity/golden_file.h"
#include "tests/support/plugin_variable.h"

#ifdef CHIASM_EMULATED_PLUGIN

namespace chiasm::testing {
namespace {

/// A family that calls `before` with the context and the pieces of each call of its encoder.
class Watched : public Family {
 public:
  using Before = std::function<void(const Context&, std::span<const PieceRef>)>;
  Watched(const Family& of, Before before) : of_(of), before_(std::move(before)) {}

  const language::Decoder& decoder() const override { return of_.decoder(); }
  void describe(ModelInfo& info) const override { of_.describe(info); }
  std::size_t weight_bytes() const override { return of_.weight_bytes(); }
  Prepared preprocess(const Context& ctx, const vision::Image& image,
                      const MediumLayout& layout) const override {
    return of_.preprocess(ctx, image, layout);
  }
  bool reads_sounds() const override { return of_.reads_sounds(); }
  std::int64_t sound_rate() const override { return of_.sound_rate(); }
  MediumLayout sound_layout(std::int64_t samples) const override {
    return of_.sound_layout(samples);
  }
  audio::PreparedSound preprocess_sound(const Context& ctx,
                                        std::span<const float> samples) const override {
    return of_.preprocess_sound(ctx, samples);
  }
  std::size_t encode_bytes(std::int64_t patches, std::int64_t rows) const override {
    return of_.encode_bytes(patches, rows);
  }
  std::int64_t feature_width() const override { return of_.feature_width(); }
  Tensor assemble(const Context& ctx, const PlacedMedium& medium, Tensor features) const override {
    return of_.assemble(ctx, medium, std::move(features));
  }
  void encode(const Context& ctx, std::span<const PieceRef> pieces, Arena& arena,
              TensorView<float> out) const override {
    before_(ctx, pieces);
    of_.encode(ctx, pieces, arena, out);
  }

 private:
  const Family& of_;
  Before before_;
};

LoadedModel load(const std::string& folder, const std::string& dtype, bool batch_invariant = false,
                 const PackSink& packed = {}) {
  const PluginVariable plugin(CHIASM_EMULATED_PLUGIN);
  LoadOptions options;
  options.device = "cuda";
  options.dtype = dtype;
  options.batch_invariant = batch_invariant;
  options.threads = 2;
  return load_model(golden_root() / "models" / folder, options, packed);
}

/// An engine of a model's own, with the lane or without it, that remembers nothing.
class Serving {
 public:
  Serving(
      const LoadedModel& model, bool lane, Watched::Before before = [](auto&&...) {})
      : model_(model),
        watched_(*model.family, std::move(before)),
        engine_(watched_, *model.tokenizer, model.context(), options(model, lane)) {}

  std::shared_ptr<Sequence> sequence(const Request& request) const {
    auto s = std::make_shared<Sequence>();
    s->prompt = make_prompt(*model_.family, *model_.tokenizer, request, engine_.options().limits);
    s->options = request.options;
    s->first_logits = s->prompt_length() - 1;
    return s;
  }
  Engine& engine() { return engine_; }

 private:
  static EngineOptions options(const LoadedModel& model, bool lane) {
    EngineOptions out = model.engine_options;
    EXPECT_NE(out.encoder_device, nullptr);
    if (!lane) out.encoder_device = nullptr;
    out.encoder_cache_bytes = 0;
    out.remembered_prefixes = 0;
    return out;
  }
  const LoadedModel& model_;
  Watched watched_;
  Engine engine_;
};

/// The shortest prompt of a golden folder with a picture or a sound.
Request shown(const std::string& folder, std::int64_t tokens) {
  const GoldenFolder golden = read_golden(golden_root() / "models" / folder);
  const GoldenCase* shortest = nullptr;
  for (const GoldenCase& c : golden.cases) {
    const bool shows = !c.images.empty() || !c.sounds.empty();
    if (shows && (shortest == nullptr || c.ids.size() < shortest->ids.size())) shortest = &c;
  }
  EXPECT_NE(shortest, nullptr);
  Request out = shortest->request();
  out.options.max_tokens = tokens;
  out.options.ignore_eos = true;
  return out;
}

Request words(std::int64_t tokens) {
  Request out = Request::text("a b");
  out.options.max_tokens = tokens;
  out.options.ignore_eos = true;
  return out;
}

/// Sleeps until `there()`; false after a minute. `ctx` may interrupt it.
bool comes(const std::function<bool()>& there, const Context* ctx = nullptr) {
  using Clock = std::chrono::steady_clock;
  for (const auto end = Clock::now() + std::chrono::minutes(1); !there();) {
    if (Clock::now() > end) return false;
    if (ctx != nullptr) ctx->poll();
    std::this_thread::sleep_for(std::chrono::milliseconds(1));
  }
  return true;
}

constexpr const char* kModel = "llava_clip";

class DeviceLane : public ::testing::TestWithParam<std::string> {};

// All rows of a prompt after the decoder, with what was heard or seen among them. The words before
// a picture do not wait for it: rows meet others than without the lane.
TEST_P(DeviceLane, RowsAreTheSameBits) {
  const LoadedModel model = load(GetParam(), "bfloat16", true);
  const Request request = shown(GetParam(), 1);
  const auto rows = [&](bool lane) {
    std::atomic<int> calls = 0;
    Serving run(model, lane, [&](const Context& ctx, auto&&...) {
      EXPECT_EQ(ctx.device == model.devices.front().encoder_lane.get(), lane);
      calls++;
    });
    const std::shared_ptr<Sequence> all[]{run.sequence(request)};
    Tensor out =
        float_tensor({all[0]->prompt_length(), model.family->decoder().config().hidden_size});
    collect_rows(*all[0], out.view<float>());
    run.engine().submit(all);
    run.engine().wait(all, {}, {});
    EXPECT_GT(calls, 0);
    EXPECT_GT(all[0]->result.timings.encode, 0);
    return out;
  };
  const Tensor with = rows(true), without = rows(false);
  EXPECT_EQ(std::memcmp(with.data(), without.data(), with.bytes()), 0);
}

INSTANTIATE_TEST_SUITE_P(Families, DeviceLane,
                         ::testing::Values(kModel, "qwen3_vl_deepstack", "ultravox_mid"),
                         [](const auto& test) { return test.param; });

TEST(DeviceLaneSteps, GoOnWhileAPictureIsEncoded) {
  const LoadedModel model = load(kModel, "float32");
  const auto alone = [&](const Request& request) {
    Serving run(model, false);
    const std::shared_ptr<Sequence> one[]{run.sequence(request)};
    run.engine().submit(one);
    run.engine().wait(one, {}, {});
    return one[0]->result.token_ids;
  };
  std::atomic<int> steps = 0;
  std::atomic<bool> went_on = false;
  Serving run(model, true, [&](auto&&...) {
    const int before = steps;
    went_on = comes([&] { return steps >= before + 5; });
  });
  const std::shared_ptr<Sequence> both[]{run.sequence(words(24)), run.sequence(shown(kModel, 4))};
  both[0]->adjust = [&](std::span<const std::int32_t>, std::span<float>) { steps++; };
  run.engine().submit(both);
  run.engine().wait(both, {}, {});
  EXPECT_TRUE(went_on);
  EXPECT_EQ(both[0]->result.token_ids, alone(words(24)));
  EXPECT_EQ(both[1]->result.token_ids, alone(shown(kModel, 4)));
}

// The decoder's are there before the first request, an encoder's come with the first picture.
TEST(DeviceWeights, OfADecoderDoNotWaitForTheFirstAnswer) {
  std::vector<PackedMatrix> matrices;
  const LoadedModel model =
      load(kModel, "float32", false, [&](PackedMatrix m) { matrices.push_back(std::move(m)); });
  const auto missing = [&](bool of_decoder) {
    return std::ranges::count_if(matrices, [&](const PackedMatrix& m) {
      return m.name.starts_with("language_model.") == of_decoder &&
             model.devices.front().device->known_constant(m.bytes.data()) == nullptr;
    });
  };
  EXPECT_GT(matrices.size(), 10u);
  EXPECT_EQ(missing(true), 0);
  const std::int64_t before = missing(false);
  EXPECT_GT(before, 5);
  Serving run(model, true);
  const std::shared_ptr<Sequence> one[]{run.sequence(shown(kModel, 1))};
  run.engine().submit(one);
  run.engine().wait(one, {}, {});
  EXPECT_LT(missing(false), before);
}

TEST(DeviceLaneSteps, ACancelledPictureIsGivenUp) {
  const LoadedModel model = load(kModel, "float32");
  std::atomic<bool> began = false, hold = true;
  Serving run(model, true, [&](const Context& ctx, auto&&...) {
    began = true;
    comes([&] { return !hold; }, &ctx);
  });
  const std::shared_ptr<Sequence> one[]{run.sequence(shown(kModel, 4))};
  run.engine().submit(one);
  run.engine().wait(one, {}, [&] {
    if (began) run.engine().cancel(*one[0]);
    return false;
  });
  EXPECT_EQ(one[0]->result.finish_reason, "cancelled");
  hold = false;
  const std::shared_ptr<Sequence> next[]{run.sequence(shown(kModel, 4))};
  run.engine().submit(next);
  run.engine().wait(next, {}, {});
  EXPECT_EQ(next[0]->result.token_ids.size(), 4u);
}

TEST(DeviceLaneSteps, AnErrorIsItsOwnRequests) {
  const LoadedModel model = load(kModel, "float32");
  std::atomic<int> alone = 0;
  // Whether the two come in one call or one after the other: one of them fails.
  Serving run(model, true, [&](const Context&, std::span<const PieceRef> pieces) {
    for (const PieceRef& piece : pieces) {
      if (piece.medium != pieces[0].medium) fail<MediaError>("two at once");
    }
    if (++alone == 1) fail<MediaError>("the encoder failed");
  });
  const std::shared_ptr<Sequence> all[]{run.sequence(words(6)), run.sequence(shown(kModel, 4)),
                                        run.sequence(shown(kModel, 4))};
  run.engine().submit(all);
  EXPECT_THROW(run.engine().wait({all + 1, 1}, {}, {}), MediaError);
  run.engine().wait({all, 1}, {}, {});
  run.engine().wait({all + 2, 1}, {}, {});
  EXPECT_EQ(all[0]->result.token_ids.size(), 6u);
  EXPECT_EQ(all[2]->result.token_ids.size(), 4u);
}

TEST(DeviceLaneSteps, AnEngineEndsWhileItEncodes) {
  const LoadedModel model = load(kModel, "float32");
  std::atomic<bool> began = false, given_up = false;
  {
    Serving run(model, true, [&](const Context& ctx, auto&&...) {
      began = true;
      try {
        comes([] { return false; }, &ctx);
      } catch (const Interrupted&) {
        given_up = true;
        throw;
      }
    });
    const std::shared_ptr<Sequence> both[]{run.sequence(words(2)), run.sequence(shown(kModel, 4))};
    run.engine().submit(both);
    run.engine().wait({both, 1}, {}, {});
    EXPECT_TRUE(comes([&] { return began.load(); }));
  }
  EXPECT_TRUE(given_up);
}

TEST(DeviceLaneSteps, TwoEnginesAtOnce) {
  const LoadedModel first = load(kModel, "float32"), second = load(kModel, "float32");
  const auto answers = [](const LoadedModel& model) {
    Serving run(model, true);
    const std::shared_ptr<Sequence> both[]{run.sequence(words(6)), run.sequence(shown(kModel, 6))};
    run.engine().submit(both);
    run.engine().wait(both, {}, {});
    return std::pair(both[0]->result.token_ids, both[1]->result.token_ids);
  };
  const auto alone = answers(first);
  auto other = std::async(std::launch::async, [&] { return answers(second); });
  EXPECT_EQ(answers(first), alone);
  EXPECT_EQ(other.get(), alone);
}

}  // namespace
}  // namespace chiasm::testing

#endif

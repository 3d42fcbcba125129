#include "runtime/attention.h"

#include <algorithm>
#include <optional>
#include <utility>

#include "kernels/pages.h"
#include "language/attention_watch.h"
#include "runtime/medium_features.h"
#include "runtime/part_rows.h"

namespace chiasm {

namespace {

std::vector<std::int64_t> chosen(const language::DecoderConfig& config,
                                 std::vector<std::int64_t> layers) {
  const auto attends = [&](std::int64_t layer) {
    return layer >= 0 && layer < config.layers &&
           config.layer[std::size_t(layer)].mixer == language::Mixer::attention;
  };
  if (layers.empty()) {
    for (std::int64_t i = 0; i < config.layers; i++) {
      if (attends(i)) layers.push_back(i);
    }
    if (layers.empty()) fail<RequestError>("no layer of this decoder attends");
  }
  for (const std::int64_t layer : layers) {
    if (!attends(layer)) {
      fail<RequestError>("layer ", layer, " is none that attends; the decoder has ", config.layers,
                         ", counted from 0");
    }
  }
  std::ranges::sort(layers);
  layers.erase(std::unique(layers.begin(), layers.end()), layers.end());
  return layers;
}

/// Lays the features of all media over their rows of x; what they hold beyond is for the first
/// layers, in `deep` and its values.
void lay_features(const Family& family, const Context& ctx, const EngineOptions& options,
                  const Prompt& prompt, TensorView<float> x, language::DeepRows& deep,
                  std::vector<float>& beyond) {
  for (const PlacedMedium& medium : prompt.media) {
    const Tensor features =
        medium_features(family, ctx, medium, options.limits, options.patches_per_step);
    const auto from = features.view<float>();
    from.expect({std::int64_t(medium.rows.size()), family.feature_width()});
    for (std::size_t i = 0; i < medium.rows.size(); i++) {
      const float* const row = from.row(std::int64_t(i));
      std::copy_n(row, x.cols(), x.row(medium.rows[i]));
      deep.rows.push_back(medium.rows[i]);
      beyond.insert(beyond.end(), row + x.cols(), row + from.cols());
    }
  }
  const auto rows = std::int64_t(deep.rows.size());
  if (!beyond.empty()) deep.features = {beyond.data(), {rows, family.feature_width() - x.cols()}};
}

}  // namespace

Attention attend(const Family& family, const Context& from, const EngineOptions& options,
                 const Prompt& prompt, std::int64_t answer, std::vector<std::int64_t> layers,
                 const Lora* lora) {
  const language::Decoder& decoder = family.decoder();
  const language::DecoderConfig& config = decoder.config();
  const std::int64_t rows = std::int64_t(prompt.ids.size()) - 1;  // the last token asks nothing
  if (from.device != nullptr) {
    fail<DeviceError>("attention is shown on the CPU only; load the model with device=\"cpu\"");
  }
  if (decoder.has_cross()) fail<RequestError>("attention to an encoder is not shown");
  if (answer < 1) fail<RequestError>("an answer without tokens attends to nothing");
  if (rows >= options.max_context) {
    fail<RequestError>("prompt and answer are ", rows + 1, " tokens long, the context holds ",
                       options.max_context);
  }
  check_ids(prompt.ids, config.vocab_size);

  Attention out;
  out.weights = float_tensor({answer, rows});
  std::ranges::fill_n(out.weights.view<float>().data(), answer * rows, 0.0f);
  for (const PlacedMedium& medium : prompt.media) {
    if (medium.kind() == MediumKind::picture) out.pictures.push_back(medium.rows);
  }

  Arena arena;
  Context ctx = from;
  ctx.tap = nullptr;
  AdaptedRows adapted;
  adapted.arena = &arena;
  if (lora != nullptr) adapted.all = &lora->weights;
  Context encoding = ctx;
  if (lora != nullptr && lora->changes_encoder) encoding.adapted = &adapted;

  Tensor x = float_tensor({rows, config.hidden_size});
  const auto view = x.view<float>();
  decoder.embed(ctx, std::span(prompt.ids).first(std::size_t(rows)), view);
  language::DeepRows deep;
  std::vector<float> beyond;
  lay_features(family, encoding, options, prompt, view, deep, beyond);

  language::KvPages pages(decoder.kv_shape(DType::f32), kernels::pages_for(rows));
  language::SequenceState state(pages);
  const PartRows places = part_rows(prompt.arrangement, 0, rows);
  const language::BatchPart part{.state = &state,
                                 .rows = rows,
                                 .positions = places.positions,
                                 .last_key = places.last_key,
                                 .span_begin = places.span_begin,
                                 .is_long = config.rope.is_long(rows)};
  language::AttentionWatch watch{chosen(config, std::move(layers)), out.weights.view<float>()};
  if (lora != nullptr) ctx.adapted = &adapted;
  decoder.forward(ctx, pages, {&part, 1}, arena, view, beyond.empty() ? nullptr : &deep, &watch);
  return out;
}

}  // namespace chiasm

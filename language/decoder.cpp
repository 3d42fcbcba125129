#include "language/decoder.h"

#include <algorithm>
#include <optional>
#include <string>

#include "core/error.h"
#include "core/staged.h"
#include "kernels/activation.h"
#include "kernels/embed.h"
#include "kernels/pages.h"

namespace chiasm::language {

namespace {

/// The factor on word rows as the reference holds it: in the checkpoint's own format.
float in_format(float scale, kernels::WeightFormat format) {
  if (format == kernels::WeightFormat::f32) return scale;
  if (format == kernels::WeightFormat::f16) return to_float(to_f16(scale));
  return to_float(to_bf16(scale));  // also where blocks were made from a 16-bit checkpoint
}

/// x[rows[j], :] += columns of layer `layer` of features[j, :].
void add_deep(const Context& ctx, const DeepRows& deep, std::int64_t layer, TensorView<float> x) {
  const std::int64_t dim = x.cols();
  if ((layer + 1) * dim > deep.features.cols()) return;
  const auto columns = deep.features.slice_cols(layer * dim, dim);  // [rows, hidden]
  for (std::size_t j = 0; j < deep.rows.size(); j++) {
    kernels::add(ctx, columns.slice_rows(std::int64_t(j), 1), x.slice_rows(deep.rows[j], 1));
  }
}

void check_deep(const DeepRows& deep, TensorView<const float> x) {
  const auto rows = std::int64_t(deep.rows.size());
  deep.features.expect({rows, deep.features.cols()});
  const bool inside =
      std::ranges::all_of(deep.rows, [&](std::int64_t row) { return row >= 0 && row < x.rows(); });
  if (!inside || deep.features.cols() % x.cols() != 0) {
    fail<ShapeError>("deep rows: features ", deep.features.shape(), " for a batch ", x.shape());
  }
}

}  // namespace

/// The tokens that flow through the layers while these are made. The rows depend on the model
/// alone, so that a model packs alike wherever the same instructions run it.
struct Decoder::Calibration {
  static constexpr std::int64_t kRows = 256;
  static constexpr std::uint64_t kStride = 0x9E3779B97F4A7C15;  // 2^64 over the golden ratio

  Calibration(const Context& ctx, const Decoder& decoder)
      : count(std::min(kRows, decoder.config_.max_positions)),
        pages(decoder.kv_shape(DType::f32), kernels::pages_for(count)),
        state(pages) {
    const DecoderConfig& c = decoder.config_;
    const BatchPart part{&state, count};
    batch = DecoderBatch::lay_out(ctx, c, {&part, 1}, arena);
    x = arena.floats({count, c.hidden_size}, "calibration");
    std::vector<std::int32_t> ids;
    for (std::int64_t i = 1; i <= count; i++) {
      // The upper half of the product, spread over the vocabulary.
      const std::uint64_t spread = (std::uint64_t(i) * kStride) >> 32;
      ids.push_back(std::int32_t(spread * std::uint64_t(c.vocab_size) >> 32));
    }
    decoder.embed(ctx, ids, x);
    decoder.add_positions(ctx, batch, x);
  }

  std::int64_t count;
  Arena arena;
  KvPages pages;
  SequenceState state;
  DecoderBatch batch;
  TensorView<float> x;  // [rows, hidden], the residual stream so far
};

Decoder::Decoder(const Context& ctx, const DecoderConfig& c, const Weights& w, const Weights& head,
                 bool tied, const DecoderFormats& formats)
    : config_(c),
      embedding_(kernels::load_matrix(ctx, w, std::string(c.names.embeddings) + ".weight",
                                      c.vocab_size, c.hidden_size, formats.embedding)),
      tied_(tied),
      norm_(load_norm(c, w, c.names.final_norm, c.hidden_size)) {
  config_.embedding_scale = in_format(c.embedding_scale, embedding_.format());
  if (!tied) {
    head_ = kernels::load_matrix(ctx, head, "lm_head.weight", c.vocab_size, c.hidden_size,
                                 formats.embedding);
  }
  if (!c.names.positions.empty()) {
    positions_ =
        w.floats(std::string(c.names.positions) + ".weight", {c.max_positions, c.hidden_size});
  }
  std::optional<Calibration> calibration;
  if (formats.calibrate) calibration.emplace(ctx, *this);
  for (std::int64_t i = 0; i < c.layers; i++) {
    layers_.push_back(make_layer(ctx, i, w.scope(c.names.layers, i), formats,
                                 calibration ? &*calibration : nullptr));
  }
}

Decoder::Layer Decoder::make_layer(const Context& ctx, std::int64_t index, const Weights& w,
                                   const DecoderFormats& formats, Calibration* calibration) const {
  const DecoderConfig& c = config_;
  const kernels::WeightFormat format = formats.attention;
  const Mixer mixer = c.layer[std::size_t(index)].mixer;
  // Its place among the layers of its kind.
  const std::int64_t kept = std::count_if(c.layer.begin(), c.layer.begin() + index,
                                          [&](const auto& l) { return l.mixer == mixer; });
  const auto make_mixer = [&]() -> decltype(Layer::mixer) {
    switch (mixer) {
      case Mixer::attention:
        return SelfAttention(ctx, c, index, kept, w, format);
      case Mixer::short_convolution:
        return ShortConvolution(ctx, c, kept, w, format);
      case Mixer::state_space:
        return StateSpace(ctx, c, kept, w, format);
    }
    fail<ModelError>("unknown mixer ", int(mixer));
  };
  Layer layer{make_mixer(), {}, {}};
  if (has_cross()) layer.cross.emplace(ctx, c, w, format);
  if (c.intermediate_size == 0) return layer;
  const bool edge = index == 0 || index + 1 == c.layers;
  const MlpFormats mlp{formats.gate_up, edge ? formats.edge_down : formats.down};
  if (calibration == nullptr) {
    layer.mlp.emplace(ctx, c, w, mlp, nullptr);
  } else {
    Calibration& run = *calibration;
    mix(ctx, layer, index, run.pages, run.batch, run.arena, run.x);
    const CalibrationRows rows{run.x, run.arena};
    layer.mlp.emplace(ctx, c, w, mlp, &rows);
  }
  return layer;
}

KvShape Decoder::kv_shape(DType dtype) const {
  const std::int64_t convolutions = config_.layers_of(Mixer::short_convolution),
                     spaces = config_.layers_of(Mixer::state_space);
  return {config_.layers_of(Mixer::attention), config_.kv_heads, config_.head_dim, dtype,
          (convolutions > 0 ? convolutions * ShortConvolution::fixed(config_) : 0) +
              (spaces > 0 ? spaces * StateSpace::fixed(config_) : 0)};
}

std::size_t Decoder::bytes() const {
  std::size_t total = embedding_.bytes() + language::bytes(norm_) + positions_.bytes();
  if (!tied_) total += head_.bytes();
  for (const Layer& layer : layers_) {
    total += std::visit([](const auto& mixer) { return mixer.bytes(); }, layer.mixer) +
             (layer.cross ? layer.cross->bytes() : 0) + (layer.mlp ? layer.mlp->bytes() : 0);
  }
  return total;
}

void Decoder::embed(const Context& ctx, std::span<const std::int32_t> ids,
                    TensorView<float> x) const {
  Context host = ctx;  // few rows of a large table: they are looked up where they lie
  host.device = nullptr;
  kernels::embed(host, embedding_, ids, x);
  if (config_.embedding_scale != 1) kernels::scale(host, config_.embedding_scale, x);
}

void Decoder::logits(const Context& ctx, TensorView<const float> features,
                     TensorView<float> out) const {
  Arena unused;
  const Pass pass(ctx, unused);
  const auto x = staged(ctx, features, pass.arena());
  const auto y = unwritten(ctx, out, pass.arena());
  project(ctx, x, y);
  bring_back(ctx, y, out);
  ctx.show("logits", out);
}

void Decoder::project(const Context& ctx, TensorView<const float> x, TensorView<float> y) const {
  kernels::linear(ctx, x, tied_ ? embedding_ : head_, {}, y);
  if (config_.logit_softcap > 0) kernels::softcap(ctx, config_.logit_softcap, y);
}

CrossMemory Decoder::remember(const Context& ctx, TensorView<const float> features, DType dtype,
                              Arena& host) const {
  if (!has_cross()) fail<ShapeError>(features.name(), ": this decoder has no encoder");
  features.expect({features.rows(), config_.hidden_size});
  CrossMemory memory;
  memory.rows = features.rows();
  memory.dtype = dtype;
  for (std::int64_t i = 0; i * kernels::kPageTokens < memory.rows; i++) {
    memory.pages.push_back(std::int32_t(i));
  }
  const Pass pass(ctx, host);
  const auto rows = staged(ctx, features, pass.arena());
  for (const Layer& layer : layers_) {
    memory.layers.push_back(layer.cross->remember(ctx, rows, memory, pass.arena()));
  }
  if (ctx.device != nullptr) ctx.device->commands().flush();
  return memory;
}

std::size_t Decoder::cross_bytes(std::int64_t rows, DType dtype) const {
  const std::int64_t pages = kernels::pages_for(rows);
  return std::size_t(pages * kernels::kPageTokens) * kv_shape(dtype).token_bytes();
}

std::size_t Decoder::remember_bytes(std::int64_t rows) const {
  return std::size_t(rows * 2 * config_.kv_heads * config_.head_dim) * sizeof(float);
}

/// Everything of a layer before its MLP.
void Decoder::mix(const Context& ctx, const Layer& layer, std::int64_t index, const KvPages& pages,
                  const DecoderBatch& batch, Arena& arena, TensorView<float> x) const {
  if (const auto* attention = std::get_if<SelfAttention>(&layer.mixer)) {
    attention->forward(ctx, pages, batch, arena, x);
  } else if (const auto* convolution = std::get_if<ShortConvolution>(&layer.mixer)) {
    convolution->forward(ctx, batch, arena, x);
  } else {
    std::get<StateSpace>(layer.mixer).forward(ctx, batch, arena, x);
  }
  if (layer.cross) layer.cross->forward(ctx, batch, index, arena, x);
}

void Decoder::add_positions(const Context& ctx, const DecoderBatch& batch,
                            TensorView<float> x) const {
  if (positions_.bytes() == 0) return;
  kernels::add_rows(ctx, positions_.view<float>(), batch.position, x);
}

void Decoder::forward(const Context& ctx, KvPages& pages, std::span<const BatchPart> parts,
                      Arena& host, TensorView<float> rows, const DeepRows* deep_rows,
                      AttentionWatch* watch) const {
  if (deep_rows != nullptr) check_deep(*deep_rows, rows);
  const Pass pass(ctx, host);
  Arena& arena = pass.arena();
  const TensorView<float> x = staged(ctx, rows, arena);
  std::optional<DeepRows> deep;
  if (deep_rows != nullptr) {
    deep.emplace(DeepRows{deep_rows->rows, staged(ctx, deep_rows->features, arena)});
  }
  DecoderBatch batch = DecoderBatch::lay_out(ctx, config_, parts, arena);
  batch.watch = watch;
  run_layers(ctx, pages, batch, deep ? &*deep : nullptr, arena, x);
  bring_back(ctx, x, rows);
  for (const BatchPart& part : parts) part.state->advance(part.rows);
}

void Decoder::decode(const Context& ctx, KvPages& pages, std::span<const BatchPart> parts,
                     kernels::DrawnTokens& tokens, std::span<const kernels::Draw> draws) const {
  const auto rows = std::int64_t(parts.size());
  if (ctx.device == nullptr || rows != tokens.count() ||
      !std::ranges::all_of(parts, [](const BatchPart& part) { return part.rows == 1; })) {
    fail<ShapeError>("a device decodes one row of each part: ", rows, " parts, ", tokens.count(),
                     " tokens");
  }
  Arena unused;
  const Pass pass(ctx, unused);
  Arena& arena = pass.arena();
  const auto x = arena.floats({rows, config_.hidden_size}, "rows");
  kernels::embed(ctx, embedding_, tokens, x);
  if (config_.embedding_scale != 1) kernels::scale(ctx, config_.embedding_scale, x);
  const DecoderBatch batch = DecoderBatch::lay_out(ctx, config_, parts, arena);
  run_layers(ctx, pages, batch, nullptr, arena, x);
  const auto logits = arena.floats({rows, config_.vocab_size}, "logits");
  project(ctx, x, logits);
  kernels::draw(ctx, logits, draws, tokens);
  ctx.device->commands().flush();
  for (const BatchPart& part : parts) part.state->advance(1);
}

/// From embedded rows to features.
void Decoder::run_layers(const Context& ctx, const KvPages& pages, const DecoderBatch& batch,
                         const DeepRows* deep, Arena& arena, TensorView<float> x) const {
  add_positions(ctx, batch, x);
  ctx.show("decoder.embed", x);
  for (std::size_t i = 0; i < layers_.size(); i++) {
    mix(ctx, layers_[i], std::int64_t(i), pages, batch, arena, x);
    if (layers_[i].mlp) layers_[i].mlp->forward(ctx, arena, x);
    if (ctx.tap != nullptr) ctx.show("decoder.layers." + std::to_string(i), x);
    if (deep) add_deep(ctx, *deep, std::int64_t(i), x);
  }
  (*norm_)(ctx, x, x);
  ctx.show("decoder.norm", x);
}

}  // namespace chiasm::language

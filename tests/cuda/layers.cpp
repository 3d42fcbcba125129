// A decoder's layers as a forward pass asks for them: gathered, fused, recorded and replayed, as
// the reference does them call by call.
#include "kernels/activation.h"
#include "kernels/matrix.h"
#include "kernels/norm.h"
#include "kernels/pages.h"
#include "kernels/rope.h"
#include "tests/cuda/harness.h"

namespace chiasm::cuda_check {

using namespace chiasm::testing;
using kernels::Activation;
using kernels::Matrix;
using kernels::WeightFormat;

namespace {

constexpr std::int64_t kDim = 72, kHeads = 4, kKvHeads = 2, kHead = 24, kInner = 64, kLayers = 2;
constexpr std::int64_t kQ = kHeads * kHead, kKv = kKvHeads * kHead, kAll = kQ + 2 * kKv;
constexpr std::int64_t kPageNumbers = 2 * kKvHeads * kernels::kPageTokens * kHead;

/// What the layers multiply by; all layers the same.
struct Weights {
  Matrix qkv, up, down;
  Floats norm, norm_bias, qkv_bias;
  bool centred;  // a layer norm

  Weights(WeightFormat format, bool is_centred) : centred(is_centred) {
    const Context ctx = context(best_isa());
    const auto make = [&](std::int64_t out, std::int64_t in, unsigned seed) {
      const Floats w = random_floats(out * in, seed, 0.15f);
      const kernels::WeightRows part{reinterpret_cast<const std::byte*>(w.data()), DType::f32, out};
      return Matrix::pack(ctx, {&part, 1}, in, format);
    };
    qkv = make(kAll, kDim, 41);
    up = make(2 * kInner, kDim, 42);
    down = make(kDim, kInner, 43);
    norm = random_floats(kDim, 44);
    norm_bias = random_floats(kDim, 45);
    qkv_bias = random_floats(kAll, 46);
  }

  void normed(const Context& ctx, TensorView<const float> x, TensorView<float> y) const {
    const TensorView<const float> weight{norm.data(), Shape{kDim}},
        bias{norm_bias.data(), Shape{kDim}};
    if (centred) return kernels::layer_norm(ctx, x, weight, bias, 1e-5f, y);
    kernels::rms_norm(ctx, x, weight, 1e-5f, y);
  }
};

/// What a pass is given: rows, angles [rows, half] and slots. half may be less than half a head,
/// or 0: nothing is turned.
struct Given {
  Floats x, cosine, sine;
  std::vector<std::int64_t> slots;
  std::int64_t rows, half;
};

/// Keys and values go to `pages`, [layer][k, v]; mixed rows stand in for attention: they are q.
void run_layers(const Context& ctx, const Weights& w, const Given& g, Arena& arena,
                TensorView<float> x, TensorView<const float> cosine, TensorView<const float> sine,
                float* pages) {
  for (std::int64_t layer = 0; layer < kLayers; layer++) {
    const Arena::Frame frame(arena);
    const auto normed = arena.floats({g.rows, kDim}, "normed"),
               qkv = arena.floats({g.rows, kAll}, "qkv"),
               hidden = arena.floats({g.rows, kInner}, "hidden");
    w.normed(ctx, x, normed);
    kernels::linear(ctx, normed, w.qkv, {w.qkv_bias.data()}, qkv);
    const auto q = qkv.slice_cols(0, kQ), k = qkv.slice_cols(kQ, kKv),
               v = qkv.slice_cols(kQ + kKv, kKv);
    if (g.half > 0) {
      kernels::rotate_half(ctx, q, kHeads, kHead, cosine, sine);
      kernels::rotate_half(ctx, k, kKvHeads, kHead, cosine, sine);
    }
    auto* const at = reinterpret_cast<std::byte*>(pages + layer * 2 * kPageNumbers);
    auto* const values = reinterpret_cast<std::byte*>(pages + (layer * 2 + 1) * kPageNumbers);
    kernels::write_pages(ctx, k, kKvHeads, kHead, g.slots, at, DType::f32);
    kernels::write_pages(ctx, v, kKvHeads, kHead, g.slots, values, DType::f32);
    kernels::add(ctx, q.slice_cols(0, kDim), x);
    w.normed(ctx, x, normed);
    kernels::linear(ctx, normed, w.up, {nullptr, Activation::silu, false, true}, hidden);
    kernels::linear(ctx, hidden, w.down, {nullptr, Activation::none, true, false}, x);
  }
}

void check_layers(Harness& h, WeightFormat format, std::int64_t rows, std::int64_t half,
                  bool centred) {
  const auto w = std::make_shared<Weights>(format, centred);
  Given g{random_floats(rows * kDim, 47),
          random_floats(rows * std::max<std::int64_t>(half, 1), 48),
          random_floats(rows * std::max<std::int64_t>(half, 1), 49),
          {},
          rows,
          half};
  for (std::int64_t r = 0; r < rows; r++) g.slots.push_back((r * 37 + 5) % 128);
  constexpr std::int64_t kNumbers = kLayers * 2 * kPageNumbers;
  // Few rows are multiplied in float32; sums of two layers, each of some hundred numbers. Many are
  // narrowed to bfloat16, four products behind one another.
  const bool exact = rows <= 8 || format == WeightFormat::f32;
  h.check(
      "layers " + std::string(kernels::format_name(format)) + " " + std::to_string(rows) +
          " rows, " + std::to_string(half) + " pairs" + (centred ? ", layer norm" : ""),
      kHead, exact ? 1e-5 : 3e-2,  // rows are three heads long
      [=](Bench& bench) {
        const auto pages = bench.rows(Floats(kNumbers, 0.0f), kHead);
        Floats first;
        for (int turn = 0; turn < 3; turn++) {  // made, recorded, replayed
          Floats out(std::size_t(rows * kDim));
          {
            const Pass pass(bench.on_device, bench.arena());
            Floats given = g.x;
            const auto x = staged(bench.on_device, view(given, {rows, kDim}), pass.arena());
            const std::int64_t cols = std::max<std::int64_t>(half, 1);
            Floats c = g.cosine, s = g.sine;
            const auto cosine = staged(bench.on_device, view(c, {rows, cols}), pass.arena());
            const auto sine = staged(bench.on_device, view(s, {rows, cols}), pass.arena());
            run_layers(bench.on_device, *w, g, pass.arena(), x, cosine, sine, pages.data());
            bring_back(bench.on_device, x, view(out, {rows, kDim}));
          }
          const Floats written = bench.read(pages);
          out.insert(out.end(), written.begin(), written.end());
          if (first.empty()) first = out;
          if (out != first) return Floats{};
        }
        if (bench.device.commands().replays() == 0) return Floats{};
        return first;
      },
      [=](Bench& bench) {
        Floats x = g.x, pages(std::size_t(kNumbers), 0.0f), c = g.cosine, s = g.sine;
        Arena arena;
        const std::int64_t cols = std::max<std::int64_t>(half, 1);
        run_layers(bench.reference, *w, g, arena, view(x, {rows, kDim}), view(c, {rows, cols}),
                   view(s, {rows, cols}), pages.data());
        x.insert(x.end(), pages.begin(), pages.end());
        return x;
      });
}

/// A row's bits in products of 1, 9 and 70 rows, and of attention beside longer sequences.
void check_invariance(Harness& h) {
  const auto w = std::make_shared<Weights>(WeightFormat::bf16, false);
  const Floats x = random_floats(70 * kDim, 50);
  const auto first_row = [=](Bench& bench, std::int64_t rows) {
    const auto in = bench.rows(Floats(x.begin(), x.begin() + rows * kDim), kDim);
    const auto out = bench.rows(rows, kAll);
    kernels::linear(bench.on_device, in, w->qkv, {w->qkv_bias.data()}, out);
    return bench.read(out.slice_rows(0, 1));
  };
  h.check(
      "batch invariance of a product", kAll, 0,
      [=](Bench& bench) {
        bench.device.set_batch_invariant(true);
        Floats out = first_row(bench, 9);
        const Floats more = first_row(bench, 70);
        out.insert(out.end(), more.begin(), more.end());
        return out;
      },
      [=](Bench& bench) {
        Floats one = first_row(bench, 1);
        const Floats again = one;
        one.insert(one.end(), again.begin(), again.end());
        return one;
      });
}

}  // namespace

void check_layers(Harness& h) {
  check_invariance(h);
  for (const WeightFormat format : {WeightFormat::f32, WeightFormat::bf16}) {
    for (const std::int64_t rows : {1, 3, 8, 20}) check_layers(h, format, rows, kHead / 2, false);
  }
  check_layers(h, WeightFormat::f16, 5, 8, true);  // a part of each head is turned
  check_layers(h, WeightFormat::bf16, 2, 0, true);
  check_layers(h, WeightFormat::f32, 17, 0, false);
}

}  // namespace chiasm::cuda_check

// Matrix products and look-ups, in every format a device reads.
#include "tests/cuda/products.h"

#include "kernels/embed.h"

namespace chiasm::cuda_check {

using namespace chiasm::testing;
using kernels::Activation;
using kernels::Matrix;
using kernels::WeightFormat;

Matrix random_matrix(const Context& ctx, std::int64_t out, std::int64_t in, WeightFormat format) {
  const Floats w = random_floats(out * in, 21, 0.1f);
  const kernels::WeightRows part{reinterpret_cast<const std::byte*>(w.data()), DType::f32, out};
  return Matrix::pack(ctx, {&part, 1}, in, format);
}

namespace {

/// The weights as they are kept, in double arithmetic whatever the format.
Floats expected(const Matrix& w, const Floats& x, const Floats& bias, Activation act,
                const Floats& before) {
  const std::int64_t in = w.in(), out = w.out(), rows = std::int64_t(x.size()) / in;
  Floats y(std::size_t(rows * out)), row(static_cast<std::size_t>(in));
  for (std::int64_t o = 0; o < out; o++) {
    w.row(o, row.data());
    for (std::int64_t r = 0; r < rows; r++) {
      double sum = bias.empty() ? 0 : double(bias[std::size_t(o)]);
      for (std::int64_t i = 0; i < in; i++) {
        sum += double(row[std::size_t(i)]) * double(x[std::size_t(r * in + i)]);
      }
      y[std::size_t(r * out + o)] = float(sum);
    }
  }
  if (act != Activation::none) {
    kernels::activate(context(Isa::reference), act, view(y, {rows, out}));
  }
  for (std::size_t i = 0; i < before.size(); i++) y[i] += before[i];
  return y;
}

}  // namespace

void check_product(Harness& h, const std::string& name, const std::shared_ptr<const Matrix>& w,
                   const ProductCase& c) {
  const std::int64_t in = w->in(), out = w->out();
  const Floats x = random_floats(c.rows * in, 22), bias = random_floats(c.bias ? out : 0, 23),
               before = random_floats(c.accumulate ? c.rows * out : 0, 24);
  // Few rows multiply in float32. Many are narrowed to bfloat16, weights of other formats too: x
  // and w are each wrong by 2^-9 at most, a sum of random signs by about as much of its own size,
  // and a short row whose sums cancel by twice that (measured: up to 5.5e-3).
  constexpr std::int64_t kFewRows = 8;
  const bool exact = c.rows <= kFewRows || w->format() == WeightFormat::f32;
  const double bound = exact ? double(in + 16) * 0x1p-24 * 8 : 0x1p-7;
  h.check(
      "linear " + name + " " + std::to_string(c.rows) + " x " + std::to_string(in) + " to " +
          std::to_string(out) + (c.bias ? " bias" : "") + (c.accumulate ? " +=" : ""),
      out, bound,
      [=](Bench& bench) {
        const auto rows = bench.rows(x, in);
        const auto y = c.accumulate ? bench.rows(before, out) : bench.rows(c.rows, out);
        kernels::linear(bench.on_device, rows, *w,
                        {bias.empty() ? nullptr : bias.data(), c.act, c.accumulate}, y);
        return bench.read(y);
      },
      [=](Bench&) { return expected(*w, x, bias, c.act, before); });
}

void check_embed(Harness& h, const std::string& name, const std::shared_ptr<const Matrix>& w) {
  const std::int64_t dim = w->in();
  const std::vector<std::int32_t> ids{std::int32_t(w->out() - 1), 0, 3, 3};
  h.check(
      "embed " + name, dim, 0x1p-23,
      [=](Bench& bench) {
        const auto y = bench.rows(4, dim);
        kernels::embed(bench.on_device, *w, ids, y);
        return bench.read(y);
      },
      [=](Bench& bench) {
        Floats y(std::size_t(4 * dim));
        kernels::embed(bench.reference, *w, ids, view(y, {4, dim}));
        return y;
      });
}

namespace {

void check_gated(Harness& h) {
  constexpr std::int64_t kRows = 3, kIn = 40, kOut = 128;
  const auto w =
      std::make_shared<Matrix>(random_matrix(context(best_isa()), kOut, kIn, WeightFormat::f32));
  const Floats x = random_floats(kRows * kIn, 25), bias = random_floats(kOut, 26);
  const auto run = [=](const Context& ctx, TensorView<const float> in, TensorView<float> y) {
    kernels::linear(ctx, in, *w, {bias.data(), Activation::silu, false, true}, y);
  };
  h.check(
      "linear f32 gated", kOut / 2, double(kIn + 16) * 0x1p-24 * 8,
      [=](Bench& bench) {
        const auto in = bench.rows(x, kIn), y = bench.rows(kRows, kOut / 2);
        run(bench.on_device, in, y);
        return bench.read(y);
      },
      [=](Bench& bench) {
        Floats y(std::size_t(kRows * kOut / 2));
        run(bench.reference, view(x, {kRows, kIn}), view(y, {kRows, kOut / 2}));
        return y;
      });
}

}  // namespace

void check_products(Harness& h) {
  check_gated(h);
  for (const WeightFormat format : {WeightFormat::f32, WeightFormat::bf16, WeightFormat::f16,
                                    WeightFormat::q8, WeightFormat::q8_rows, WeightFormat::q4}) {
    const auto check = [&](std::int64_t out, std::int64_t in, const ProductCase& c) {
      const Context ctx = context(best_isa());
      check_product(h, std::string(kernels::format_name(format)),
                    std::make_shared<const Matrix>(random_matrix(ctx, out, in, format)), c);
    };
    check(5, 64, {1});
    check(33, 544, {1, true, Activation::silu});
    check(17, 300, {7, true});  // 4 + 2 + 1 rows, padded inputs
    check(9, 37, {8, false, Activation::none, true});
    check(40, 96, {19, true, Activation::gelu_tanh});
    check(11, 43, {9, true, Activation::none, true});
    check(70, 300, {64});
    check(35, 130, {65, true});
    const auto table =
        std::make_shared<const Matrix>(random_matrix(context(best_isa()), 12, 70, format));
    check_embed(h, std::string(kernels::format_name(format)), table);
  }
}

}  // namespace chiasm::cuda_check

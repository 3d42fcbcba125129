// Operators that work row by row: norms, rotary embedding, nonlinearities, gathering, pictures.
#include <numeric>

#include "kernels/embed.h"
#include "kernels/norm.h"
#include "kernels/rope.h"
#include "tests/cuda/harness.h"

namespace chiasm::cuda_check {

using namespace chiasm::testing;

namespace {

/// Float32 sums of `terms` numbers in any order, and a handful of roundings more.
double sums_of(std::int64_t terms) { return double(terms + 16) * 0x1p-24; }

std::string sizes(std::int64_t a, std::int64_t b) {
  return " " + std::to_string(a) + " x " + std::to_string(b);
}

void check_norms(Harness& h) {
  struct Size {
    std::int64_t rows, dim;
  };
  for (const Size size : {Size{1, 1}, {3, 31}, {5, 33}, {2, 576}, {3, 1500}}) {
    const std::int64_t rows = size.rows, dim = size.dim;
    const Floats x = random_floats(rows * dim, 1, 0.5f), w = random_floats(dim, 2, 1),
                 b = random_floats(dim, 3);
    const auto run = [=](bool rms, const Context& ctx, TensorView<float> in, TensorView<float> y) {
      if (rms) return kernels::rms_norm(ctx, in, view(w, {dim}), 1e-5f, y);
      kernels::layer_norm(ctx, in, view(w, {dim}), view(b, {dim}), 1e-5f, y);
    };
    for (const bool rms : {true, false}) {
      if (dim == 1 && !rms) continue;  // b alone
      // The variance of centred values: the mean's own error enters squared.
      h.check((rms ? "rms_norm" : "layer_norm") + sizes(rows, dim), dim, 2 * sums_of(dim),
              [=](Bench& bench) {
                const auto in = bench.rows(x, dim), y = bench.rows(rows, dim);
                run(rms, bench.on_device, in, y);
                return bench.read(y);
              },
              [=](Bench& bench) {
                Floats in = x, y(x.size());
                run(rms, bench.reference, view(in, {rows, dim}), view(y, {rows, dim}));
                return y;
              });
    }
  }
  const Floats x = random_floats(4 * 3 * 20, 4), w = random_floats(20, 5, 1);
  const auto run = [w](const Context& ctx, TensorView<float> rows) {
    kernels::rms_norm_heads(ctx, rows, 3, view(w, {20}), 1e-6f);
  };
  h.check(
      "rms_norm_heads 4 x 3 x 20", 20, 2 * sums_of(20),
      [=](Bench& bench) {
        const auto rows = bench.rows(x, 60);
        run(bench.on_device, rows);
        return bench.read(rows);
      },
      [=](Bench& bench) {
        Floats y = x;
        run(bench.reference, view(y, {4, 60}));
        return y;
      });
}

void check_rotary(Harness& h) {
  struct Case {
    std::int64_t rows, heads, head_dim, half, axes;
  };
  for (const Case c :
       {Case{1, 1, 2, 1, 1}, {7, 3, 18, 9, 1}, {5, 2, 80, 20, 3}, {3, 9, 64, 32, 1}}) {
    const Floats x = random_floats(c.rows * c.heads * c.head_dim, 7);
    std::vector<std::int32_t> position(std::size_t(c.axes * c.rows));
    std::iota(position.begin(), position.end(), 3);
    Floats frequencies;
    std::vector<std::uint8_t> axis;
    for (std::int64_t i = 0; i < c.half; i++) {
      frequencies.push_back(1.0f / float(i + 1));
      if (c.axes > 1) axis.push_back(std::uint8_t(i % c.axes));
    }
    const auto run = [=](const Context& ctx, TensorView<float> rows, TensorView<float> cosine,
                         TensorView<float> sine) {
      kernels::rotary_table(ctx, position, frequencies, axis, 1.1f, cosine, sine);
      kernels::rotate_half(ctx, rows, c.heads, c.head_dim, cosine, sine);
    };
    const std::int64_t width = c.heads * c.head_dim;
    h.check(
        "rotary of " + std::to_string(c.axes) + " axes" + sizes(c.rows, width), width, 0x1p-22,
        [=](Bench& bench) {
          const auto rows = bench.rows(x, width);
          run(bench.on_device, rows, bench.rows(c.rows, c.half), bench.rows(c.rows, c.half));
          return bench.read(rows);
        },
        [=](Bench& bench) {
          Floats y = x, cosine(std::size_t(c.rows * c.half)), sine = cosine;
          run(bench.reference, view(y, {c.rows, width}), view(cosine, {c.rows, c.half}),
              view(sine, {c.rows, c.half}));
          return y;
        });
  }
}

void check_pointwise(Harness& h) {
  using kernels::Activation;
  constexpr std::int64_t kRows = 3, kCols = 300;
  const Floats both = random_floats(kRows * 2 * kCols, 8, 0, 2);
  for (const Activation act :
       {Activation::none, Activation::relu, Activation::silu, Activation::gelu,
        Activation::gelu_tanh, Activation::quick_gelu, Activation::tanh}) {
    const auto run = [act](const Context& ctx, TensorView<float> in, TensorView<float> y) {
      kernels::gated_activation(ctx, act, in, y);
      kernels::activate(ctx, act, y);
    };
    // Cards promise 2 ulp of erf, tanh and exp; the tail of gelu cancels.
    h.check(
        "gated_activation " + std::to_string(int(act)), kCols, 1e-6,
        [=](Bench& bench) {
          const auto in = bench.rows(both, 2 * kCols), y = bench.rows(kRows, kCols);
          run(bench.on_device, in, y);
          return bench.read(y);
        },
        [=](Bench& bench) {
          Floats in = both, y(std::size_t(kRows * kCols));
          run(bench.reference, view(in, {kRows, 2 * kCols}), view(y, {kRows, kCols}));
          return y;
        });
  }
  const Floats x = random_floats(kRows * kCols, 9), y0 = random_floats(kRows * kCols, 10),
               factors = random_floats(kCols, 11);
  const auto run = [factors](const Context& ctx, TensorView<float> in, TensorView<float> y) {
    kernels::add(ctx, in, y);
    kernels::add_scaled(ctx, in, view(factors, {kCols}), y);
    kernels::scale(ctx, 1.7f, y);
    kernels::softcap(ctx, 3.0f, y);
  };
  h.check(
      "add, add_scaled, scale, softcap", kCols, 1e-6,
      [=](Bench& bench) {
        const auto in = bench.rows(x, kCols), y = bench.rows(y0, kCols);
        run(bench.on_device, in, y);
        return bench.read(y);
      },
      [=](Bench& bench) {
        Floats in = x, y = y0;
        run(bench.reference, view(in, {kRows, kCols}), view(y, {kRows, kCols}));
        return y;
      });
}

void check_gathering(Harness& h) {
  const Floats pixels = random_floats(3 * 6 * 9, 12), table = random_floats(5 * 27, 13),
               grid = random_floats(6 * 9 * 4, 14);
  const std::vector<std::int32_t> ids{4, 0, 4, 2, 1, 3};
  const auto cut = [=](const Context& ctx, TensorView<float> y, TensorView<float> moved) {
    kernels::extract_patches(ctx, {pixels.data(), Shape{3, 6, 9}}, 3, y);
    kernels::add_rows(ctx, view(table, {5, 27}), ids, y);
    kernels::move_rows(ctx, y, ids, moved);
  };
  h.check(
      "extract_patches, add_rows, move_rows", 27, 0x1p-23,
      [=](Bench& bench) {
        const auto y = bench.rows(6, 27), moved = bench.rows(6, 27);
        cut(bench.on_device, y, moved);
        return bench.read(moved);
      },
      [=](Bench& bench) {
        Floats y(6 * 27), moved(6 * 27);
        cut(bench.reference, view(y, {6, 27}), view(moved, {6, 27}));
        return moved;
      });
  h.check(
      "unfold 6 x 9 by 3", 36, 0,
      [=](Bench& bench) {
        const auto x = bench.rows(grid, 4), y = bench.rows(6, 36);
        kernels::unfold(bench.on_device, x, 6, 9, 3, y);
        return bench.read(y);
      },
      [=](Bench& bench) {
        Floats y(6 * 36);
        kernels::unfold(bench.reference, view(grid, {54, 4}), 6, 9, 3, view(y, {6, 36}));
        return y;
      });
  h.check(
      "copy_rows, mean_rows", 27, 0,  // the same sums, rounded alike
      [=](Bench& bench) {
        const auto x = bench.rows(6, 27), y = bench.rows(2, 27);
        kernels::copy_rows(bench.on_device, view(table, {5, 27}), ids, x);
        kernels::mean_rows(bench.on_device, x, ids, y);
        return bench.read(y);
      },
      [=](Bench& bench) {
        Floats x(6 * 27), y(2 * 27);
        kernels::copy_rows(bench.reference, view(table, {5, 27}), ids, view(x, {6, 27}));
        kernels::mean_rows(bench.reference, view(x, {6, 27}), ids, view(y, {2, 27}));
        return y;
      });
  for (const std::int64_t stride : {1, 2}) {
    const std::int64_t rows = (54 + 2 - 3) / stride + 1;
    h.check(
        "extract_stretches of 3 at stride " + std::to_string(stride), 12, 0,
        [=](Bench& bench) {
          const auto y = bench.rows(rows, 12);
          kernels::extract_stretches(bench.on_device, view(grid, {54, 4}), 3, stride, 1, y);
          return bench.read(y);
        },
        [=](Bench& bench) {
          Floats y(std::size_t(rows * 12));
          kernels::extract_stretches(bench.reference, view(grid, {54, 4}), 3, stride, 1,
                                     view(y, {rows, 12}));
          return y;
        });
  }
  h.check(
      "pixel_shuffle 6 x 9 by 3", 36, 0,
      [=](Bench& bench) {
        const auto x = bench.rows(grid, 4), y = bench.rows(6, 36);
        kernels::pixel_shuffle(bench.on_device, x, 6, 9, 3, y);
        return bench.read(y);
      },
      [=](Bench& bench) {
        Floats y(6 * 36);
        kernels::pixel_shuffle(bench.reference, view(grid, {54, 4}), 6, 9, 3, view(y, {6, 36}));
        return y;
      });
}

/// Bytes to patches, to the bit what the CPU makes of them in two steps.
void check_picture(Harness& h) {
  constexpr std::int64_t kHeight = 8, kWidth = 12, kValidHeight = 7, kValidWidth = 9, kPatch = 4;
  constexpr std::int64_t kPatches = kHeight / kPatch * (kWidth / kPatch),
                         kCols = 3 * kPatch * kPatch;
  std::vector<std::uint8_t> rgb;
  for (std::int64_t i = 0; i < kHeight * kWidth * 3; i++) rgb.push_back(std::uint8_t(i * 37));
  const Floats levels = random_floats(3 * 256, 15);
  h.check(
      "picture 8 x 12, 7 x 9 of it shown", kCols, 0,
      [=](Bench& bench) {
        const auto y = bench.rows(kPatches, kCols);
        const device::PictureCall call{
            reinterpret_cast<const std::uint8_t*>(
                bench.device.resident(std::as_bytes(std::span(rgb)))),
            reinterpret_cast<const float*>(bench.device.resident(std::as_bytes(std::span(levels)))),
            kHeight,
            kWidth,
            kValidHeight,
            kValidWidth,
            kPatch,
            y.data(),
            y.row_stride()};
        bench.device.run(call, "picture");
        return bench.read(y);
      },
      [=](Bench& bench) {
        Floats pixels(std::size_t(3 * kHeight * kWidth), 0.0f);
        for (std::int64_t c = 0; c < 3; c++) {
          for (std::int64_t y = 0; y < kValidHeight; y++) {
            for (std::int64_t x = 0; x < kValidWidth; x++) {
              const auto byte = rgb[std::size_t((y * kWidth + x) * 3 + c)];
              pixels[std::size_t((c * kHeight + y) * kWidth + x)] =
                  levels[std::size_t(c * 256 + byte)];
            }
          }
        }
        Floats out(std::size_t(kPatches * kCols));
        kernels::extract_patches(bench.reference, {pixels.data(), Shape{3, kHeight, kWidth}},
                                 kPatch, view(out, {kPatches, kCols}));
        return out;
      });
}

}  // namespace

void check_rows(Harness& h) {
  check_norms(h);
  check_rotary(h);
  check_pointwise(h);
  check_gathering(h);
  check_picture(h);
}

}  // namespace chiasm::cuda_check

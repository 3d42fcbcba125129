// chiasm_cuda_speed: a device's operators as shares of its own limits, measured in the same run:
// bytes read and written by a copy, and bfloat16 products a second of one large matrix product.
// Prints a table, and the same as JSON to the file that is named. Inputs are random: zeros run
// faster on cards.
#include <algorithm>
#include <chrono>
#include <cmath>
#include <cstdio>
#include <fstream>
#include <functional>
#include <string>
#include <vector>

#include "core/staged.h"
#include "kernels/attention.h"
#include "kernels/matrix.h"
#include "kernels/norm.h"
#include "tests/support/kernels.h"

namespace chiasm {
namespace {

using kernels::WeightFormat;
using Clock = std::chrono::steady_clock;

struct Row {
  std::string name;
  double seconds = 0, bytes = 0, flops = 0, share = 0;
};

class Speed {
 public:
  Speed() : ctx_(testing::context(best_isa())), small_(device_.report().emulated) {
    ctx_.device = &device_;
  }

  /// Sizes for a card, divided where the device is emulated: there the figures mean nothing.
  std::int64_t size(std::int64_t n) const {
    return small_ ? std::max<std::int64_t>(n / 64, 32) : n;
  }

  void measure_limits() {
    const auto bytes = std::size_t(size(1 << 30));
    std::byte* const a = device_.allocate(bytes);
    std::byte* const b = device_.allocate(bytes);
    copy_rate_ =
        2 * double(bytes) / time("copy", double(2 * bytes), 0, [&] { device_.copy(b, a, bytes); });
    device_.release(a);
    device_.release(b);
    const std::int64_t n = size(8192);
    product_rate_ =
        2 * std::pow(double(n), 3) / linear("bf16 product", n, n, n, WeightFormat::bf16);
    for (Row& row : rows_) row.share = 1;
  }

  double linear(const std::string& name, std::int64_t rows, std::int64_t out, std::int64_t in,
                WeightFormat format) {
    Arena::Frame frame(device_.arena());
    const auto values = testing::random_floats(out * in, 1, 0, 0.02f);
    const kernels::WeightRows part{reinterpret_cast<const std::byte*>(values.data()), DType::f32,
                                   out};
    const auto w = kernels::Matrix::pack(ctx_, {&part, 1}, in, format);
    const auto x = random_rows(rows, in), y = device_.arena().floats({rows, out});
    const double bits = format == WeightFormat::q4 ? 5 : format == WeightFormat::q8 ? 8.5 : 16;
    return time(name + " " + std::to_string(rows) + " x " + std::to_string(in) + " to " +
                    std::to_string(out),
                rows <= 8 ? double(out * in) * bits / 8 : 0, 2 * double(rows * out * in),
                [&] { kernels::linear(ctx_, x, w, {}, y); });
  }

  void norm() {
    Arena::Frame frame(device_.arena());
    const std::int64_t rows = size(8192), dim = size(4096);
    const auto x = random_rows(rows, dim), y = device_.arena().floats({rows, dim});
    const auto w = testing::random_floats(dim, 2, 1);
    time("rms_norm " + std::to_string(rows) + " x " + std::to_string(dim), double(8 * rows * dim),
         0, [&] { kernels::rms_norm(ctx_, x, testing::view(w, {dim}), 1e-5f, y); });
  }

  /// `count` sequences of `rows` queries: causal ones over pages, as a decoder's, others over the
  /// rows beside them, as an encoder's.
  void attention(const std::string& name, std::int64_t count, std::int64_t rows, std::int64_t keys,
                 std::int64_t heads, std::int64_t kv_heads, std::int64_t d, bool causal) {
    Arena::Frame frame(device_.arena());
    const kernels::AttentionShape shape{heads, kv_heads, d, 1 / std::sqrt(float(d)), 0, true};
    const std::int64_t pages = (keys + kernels::kPageTokens - 1) / kernels::kPageTokens;
    std::vector<std::int32_t> table(std::size_t(count * pages)), first, last;
    for (std::size_t i = 0; i < table.size(); i++) table[i] = std::int32_t(i);
    std::vector<kernels::AttentionSequence> sequences;
    for (std::int64_t s = 0; s < count; s++) {
      sequences.push_back({s * rows, rows, keys, s * keys, table.data() + s * pages});
      for (std::int64_t i = 0; i < rows; i++) {
        first.push_back(0);
        last.push_back(std::int32_t(causal ? keys - rows + i + 1 : keys));
      }
    }
    const std::int64_t numbers = count * pages * kernels::kPageTokens * kv_heads * d;
    const auto q = random_rows(count * rows, heads * d),
               out = device_.arena().floats({count * rows, heads * d});
    kernels::KeyValues kv;
    if (causal) {
      kv.page_dtype = DType::bf16;
      kv.k_pages = random_pages(numbers);
      kv.v_pages = random_pages(numbers);
    } else {
      kv.k = random_rows(count * keys, kv_heads * d);
      kv.v = random_rows(count * keys, kv_heads * d);
    }
    double pairs = 0;
    for (std::size_t i = 0; i < last.size(); i++) pairs += double(last[i]);
    time(name, rows == 1 ? double(4 * count * keys * kv_heads * d) : 0,
         4 * pairs * double(heads * d),
         [&] { kernels::attention(ctx_, shape, q, kv, sequences, first, last, out); });
    for (const std::byte* pages_of : {kv.k_pages, kv.v_pages}) {
      if (pages_of != nullptr) device_.release(const_cast<std::byte*>(pages_of));
    }
  }

  /// The library's attention from now on, as the yardstick; false where there is none.
  bool use_library() {
    try {
      device_.set_attention_provider(device::AttentionProvider::cudnn);
      return true;
    } catch (const DeviceError& e) {
      std::printf("no library's attention beside our own: %s\n", e.what());
      return false;
    }
  }

  void print(const char* file) const {
    std::printf("%s (%s)\n", device_.report().name.c_str(), device_.report().build.c_str());
    for (const Row& r : rows_) {
      const bool memory = r.bytes > 0;
      std::printf("%-46s %10.1f us  %8.1f %s  %5.1f %%\n", r.name.c_str(), r.seconds * 1e6,
                  memory ? r.bytes / r.seconds / 1e9 : r.flops / r.seconds / 1e12,
                  memory ? "GB/s   " : "TFLOP/s", 100 * r.share);
    }
    if (file == nullptr) return;
    std::ofstream out(file);
    out << "{\"device\": \"" << device_.report().name << "\", \"rows\": [";
    for (std::size_t i = 0; i < rows_.size(); i++) {
      const Row& r = rows_[i];
      out << (i > 0 ? ", " : "") << "{\"name\": \"" << r.name << "\", \"seconds\": " << r.seconds
          << ", \"bytes\": " << r.bytes << ", \"flops\": " << r.flops << ", \"share\": " << r.share
          << "}";
    }
    out << "]}\n";
  }

 private:
  TensorView<float> random_rows(std::int64_t rows, std::int64_t cols) {
    const auto values = testing::random_floats(rows * cols, 3);
    const auto out = device_.arena().floats({rows, cols});
    upload(device_, testing::view(values, {rows, cols}), out);
    return out;
  }
  std::byte* random_pages(std::int64_t numbers) {
    std::vector<bf16> values;
    for (const float v : testing::random_floats(numbers, 4)) values.push_back(to_bf16(v));
    std::byte* const memory = device_.allocate(values.size() * sizeof(bf16));
    device_.upload(memory, std::as_bytes(std::span(values)));
    return memory;
  }

  /// Median of five runs, each as many calls as take a hundredth of a second, in one pass as a
  /// model would make them.
  double time(const std::string& name, double bytes, double flops,
              const std::function<void()>& run) {
    const auto seconds_of = [&](int calls) {
      const auto begin = Clock::now();
      device_.commands().open();
      for (int i = 0; i < calls; i++) run();
      device_.commands().flush();
      device_.commands().close();
      device_.check(device_.table().synchronize(device_.session()), "waiting");
      return std::chrono::duration<double>(Clock::now() - begin).count() / calls;
    };
    seconds_of(1);  // uploads, heuristics, page tables
    const int calls = small_ ? 1 : int(std::clamp(0.01 / seconds_of(1), 1.0, 1000.0));
    std::vector<double> times;
    for (int i = 0; i < 5; i++) times.push_back(seconds_of(calls));
    std::sort(times.begin(), times.end());
    const double share =
        bytes > 0 ? bytes / times[2] / copy_rate_ : flops / times[2] / product_rate_;
    rows_.push_back({name, times[2], bytes, flops, share});
    return times[2];
  }

  Device device_{0};
  Context ctx_;
  bool small_;
  double copy_rate_ = 1, product_rate_ = 1;
  std::vector<Row> rows_;
};

void run(const char* file) {
  Speed speed;
  speed.measure_limits();
  const std::int64_t n = speed.size(4096);
  speed.linear("linear bf16", speed.size(1024), n, n, WeightFormat::bf16);
  for (const auto& [title, format] : {std::pair{"linear bf16", WeightFormat::bf16},
                                      {"linear q8", WeightFormat::q8},
                                      {"linear q4", WeightFormat::q4}}) {
    speed.linear(title, 1, n, n, format);
    speed.linear(title, 8, n, n, format);
  }
  speed.norm();
  speed.attention("attention, decode, 8k keys, 32/8 of 128", 1, 1, speed.size(8192), 32, 8, 128,
                  true);
  speed.attention("attention, decode, 16 x 2k keys, 32/8 of 128", 16, 1, speed.size(2048), 32, 8,
                  128, true);
  const auto many_rows = [&](const std::string& whose) {
    speed.attention(whose + "attention, causal 4k, 32/8 of 128", 1, speed.size(4096),
                    speed.size(4096), 32, 8, 128, true);
    for (const std::int64_t d : {64, 72, 80}) {
      speed.attention(whose + "attention, 16 x 1024 patches, 16 heads of " + std::to_string(d), 16,
                      speed.size(1024), speed.size(1024), 16, 16, d, false);
    }
  };
  many_rows("");
  if (speed.use_library()) many_rows("cuDNN ");
  speed.print(file);
}

}  // namespace
}  // namespace chiasm

int main(int argc, char** argv) {
  try {
    chiasm::run(argc > 1 ? argv[1] : nullptr);
    return 0;
  } catch (const std::exception& e) {
    std::fprintf(stderr, "%s\n", e.what());
    return 1;
  }
}

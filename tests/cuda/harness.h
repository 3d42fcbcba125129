#pragma once
/// Cases for a device's operators, run on a card or on the emulated device: the same program,
/// without any test library, since a lent machine may have none.
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "core/device.h"
#include "core/staged.h"
#include "tests/support/kernels.h"

namespace chiasm::cuda_check {

using Floats = std::vector<float>;

/// What a case works with: a device of its own, and the CPU's reference beside it.
struct Bench {
  Device device{0};
  Context on_device, reference;
  Arena& arena() { return device.arena(); }

  Bench();
  /// Rows on the device.
  TensorView<float> rows(const Floats& values, std::int64_t cols);
  /// Unwritten ones: NaN on the emulated device.
  TensorView<float> rows(std::int64_t count, std::int64_t cols);
  Floats read(TensorView<const float> rows);
};

class Harness {
 public:
  /// Runs cases whose name holds `filter`.
  explicit Harness(std::string filter) : filter_(std::move(filter)) {}

  /// Compares got(bench) with want(bench), rows of `cols`: the largest of the rows' relative L2
  /// errors must be at most `bound`, and a row of zeros must be zeros. On the emulated device `got`
  /// runs under each schedule of threads, and every bit must be the same.
  void check(const std::string& name, std::int64_t cols, double bound,
             const std::function<Floats(Bench&)>& got, const std::function<Floats(Bench&)>& want);
  /// Prints the sum; the exit code.
  int finish() const;

 private:
  void report(const std::string& name, const std::string& failure, double error, double bound);

  std::string filter_;
  int passed_ = 0, failed_ = 0;
};

/// The largest relative L2 error of a row; infinite for NaN, for other sizes and where zeros are
/// not zeros.
double row_error(const Floats& got, const Floats& want, std::int64_t cols);

// One per file.
void check_intrinsics(Harness& harness);
void check_misuse(Harness& harness);
void check_copies(Harness& harness);
void check_rows(Harness& harness);
void check_products(Harness& harness);
void check_blocks(Harness& harness);
void check_media(Harness& harness);
void check_attention(Harness& harness);
void check_library(Harness& harness);
void check_sampling(Harness& harness);
void check_layers(Harness& harness);

}  // namespace chiasm::cuda_check

#include "tests/cuda/harness.h"

#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <limits>

namespace chiasm::cuda_check {

Bench::Bench()
    : on_device(testing::context(best_isa())), reference(testing::context(Isa::reference)) {
  on_device.device = &device;
}

TensorView<float> Bench::rows(const Floats& values, std::int64_t cols) {
  const auto count = std::int64_t(values.size()) / cols;
  const auto out = rows(count, cols);
  upload(device, {values.data(), Shape{count, cols}}, out);
  return out;
}

TensorView<float> Bench::rows(std::int64_t count, std::int64_t cols) {
  return arena().floats({count, cols});
}

Floats Bench::read(TensorView<const float> rows) {
  Floats out(std::size_t(rows.shape().count()));
  download(device, rows, {out.data(), rows.shape()});
  return out;
}

double row_error(const Floats& got, const Floats& want, std::int64_t cols) {
  constexpr double kWrong = std::numeric_limits<double>::infinity();
  if (got.size() != want.size() || cols <= 0) return kWrong;
  double worst = 0;
  for (std::size_t row = 0; row < want.size(); row += std::size_t(cols)) {
    double difference = 0, norm = 0;
    for (std::size_t i = row; i < row + std::size_t(cols); i++) {
      difference += std::pow(double(got[i]) - double(want[i]), 2);
      norm += std::pow(double(want[i]), 2);
    }
    const double error = difference == 0 ? 0 : norm > 0 ? std::sqrt(difference / norm) : kWrong;
    if (!(error <= worst)) worst = std::isnan(error) ? kWrong : error;
  }
  return worst;
}

void Harness::report(const std::string& name, const std::string& failure, double error,
                     double bound) {
  (failure.empty() ? passed_ : failed_)++;
  std::printf("%-6s %-52s error %8.1e of %8.1e  %s\n", failure.empty() ? "ok" : "FAILED",
              name.c_str(), error, bound, failure.c_str());
  std::fflush(stdout);
}

void Harness::check(const std::string& name, std::int64_t cols, double bound,
                    const std::function<Floats(Bench&)>& got,
                    const std::function<Floats(Bench&)>& want) {
  if (name.find(filter_) == std::string::npos) return;
  std::string failure;
  double error = std::numeric_limits<double>::infinity();
  try {
    Floats first;
    for (const char* schedule : {"forward", "reverse", "random"}) {
      setenv("CHIASM_EMULATION_SCHEDULE", schedule, 1);
      Bench bench;
      const Floats values = got(bench);
      if (first.empty()) {
        first = values;
        error = row_error(values, want(bench), cols);
      }
      if (values.size() != first.size() ||
          std::memcmp(values.data(), first.data(), values.size() * sizeof(float)) != 0) {
        failure = std::string("other bits when threads run in order \"") + schedule + "\"";
      }
      if (!bench.device.report().emulated) break;
    }
    if (!(error <= bound)) failure = "too large";
  } catch (const std::exception& e) {
    failure = e.what();
  }
  unsetenv("CHIASM_EMULATION_SCHEDULE");
  report(name, failure, error, bound);
}

int Harness::finish() const {
  std::printf("%d passed, %d failed\n", passed_, failed_);
  return failed_ == 0 && passed_ > 0 ? 0 : 1;
}

}  // namespace chiasm::cuda_check

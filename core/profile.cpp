#include "core/profile.h"

namespace chiasm {

void Profile::enter(std::string_view stage) {
  const std::scoped_lock lock(mutex_);
  stage_ = stage;
}

void Profile::add(std::string_view name, std::int64_t out, std::int64_t in, std::int64_t rows,
                  double seconds) {
  const std::scoped_lock lock(mutex_);
  Sum& sum = sums_[{stage_, name, out, in}];
  sum.calls++;
  sum.rows += rows;
  sum.seconds += seconds;
}

std::vector<OperatorTime> Profile::times() const {
  const std::scoped_lock lock(mutex_);
  std::vector<OperatorTime> times;
  for (const auto& [key, sum] : sums_) {
    const auto& [stage, name, out, in] = key;
    times.push_back(
        {std::string(stage), std::string(name), out, in, sum.calls, sum.rows, sum.seconds});
  }
  return times;
}

double seconds_now() {
  return std::chrono::duration<double>(std::chrono::steady_clock::now().time_since_epoch()).count();
}

void Timed::stop() {
  profile_->add(name_, out_, in_, rows_,
                std::chrono::duration<double>(Clock::now() - start_).count());
}

}  // namespace chiasm

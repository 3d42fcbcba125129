#pragma once
/// Where the time goes: sums by stage and operator, while somebody asks for them.
#include <chrono>
#include <cstdint>
#include <map>
#include <mutex>
#include <string>
#include <string_view>
#include <tuple>
#include <vector>

namespace chiasm {

struct OperatorTime {
  std::string stage;             // "preprocess", "encode", "prefill", "decode"
  std::string name;              // "linear", ...; empty: the whole stage
  std::int64_t out = 0, in = 0;  // of a matrix product
  std::int64_t calls = 0, rows = 0;
  double seconds = 0;
};

/// Thread-safe. A Context points to one while times are collected, and to none otherwise: then an
/// operator pays for one comparison.
class Profile {
 public:
  /// What operators belong to from now on; a string literal.
  void enter(std::string_view stage);
  void add(std::string_view name, std::int64_t out, std::int64_t in, std::int64_t rows,
           double seconds);
  /// The sums so far, by stage and name.
  std::vector<OperatorTime> times() const;

 private:
  using Key = std::tuple<std::string_view, std::string_view, std::int64_t, std::int64_t>;
  struct Sum {
    std::int64_t calls = 0, rows = 0;
    double seconds = 0;
  };
  mutable std::mutex mutex_;
  std::string_view stage_;
  std::map<Key, Sum> sums_;
};

/// Seconds of a clock that never goes back; its beginning means nothing.
double seconds_now();

/// Adds its own lifetime to a profile, if there is one.
class Timed {
 public:
  /// `name` is a string literal.
  explicit Timed(Profile* profile, std::string_view name, std::int64_t out = 0, std::int64_t in = 0,
                 std::int64_t rows = 0)
      : profile_(profile), name_(name), out_(out), in_(in), rows_(rows) {
    if (profile_ != nullptr) start_ = Clock::now();
  }
  ~Timed() {
    if (profile_ != nullptr) stop();
  }
  Timed(const Timed&) = delete;
  Timed& operator=(const Timed&) = delete;

 private:
  using Clock = std::chrono::steady_clock;
  void stop();

  Profile* profile_;
  std::string_view name_;
  std::int64_t out_, in_, rows_;
  Clock::time_point start_;
};

}  // namespace chiasm

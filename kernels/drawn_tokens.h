#pragma once
/// Tokens in a device's memory: a step draws them there and the next one looks its words up there,
/// so that nothing waits for the host to have seen them.
#include <cstdint>
#include <span>
#include <vector>

#include "core/context.h"
#include "core/device.h"
#include "kernels/matrix.h"
#include "kernels/sample.h"

namespace chiasm::kernels {

/// Tokens on their way to the host.
class FetchedTokens {
 public:
  FetchedTokens(DeviceDownload bytes, std::int64_t count)
      : bytes_(std::move(bytes)), count_(count) {}
  std::int64_t count() const { return count_; }
  /// Waits for them, not for the steps that were asked for later. Once.
  std::vector<std::int32_t> take();

 private:
  DeviceDownload bytes_;
  std::int64_t count_;
};

/// The tokens of one batch, always in the same place: steps that follow one another ask a device
/// for equal calls, which it makes as one graph.
class DrawnTokens {
 public:
  explicit DrawnTokens(Device& device) : device_(device) {}
  ~DrawnTokens();
  DrawnTokens(const DrawnTokens&) = delete;
  DrawnTokens& operator=(const DrawnTokens&) = delete;

  /// From the host, outside of a pass. RequestError where the device's memory is full.
  void set(std::span<const std::int32_t> ids);
  /// Their copy, as the work that was asked for before leaves them.
  FetchedTokens fetch();

  std::int64_t count() const { return count_; }
  /// In the device's memory, [count]; -1 for a token that could not be drawn.
  std::int32_t* data() const { return reinterpret_cast<std::int32_t*>(memory_); }

 private:
  Device& device_;
  std::int64_t room_ = 0, count_ = 0;
  std::byte* memory_ = nullptr;
};

/// y[i, :] = table row ids[i], zeros for a token that could not be drawn. In a pass of a device
/// alone. y: [count, in].
void embed(const Context& ctx, const Matrix& table, const DrawnTokens& ids, TensorView<float> y);
/// tokens = one of each row of logits [count, vocab] by draws [count]; -1 where no logit is finite.
/// In a pass of a device alone.
void draw(const Context& ctx, TensorView<const float> logits, std::span<const Draw> draws,
          const DrawnTokens& tokens);

}  // namespace chiasm::kernels

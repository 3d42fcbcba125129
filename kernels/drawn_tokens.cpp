#include "kernels/drawn_tokens.h"

#include <algorithm>

#include "core/error.h"
#include "kernels/on_device.h"

namespace chiasm::kernels {

namespace {

constexpr std::int64_t kLeastRoom = 256;  // answers beside one another

std::size_t bytes_of(std::int64_t tokens) { return std::size_t(tokens) * sizeof(std::int32_t); }

Device& device_of(const Context& ctx) {
  if (ctx.device == nullptr) fail<ShapeError>("tokens of a device without one");
  return *ctx.device;
}

}  // namespace

std::vector<std::int32_t> FetchedTokens::take() {
  std::vector<std::int32_t> tokens(std::size_t(count_), 0);
  bytes_.take(std::as_writable_bytes(std::span(tokens)));
  return tokens;
}

DrawnTokens::~DrawnTokens() {
  if (memory_ != nullptr) device_.release(memory_);
}

void DrawnTokens::set(std::span<const std::int32_t> ids) {
  const auto count = std::int64_t(ids.size());
  if (count > room_) {
    const std::int64_t room = std::max(count, kLeastRoom);
    std::byte* const memory = device_.allocate(bytes_of(room));
    if (memory_ != nullptr) device_.release(memory_);
    memory_ = memory;
    room_ = room;
  }
  device_.upload(memory_, std::as_bytes(ids));
  count_ = count;
}

FetchedTokens DrawnTokens::fetch() {
  return {device_.begin_download(memory_, bytes_of(count_)), count_};
}

void embed(const Context& ctx, const Matrix& table, const DrawnTokens& ids, TensorView<float> y) {
  in_context("embed", [&] {
    y.expect({ids.count(), table.in()});
    on_device::embed(device_of(ctx), table, ids.data(), y);
  });
}

void draw(const Context& ctx, TensorView<const float> logits, std::span<const Draw> draws,
          const DrawnTokens& tokens) {
  if (logits.rows() != tokens.count() || std::int64_t(draws.size()) != tokens.count()) {
    fail<ShapeError>(logits.name(), ": ", draws.size(), " draws from logits ", logits.shape(),
                     " for ", tokens.count(), " tokens");
  }
  on_device::draw(device_of(ctx), logits, draws, tokens.data());
}

}  // namespace chiasm::kernels

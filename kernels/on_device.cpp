#include "kernels/on_device.h"

#include <bit>

#include "core/staged.h"
#include "kernels/pages.h"
#include "kernels/sequence_facts.h"

namespace chiasm::kernels::on_device {

namespace {

/// Rows that an operator reads or writes.
template <class T>
T* rows_of(const Device& device, TensorView<T> x) {
  if (x.shape().count() > 0 && !device.owns(x.data())) {
    fail<DeviceError>(x.name(), ": lies outside the device's memory");
  }
  return x.data();
}

/// Rows where the device can read them: themselves, or their copy in scratch memory, which lasts to
/// the end of the enclosing frame.
TensorView<const float> reachable(Device& device, TensorView<const float> x) {
  if (device.owns(x.data())) return x;
  const auto copy = device.arena().floats(x.shape(), x.name());
  upload(device, x, copy);
  return copy;
}

/// The device's copy of numbers of one kind (DeviceCommands::stage).
template <class T>
const T* resident(Device& device, std::span<const T> numbers, std::string_view kind) {
  return reinterpret_cast<const T*>(device.resident(std::as_bytes(numbers), kind));
}

/// A vector or table of weights.
const float* weights_of(Device& device, TensorView<const float> w) {
  if (w.data() == nullptr) return nullptr;
  const auto bytes = std::size_t(w.rows() * w.row_stride()) * sizeof(float);
  return reinterpret_cast<const float*>(device.constant(w.data(), bytes));
}

device::Function function_of(Activation act) { return device::Function(int(act)); }
static_assert(int(device::Function::tanh) == int(Activation::tanh));
static_assert(int(device::Function::quick_gelu) == int(Activation::quick_gelu));
static_assert(int(device::Function::silu) == int(Activation::silu));

device::PointwiseCall pointwise_call(const Device& device, device::PointwiseCall::Kind kind,
                                     TensorView<const float> x, TensorView<float> y) {
  device::PointwiseCall call{};
  call.kind = kind;
  if (x.data() != nullptr) call.x = rows_of(device, x);
  call.x_stride = x.row_stride();
  call.y = rows_of(device, y);
  call.y_stride = y.row_stride();
  call.rows = y.rows();
  call.cols = y.cols();
  return call;
}

}  // namespace

void norm(Device& device, TensorView<const float> x, std::int64_t heads,
          TensorView<const float> weight, TensorView<const float> bias, float eps,
          TensorView<float> y) {
  const device::NormCall call{rows_of(device, x),
                              x.row_stride(),
                              rows_of(device, y),
                              y.row_stride(),
                              weights_of(device, weight),
                              weights_of(device, bias),
                              x.rows(),
                              heads,
                              weight.cols(),
                              eps,
                              bias.data() != nullptr};
  device.run(call, "norm");
}

void rotate_half(Device& device, TensorView<float> x, std::int64_t heads, std::int64_t head_dim,
                 TensorView<const float> cosine, TensorView<const float> sine) {
  device::TurnCall call{};
  call.q = rows_of(device, x);
  call.q_stride = x.row_stride();
  call.rows = x.rows();
  call.heads = heads;
  call.head_dim = head_dim;
  call.half = cosine.cols();
  call.cosine = rows_of(device, cosine);
  call.sine = rows_of(device, sine);
  device.run(call, "rotate_half");
}

void write_pages(Device& device, TensorView<const float> x, std::int64_t kv_heads,
                 std::int64_t head_dim, std::span<const std::int64_t> slot, std::byte* pages,
                 DType page_dtype) {
  device::TurnCall call{};
  call.v = rows_of(device, x);
  call.v_stride = x.row_stride();
  call.rows = x.rows();
  call.kv_heads = kv_heads;
  call.head_dim = head_dim;
  call.slot = resident(device, slot, "slots");
  call.v_pages = pages;
  call.bf16_pages = page_dtype == DType::bf16;
  device.run(call, "write_pages");
}

void activate(Device& device, Activation act, TensorView<float> x) {
  auto call = pointwise_call(device, device::PointwiseCall::activate, {}, x);
  call.function = function_of(act);
  device.run(call, "activate");
}

void gated_activation(Device& device, Activation act, TensorView<const float> gate_up,
                      TensorView<float> y) {
  auto call = pointwise_call(device, device::PointwiseCall::gated, gate_up, y);
  call.function = function_of(act);
  device.run(call, "gated_activation");
}

void add(Device& device, TensorView<const float> x, TensorView<float> y) {
  const auto call = pointwise_call(device, device::PointwiseCall::add, x, y);
  device.run(call, "add");
}

void add_scaled(Device& device, TensorView<const float> x, TensorView<const float> scale,
                TensorView<float> y) {
  auto call = pointwise_call(device, device::PointwiseCall::add_scaled, x, y);
  call.scale = weights_of(device, scale);
  device.run(call, "add_scaled");
}

void scale(Device& device, float factor, TensorView<float> x) {
  auto call = pointwise_call(device, device::PointwiseCall::scale_by, {}, x);
  call.factor = factor;
  device.run(call, "scale");
}

void softcap(Device& device, float cap, TensorView<float> x) {
  auto call = pointwise_call(device, device::PointwiseCall::softcap, {}, x);
  call.factor = cap;
  device.run(call, "softcap");
}

void embed(Device& device, const Matrix& table, std::span<const std::int32_t> ids,
           TensorView<float> y) {
  embed(device, table, resident(device, ids, "ids"), y);
}

void embed(Device& device, const Matrix& table, const std::int32_t* ids, TensorView<float> y) {
  const device::EmbedCall call{matrix(device, table), ids, y.rows(), rows_of(device, y),
                               y.row_stride()};
  device.run(call, "embed");
}

void table_rows(Device& device, TensorView<const float> table, std::span<const std::int32_t> ids,
                bool add, TensorView<float> y) {
  const device::RowsCall call{weights_of(device, table),
                              table.row_stride(),
                              resident(device, ids, "ids"),
                              rows_of(device, y),
                              y.row_stride(),
                              nullptr,
                              y.rows(),
                              y.cols(),
                              add};
  device.run(call, "table_rows");
}

void move_rows(Device& device, TensorView<const float> x, std::span<const std::int32_t> from,
               TensorView<float> y) {
  const device::RowsCall call{rows_of(device, x),
                              x.row_stride(),
                              from.empty() ? nullptr : resident(device, from, "sources"),
                              rows_of(device, y),
                              y.row_stride(),
                              nullptr,
                              y.rows(),
                              y.cols(),
                              false};
  device.run(call, "move_rows");
}

void extract_stretches(Device& device, TensorView<const float> x, std::int64_t kernel,
                       std::int64_t stride, std::int64_t padding, TensorView<float> y) {
  const Arena::Frame frame(device.arena());
  const auto source = reachable(device, x);
  const device::StretchesCall call{
      source.data(), source.row_stride(), x.rows(),       x.cols(), kernel, stride,
      padding,       rows_of(device, y),  y.row_stride(), y.rows()};
  device.run(call, "extract_stretches");
}

void mean_rows(Device& device, TensorView<const float> x, std::span<const std::int32_t> from,
               TensorView<float> y) {
  const std::int64_t joined = y.rows() > 0 ? std::int64_t(from.size()) / y.rows() : 0;
  const device::MeanCall call{rows_of(device, x),
                              x.row_stride(),
                              resident(device, from, "means"),
                              joined,
                              rows_of(device, y),
                              y.row_stride(),
                              y.rows(),
                              y.cols()};
  device.run(call, "mean_rows");
}

void extract_patches(Device& device, TensorView<const float> pixels, std::int64_t patch,
                     TensorView<float> y) {
  const Shape& s = pixels.shape();
  const Arena::Frame frame(device.arena());
  const device::PatchesCall call{reachable(device, pixels).data(),
                                 s[0],
                                 s[1],
                                 s[2],
                                 patch,
                                 rows_of(device, y),
                                 y.row_stride()};
  device.run(call, "extract_patches");
}

void pixel_shuffle(Device& device, TensorView<const float> x, std::int64_t height,
                   std::int64_t width, std::int64_t factor, bool interleaved, TensorView<float> y) {
  const device::ShuffleCall call{
      rows_of(device, x), x.row_stride(),     height,         width,      factor,
      x.cols(),           rows_of(device, y), y.row_stride(), interleaved};
  device.run(call, "pixel_shuffle");
}

void linear(Device& device, TensorView<const float> x, const Matrix& w, const Epilogue& epilogue,
            TensorView<float> y) {
  const device::LinearCall call{matrix(device, w),
                                rows_of(device, x),
                                x.row_stride(),
                                rows_of(device, y),
                                y.row_stride(),
                                x.rows(),
                                weights_of(device, {epilogue.bias, Shape{w.out()}, "bias"}),
                                function_of(epilogue.activation),
                                epilogue.accumulate,
                                epilogue.gated,
                                {}};
  device.run(call, "linear");
}

void attention(Device& device, const AttentionShape& shape, TensorView<const float> q,
               const KeyValues& kv, std::span<const AttentionSequence> sequences,
               std::span<const std::int32_t> first_key, std::span<const std::int32_t> last_key,
               TensorView<float> out) {
  std::vector<device::Sequence> packed;
  std::vector<std::int32_t> pages, tiles, row_sequence(first_key.size(), 0);
  device::AttentionCall call{};
  for (const AttentionSequence& s : sequences) {
    const auto index = std::int32_t(packed.size());
    packed.push_back({std::int32_t(s.q_begin), std::int32_t(s.q_count), std::int32_t(s.key_count),
                      std::int32_t(s.k_begin), std::int32_t(pages.size())});
    if (kv.paged()) {
      pages.insert(pages.end(), s.pages, s.pages + pages_for(s.key_count));
    }
    std::fill_n(row_sequence.begin() + s.q_begin, s.q_count, index);
    for (std::int32_t row = 0; row < s.q_count; row += device::kTileRows) {
      tiles.insert(tiles.end(), {index, row});
    }
    call.most_keys = std::max(call.most_keys, s.key_count);
  }
  call.facts = sequence_facts(sequences, first_key, last_key, pages);
  // The same for a while as sequences grow; keys are bounded by each row's last.
  call.most_keys = std::int64_t(std::bit_ceil(std::uint64_t(call.most_keys)));
  call.q = rows_of(device, q);
  call.q_stride = q.row_stride();
  call.out = rows_of(device, out);
  call.out_stride = out.row_stride();
  call.rows = q.rows();
  call.heads = shape.heads;
  call.kv_heads = shape.kv_heads;
  call.head_dim = shape.head_dim;
  call.scale = shape.scale;
  call.softcap = shape.softcap;
  call.paged = kv.paged();
  call.k = kv.paged() ? static_cast<const void*>(kv.k_pages) : rows_of(device, kv.k);
  call.v = kv.paged() ? static_cast<const void*>(kv.v_pages) : rows_of(device, kv.v);
  call.k_stride = kv.k.row_stride();
  call.v_stride = kv.v.row_stride();
  call.key_rows = kv.k.rows();
  call.bf16_pages = kv.page_dtype == DType::bf16;
  call.bf16_products = shape.bf16_products;
  call.sequences = resident(device, std::span<const device::Sequence>(packed), "sequences");
  call.pages = resident(device, std::span<const std::int32_t>(pages), "pages");
  call.first_key = resident(device, first_key, "first keys");
  call.last_key = resident(device, last_key, "last keys");
  call.row_sequence =
      resident(device, std::span<const std::int32_t>(row_sequence), "row sequences");
  call.tiles = resident(device, std::span<const std::int32_t>(tiles), "tiles");
  call.tile_count = std::int64_t(tiles.size()) / 2;
  device.run(call, "attention");
}

void draw(Device& device, TensorView<const float> logits, std::span<const Draw> draws,
          std::int32_t* tokens) {
  std::vector<float> temperatures, uniforms;
  for (const Draw& draw : draws) {
    temperatures.push_back(draw.temperature);
    uniforms.push_back(draw.uniform);
  }
  const device::SampleCall call{
      rows_of(device, logits),
      logits.row_stride(),
      logits.rows(),
      logits.cols(),
      resident(device, std::span<const float>(temperatures), "temperatures"),
      resident(device, std::span<const float>(uniforms), "uniforms"),
      tokens};
  device.run(call, "sample");
}

}  // namespace chiasm::kernels::on_device

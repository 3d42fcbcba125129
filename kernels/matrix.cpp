#include "kernels/matrix.h"

#include <sys/mman.h>

#include <algorithm>
#include <cstdlib>
#include <cstring>

#include "core/dtype.h"
#include "core/error.h"
#include "core/isa.h"
#include "core/shape.h"
#include "kernels/cpu/gemm_driver.h"
#include "kernels/cpu/pack_quant.h"
#include "kernels/cpu/packed.h"
#include "kernels/grouped.h"
#include "kernels/on_device.h"
#include "kernels/reference/linear.h"

namespace chiasm::kernels {

namespace {

constexpr std::size_t kAlignment = 64;
constexpr std::size_t kHugePage = std::size_t(2) << 20;
constexpr std::int64_t kPackBlock = 64;           // inputs transposed at a time
constexpr std::int64_t kOrderedPerPiece = 16384;  // numbers a thread brings into another order

template <class To, class From>
To convert(From v) {
  if constexpr (std::is_same_v<To, From>) {
    return v;  // bits and all, NaN payloads included
  } else if constexpr (std::is_same_v<To, float>) {
    return to_float(v);
  } else if constexpr (std::is_same_v<To, bf16>) {
    return to_bf16(to_float(v));
  } else {
    return to_f16(to_float(v));
  }
}

template <class To, class From>
void convert_from(const std::byte* data, std::int64_t begin, std::int64_t count, To* out) {
  for (std::int64_t i = 0; i < count; i++) {
    From v;  // a file's tensors need not be aligned
    std::memcpy(&v, data + std::size_t(begin + i) * sizeof(From), sizeof v);
    out[i] = convert<To>(v);
  }
}

template <class To>
void convert_row(const WeightRows& part, std::int64_t begin, std::int64_t count, To* out) {
  switch (part.dtype) {
    case DType::f32:
      return convert_from<To, float>(part.data, begin, count, out);
    case DType::bf16:
      return convert_from<To, bf16>(part.data, begin, count, out);
    case DType::f16:
      return convert_from<To, f16>(part.data, begin, count, out);
    default:
      fail<ShapeError>("weights of dtype ", name(part.dtype),
                       "; expected float32, bfloat16 or float16");
  }
}

// Fills one panel: rows of the parts become columns. The panel's memory is written once, in order.
template <class To>
void pack_panel(const Matrix::Packed& packed, std::span<const WeightRows> parts,
                std::int64_t panel) {
  To block[cpu::kPanel][kPackBlock] = {};
  const std::int64_t width = packed.width(panel), first = panel * cpu::kPanel;
  To* const out = reinterpret_cast<To*>(const_cast<std::byte*>(packed.panel(panel)));
  for (std::int64_t k = 0; k < packed.in; k += kPackBlock) {
    const std::int64_t count = std::min(kPackBlock, packed.in - k);
    std::int64_t row = first;  // counted from the first row of `part`
    const WeightRows* part = parts.data();
    for (std::int64_t j = 0; j < std::min(width, packed.out - first); j++, row++) {
      while (row >= part->rows) row -= (part++)->rows;
      convert_row(*part, interleaved_row(row, part->interleaved) * packed.in + k, count, block[j]);
    }
    const std::int64_t padded = packed.format == WeightFormat::bf16 ? (count + 1) / 2 * 2 : count;
    for (std::int64_t i = 0; i < padded; i++) {
      To* const at = out + packed.offset(width, 0, k + i);
      const std::int64_t step = packed.offset(width, 1, 0);
      for (std::int64_t j = 0; j < width; j++) at[j * step] = i < count ? block[j][i] : To{};
    }
  }
}

// Memory for packed weights: large ones ask for huge pages, which saves the processor most of its
// address look-ups while weights stream.
std::byte* allocate(std::size_t bytes) {
  const std::size_t alignment = bytes >= kHugePage ? kHugePage : kAlignment;
  void* memory = nullptr;
  if (posix_memalign(&memory, alignment, std::max(bytes, kAlignment)) != 0) {
    fail<RequestError>("out of memory: ", bytes, " bytes for packed weights");
  }
  if (bytes >= kHugePage) madvise(memory, bytes, MADV_HUGEPAGE);  // a wish: refusal is no error
  return static_cast<std::byte*>(memory);
}

// Sets the sizes of a matrix of these parts and takes its memory.
template <class Rows>
void allocate_for(Matrix::Packed& packed, std::span<const Rows> parts, std::int64_t in,
                  WeightFormat format) {
  std::int64_t out = 0;
  for (const Rows& part : parts) {
    if (part.rows < 0) fail<ShapeError>("Matrix::pack: a part of ", part.rows, " rows");
    if (part.interleaved < 0 || part.interleaved % 2 != 0 ||
        (part.interleaved > 0 && part.rows % part.interleaved != 0)) {
      fail<ShapeError>("Matrix::pack: ", part.rows, " rows interleaved by ", part.interleaved);
    }
    out += part.rows;
  }
  packed.set_sizes(out, in, format);
  if (packed.bytes > 0) packed.data.reset(allocate(packed.bytes));
}

template <class From>
void widen_row(const Matrix::Packed& packed, std::int64_t output, float* y) {
  const std::int64_t panel = output / cpu::kPanel, width = packed.width(panel);
  const From* const in = reinterpret_cast<const From*>(packed.panel(panel));
  for (std::int64_t k = 0; k < packed.in; k++) {
    y[k] = to_float(in[packed.offset(width, output % cpu::kPanel, k)]);
  }
}

const cpu::GemmKernel& quant_kernel(Isa isa, WeightFormat format) {
  const int index = format == WeightFormat::q8 ? 0 : 1;
  const bool rows = format == WeightFormat::q8_rows;
#if defined(__x86_64__)
  if (isa == Isa::avx512 && rows && use_amx()) return cpu::kGemmAmxQ8Rows;
  if (isa == Isa::avx512) return rows ? cpu::kGemmQ8RowsAvx512 : cpu::kGemmQuantAvx512[index];
  if (isa == Isa::avx2) return rows ? cpu::kGemmQ8RowsAvx2 : cpu::kGemmQuantAvx2[index];
#elif defined(__aarch64__)
  if (isa == Isa::neon) {
    if (has_neon_dot()) return rows ? cpu::kGemmQ8RowsNeonDot : cpu::kGemmQuantNeonDot[index];
    return rows ? cpu::kGemmQ8RowsNeon : cpu::kGemmQuantNeon[index];
  }
#endif
  if (isa == Isa::portable) {
    return rows ? cpu::kGemmQ8RowsPortable : cpu::kGemmQuantPortable[index];
  }
  fail<DeviceError>("linear: this build has no path for ", name(isa));
}

// The only place that chooses; null for the reference.
const cpu::GemmKernel* kernel_for(Isa isa, const Matrix::Packed& w) {
  // Weights of a block form are float32 when they meet their kernel.
  const WeightFormat format = w.form() ? WeightFormat::f32 : w.format;
  const bool quantized =
      format == WeightFormat::q8 || format == WeightFormat::q8_rows || format == WeightFormat::q4;
  if (quantized && isa != Isa::reference) return &quant_kernel(isa, format);
  switch (isa) {
    case Isa::reference:
      return nullptr;
    case Isa::portable:
      return &cpu::kGemmPortable[int(format)];
#if defined(__x86_64__)
    case Isa::avx2:
      return &cpu::kGemmAvx2[int(format)];
    case Isa::avx512:
      if (format == WeightFormat::bf16 && use_amx()) return &cpu::kGemmAmxBf16;
      if (format == WeightFormat::bf16 && has_avx512_bf16()) return &cpu::kGemmAvx512Bf16;
      return &cpu::kGemmAvx512[int(format)];
#elif defined(__aarch64__)
    case Isa::neon:
      return &cpu::kGemmNeon[int(format)];
#endif
    default:
      break;
  }
  fail<DeviceError>("linear: this build has no path for ", name(isa));
}

// Outputs that are stored.
std::int64_t outputs_of(const Matrix& w, const Epilogue& epilogue) {
  if (!epilogue.gated) return w.out();
  if (epilogue.accumulate) fail<ShapeError>("a gated product does not add to y");
  if (w.out() % (2 * kGateUnit) != 0) {
    fail<ShapeError>("a gated product of ", w.out(), " outputs, expected a multiple of ",
                     2 * kGateUnit);
  }
  return w.out() / 2;
}
static_assert(kGateUnit == cpu::kPanel, "gate and partner lie in panels of their own");

}  // namespace

void Matrix::Packed::Free::operator()(std::byte* p) const {
  if (owned) std::free(p);
}

void Matrix::Packed::set_sizes(std::int64_t outputs, std::int64_t inputs,
                               WeightFormat weight_format) {
  if (inputs <= 0) fail<ShapeError>("Matrix::pack: ", inputs, " inputs; at least 1 is needed");
  out = outputs;
  in = inputs;
  format = weight_format;
  bytes = 0;
  if (panels() == 0) return;
  // The last panel may be narrow; Shape::count refuses what overflows.
  const std::int64_t columns = (panels() - 1) * cpu::kPanel + width(panels() - 1);
  bytes =
      std::size_t(Shape{columns / cpu::kLanes, padded_in() / unit_inputs(), unit_bytes()}.count());
  bytes += std::size_t(scale_bytes(columns));
}

Matrix::Matrix() : packed_(std::make_unique<Packed>()) {}
Matrix::~Matrix() = default;
Matrix::Matrix(Matrix&&) noexcept = default;
Matrix& Matrix::operator=(Matrix&&) noexcept = default;

std::int64_t Matrix::out() const { return packed_->out; }
std::int64_t Matrix::in() const { return packed_->in; }
WeightFormat Matrix::format() const { return packed_->format; }
std::size_t Matrix::bytes() const { return packed_->bytes; }

Matrix Matrix::pack(const Context& ctx, std::span<const WeightRows> parts, std::int64_t in,
                    WeightFormat format, std::span<const float> importance) {
  Matrix matrix;
  Packed& packed = *matrix.packed_;
  if (!importance.empty() && std::int64_t(importance.size()) != in) {
    fail<ShapeError>("Matrix::pack: ", importance.size(), " importances for ", in, " inputs");
  }
  allocate_for(packed, parts, in, format);
  ctx.pool->parallel_for(packed.panels(), 1, [&](std::int64_t begin, std::int64_t end) {
    for (std::int64_t p = begin; p < end; p++) {
      switch (format) {
        case WeightFormat::f32:
          pack_panel<float>(packed, parts, p);
          break;
        case WeightFormat::bf16:
          pack_panel<bf16>(packed, parts, p);
          break;
        case WeightFormat::f16:
          pack_panel<f16>(packed, parts, p);
          break;
        case WeightFormat::q8:
        case WeightFormat::q8_rows:
        case WeightFormat::q4:
          cpu::quantize_panel(packed, parts, p, importance);
          break;
        case WeightFormat::q5_1:
        case WeightFormat::q2_k:
        case WeightFormat::q3_k:
        case WeightFormat::q4_k:
        case WeightFormat::q5_k:
        case WeightFormat::q6_k:
        case WeightFormat::q4_32:
        case WeightFormat::q4_128:
          fail<ShapeError>("Matrix::pack: numbers are not quantized to ", format_name(format));
      }
    }
  });
  return matrix;
}

Matrix Matrix::pack_blocks(const Context& ctx, std::span<const BlockRows> parts, std::int64_t in) {
  Matrix matrix;
  Packed& packed = *matrix.packed_;
  if (parts.empty()) fail<ShapeError>("Matrix::pack_blocks: no parts");
  if (in % block_values(parts[0].type) != 0) {
    fail<ShapeError>("Matrix::pack_blocks: ", in, " inputs, expected a multiple of ",
                     block_values(parts[0].type));
  }
  const WeightFormat format = format_of(parts[0].type);
  for (const BlockRows& part : parts) {
    if (format_of(part.type) != format) {
      fail<ShapeError>("Matrix::pack_blocks: parts of ", name(parts[0].type), " and of ",
                       name(part.type), " do not make one matrix");
    }
  }
  allocate_for(packed, parts, in, format);
  ctx.pool->parallel_for(packed.panels(), 1, [&](std::int64_t begin, std::int64_t end) {
    for (std::int64_t p = begin; p < end; p++) {
      if (packed.form()) {
        cpu::pack_form_panel(packed, parts, p);
      } else {
        cpu::pack_block_panel(packed, parts, p);
      }
    }
  });
  return matrix;
}

Matrix Matrix::pack_grouped(const Context& ctx, std::span<const GroupedWeight> parts) {
  constexpr std::int64_t kWide = 128;
  Matrix matrix;
  Packed& packed = *matrix.packed_;
  if (parts.empty()) fail<ShapeError>("Matrix::pack_grouped: no parts");
  std::int64_t out = 0;
  for (const GroupedWeight& part : parts) {
    if (part.in != parts[0].in || part.group != parts[0].group || part.order != parts[0].order) {
      fail<ShapeError>("Matrix::pack_grouped: parts of other groups do not make one matrix");
    }
    out += part.out;
  }
  packed.set_sizes(out, parts[0].in,
                   parts[0].group % kWide == 0 ? WeightFormat::q4_128 : WeightFormat::q4_32);
  packed.order = parts[0].order;
  if (packed.bytes > 0) packed.data.reset(allocate(packed.bytes));
  ctx.pool->parallel_for(packed.panels(), 1, [&](std::int64_t begin, std::int64_t end) {
    for (std::int64_t p = begin; p < end; p++) cpu::pack_grouped_panel(packed, parts, p);
  });
  return matrix;
}

namespace {

/// A row whose inputs stand in `order`, put back.
void put_back(const std::vector<std::int32_t>& order, float* y) {
  if (order.empty()) return;
  const std::vector<float> packed(y, y + order.size());
  for (std::size_t i = 0; i < order.size(); i++) y[order[i]] = packed[i];
}

/// x with its columns in `order`, in memory of the calling thread.
TensorView<const float> in_order(const Context& ctx, const std::vector<std::int32_t>& order,
                                 TensorView<const float> x) {
  if (order.empty()) return x;
  static thread_local std::vector<float> memory;  // grow-only
  const std::int64_t rows = x.rows(), in = x.cols();
  if (std::int64_t(memory.size()) < rows * in) memory.resize(std::size_t(rows * in));
  float* const to = memory.data();
  ctx.pool->parallel_for(rows, std::max<std::int64_t>(1, kOrderedPerPiece / in),
                         [&](std::int64_t begin, std::int64_t end) {
                           for (std::int64_t r = begin; r < end; r++) {
                             for (std::int64_t k = 0; k < in; k++) {
                               to[r * in + k] = x.row(r)[order[std::size_t(k)]];
                             }
                           }
                         });
  return TensorView<const float>(to, x.shape(), x.name());
}

}  // namespace

void Matrix::row(std::int64_t i, float* y) const {
  if (i < 0 || i >= out()) fail<ShapeError>("matrix row ", i, " of ", out());
  switch (format()) {
    case WeightFormat::f32:
      return widen_row<float>(*packed_, i, y);
    case WeightFormat::bf16:
      return widen_row<bf16>(*packed_, i, y);
    case WeightFormat::f16:
      return widen_row<f16>(*packed_, i, y);
    case WeightFormat::q8:
    case WeightFormat::q8_rows:
    case WeightFormat::q4:
      return cpu::widen_quant_row(*packed_, i, y);
    case WeightFormat::q5_1:
    case WeightFormat::q2_k:
    case WeightFormat::q3_k:
    case WeightFormat::q4_k:
    case WeightFormat::q5_k:
    case WeightFormat::q6_k:
    case WeightFormat::q4_32:
    case WeightFormat::q4_128:
      cpu::widen_form_row(*packed_, i, y);
      return put_back(packed_->order, y);
  }
}

void linear(const Context& ctx, TensorView<const float> x, const Matrix& w,
            const Epilogue& epilogue, TensorView<float> y) {
  const Timed timed(ctx.profile, "linear", w.out(), w.in(), x.rows());
  in_context("linear", [&] {
    const std::int64_t rows = x.rows();
    if (x.shape().rank() != 2) {
      fail<ShapeError>(x.name(), ": shape ", x.shape(), ", expected [rows, ", w.in(), "]");
    }
    x.expect({rows, w.in()});
    y.expect({rows, outputs_of(w, epilogue)});
    if (rows == 0 || w.out() == 0) return;
    if (ctx.device != nullptr) return on_device::linear(*ctx.device, x, w, epilogue, y);
    const cpu::GemmKernel* const kernel = kernel_for(ctx.isa, w.packed());
    if (kernel == nullptr) return reference::linear(x, w, epilogue, y);
    cpu::gemm(ctx, *kernel, w.packed(), in_order(ctx, w.packed().order, x), epilogue, y);
  });
}

}  // namespace chiasm::kernels

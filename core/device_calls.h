#pragma once
/// Arguments of the table's operators: plain data, pointers into the device's memory unless said
/// otherwise. Rows are float32 and `stride` floats apart. The formulas are those of the headers in
/// kernels/ that are named.
#include <cstdint>

namespace chiasm::device {

/// How a weight lies on the device, row by row [out][padded], rows padded with zeros to a multiple
/// of 8 inputs (32 for the quantized formats).
///   f32, bf16, f16: plain numbers
///   q8: int8, w = scale * q; one float16 scale for each 32 inputs, [out][padded / 32]
///   q4: two numbers a byte, the lower nibble first, w = scale * q + min; scales and minima
///   likewise
///   q8_rows: int8, w = scale * q; one float32 scale for each output
///   blocks8, blocks4: numbers as of q8 and q4, w = scale * s * (q - offset) - min * n; float32
///   scales and minima for each 2^block_shift inputs, s and n for each 2^group_shift, which divides
///   them
enum class Format : std::int32_t { f32, bf16, f16, q8, q4, q8_rows, blocks8, blocks4 };

/// A matrix [out, in]. What its format does not have is null: minima are then 0, s and n 1.
struct MatrixRef {
  const void* data = nullptr;
  const std::uint16_t* scales = nullptr;
  const std::uint16_t* minima = nullptr;
  const float* wide_scales = nullptr;  // of q8_rows and blocks
  const float* wide_minima = nullptr;
  const std::int8_t* group_scales = nullptr;   // s
  const std::uint8_t* group_minima = nullptr;  // n
  const std::int32_t* order = nullptr;         // [in]: the input that stands at each place
  std::int64_t out = 0, in = 0, padded = 0;
  std::int32_t block_shift = 0, group_shift = 0, offset = 0;
  Format format = Format::f32;
  bool operator==(const MatrixRef&) const = default;
};

/// As kernels::Activation, in its order.
enum class Function : std::int32_t { none, relu, silu, gelu, gelu_tanh, quick_gelu, tanh };

/// A norm (kernels/norm.h) of whole rows, as part of what reads them; none where `weight` is null.
struct NormRef {
  const float* weight = nullptr;
  const float* bias = nullptr;
  float eps = 0;
  bool centred = false;
  bool operator==(const NormRef&) const = default;
};

/// kernels/norm.h: `heads` vectors of `dim` in each row, each normed on its own. Without `centred`
/// an RMS norm, and `bias` is null. y may be x.
struct NormCall {
  const float* x;
  std::int64_t x_stride;
  float* y;
  std::int64_t y_stride;
  const float* weight;
  const float* bias;
  std::int64_t rows, heads, dim;
  float eps;
  bool centred;
  bool operator==(const NormCall&) const = default;
};

/// What happens to rows between the product that makes q, k and v and attention, in one pass: q and
/// k are turned in place (kernels/rope.h; not where `cosine` is null), and k and v are written to
/// `slot` of their pages (kernels/attention.h; not where `slot` is null). Each of q, k and the two
/// pages may be null: it is left out.
struct TurnCall {
  float* q;
  float* k;
  const float* v;
  std::int64_t q_stride, k_stride, v_stride;
  std::int64_t rows, heads, kv_heads, head_dim, half;
  const float* cosine;  // [rows, half]
  const float* sine;
  const std::int64_t* slot;  // [rows]
  void* k_pages;
  void* v_pages;
  bool bf16_pages;
  bool operator==(const TurnCall&) const = default;
};

/// kernels/activation.h.
struct PointwiseCall {
  enum Kind : std::int32_t {
    activate,    // y = f(y)
    gated,       // y = f(x[:, :cols]) * x[:, cols:2 cols]
    add,         // y += x
    add_scaled,  // y += scale * x
    scale_by,    // y *= factor
    softcap,     // y = factor * tanh(y / factor)
  } kind;
  Function function;
  const float* x;
  std::int64_t x_stride;
  float* y;
  std::int64_t y_stride;
  const float* scale;  // [cols]
  float factor;
  std::int64_t rows, cols;
  bool operator==(const PointwiseCall&) const = default;
};

/// y[to[i], :] = x[from[i], :], or += with `add`. Null indices: i itself.
struct RowsCall {
  const float* x;
  std::int64_t x_stride;
  const std::int32_t* from;
  float* y;
  std::int64_t y_stride;
  const std::int32_t* to;
  std::int64_t rows, cols;
  bool add;
  bool operator==(const RowsCall&) const = default;
};

/// y[i, :] = row ids[i] of a matrix (kernels/embed.h).
struct EmbedCall {
  MatrixRef table;
  const std::int32_t* ids;  // below zero: a row of zeros
  std::int64_t rows;
  float* y;
  std::int64_t y_stride;
  bool operator==(const EmbedCall&) const = default;
};

/// kernels/embed.h: pixels [channels, height, width].
struct PatchesCall {
  const float* pixels;
  std::int64_t channels, height, width, patch;
  float* y;
  std::int64_t y_stride;
  bool operator==(const PatchesCall&) const = default;
};

/// kernels/embed.h: overlapping stretches of rows; zeros where they reach outside.
struct StretchesCall {
  const float* x;
  std::int64_t x_stride, frames, channels, kernel, stride, padding;
  float* y;
  std::int64_t y_stride, rows;
  bool operator==(const StretchesCall&) const = default;
};

/// kernels/embed.h: y[i, :] = the mean of rows from[i * joined + j] of x, j < joined.
struct MeanCall {
  const float* x;
  std::int64_t x_stride;
  const std::int32_t* from;
  std::int64_t joined;
  float* y;
  std::int64_t y_stride, rows, cols;
  bool operator==(const MeanCall&) const = default;
};

/// kernels/embed.h. `interleaved`: number d of row (u, v) stands at d * factor^2 + u * factor + v.
struct ShuffleCall {
  const float* x;
  std::int64_t x_stride, height, width, factor, dim;
  float* y;
  std::int64_t y_stride;
  bool interleaved;
  bool operator==(const ShuffleCall&) const = default;
};

/// A picture's bytes to normalised patches, as vision::PreparedPicture::pixel_values and then
/// PatchesCall: rgb [height, width, 3]; y = levels[channel][byte], 0 outside the valid part.
struct PictureCall {
  const std::uint8_t* rgb;
  const float* levels;  // [3, 256]
  std::int64_t height, width, valid_height, valid_width, patch;
  float* y;
  std::int64_t y_stride;
  bool operator==(const PictureCall&) const = default;
};

/// Weights of one axis of a resize (vision/resize_axis.h), whatever their precision; `first` is
/// null for an axis that keeps its size, `weights` where each number is that of one pixel
/// (nearest).
struct ResizeAxis {
  const std::int32_t* first;
  const std::int32_t* count;
  const std::int32_t* weights;
  std::int64_t stride, count_out;  // count_out: pixels of the result along this axis
  std::int32_t bits;
  bool operator==(const ResizeAxis&) const = default;
};

/// vision/resize.h, and on to patches as PictureCall makes them: rgb [height, width, 3]. `bytes`
/// [y.count_out, x.count_out, 3], `patches` of a tile of tile_height x tile_width with the picture
/// in its top left corner, or both; the other is null.
struct ResizeCall {
  const std::uint8_t* rgb;
  std::int64_t height, width;
  ResizeAxis x, y;
  bool vertical_first;
  std::uint8_t* bytes;
  const float* levels;  // [3, 256]
  std::int64_t tile_height, tile_width, patch;
  float* patches;
  std::int64_t patches_stride;
  bool operator==(const ResizeCall&) const = default;
};

/// audio/log_mel.h: log10 of the mel powers of a sound cut or padded to `length` samples, before
/// they are clamped by the loudest: out [frames, bins].
struct LogMelCall {
  const float* sound;
  std::int64_t samples, length, hop, window;
  const double* hann;    // [window]
  const double* cosine;  // of 2 pi i / window, [window]
  const double* sine;
  const std::int32_t* filters;  // [bins, 3]: first frequency, their number, where weights begin
  const float* weights;
  float* out;
  std::int64_t frames, bins;
  bool operator==(const LogMelCall&) const = default;
};
/// The longest window that a block's memory holds.
inline constexpr std::int64_t kMostWindow = 4000;

/// kernels/matrix.h: y = f(x w^T + bias), or y += that; gated, y [rows, out / 2] = f(p[:, :out /
/// 2]) * p[:, out / 2:] with p = x w^T + bias.
struct LinearCall {
  MatrixRef w;
  const float* x;
  std::int64_t x_stride;
  float* y;
  std::int64_t y_stride;
  std::int64_t rows;
  const float* bias;
  Function function;
  bool accumulate;
  bool gated;
  NormRef norm;  // of x, before it is multiplied
  bool operator==(const LinearCall&) const = default;
};

/// The product that makes q, k and v side by side, and what then happens to them: turn's q, k and v
/// are the columns of product's y. head_dim is even.
struct QkvCall {
  LinearCall product;
  TurnCall turn;
  bool operator==(const QkvCall&) const = default;
};

/// One sequence of a packed batch, as kernels::AttentionSequence; `pages` counts from the table's
/// first page number.
struct Sequence {
  std::int32_t q_begin, q_count, key_count, k_begin, pages;
};

/// Which keys all rows of a call see, where it is one of these: all of their sequence, or those up
/// to their own place, where a sequence's rows are its last ones. `by_row`: another choice.
enum class Mask : std::int32_t { by_row, full, causal };

/// What a library's attention has to know beforehand of a call's sequences; zeros for steps of
/// decoding, so that these ask for equal calls.
struct SequenceFacts {
  Mask mask = Mask::by_row;
  std::int64_t window = 0;     // keys that a causal row sees at most; 0: all up to its place
  std::int64_t count = 0;      // sequences
  std::int64_t most_rows = 0;  // of any of them
  /// Keys of each, where all have most_rows rows and equally many keys and lie one behind the
  /// other; else 0.
  std::int64_t even_keys = 0;
  std::int64_t page_count = 0;  // all numbers of pages lie below it
  bool operator==(const SequenceFacts&) const = default;
};

/// kernels/attention.h. Keys and values are contiguous float32 rows, or pages.
struct AttentionCall {
  const float* q;
  std::int64_t q_stride;
  float* out;
  std::int64_t out_stride;
  std::int64_t rows, heads, kv_heads, head_dim;
  float scale, softcap;
  const void* k;
  const void* v;
  std::int64_t k_stride, v_stride;  // of contiguous keys
  std::int64_t key_rows;            // of contiguous keys, of all sequences
  bool paged, bf16_pages;
  /// Whether q, k, v and the weights may be narrowed to bfloat16 before they are multiplied.
  bool bf16_products;
  const Sequence* sequences;
  const std::int32_t* pages;
  const std::int32_t* first_key;     // [rows]
  const std::int32_t* last_key;      // [rows]
  const std::int32_t* row_sequence;  // [rows], the sequence of each row
  /// Tiles of kTileRows rows, none across sequences: (sequence, its first row there), [tiles, 2].
  const std::int32_t* tiles;
  std::int64_t tile_count;
  std::int64_t most_keys;  // of any sequence
  SequenceFacts facts;
  bool operator==(const AttentionCall&) const = default;
};
inline constexpr std::int32_t kTileRows = 64;

/// kernels/sample.h for rows of logits: temperature 0 takes the largest value, the lowest index
/// among equals; else the first token whose cumulative probability exceeds `uniform`.
struct SampleCall {
  const float* logits;
  std::int64_t stride, rows, vocab;
  const float* temperature;  // [rows]
  const float* uniform;      // [rows], in [0, 1)
  std::int32_t* token;       // [rows]; -1 where no logit is finite
  bool operator==(const SampleCall&) const = default;
};

}  // namespace chiasm::device

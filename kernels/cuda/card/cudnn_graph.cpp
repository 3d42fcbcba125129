// The operations are those of NVIDIA's manual (cuDNN's graph API, "Fused attention fprop"), in the
// terms of cuDNN before 9.21, which had no operations of its own for masks and softmax; later
// versions take them too.
#include "kernels/cuda/card/cudnn_graph.h"

#include <bit>
#include <limits>
#include <type_traits>

#include "kernels/cuda/page_size.h"

namespace chiasm::device {

namespace {

using Tensor = cudnnBackendDescriptor_t;
using Four = std::array<std::int64_t, 4>;

constexpr std::int64_t kAlignment = 16, kRowAxis = 2, kKeyAxis = 3, kNoAxis = -1;

struct Description {
  std::int64_t number;
  cudnnDataType_t type;
  Four dims, strides;
  Tensor offsets = nullptr;  // of sequences that lie one behind the other
  bool between = false;      // never in memory
  bool by_value = false;
};

Four row_major(const Four& dims) {
  return {dims[1] * dims[2] * dims[3], dims[2] * dims[3], dims[3], 1};
}

Four transposed(const Four& of) { return {of[0], of[1], of[3], of[2]}; }

void link(CudnnDescriptor& to, cudnnBackendAttributeName_t name, Tensor what) {
  to.set(name, CUDNN_TYPE_BACKEND_DESCRIPTOR, what);
}

/// Makes parts and operations of a graph.
class Operations {
 public:
  explicit Operations(CudnnGraph& out) : out_(out) {}

  CudnnDescriptor& part(cudnnBackendDescriptorType_t type) { return out_.parts.emplace_back(type); }
  void add(CudnnDescriptor& operation, const char* what) {
    operation.finalize(what);
    operations_.push_back(operation.get());
  }

  Tensor tensor(const Description& d) {
    CudnnDescriptor& t = part(CUDNN_BACKEND_TENSOR_DESCRIPTOR);
    t.set(CUDNN_ATTR_TENSOR_UNIQUE_ID, CUDNN_TYPE_INT64, d.number);
    t.set(CUDNN_ATTR_TENSOR_DATA_TYPE, CUDNN_TYPE_DATA_TYPE, d.type);
    t.set_all(CUDNN_ATTR_TENSOR_DIMENSIONS, CUDNN_TYPE_INT64, d.dims);
    t.set_all(CUDNN_ATTR_TENSOR_STRIDES, CUDNN_TYPE_INT64, d.strides);
    t.set(CUDNN_ATTR_TENSOR_BYTE_ALIGNMENT, CUDNN_TYPE_INT64, kAlignment);
    if (d.between) t.set(CUDNN_ATTR_TENSOR_IS_VIRTUAL, CUDNN_TYPE_BOOLEAN, true);
    if (d.by_value) t.set(CUDNN_ATTR_TENSOR_IS_BY_VALUE, CUDNN_TYPE_BOOLEAN, true);
    if (d.offsets != nullptr) link(t, CUDNN_ATTR_TENSOR_RAGGED_OFFSET_DESC, d.offsets);
    t.finalize("a tensor of attention");
    return t.get();
  }
  Tensor input(std::int64_t number, cudnnDataType_t type, const Four& dims) {
    return tensor({number, type, dims, row_major(dims)});
  }
  Tensor between(cudnnDataType_t type, const Four& dims, const Four& strides) {
    return tensor(
        {.number = next_++, .type = type, .dims = dims, .strides = strides, .between = true});
  }
  template <class Number>
  Tensor scalar(Number value) {
    constexpr bool kReal = std::is_same_v<Number, float>;
    const std::int64_t number = next_++;
    out_.scalars.push_back({number, std::bit_cast<std::array<std::byte, 4>>(value)});
    return tensor({.number = number,
                   .type = kReal ? CUDNN_DATA_FLOAT : CUDNN_DATA_INT32,
                   .dims = {1, 1, 1, 1},
                   .strides = {1, 1, 1, 1},
                   .by_value = true});
  }

  /// y = mode(x, b, t), b and t null where a mode takes none.
  Tensor pointwise(cudnnPointwiseMode_t mode, cudnnDataType_t precision, std::int64_t axis,
                   Tensor x, Tensor b, Tensor t, Tensor y) {
    CudnnDescriptor& kind = part(CUDNN_BACKEND_POINTWISE_DESCRIPTOR);
    kind.set(CUDNN_ATTR_POINTWISE_MODE, CUDNN_TYPE_POINTWISE_MODE, mode);
    kind.set(CUDNN_ATTR_POINTWISE_MATH_PREC, CUDNN_TYPE_DATA_TYPE, precision);
    if (axis != kNoAxis) kind.set(CUDNN_ATTR_POINTWISE_AXIS, CUDNN_TYPE_INT64, axis);
    kind.finalize("a pointwise kind");
    CudnnDescriptor& work = part(CUDNN_BACKEND_OPERATION_POINTWISE_DESCRIPTOR);
    link(work, CUDNN_ATTR_OPERATION_POINTWISE_PW_DESCRIPTOR, kind.get());
    link(work, CUDNN_ATTR_OPERATION_POINTWISE_XDESC, x);
    if (b != nullptr) link(work, CUDNN_ATTR_OPERATION_POINTWISE_BDESC, b);
    if (t != nullptr) link(work, CUDNN_ATTR_OPERATION_POINTWISE_TDESC, t);
    link(work, CUDNN_ATTR_OPERATION_POINTWISE_YDESC, y);
    add(work, "a pointwise operation");
    return y;
  }

  Tensor reduce(cudnnReduceTensorOp_t operation, Tensor x, Tensor y) {
    CudnnDescriptor& kind = part(CUDNN_BACKEND_REDUCTION_DESCRIPTOR);
    kind.set(CUDNN_ATTR_REDUCTION_OPERATOR, CUDNN_TYPE_REDUCTION_OPERATOR_TYPE, operation);
    kind.set(CUDNN_ATTR_REDUCTION_COMP_TYPE, CUDNN_TYPE_DATA_TYPE, CUDNN_DATA_FLOAT);
    kind.finalize("a reduction's kind");
    CudnnDescriptor& work = part(CUDNN_BACKEND_OPERATION_REDUCTION_DESCRIPTOR);
    link(work, CUDNN_ATTR_OPERATION_REDUCTION_DESC, kind.get());
    link(work, CUDNN_ATTR_OPERATION_REDUCTION_XDESC, x);
    link(work, CUDNN_ATTR_OPERATION_REDUCTION_YDESC, y);
    add(work, "a reduction");
    return y;
  }

  void finish(cudnnHandle_t handle) {
    if (handle != nullptr) {
      out_.graph.set(CUDNN_ATTR_OPERATIONGRAPH_HANDLE, CUDNN_TYPE_HANDLE, handle);
    }
    out_.graph.set_all(CUDNN_ATTR_OPERATIONGRAPH_OPS, CUDNN_TYPE_BACKEND_DESCRIPTOR, operations_);
    out_.graph.finalize("attention's graph");
  }

 private:
  CudnnGraph& out_;
  std::vector<cudnnBackendDescriptor_t> operations_;
  std::int64_t next_ = CudnnTensor::own;
};

/// The graph of one shape. Scores are [batch, heads, rows, keys].
class Attention {
 public:
  Attention(const LibraryShape& shape, Operations& to)
      : s_(shape), to_(to), scores_{shape.batch, shape.heads, shape.rows, shape.keys} {}

  void build() {
    if (s_.packed) {
      row_counts_ = to_.input(CudnnTensor::row_counts, CUDNN_DATA_INT32, {s_.batch, 1, 1, 1});
      key_counts_ = to_.input(CudnnTensor::key_counts, CUDNN_DATA_INT32, {s_.batch, 1, 1, 1});
      row_offsets_ = to_.input(CudnnTensor::row_offsets, CUDNN_DATA_INT32, {s_.batch + 1, 1, 1, 1});
    }
    if (s_.packed && s_.pages == 0) {
      key_offsets_ = to_.input(CudnnTensor::key_offsets, CUDNN_DATA_INT32, {s_.batch + 1, 1, 1, 1});
    }
    const Four dims{s_.batch, s_.heads, s_.rows, s_.head_dim};
    const Four strides = rows_of(s_.rows, s_.heads);
    const Tensor q = to_.tensor({CudnnTensor::q, CUDNN_DATA_BFLOAT16, dims, strides, row_offsets_});
    const Tensor products = score(CUDNN_DATA_FLOAT);
    multiply(q, keys(), products, CUDNN_ATTR_OPERATION_MATMUL_GEMM_N_OVERRIDE_DESC);
    Tensor scaled = to_.pointwise(CUDNN_POINTWISE_MUL, CUDNN_DATA_FLOAT, kNoAxis, products,
                                  to_.scalar(s_.scale), nullptr, score(CUDNN_DATA_FLOAT));
    if (s_.packed) scaled = masked(scaled, inside(scaled));
    if (s_.causal) scaled = masked(scaled, up_to_itself(scaled));
    if (s_.causal && s_.window > 0) scaled = masked(scaled, in_window(scaled));
    const Tensor weights = softmax(scaled);
    const Tensor v = values();
    const Tensor out =
        to_.tensor({CudnnTensor::out, CUDNN_DATA_BFLOAT16, dims, strides, row_offsets_});
    multiply(weights, v, out, CUDNN_ATTR_OPERATION_MATMUL_GEMM_K_OVERRIDE_DESC);
  }

 private:
  /// Strides of rows with their heads side by side, as [batch, heads, rows, head_dim].
  Four rows_of(std::int64_t rows, std::int64_t heads) const {
    return {rows * heads * s_.head_dim, s_.head_dim, heads * s_.head_dim, 1};
  }
  Tensor score(cudnnDataType_t type) { return to_.between(type, scores_, row_major(scores_)); }

  void multiply(Tensor a, Tensor b, Tensor c, cudnnBackendAttributeName_t keys_of) {
    CudnnDescriptor& kind = to_.part(CUDNN_BACKEND_MATMUL_DESCRIPTOR);
    kind.set(CUDNN_ATTR_MATMUL_COMP_TYPE, CUDNN_TYPE_DATA_TYPE, CUDNN_DATA_FLOAT);
    if (s_.packed) kind.set(CUDNN_ATTR_MATMUL_PADDING_VALUE, CUDNN_TYPE_DOUBLE, 0.0);
    kind.finalize("a product's kind");
    CudnnDescriptor& product = to_.part(CUDNN_BACKEND_OPERATION_MATMUL_DESCRIPTOR);
    link(product, CUDNN_ATTR_OPERATION_MATMUL_ADESC, a);
    link(product, CUDNN_ATTR_OPERATION_MATMUL_BDESC, b);
    link(product, CUDNN_ATTR_OPERATION_MATMUL_CDESC, c);
    link(product, CUDNN_ATTR_OPERATION_MATMUL_DESC, kind.get());
    if (s_.packed) {
      link(product, CUDNN_ATTR_OPERATION_MATMUL_GEMM_M_OVERRIDE_DESC, row_counts_);
      link(product, keys_of, key_counts_);
    }
    to_.add(product, "a product of attention");
  }

  /// K as [batch, kv_heads, head_dim, keys].
  Tensor keys() {
    const Four dims{s_.batch, s_.kv_heads, s_.keys, s_.head_dim};
    if (s_.pages > 0) {
      return paged(CudnnTensor::k, CudnnTensor::k_table, transposed(dims),
                   transposed(row_major(dims)));
    }
    return to_.tensor({CudnnTensor::k, CUDNN_DATA_BFLOAT16, transposed(dims),
                       transposed(rows_of(s_.keys, s_.kv_heads)), key_offsets_});
  }
  /// V as [batch, kv_heads, keys, head_dim].
  Tensor values() {
    const Four dims{s_.batch, s_.kv_heads, s_.keys, s_.head_dim};
    if (s_.pages > 0) return paged(CudnnTensor::v, CudnnTensor::v_table, dims, row_major(dims));
    return to_.tensor(
        {CudnnTensor::v, CUDNN_DATA_BFLOAT16, dims, rows_of(s_.keys, s_.kv_heads), key_offsets_});
  }
  Tensor paged(std::int64_t number, std::int64_t table, const Four& dims, const Four& strides) {
    const Tensor pages =
        to_.input(number, CUDNN_DATA_BFLOAT16, {s_.pages, s_.kv_heads, kPageTokens, s_.head_dim});
    const Tensor pages_of = to_.input(table, CUDNN_DATA_INT32, {s_.batch, 1, s_.table_width(), 1});
    const Tensor all = to_.between(CUDNN_DATA_BFLOAT16, dims, strides);
    CudnnDescriptor& load = to_.part(CUDNN_BACKEND_OPERATION_PAGED_CACHE_LOAD_DESCRIPTOR);
    link(load, CUDNN_ATTR_OPERATION_PAGED_CACHE_LOAD_CONTAINER_DESC, pages);
    link(load, CUDNN_ATTR_OPERATION_PAGED_CACHE_LOAD_PAGE_TABLE_DESC, pages_of);
    link(load, CUDNN_ATTR_OPERATION_PAGED_CACHE_LOAD_SEQUENCE_DESC, key_counts_);
    link(load, CUDNN_ATTR_OPERATION_PAGED_CACHE_LOAD_YDESC, all);
    to_.add(load, "reading pages");
    return all;
  }

  Tensor index(Tensor of, std::int64_t axis) {
    return to_.pointwise(CUDNN_POINTWISE_GEN_INDEX, CUDNN_DATA_INT32, axis, of, nullptr, nullptr,
                         score(CUDNN_DATA_INT32));
  }
  Tensor shifted(cudnnPointwiseMode_t mode, Tensor a, Tensor b) {
    return to_.pointwise(mode, CUDNN_DATA_INT32, kKeyAxis, a, b, nullptr, score(CUDNN_DATA_INT32));
  }
  Tensor truth(cudnnPointwiseMode_t mode, Tensor a, Tensor b) {
    return to_.pointwise(mode, CUDNN_DATA_BOOLEAN, kNoAxis, a, b, nullptr,
                         score(CUDNN_DATA_BOOLEAN));
  }
  /// -infinity where `holds` does not.
  Tensor masked(Tensor of, Tensor holds) {
    return to_.pointwise(CUDNN_POINTWISE_BINARY_SELECT, CUDNN_DATA_FLOAT, kNoAxis, of,
                         to_.scalar(-std::numeric_limits<float>::infinity()), holds,
                         score(CUDNN_DATA_FLOAT));
  }

  /// Of packed sequences: row < its rows and key < its keys.
  Tensor inside(Tensor of) {
    const Tensor row = index(of, kRowAxis), key = index(of, kKeyAxis);
    const Tensor rows = truth(CUDNN_POINTWISE_CMP_LT, row, row_counts_);
    const Tensor keys = truth(CUDNN_POINTWISE_CMP_LT, key, key_counts_);
    return truth(CUDNN_POINTWISE_LOGICAL_AND, rows, keys);
  }
  /// row + keys - rows >= key.
  Tensor up_to_itself(Tensor of) {
    Tensor row = index(of, kRowAxis);
    const Tensor key = index(of, kKeyAxis);
    if (s_.packed) {
      row = shifted(CUDNN_POINTWISE_ADD, row, key_counts_);
      row = shifted(CUDNN_POINTWISE_SUB, row, row_counts_);
    } else if (s_.keys != s_.rows) {
      row = shifted(CUDNN_POINTWISE_ADD, row, to_.scalar(std::int32_t(s_.keys)));
      row = shifted(CUDNN_POINTWISE_SUB, row, to_.scalar(std::int32_t(s_.rows)));
    }
    return truth(CUDNN_POINTWISE_CMP_GE, row, key);
  }
  /// key + window - keys + rows > row.
  Tensor in_window(Tensor of) {
    const Tensor row = index(of, kRowAxis);
    Tensor key = index(of, kKeyAxis);
    if (s_.packed) {
      key = shifted(CUDNN_POINTWISE_ADD, key, to_.scalar(std::int32_t(s_.window)));
      key = shifted(CUDNN_POINTWISE_SUB, key, key_counts_);
      key = shifted(CUDNN_POINTWISE_ADD, key, row_counts_);
    } else {
      key = to_.pointwise(CUDNN_POINTWISE_ADD, CUDNN_DATA_FLOAT, kKeyAxis, key,
                          to_.scalar(float(s_.window - s_.keys + s_.rows)), nullptr,
                          score(CUDNN_DATA_FLOAT));
    }
    return truth(CUDNN_POINTWISE_CMP_GT, key, row);
  }

  Tensor softmax(Tensor of) {
    const Four dims{s_.batch, s_.heads, s_.rows, 1};
    const auto row = [&] { return to_.between(CUDNN_DATA_FLOAT, dims, row_major(dims)); };
    const auto real = [&](cudnnPointwiseMode_t mode, Tensor a, Tensor b, cudnnDataType_t type) {
      return to_.pointwise(mode, CUDNN_DATA_FLOAT, kNoAxis, a, b, nullptr, score(type));
    };
    const Tensor most = to_.reduce(CUDNN_REDUCE_TENSOR_MAX, of, row());
    const Tensor below = real(CUDNN_POINTWISE_SUB, of, most, CUDNN_DATA_FLOAT);
    const Tensor weight = real(CUDNN_POINTWISE_EXP, below, nullptr, CUDNN_DATA_FLOAT);
    const Tensor sum = to_.reduce(CUDNN_REDUCE_TENSOR_ADD, weight, row());
    // The logarithm of the sum of a row's weights, which training wants and nobody reads here:
    // without it some engines do not recognize the graph.
    const Tensor log =
        to_.pointwise(CUDNN_POINTWISE_LOG, CUDNN_DATA_FLOAT, kNoAxis, sum, nullptr, nullptr, row());
    to_.pointwise(CUDNN_POINTWISE_ADD, CUDNN_DATA_FLOAT, kNoAxis, most, log, nullptr, row());
    return real(CUDNN_POINTWISE_DIV, weight, sum, CUDNN_DATA_BFLOAT16);
  }

  const LibraryShape& s_;
  Operations& to_;
  Four scores_;
  Tensor row_counts_ = nullptr, key_counts_ = nullptr, row_offsets_ = nullptr,
         key_offsets_ = nullptr;
};

}  // namespace

CudnnGraph cudnn_graph(const LibraryShape& shape, cudnnHandle_t handle) {
  CudnnGraph out;
  Operations operations(out);
  Attention(shape, operations).build();
  operations.finish(handle);
  return out;
}

}  // namespace chiasm::device

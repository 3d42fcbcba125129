#include "core/device_fusion.h"

#include <optional>
#include <utility>

namespace chiasm {

namespace {

using device::LinearCall;
using device::NormCall;
using device::QkvCall;
using device::TurnCall;

/// Memory from the first number to the last of rows.
struct Extent {
  const std::byte* begin = nullptr;
  const std::byte* end = nullptr;
  bool meets(const Extent& other) const { return begin < other.end && other.begin < end; }
  bool covers(const Extent& other) const { return begin <= other.begin && other.end <= end; }
};

Extent extent(const float* rows, std::int64_t count, std::int64_t stride, std::int64_t cols) {
  if (rows == nullptr || count == 0) return {};
  const auto* const begin = reinterpret_cast<const std::byte*>(rows);
  return {begin, begin + std::size_t((count - 1) * stride + cols) * sizeof(float)};
}

/// Of a call: whether it may read an extent, and the one that it writes without gaps first of all.
struct Touch {
  bool reads;
  Extent writes;
};

Extent whole(float* rows, std::int64_t count, std::int64_t stride, std::int64_t cols) {
  return stride == cols || count == 1 ? extent(rows, count, stride, cols) : Extent{};
}

Touch touch(const StagedCopy& c, const Extent& e) {
  return {Extent{c.from, c.from + c.bytes}.meets(e), {c.to, c.to + c.bytes}};
}
Touch touch(const NormCall& c, const Extent& e) {
  const std::int64_t cols = c.heads * c.dim;
  return {extent(c.x, c.rows, c.x_stride, cols).meets(e), whole(c.y, c.rows, c.y_stride, cols)};
}
Touch touch(const LinearCall& c, const Extent& e) {
  const std::int64_t out = c.gated ? c.w.out / 2 : c.w.out;
  const Extent y = extent(c.y, c.rows, c.y_stride, out);
  return {extent(c.x, c.rows, c.x_stride, c.w.in).meets(e) || (c.accumulate && y.meets(e)),
          c.accumulate ? Extent{} : whole(c.y, c.rows, c.y_stride, out)};
}
Touch touch(const TurnCall& c, const Extent& e) {
  const std::int64_t kv = c.kv_heads * c.head_dim;
  return {extent(c.q, c.rows, c.q_stride, c.heads * c.head_dim).meets(e) ||
              extent(c.k, c.rows, c.k_stride, kv).meets(e) ||
              extent(c.v, c.rows, c.v_stride, kv).meets(e) ||
              extent(c.cosine, c.rows, c.half, c.half).meets(e) ||
              extent(c.sine, c.rows, c.half, c.half).meets(e),
          {}};
}
Touch touch(const device::PointwiseCall& c, const Extent& e) {
  const bool gated = c.kind == device::PointwiseCall::gated;
  const Extent y = extent(c.y, c.rows, c.y_stride, c.cols);
  return {extent(c.x, c.rows, c.x_stride, gated ? 2 * c.cols : c.cols).meets(e) ||
              (!gated && y.meets(e)),
          gated ? whole(c.y, c.rows, c.y_stride, c.cols) : Extent{}};
}
Touch touch(const device::AttentionCall& c, const Extent& e) {
  const std::int64_t kv = c.kv_heads * c.head_dim, q = c.heads * c.head_dim;
  const auto keys = [&](const void* rows, std::int64_t stride) {
    return !c.paged && extent(static_cast<const float*>(rows), c.key_rows, stride, kv).meets(e);
  };
  return {
      extent(c.q, c.rows, c.q_stride, q).meets(e) || keys(c.k, c.k_stride) || keys(c.v, c.v_stride),
      whole(c.out, c.rows, c.out_stride, q)};
}
/// Of the others nothing is known: they may read anything.
template <class Call>
Touch touch(const Call&, const Extent&) {
  return {true, {}};
}

/// Whether the rows of `e` are written anew before anything reads them from `next` on.
bool dies(const DeviceList& list, std::size_t next, const Extent& e) {
  for (; next < list.size(); next++) {
    const Touch t = std::visit([&](const auto& call) { return touch(call, e); }, list[next].call);
    if (t.reads) return false;
    if (t.writes.covers(e)) return true;
  }
  return false;
}

/// A norm of whole rows as part of the product behind it.
std::optional<LinearCall> with_norm(const DeviceList& list, std::size_t at) {
  if (at + 1 >= list.size()) return {};
  const auto* const norm = std::get_if<NormCall>(&list[at].call);
  const auto* const product = std::get_if<LinearCall>(&list[at + 1].call);
  if (norm == nullptr || product == nullptr || norm->heads != 1 || norm->y == norm->x ||
      product->norm.weight != nullptr || product->x != norm->y ||
      product->x_stride != norm->y_stride || product->rows != norm->rows ||
      product->w.in != norm->dim) {
    return {};
  }
  const Extent x = extent(norm->x, norm->rows, norm->x_stride, norm->dim);
  const Extent between = extent(norm->y, norm->rows, norm->y_stride, norm->dim);
  const std::int64_t out = product->gated ? product->w.out / 2 : product->w.out;
  if (extent(product->y, product->rows, product->y_stride, out).meets(x) ||
      !dies(list, at + 2, between)) {
    return {};
  }
  LinearCall call = *product;
  call.x = norm->x;
  call.x_stride = norm->x_stride;
  call.norm = {norm->weight, norm->bias, norm->eps, norm->centred};
  return call;
}

/// One of the four calls that TurnCall can do at once: only `q` turned, or only `v` written.
const TurnCall* single_turn(const DeviceList& list, std::size_t at, bool written) {
  if (at >= list.size()) return nullptr;
  const auto* const turn = std::get_if<TurnCall>(&list[at].call);
  if (turn == nullptr || turn->k != nullptr) return nullptr;
  const bool turns = turn->q != nullptr && turn->cosine != nullptr && turn->slot == nullptr;
  const bool writes = turn->q == nullptr && turn->v != nullptr && turn->v_pages != nullptr;
  return (written ? writes : turns) ? turn : nullptr;
}

/// q turned, k turned, k written, v written; or the last two alone, where nothing is turned.
std::optional<TurnCall> turned_and_kept(const DeviceList& list, std::size_t at,
                                        std::size_t& taken) {
  const TurnCall* const q = single_turn(list, at, false);
  const TurnCall* const k = q != nullptr ? single_turn(list, at + 1, false) : nullptr;
  if (q != nullptr && k == nullptr) return {};
  const std::size_t next = at + (q != nullptr ? 2 : 0);
  const TurnCall* const keys = single_turn(list, next, true);
  const TurnCall* const values = keys != nullptr ? single_turn(list, next + 1, true) : nullptr;
  if (values == nullptr || keys->slot != values->slot || keys->rows != values->rows ||
      keys->kv_heads != values->kv_heads || keys->head_dim != values->head_dim ||
      keys->bf16_pages != values->bf16_pages) {
    return {};
  }
  TurnCall call = *values;
  call.k = const_cast<float*>(keys->v);
  call.k_stride = keys->v_stride;
  call.k_pages = keys->v_pages;
  if (q != nullptr) {
    if (k->q != keys->v || k->heads != keys->kv_heads || k->cosine != q->cosine ||
        k->sine != q->sine || k->half != q->half || q->rows != keys->rows ||
        k->rows != keys->rows || q->head_dim != keys->head_dim || k->head_dim != q->head_dim) {
      return {};
    }
    call.q = q->q;
    call.q_stride = q->q_stride;
    call.heads = q->heads;
    call.half = q->half;
    call.cosine = q->cosine;
    call.sine = q->sine;
  }
  taken = q != nullptr ? 4 : 2;
  return call;
}

/// The product whose outputs are all that `turn` works on.
std::optional<QkvCall> with_product(const LinearCall& product, TurnCall turn) {
  const std::int64_t kv = turn.kv_heads * turn.head_dim;
  if (turn.q == nullptr) {  // nothing is turned: q is what stands before k
    turn.q = product.y;
    turn.q_stride = product.y_stride;
    turn.heads = (product.w.out - 2 * kv) / turn.head_dim;
  }
  const std::int64_t q = turn.heads * turn.head_dim;
  if (product.gated || product.accumulate || product.rows != turn.rows ||
      product.function != device::Function::none || product.w.out != q + 2 * kv ||
      turn.head_dim % 2 != 0 || turn.q != product.y || turn.k != product.y + q ||
      turn.v != product.y + q + kv || turn.q_stride != product.y_stride ||
      turn.k_stride != product.y_stride || turn.v_stride != product.y_stride) {
    return {};
  }
  return QkvCall{product, turn};
}

}  // namespace

DeviceList fused(const DeviceList& list) {
  DeviceList out;
  for (std::size_t at = 0; at < list.size();) {
    std::size_t taken = 1;
    if (const auto normed = with_norm(list, at)) {
      out.push_back({*normed, list[at + 1].name});
      at += 2;
    } else if (const auto turn = turned_and_kept(list, at, taken)) {
      const auto* const product = out.empty() ? nullptr : std::get_if<LinearCall>(&out.back().call);
      const auto qkv = product != nullptr ? with_product(*product, *turn) : std::nullopt;
      if (qkv) {
        out.back() = DeviceCommand{*qkv, "q, k and v"};
      } else {
        out.push_back({*turn, "turning and keeping"});
      }
      at += taken;
    } else {
      out.push_back(list[at++]);
    }
  }
  return out;
}

}  // namespace chiasm

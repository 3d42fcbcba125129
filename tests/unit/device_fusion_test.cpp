// Lists of device calls and the shorter ones that stand for them. Nothing runs: addresses are those
// of one array of the host.
#include "core/device_fusion.h"

#include <gtest/gtest.h>

#include <vector>

namespace chiasm {
namespace {

using device::LinearCall;
using device::NormCall;
using device::QkvCall;
using device::TurnCall;

/// A layer's beginning: 4 rows of width 64, 4 query and 2 key heads of 16.
struct Rows {
  static constexpr std::int64_t kRows = 4, kDim = 64, kQ = 64, kKv = 32, kHead = 16;
  std::vector<float> memory = std::vector<float>(4096);
  float* x = memory.data();
  float* normed = x + kRows * kDim;
  float* qkv = normed + kRows * kDim;
  float* mixed = qkv + kRows * (kQ + 2 * kKv);
  float weight[kDim] = {}, cosine[kRows * kHead / 2] = {}, sine[kRows * kHead / 2] = {};
  std::int64_t slots[kRows] = {};
  std::byte k_pages[64] = {}, v_pages[64] = {};

  NormCall norm() const {
    return {x, kDim, normed, kDim, weight, nullptr, kRows, 1, kDim, 1e-5f, false};
  }
  LinearCall product() const {
    LinearCall c{};
    c.w.out = kQ + 2 * kKv;
    c.w.in = kDim;
    c.x = normed;
    c.x_stride = kDim;
    c.y = qkv;
    c.y_stride = c.w.out;
    c.rows = kRows;
    return c;
  }
  TurnCall turn(std::int64_t from, std::int64_t heads) const {
    TurnCall c{};
    c.q = qkv + from;
    c.q_stride = kQ + 2 * kKv;
    c.rows = kRows;
    c.heads = heads;
    c.head_dim = kHead;
    c.half = kHead / 2;
    c.cosine = cosine;
    c.sine = sine;
    return c;
  }
  TurnCall write(std::int64_t from, const std::byte* pages) const {
    TurnCall c{};
    c.v = qkv + from;
    c.v_stride = kQ + 2 * kKv;
    c.rows = kRows;
    c.kv_heads = kKv / kHead;
    c.head_dim = kHead;
    c.slot = slots;
    c.v_pages = const_cast<std::byte*>(pages);
    return c;
  }
  DeviceList layer() const {
    return {{norm(), "norm"},
            {product(), "linear"},
            {turn(0, 4), "rotate"},
            {turn(kQ, 2), "rotate"},
            {write(kQ, k_pages), "write"},
            {write(kQ + kKv, v_pages), "write"}};
  }
};

TEST(DeviceFusion, MakesOneCallOfNormProductTurningAndKeeping) {
  const Rows rows;
  DeviceList list = rows.layer();
  list.push_back({rows.norm(), "norm"});  // the next layer's: what the first one left is dead
  const DeviceList out = fused(list);
  ASSERT_EQ(out.size(), 2u);
  const auto* const qkv = std::get_if<QkvCall>(&out[0].call);
  ASSERT_NE(qkv, nullptr);
  EXPECT_EQ(qkv->product.x, rows.x);
  EXPECT_EQ(qkv->product.norm.weight, rows.weight);
  EXPECT_EQ(qkv->product.norm.eps, 1e-5f);
  EXPECT_EQ(qkv->turn.q, rows.qkv);
  EXPECT_EQ(qkv->turn.k, rows.qkv + Rows::kQ);
  EXPECT_EQ(qkv->turn.v, rows.qkv + Rows::kQ + Rows::kKv);
  EXPECT_EQ(qkv->turn.heads, 4);
  EXPECT_EQ(qkv->turn.kv_heads, 2);
  EXPECT_EQ(qkv->turn.k_pages, rows.k_pages);
  EXPECT_EQ(qkv->turn.v_pages, rows.v_pages);
}

TEST(DeviceFusion, KeepsANormWhoseRowsMayBeReadAgain) {
  const Rows rows;
  // At the list's end nobody knows.
  EXPECT_TRUE(std::holds_alternative<NormCall>(fused(rows.layer())[0].call));
  // A second product reads them.
  DeviceList list = rows.layer();
  LinearCall other = rows.product();
  other.y = rows.mixed;
  list.push_back({other, "linear"});
  list.push_back({rows.norm(), "norm"});
  EXPECT_TRUE(std::holds_alternative<NormCall>(fused(list)[0].call));
  // Calls of which nothing is known may read anything.
  list = rows.layer();
  list.push_back({device::SampleCall{}, "sample"});
  list.push_back({rows.norm(), "norm"});
  EXPECT_TRUE(std::holds_alternative<NormCall>(fused(list)[0].call));
}

TEST(DeviceFusion, KeepsANormOfHeadsAndOneInPlace) {
  const Rows rows;
  for (const bool in_place : {false, true}) {
    DeviceList list = rows.layer();
    auto& norm = std::get<NormCall>(list[0].call);
    if (in_place) {
      norm.y = rows.x;
      std::get<LinearCall>(list[1].call).x = rows.x;
    } else {
      norm.heads = 4;
      norm.dim = 16;
    }
    list.push_back({rows.norm(), "norm"});
    EXPECT_TRUE(std::holds_alternative<NormCall>(fused(list)[0].call)) << in_place;
  }
}

TEST(DeviceFusion, KeepsApartWhatOtherRowsOrSlotsSeparate) {
  const Rows rows;
  std::int64_t others[Rows::kRows] = {};
  DeviceList list = rows.layer();
  std::get<TurnCall>(list[5].call).slot = others;
  EXPECT_EQ(fused(list).size(), list.size());
  list = rows.layer();
  std::get<TurnCall>(list[4].call).v = rows.qkv;  // writes q, not the k that was turned
  for (const DeviceCommand& command : fused(list)) {
    EXPECT_FALSE(std::holds_alternative<QkvCall>(command.call));
  }
}

TEST(DeviceFusion, JoinsTheTwoWritesWhereNothingTurns) {
  const Rows rows;
  DeviceList list = rows.layer();
  list.erase(list.begin() + 2, list.begin() + 4);
  const DeviceList out = fused(list);
  ASSERT_EQ(out.size(), 2u);
  const auto* const qkv = std::get_if<QkvCall>(&out[1].call);
  ASSERT_NE(qkv, nullptr);
  EXPECT_EQ(qkv->turn.cosine, nullptr);
  EXPECT_EQ(qkv->turn.half, 0);
  EXPECT_EQ(qkv->turn.heads, 4);
}

TEST(DeviceFusion, TurnsWithoutTheProductWhereHeadsAreNormedBetween) {
  const Rows rows;
  DeviceList list = rows.layer();
  NormCall heads = rows.norm();
  heads.x = heads.y = rows.qkv;
  heads.heads = 4;
  heads.dim = 16;
  list.insert(list.begin() + 2, {heads, "heads"});
  const DeviceList out = fused(list);
  ASSERT_EQ(out.size(), 4u);
  EXPECT_TRUE(std::holds_alternative<TurnCall>(out[3].call));
}

}  // namespace
}  // namespace chiasm

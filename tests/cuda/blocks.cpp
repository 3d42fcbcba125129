// Products with weights in a file's own blocks: GGUF's K-types, GPTQ's groups in their own order.
#include <algorithm>
#include <numeric>
#include <random>

#include "kernels/grouped.h"
#include "tests/cuda/products.h"

namespace chiasm::cuda_check {

using namespace chiasm::testing;
using kernels::Activation;
using kernels::Matrix;

namespace {

/// A type of blocks, and where its float16 scales lie.
struct Blocks {
  BlockType type;
  std::vector<std::size_t> scales;
};

std::vector<std::byte> random_bytes(std::size_t count, unsigned seed) {
  std::mt19937 random(seed);
  std::vector<std::byte> out(count);
  for (std::byte& b : out) b = std::byte(random() & 255u);
  return out;
}

Matrix random_blocks(const Blocks& blocks, std::int64_t out, std::int64_t in) {
  const std::size_t size = block_bytes(blocks.type);
  const std::int64_t count = out * in / block_values(blocks.type);
  std::vector<std::byte> bytes = random_bytes(std::size_t(count) * size, 41);
  for (std::int64_t b = 0; b < count; b++) {
    for (const std::size_t at : blocks.scales) {  // 0.01 to 0.04, positive and negative
      std::byte& high = bytes[std::size_t(b) * size + at + 1];
      high = std::byte(0x21 + (unsigned(high) & 0x87u));
    }
  }
  const kernels::BlockRows part{bytes.data(), blocks.type, out};
  return Matrix::pack_blocks(context(best_isa()), {&part, 1}, in);
}

/// Groups of GPTQ with act-order: the inputs of a group stand anywhere.
Matrix random_groups(std::int64_t out, std::int64_t in, std::int64_t group) {
  const std::int64_t groups = in / group;
  const auto q = random_bytes(std::size_t(in / 2 * out), 42),
             zeros = random_bytes(std::size_t(groups * out / 2), 43);
  const Floats scales = random_floats(groups * out, 44, 0.02f, 0.005f);
  const TensorEntry q_entry{DType::i32, {in / 8, out}, q},
      zeros_entry{DType::i32, {groups, out / 8}, zeros},
      scales_entry{DType::f32, {groups, out}, std::as_bytes(std::span(scales))};
  kernels::GroupedWeight part;
  part.q = &q_entry;
  part.zeros = &zeros_entry;
  part.scales = &scales_entry;
  part.out = out;
  part.in = in;
  part.group = group;
  part.order.resize(std::size_t(in));
  std::iota(part.order.begin(), part.order.end(), 0);
  std::shuffle(part.order.begin(), part.order.end(), std::mt19937(45));
  return Matrix::pack_grouped(context(best_isa()), {&part, 1});
}

void check_matrix(Harness& h, const std::string& name, Matrix&& made) {
  const auto w = std::make_shared<const Matrix>(std::move(made));
  check_product(h, name, w, {1, true});
  check_product(h, name, w, {6, false, Activation::none, true});
  check_product(h, name, w, {12, true, Activation::silu});
  check_product(h, name, w, {33, true, Activation::none, true});
  check_product(h, name, w, {66});
  check_embed(h, name, w);
}

}  // namespace

void check_blocks(Harness& h) {
  for (const Blocks& blocks : {Blocks{BlockType::q5_1, {0, 2}},
                               {BlockType::q2_k, {80, 82}},
                               {BlockType::q3_k, {108}},
                               {BlockType::q4_k, {0, 2}},
                               {BlockType::q5_k, {0, 2}},
                               {BlockType::q6_k, {208}},
                               {BlockType::iq4_nl, {0}}}) {
    check_matrix(h, std::string(name(blocks.type)), random_blocks(blocks, 37, 512));
  }
  for (const std::int64_t group : {32, 128}) {
    check_matrix(h, "q4 in groups of " + std::to_string(group), random_groups(40, 256, group));
  }
}

}  // namespace chiasm::cuda_check

#pragma once
/// Cases of matrix products, whatever made the matrix.
#include <memory>
#include <string>

#include "kernels/matrix.h"
#include "tests/cuda/harness.h"

namespace chiasm::cuda_check {

struct ProductCase {
  std::int64_t rows;
  bool bias = false;
  kernels::Activation act = kernels::Activation::none;
  bool accumulate = false;
};

/// Random weights, packed.
kernels::Matrix random_matrix(const Context& ctx, std::int64_t out, std::int64_t in,
                              kernels::WeightFormat format);
/// A product with `w` beside that with its weights as they are kept, in double arithmetic.
void check_product(Harness& h, const std::string& name,
                   const std::shared_ptr<const kernels::Matrix>& w, const ProductCase& c);
/// Rows that are looked up in `w`.
void check_embed(Harness& h, const std::string& name,
                 const std::shared_ptr<const kernels::Matrix>& w);

}  // namespace chiasm::cuda_check

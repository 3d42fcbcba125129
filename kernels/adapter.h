#pragma once
/// Low-rank adapters (LoRA): small products beside those of a model, per row.
#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "core/arena.h"
#include "core/context.h"
#include "kernels/matrix.h"

namespace chiasm::kernels {

/// What one adapter adds to a model's products: y += s * (x A^T) B^T for each module that it
/// changes, A [rank, in], B [out, rank]. Immutable once filled; shareable.
/// Source: Hu et al., 2021, arXiv:2106.09685, equation 3.
class Adapter {
 public:
  struct Part {
    Matrix down;             // A
    Matrix up;               // s * B
    std::int64_t first = 0;  // column of y that `up` begins at
  };

  /// `layer`: that of the LinearLayer (see Weights::count_products).
  void add(int layer, Part part);
  std::span<const Part> parts(int layer) const;
  std::size_t bytes() const;
  std::int64_t largest_rank() const;

 private:
  std::vector<std::vector<Part>> layers_;
};

/// y += what the adapters of `ctx.adapted` add to layer `layer`.  x: [rows, in], y: [rows, out].
/// ShapeError where the rows are not those that were adapted.
void add_adapted(const Context& ctx, int layer, TensorView<const float> x, TensorView<float> y);
/// Whether that would add anything.
bool is_adapted(const Context& ctx, int layer);

}  // namespace chiasm::kernels

namespace chiasm {

/// The rows of a batch that go through adapters.
struct AdaptedRows {
  struct Run {
    std::int64_t begin = 0, count = 0;
    const kernels::Adapter* adapter = nullptr;
  };
  std::vector<Run> runs;
  /// Set instead where all rows go through one, however many a module makes of them (encoders).
  const kernels::Adapter* all = nullptr;
  std::int64_t rows = 0;   // of the batch that `runs` are of
  Arena* arena = nullptr;  // for what lies between the two products
};

}  // namespace chiasm

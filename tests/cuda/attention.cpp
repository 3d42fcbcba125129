// Attention in both kernels, over contiguous and paged keys and every mask.
#include "tests/cuda/keys.h"

namespace chiasm::cuda_check {

using kernels::AttentionShape;
using kernels::Problem;

namespace {

enum class Keys { contiguous, pages_f32, pages_bf16 };

void check_problem(Harness& h, const std::string& title, const AttentionShape& asked, Keys keys,
                   bool bf16, std::vector<kernels::Request> requests) {
  AttentionShape shape = asked;
  shape.bf16_products = bf16;
  auto p = std::make_shared<Problem>(kernels::make(shape, std::move(requests)));
  const bool paged = keys != Keys::contiguous;
  if (paged) {
    kernels::fill_pages(*p, keys == Keys::pages_f32 ? DType::f32 : DType::bf16);
  }
  const char* const kinds[] = {"contiguous", "pages f32", "pages bf16"};
  const std::string name = "attention " + title + ", " + std::to_string(shape.heads) + "/" +
                           std::to_string(shape.kv_heads) + " heads of " +
                           std::to_string(shape.head_dim) + ", " + kinds[int(keys)] +
                           (bf16 ? ", bf16" : "");
  // bfloat16: q, k, v and weights carry 2^-9 each; scores here reach some tens, whose error the
  // softmax takes as a relative one: measured 2e-3 to 1.2e-2 a row. In float32, exp2 is wrong by
  // 2^-22, and scores of some tens by as many 2^-24.
  const double bound = bf16 ? 2.5e-2 : 2e-5;
  h.check(
      name, shape.head_dim, bound,
      [=](Bench& bench) {
        const kernels::KeyValues kv = keys_on(bench, *p, paged);
        const auto q = bench.rows(p->q, p->width()), out = bench.rows(p->rows, p->width());
        kernels::attention(bench.on_device, p->shape, q, kv, kernels::sequences(*p), p->first,
                           p->last, out);
        return bench.read(out);
      },
      [=](Bench& bench) {
        const auto kv = paged ? kernels::paged(*p) : kernels::contiguous(*p);
        return kernels::run(bench.reference, *p, kv, kernels::sequences(*p));
      });
}

/// Short sequences of every mask, rows without keys among them. Behind the last one's keys, which
/// end inside a block of 64, lies nothing.
std::vector<kernels::Request> masks() {
  using namespace kernels;
  return {full(70, 70), causal(66, 130), window(40, 90, 33), prefix(50, 20), ragged(50, 70, 7),
          full(1, 3),   causal(5, 64),   full(3, 0),         causal(3, 66)};
}

/// What decoding looks like: one row each.
std::vector<kernels::Request> steps() {
  using namespace kernels;
  return {causal(1, 1), causal(1, 65), causal(1, 700), window(1, 600, 100), causal(1, 256)};
}

}  // namespace

void check_attention(Harness& h) {
  using kernels::shape_of;
  for (const std::int64_t d : {64, 72, 80, 96, 128, 256}) {  // tiles of each size, 72 in 80
    check_problem(h, "masks", shape_of(2, 1, d), Keys::contiguous, true, masks());
  }
  check_problem(h, "masks", shape_of(4, 2, 64), Keys::pages_bf16, true, masks());
  check_problem(h, "masks", shape_of(2, 1, 256), Keys::pages_bf16, true,
                {kernels::causal(70, 200)});
  check_problem(h, "masks, capped", shape_of(2, 2, 64, 5.0f), Keys::contiguous, true, masks());
  for (const std::int64_t d : {8, 18, 64, 80, 100, 192}) {
    check_problem(h, "masks", shape_of(3, 3, d), Keys::contiguous, false,
                  {kernels::full(9, 70), kernels::ragged(20, 50, 7), kernels::full(3, 0)});
  }
  for (const std::int64_t heads : {2, 6, 10}) {  // 1, 3 and 5 heads share keys
    for (const std::int64_t d : {64, 96, 128, 256}) {
      check_problem(h, "steps", shape_of(heads, 2, d), Keys::pages_f32, false, steps());
    }
  }
  check_problem(h, "steps, capped", shape_of(4, 1, 64, 5.0f), Keys::pages_f32, false, steps());
  check_problem(h, "steps", shape_of(8, 2, 128), Keys::pages_bf16, true, steps());
}

}  // namespace chiasm::cuda_check

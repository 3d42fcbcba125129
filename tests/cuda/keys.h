#pragma once
/// An attention problem's keys and values on a device.
#include "tests/cuda/harness.h"
#include "tests/support/attention_problem.h"

namespace chiasm::cuda_check {

/// Contiguous rows, or the problem's pages where it has any.
inline kernels::KeyValues keys_on(Bench& bench, const kernels::Problem& p, bool paged) {
  kernels::KeyValues kv;
  if (paged) {
    const auto copy = [&](const std::vector<std::byte>& pages) {
      std::byte* const memory = bench.device.allocate(pages.size());
      bench.device.upload(memory, pages);
      return memory;
    };
    kv.k_pages = copy(p.k_pages);
    kv.v_pages = copy(p.v_pages);
    kv.page_dtype = p.page_dtype;
  } else {
    kv.k = bench.rows(p.k, p.kv_width());
    kv.v = bench.rows(p.v, p.kv_width());
  }
  return kv;
}

}  // namespace chiasm::cuda_check

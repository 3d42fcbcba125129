#pragma once
/// For tests alone: every operation of kernels/cuda/dev.h once, on given words, so that what a card
/// makes of them can be compared with what we read in the manual and with the emulation.
/// tests/cuda/intrinsics.cpp says what must come out.
#include <cstdint>

#include "core/device_table.h"

namespace chiasm::device {

/// What a lane brings: words of 32 bits.
struct alignas(16) IntrinsicsIn {
  std::uint32_t tile[4];     // row `lane` of four matrices of 8 x 8, and 16 bytes to copy
  std::uint32_t a[4], b[2];  // bfloat16 pairs of multiply_bf16
  float c[4];                // what is added there
  std::uint32_t any;         // what is shuffled
  std::uint32_t lane;        // from which lane
  float number, other;       // what is converted and added up; the exponent of exp2
  std::uint32_t half;        // a float16 number in its lower bits, a bfloat16 one in its upper ones
};

struct IntrinsicsOut {
  float product[4];                // multiply_bf16
  std::uint32_t rows[4];           // load_matrix4<false>
  std::uint32_t columns[4];        // load_matrix4<true>
  std::uint32_t exchanged[5];      // shuffle_xor by 1, 2, 4, 8, 16
  std::uint32_t taken;             // shuffle
  std::uint32_t copied[4];         // copy_async16
  std::uint32_t zeros[4];          // likewise, not real
  float power;                     // exp2(number)
  std::uint32_t narrowed, packed;  // to_bf16(number), pack_bf16(number, other)
  float widened, from_half;        // from_bf16, from_half
  float sum, most;                 // warp_sum, warp_max of c[0]
  float counts;                    // the sum of what count_up said to the warp's lanes
  std::uint32_t joined;            // `any` of all lanes of all warps by xor, in the warp that was
};                                 // last to publish its own; 0 in the others

/// Runs `warps` warps, each on 32 of both; memory of the device.
struct IntrinsicsCall {
  const IntrinsicsIn* in;
  IntrinsicsOut* out;
  unsigned* counters;   // [warps + 1], zeros: one for each warp's lanes, then the warps'
  std::uint32_t* left;  // [warps, 32], what lanes publish
  std::int64_t warps;
};

using IntrinsicsFunction = Status (*)(Session* session, const IntrinsicsCall* call);
inline constexpr const char* kIntrinsicsSymbol = "chiasm_device_intrinsics";

}  // namespace chiasm::device

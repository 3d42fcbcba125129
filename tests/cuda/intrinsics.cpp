// Every operation of kernels/cuda/dev.h against a plain statement of what the PTX manual (ISA 8.x,
// docs.nvidia.com/cuda/parallel-thread-execution) says of it, and against a card's own outputs
// where those have been recorded.
#include "kernels/cuda/intrinsics.h"

#include <dlfcn.h>

#include <bit>
#include <cmath>
#include <cstdlib>
#include <cstring>
#include <fstream>
#include <random>

#include "core/error.h"
#include "tests/cuda/harness.h"

namespace chiasm::cuda_check {

using device::IntrinsicsIn;
using device::IntrinsicsOut;

namespace {

constexpr std::size_t kLanes = 32, kWarps = 8;
using Inputs = std::vector<IntrinsicsIn>;
using Outputs = std::vector<IntrinsicsOut>;
using Word = std::uint32_t;

/// Ends of ranges, ties of bfloat16, NaNs with something in them; the rest of the lanes is random.
constexpr Word kNumbers[] = {
    0x00000000, 0x80000000, 0x3f800000, 0xbf800000, 0x7f800000, 0xff800000,  // 0, 1, infinity
    0x7fc00000, 0x7f800001, 0xffc12345,                                      // NaN
    0x3f808000, 0x3f818000, 0x3f808001, 0x3f807fff, 0xbf818000,              // ties and beside them
    0x7f7fffff, 0xff7fffff, 0x7f7f8000, 0x7f7f7fff,                          // largest
    0x00000001, 0x80000001, 0x00008000, 0x00018000, 0x007fffff, 0x00800000,  // subnormal, smallest
    0xc2fc0000, 0xc2fd0000, 0xc2fe0000, 0xc3150000, 0xc3160000, 0x42ffffff, 0x43000000,  // -126...
};
constexpr Word kHalves[] = {0x0000, 0x8000, 0x0001, 0x8001, 0x03ff, 0x0400, 0x3c00,
                            0x7bff, 0xfbff, 0x7c00, 0xfc00, 0x7e00, 0x7c01, 0xfe55};

Inputs make_inputs() {
  std::mt19937 random(51);
  std::normal_distribution<float> normal;
  const auto word = [&] { return Word(random()); };
  const auto pair = [&] {  // finite bfloat16 numbers
    const Word low = std::bit_cast<Word>(normal(random)),
               high = std::bit_cast<Word>(normal(random));
    return low >> 16 | (high & 0xffff0000u);
  };
  Inputs inputs(kWarps * kLanes);
  for (std::size_t i = 0; i < inputs.size(); i++) {
    IntrinsicsIn& in = inputs[i];
    for (Word& w : in.a) w = pair();
    for (Word& w : in.b) w = pair();
    for (float& v : in.c) v = normal(random);
    for (Word& w : in.tile) w = word();
    in.any = word();
    in.lane = word() % kLanes;
    in.number = i < std::size(kNumbers) ? std::bit_cast<float>(kNumbers[i]) : 40 * normal(random);
    in.other = i < std::size(kNumbers) ? std::bit_cast<float>(kNumbers[std::size(kNumbers) - 1 - i])
                                       : std::ldexp(normal(random), int(word() % 200) - 100);
    in.half = (word() & 0xffff0000u) | (i < std::size(kHalves) ? kHalves[i] : word() & 0xffffu);
  }
  return inputs;
}

/// To the nearest of the two bfloat16 numbers beside it, the even one of a tie; NaN to 0x7fff.
Word nearest_bf16(float x) {
  if (std::isnan(x)) return 0x7fff;
  const Word sign = std::signbit(x) ? 0x8000 : 0;
  const Word below = std::bit_cast<Word>(std::fabs(x)) >> 16;
  if (std::isinf(x)) return sign | below;
  const auto value = [](Word u) {  // beyond the largest number lies 2^128
    return u == 0x7f80 ? 0x1p128 : double(std::bit_cast<float>(u << 16));
  };
  const double lower = double(std::fabs(x)) - value(below),
               upper = value(below + 1) - double(std::fabs(x));
  return sign | (lower < upper || (lower == upper && below % 2 == 0) ? below : below + 1);
}

float value_of_half(Word u) {
  const int exponent = int(u >> 10 & 31u), mantissa = int(u & 1023u);
  const double sign = (u & 0x8000u) != 0 ? -1.0 : 1.0;
  if (exponent == 31) return float(mantissa != 0 ? double(NAN) : sign * HUGE_VAL);
  return float(sign * (exponent == 0 ? std::ldexp(mantissa, -24)
                                     : std::ldexp(1024 + mantissa, exponent - 25)));
}

double bf16_half_of(Word pair, unsigned i) {
  return double(std::bit_cast<float>(i % 2 == 0 ? pair << 16 : pair & 0xffff0000u));
}

/// mma.m16n8k16 with .bf16: where the fragments' elements stand, by the manual's formulas.
void multiply(const IntrinsicsIn* in, IntrinsicsOut* out) {
  double a[16][16], b[16][8];
  for (unsigned lane = 0; lane < kLanes; lane++) {
    const unsigned group = lane / 4, in_group = lane % 4;
    for (unsigned i = 0; i < 8; i++) {
      const unsigned row = i < 2 || (4 <= i && i < 6) ? group : group + 8;
      const unsigned column = in_group * 2 + (i & 1u) + (i < 4 ? 0 : 8);
      a[row][column] = bf16_half_of(in[lane].a[i / 2], i);
    }
    for (unsigned i = 0; i < 4; i++) {
      b[in_group * 2 + (i & 1u) + (i < 2 ? 0 : 8)][group] = bf16_half_of(in[lane].b[i / 2], i);
    }
  }
  for (unsigned lane = 0; lane < kLanes; lane++) {
    for (unsigned i = 0; i < 4; i++) {
      const unsigned row = lane / 4 + (i < 2 ? 0 : 8), column = lane % 4 * 2 + (i & 1u);
      double sum = double(in[lane].c[i]);
      for (unsigned k = 0; k < 16; k++) sum += a[row][k] * b[k][column];
      out[lane].product[i] = float(sum);
    }
  }
}

/// ldmatrix.x4: of matrix m, row r is where lane 8 m + r points; a lane gets two neighbours of a
/// row, or with .trans of a column.
void load(const IntrinsicsIn* in, IntrinsicsOut* out) {
  const auto element = [&](unsigned m, unsigned row, unsigned column) {
    return in[8 * m + row].tile[column / 2] >> (16 * (column % 2)) & 0xffffu;
  };
  for (unsigned lane = 0; lane < kLanes; lane++) {
    const unsigned major = lane / 4, minor = lane % 4 * 2;
    for (unsigned m = 0; m < 4; m++) {
      out[lane].rows[m] = element(m, major, minor) | element(m, major, minor + 1) << 16;
      out[lane].columns[m] = element(m, minor, major) | element(m, minor + 1, major) << 16;
    }
  }
}

/// ex2.approx.ftz: subnormal numbers count as 0, before and after.
float power_of_two(float x) {
  const double y = std::exp2(std::fpclassify(x) == FP_SUBNORMAL ? 0.0 : double(x));
  return y < 0x1p-126 ? 0.0f : float(y);
}

Outputs expected(const Inputs& inputs) {
  Outputs outputs(inputs.size());
  for (std::size_t first = 0; first < inputs.size(); first += kLanes) {
    const IntrinsicsIn* const in = inputs.data() + first;
    IntrinsicsOut* const out = outputs.data() + first;
    multiply(in, out);
    load(in, out);
    float sums[kLanes], most = in[0].c[0];
    for (std::size_t l = 0; l < kLanes; l++) {
      sums[l] = in[l].c[0];
      most = std::max(most, in[l].c[0]);
    }
    for (std::size_t step = kLanes / 2; step > 0; step /= 2) {  // dev.h: always in this order
      for (std::size_t l = 0; l < step; l++) sums[l] += sums[l + step];
    }
    for (std::size_t l = 0; l < kLanes; l++) {
      for (std::size_t i = 0; i < 5; i++) out[l].exchanged[i] = in[l ^ (std::size_t(1) << i)].any;
      out[l].taken = in[in[l].lane].any;
      std::memcpy(out[l].copied, in[l].tile, sizeof out[l].copied);
      std::memset(out[l].zeros, 0, sizeof out[l].zeros);
      out[l].power = power_of_two(in[l].number);
      out[l].narrowed = nearest_bf16(in[l].number);
      out[l].packed = nearest_bf16(in[l].number) | nearest_bf16(in[l].other) << 16;
      out[l].widened = std::bit_cast<float>(in[l].half & 0xffff0000u);
      out[l].from_half = value_of_half(in[l].half & 0xffffu);
      out[l].sum = sums[0];
      out[l].most = most;
      out[l].counts = float(kLanes * (kLanes - 1) / 2);
    }
  }
  return outputs;
}

Outputs run(Bench& bench, const Inputs& inputs) {
  void* const library = dlopen(bench.device.report().plugin.c_str(), RTLD_NOW | RTLD_LOCAL);
  const auto function =
      library == nullptr
          ? nullptr
          : reinterpret_cast<device::IntrinsicsFunction>(dlsym(library, device::kIntrinsicsSymbol));
  if (function == nullptr) fail<DeviceError>("the plug-in lacks ", device::kIntrinsicsSymbol);
  Outputs outputs(inputs.size());
  const auto in = std::as_bytes(std::span(inputs));
  const auto out = std::as_writable_bytes(std::span(outputs));
  std::byte* const from = bench.device.allocate(in.size());
  std::byte* const to = bench.device.allocate(out.size());
  bench.device.upload(from, in);
  const std::vector<unsigned> zeros(kWarps + 1, 0);
  std::byte* const counters = bench.device.allocate(zeros.size() * sizeof(unsigned));
  bench.device.upload(counters, std::as_bytes(std::span(zeros)));
  std::byte* const left = bench.device.allocate(inputs.size() * sizeof(Word));
  const device::IntrinsicsCall call{
      reinterpret_cast<const IntrinsicsIn*>(from), reinterpret_cast<IntrinsicsOut*>(to),
      reinterpret_cast<unsigned*>(counters), reinterpret_cast<Word*>(left), std::int64_t(kWarps)};
  bench.device.check(function(bench.device.session(), &call), "intrinsics");
  bench.device.download(out, to);
  return outputs;
}

/// What a card left, or nothing.
Outputs recorded() {
  std::ifstream file(CHIASM_CUDA_FIXTURES "/intrinsics.bin", std::ios::binary);
  Outputs outputs(kWarps * kLanes);
  const auto bytes = std::as_writable_bytes(std::span(outputs));
  if (!file.read(reinterpret_cast<char*>(bytes.data()), std::streamsize(bytes.size()))) return {};
  return outputs;
}

/// Bits as numbers that can be compared; every NaN is the same one.
void add_bits(Floats& out, Word w) {
  out.push_back(float(w & 0xffffu));
  out.push_back(float(w >> 16));
}
void add_bits(Floats& out, float v) {
  add_bits(out, std::isnan(v) ? Word(0x7fffffff) : std::bit_cast<Word>(v));
}
void add_finite(Floats& out, float v) {
  out.push_back(std::isnan(v) ? -1.0f : std::isinf(v) ? -2.0f : v);
}

struct Part {
  const char* name;
  std::int64_t cols;
  double bound;
  void (*add)(Floats&, const IntrinsicsOut&);
};

const Part kParts[] = {
    // A card keeps fewer bits of the smaller terms of a sum than float32 has.
    {"multiply_bf16", 4 * kLanes, 1e-3,
     [](Floats& f, const IntrinsicsOut& o) { f.insert(f.end(), o.product, o.product + 4); }},
    {"load_matrix4", 1, 0,
     [](Floats& f, const IntrinsicsOut& o) {
       for (const Word w : o.rows) add_bits(f, w);
       for (const Word w : o.columns) add_bits(f, w);
     }},
    {"shuffle, shuffle_xor", 1, 0,
     [](Floats& f, const IntrinsicsOut& o) {
       for (const Word w : o.exchanged) add_bits(f, w);
       add_bits(f, o.taken);
     }},
    {"copy_async16", 1, 0,
     [](Floats& f, const IntrinsicsOut& o) {
       for (const Word w : o.copied) add_bits(f, w);
       for (const Word w : o.zeros) add_bits(f, w);
     }},
    // 2^-22, and 2^-24 for the reference's own rounding.
    {"exp2", 1, 0x1.4p-22, [](Floats& f, const IntrinsicsOut& o) { add_finite(f, o.power); }},
    {"to_bf16, pack_bf16", 1, 0,
     [](Floats& f, const IntrinsicsOut& o) {
       add_bits(f, o.narrowed);
       add_bits(f, o.packed);
     }},
    {"from_bf16, from_half", 1, 0,
     [](Floats& f, const IntrinsicsOut& o) {
       add_bits(f, o.widened);
       add_bits(f, o.from_half);
     }},
    {"warp_sum, warp_max", 1, 0,
     [](Floats& f, const IntrinsicsOut& o) {
       add_bits(f, o.sum);
       add_bits(f, o.most);
     }},
    {"count_up", 1, 0, [](Floats& f, const IntrinsicsOut& o) { f.push_back(o.counts); }},
};

/// Of every lane the lanes' words joined in the warp that came last, whichever that was.
Floats joined_in_one(const Outputs& outputs) {
  Floats out;
  for (std::size_t lane = 0; lane < kLanes; lane++) {
    Word all = 0;
    std::size_t warps = 0;
    for (std::size_t warp = 0; warp < kWarps; warp++) {
      const Word joined = outputs[warp * kLanes + lane].joined;
      warps += joined != 0 ? 1 : 0;
      all |= joined;
    }
    out.push_back(float(warps));
    add_bits(out, all);
  }
  return out;
}

Floats part_of(const Part& part, const Outputs& outputs) {
  Floats out;
  for (const IntrinsicsOut& o : outputs) part.add(out, o);
  return out;
}

/// For gpu_run.sh: what this device makes of the inputs, to be kept as tests/golden/cuda.
void record(const Inputs& inputs, const char* folder) {
  Bench bench;
  const Outputs outputs = run(bench, inputs);
  const auto bytes = std::as_bytes(std::span(outputs));
  std::ofstream file(std::string(folder) + "/intrinsics.bin", std::ios::binary);
  file.write(reinterpret_cast<const char*>(bytes.data()), std::streamsize(bytes.size()));
}

}  // namespace

void check_intrinsics(Harness& h) {
  const Inputs inputs = make_inputs();
  const Outputs card = recorded();
  for (const Part& part : kParts) {
    const std::string name = std::string("intrinsics ") + part.name;
    const auto got = [=, &part](Bench& bench) { return part_of(part, run(bench, inputs)); };
    h.check(name, part.cols, part.bound, got,
            [=, &part](Bench&) { return part_of(part, expected(inputs)); });
    if (card.empty()) continue;
    h.check(name + ", as a card", part.cols, part.bound, got,
            [=, &part](Bench&) { return part_of(part, card); });
  }
  h.check(
      "intrinsics publish", 1, 0, [=](Bench& bench) { return joined_in_one(run(bench, inputs)); },
      [=](Bench&) {
        Word all = 0;
        for (const IntrinsicsIn& in : inputs) all ^= in.any;
        Floats out;
        for (std::size_t lane = 0; lane < kLanes; lane++) {
          out.push_back(1);
          add_bits(out, all);
        }
        return out;
      });
  if (const char* folder = std::getenv("CHIASM_INTRINSICS_OUT")) record(inputs, folder);
}

}  // namespace chiasm::cuda_check

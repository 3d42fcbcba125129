#include "kernels/grouped.h"

#include <algorithm>
#include <cstring>
#include <numeric>
#include <string>

#include "core/error.h"

namespace chiasm::kernels {

namespace {

constexpr std::int64_t kPack = 8;  // numbers of 4 bits in 32

std::uint32_t word(const TensorEntry& entry, std::int64_t index) {
  std::uint32_t v = 0;
  std::memcpy(&v, entry.bytes.data() + std::size_t(index) * sizeof v, sizeof v);
  return v;
}

// Which of eight numbers that AWQ packs is output 0, 1, 2, ...
constexpr int kAwqPlace[] = {0, 4, 1, 5, 2, 6, 3, 7};

int nibble(std::uint32_t word, int place) { return int(word >> (4 * place) & 15u); }

const TensorEntry& integers(const Weights& weights, const std::string& name, const Shape& shape) {
  const TensorEntry& entry = weights.entry(name, shape);
  if (entry.dtype != DType::i32) {
    fail<ModelError>(weights.full(name), ": holds ", chiasm::name(entry.dtype), ", expected int32");
  }
  return entry;
}

/// Inputs sorted by their groups; empty where they are sorted.
std::vector<std::int32_t> read_order(const Weights& weights, const std::string& name,
                                     std::int64_t in, std::int64_t group) {
  const TensorEntry& entry = integers(weights, name, {in});
  std::vector<std::int32_t> groups(static_cast<std::size_t>(in)), order(groups.size());
  std::memcpy(groups.data(), entry.bytes.data(), entry.bytes.size());
  std::iota(order.begin(), order.end(), 0);
  std::ranges::stable_sort(order, {}, [&](std::int32_t i) { return groups[std::size_t(i)]; });
  for (std::int64_t i = 0; i < in; i++) {
    const std::int32_t found = groups[std::size_t(order[std::size_t(i)])];
    if (found != i / group) {
      fail<ModelError>(weights.full(name), ": does not put ", group, " inputs into each of ",
                       in / group, " groups");
    }
  }
  return std::ranges::is_sorted(groups) ? std::vector<std::int32_t>{} : order;
}

}  // namespace

int GroupedWeight::weight(std::int64_t output, std::int64_t input) const {
  if (awq)
    return nibble(word(*q, input * (out / kPack) + output / kPack), kAwqPlace[output % kPack]);
  return nibble(word(*q, input / kPack * out + output), int(input % kPack));
}

int GroupedWeight::zero(std::int64_t output, std::int64_t group_index) const {
  const std::uint32_t packed = word(*zeros, group_index * (out / kPack) + output / kPack);
  if (awq) return nibble(packed, kAwqPlace[output % kPack]);
  return (nibble(packed, int(output % kPack)) + 1) & 15;
}

float GroupedWeight::scale(std::int64_t output, std::int64_t group_index) const {
  const std::size_t element = size_of(scales->dtype);
  float v = 0;
  to_floats(scales->bytes.data() + std::size_t(group_index * out + output) * element, scales->dtype,
            1, &v);
  return v;
}

std::optional<GroupedWeight> find_grouped(const Weights& weights, std::string_view scope,
                                          std::int64_t out, std::int64_t in) {
  const std::string prefix = std::string(scope) + ".";
  if (!weights.has(prefix + "qweight")) return std::nullopt;
  GroupedWeight w;
  w.out = out;
  w.in = in;
  if (out % kPack != 0 || in % 32 != 0) {
    fail<ModelError>(weights.full(prefix + "qweight"), ": for [", out, ", ", in,
                     "], expected multiples of ", kPack, " and 32");
  }
  const Shape awq_shape{in, out / kPack};
  w.awq = weights.shape(prefix + "qweight") == awq_shape;
  w.q = &integers(weights, prefix + "qweight", w.awq ? awq_shape : Shape{in / kPack, out});
  const std::int64_t groups = weights.shape(prefix + "scales")[0];
  if (groups < 1 || in % groups != 0 || in / groups % 32 != 0) {
    fail<ModelError>(weights.full(prefix + "scales"), ": ", groups, " groups of ", in,
                     " inputs; groups of a multiple of 32 are supported");
  }
  w.group = in / groups;
  w.scales = &weights.entry(prefix + "scales", {groups, out});
  w.zeros = &integers(weights, prefix + "qzeros", {groups, out / kPack});
  if (weights.has(prefix + "g_idx")) {
    w.order = read_order(weights, prefix + "g_idx", in, w.group);
  }
  return w;
}

}  // namespace chiasm::kernels

// A library's attention in plain loops and double precision, in place of cuDNN, and what that would
// ask for: shapes it can have, operands of the device that are long enough and aligned, lengths and
// pages within their bounds, plans made before a recording.
#include "kernels/cuda/library_attention.h"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <memory>
#include <set>
#include <string>
#include <vector>

#include "kernels/cuda/emulation/dev.h"
#include "kernels/cuda/emulation/memory.h"
#include "kernels/cuda/page_size.h"

namespace chiasm::device {

namespace {

constexpr std::int64_t kAlignment = 16, kMostHead = 256;

struct Library {
  std::set<LibraryShape> plans;
};

Library* library_of(const Session& session) {
  return static_cast<Library*>(session.library_attention);
}

void expect(bool holds, const std::string& what) {
  if (!holds) throw Failure(Status::failed, "library attention: " + what);
}

/// An array that the device reads or writes.
template <class Number>
void expect_array(const void* address, std::int64_t count, const std::string& what) {
  const std::uintptr_t unit = sizeof(Number) == 2 ? kAlignment : sizeof(Number);
  expect(reinterpret_cast<std::uintptr_t>(address) % unit == 0,
         what + " is not aligned to " + std::to_string(unit) + " bytes");
  emulation::Memory::current().expect_own(address, std::uint64_t(count) * sizeof(Number),
                                          ("library attention: " + what).c_str());
}

void expect_shape(const LibraryShape& s) {
  expect(s.batch > 0 && s.rows > 0 && s.keys > 0, "a shape of nothing");
  expect(s.heads > 0 && s.kv_heads > 0 && s.heads % s.kv_heads == 0,
         std::to_string(s.heads) + " heads cannot share " + std::to_string(s.kv_heads));
  expect(s.head_dim > 0 && s.head_dim % 8 == 0 && s.head_dim <= kMostHead,
         "heads of " + std::to_string(s.head_dim) + ", expected a multiple of 8 up to 256");
  expect(s.window == 0 || (s.causal && s.window > 0), "a window without a causal mask");
  expect(s.pages == 0 || s.packed, "pages of sequences that are not packed");
  expect(s.packed || !s.causal || s.rows <= s.keys, "more causal rows than keys");
}

/// Operands as far as the host knows them; what lies in them is known when the step runs.
void expect_operands(const LibraryShape& s, const LibraryOperands& o, std::int64_t workspace) {
  if (!s.packed) {
    const std::int64_t rows = s.batch * s.rows * s.heads * s.head_dim;
    const std::int64_t keys = s.batch * s.keys * s.kv_heads * s.head_dim;
    expect_array<std::uint16_t>(o.q, rows, "q");
    expect_array<std::uint16_t>(o.out, rows, "out");
    expect_array<std::uint16_t>(o.k, keys, "k");
    expect_array<std::uint16_t>(o.v, keys, "v");
  } else {
    expect_array<std::int32_t>(o.row_counts, s.batch, "counts of rows");
    expect_array<std::int32_t>(o.key_counts, s.batch, "counts of keys");
    expect_array<std::int32_t>(o.row_offsets, s.batch + 1, "offsets of rows");
    if (s.pages > 0) {
      expect_array<std::int32_t>(o.page_table, s.batch * s.table_width(), "the table of pages");
    } else {
      expect_array<std::int32_t>(o.key_offsets, s.batch + 1, "offsets of keys");
    }
  }
  expect_array<std::byte>(o.workspace, workspace, "the workspace");
  expect(o.out != o.q && o.out != o.k && o.out != o.v,
         "out overlaps q, k or v, which are read while it is written");
}

/// One sequence of a call: where its rows and keys begin.
struct Piece {
  std::int64_t rows, keys;
  const std::uint16_t* q;
  std::uint16_t* out;
  const std::uint16_t* k;  // of rows; of pages, the container
  const std::uint16_t* v;
  const std::int32_t* pages;  // null for rows
};

Piece piece_of(const LibraryShape& s, const LibraryOperands& o, std::int64_t i) {
  const std::int64_t q_cols = s.heads * s.head_dim, k_cols = s.kv_heads * s.head_dim;
  const std::int64_t rows = s.packed ? o.row_counts[i] : s.rows;
  const std::int64_t keys = s.packed ? o.key_counts[i] : s.keys;
  expect(rows >= 0 && rows <= s.rows && keys >= 0 && keys <= s.keys,
         "sequence " + std::to_string(i) + " has " + std::to_string(rows) + " rows and " +
             std::to_string(keys) + " keys, the plan is made for " + std::to_string(s.rows) +
             " and " + std::to_string(s.keys));
  const std::int64_t q_at = s.packed ? o.row_offsets[i] : i * s.rows * q_cols;
  const std::int64_t k_at = s.pages > 0 ? 0 : s.packed ? o.key_offsets[i] : i * s.keys * k_cols;
  Piece p{rows,
          keys,
          static_cast<const std::uint16_t*>(o.q) + q_at,
          static_cast<std::uint16_t*>(o.out) + q_at,
          static_cast<const std::uint16_t*>(o.k) + k_at,
          static_cast<const std::uint16_t*>(o.v) + k_at,
          s.pages > 0 ? o.page_table + i * s.table_width() : nullptr};
  if (rows > 0) {
    expect_array<std::uint16_t>(p.q, rows * q_cols, "q");
    expect_array<std::uint16_t>(p.out, rows * q_cols, "out");
  }
  if (keys > 0 && s.pages == 0) {
    expect_array<std::uint16_t>(p.k, keys * k_cols, "k");
    expect_array<std::uint16_t>(p.v, keys * k_cols, "v");
  }
  // Of every entry, used or not: a library may read ahead.
  for (std::int64_t page = 0; page < s.table_width(); page++) {
    expect(p.pages[page] >= 0 && p.pages[page] < s.pages,
           "page " + std::to_string(p.pages[page]) + " of " + std::to_string(s.pages));
    const std::int64_t one = k_cols * kPageTokens;
    expect_array<std::uint16_t>(p.k + p.pages[page] * one, one, "a page of k");
    expect_array<std::uint16_t>(p.v + p.pages[page] * one, one, "a page of v");
  }
  return p;
}

/// Where number 0 of a key's or value's head stands.
const std::uint16_t* key_at(const LibraryShape& s, const Piece& p, const std::uint16_t* base,
                            std::int64_t key, std::int64_t head) {
  if (p.pages == nullptr) return base + (key * s.kv_heads + head) * s.head_dim;
  const std::int64_t page = p.pages[key / kPageTokens];
  return base + ((page * s.kv_heads + head) * kPageTokens + key % kPageTokens) * s.head_dim;
}

void attend_row(const LibraryShape& s, const Piece& p, std::int64_t row, std::int64_t head) {
  const std::int64_t kv_head = head / (s.heads / s.kv_heads), at = row * s.heads + head;
  const std::int64_t end = s.causal ? row + p.keys - p.rows + 1 : p.keys;
  const std::int64_t begin = s.window > 0 ? std::max<std::int64_t>(end - s.window, 0) : 0;
  expect(begin < end, "row " + std::to_string(row) + " sees no key: what it holds is undefined");
  const std::uint16_t* const q = p.q + at * s.head_dim;
  std::vector<double> weights;
  double most = -INFINITY, sum = 0;
  for (std::int64_t key = begin; key < end; key++) {
    const std::uint16_t* const k = key_at(s, p, p.k, key, kv_head);
    double score = 0;
    for (std::int64_t d = 0; d < s.head_dim; d++) {
      score += double(dev::from_bf16(q[d])) * double(dev::from_bf16(k[d]));
    }
    weights.push_back(score * double(s.scale));
    most = std::max(most, weights.back());
  }
  for (double& w : weights) sum += w = std::exp(w - most);
  for (std::int64_t d = 0; d < s.head_dim; d++) {
    double value = 0;
    for (std::int64_t key = begin; key < end; key++) {
      // The library multiplies weights in bfloat16.
      const float weight =
          dev::from_bf16(dev::to_bf16(float(weights[std::size_t(key - begin)] / sum)));
      value += double(weight) * double(dev::from_bf16(key_at(s, p, p.v, key, kv_head)[d]));
    }
    p.out[at * s.head_dim + d] = dev::to_bf16(float(value));
  }
}

void attend_now(const LibraryShape& s, const LibraryOperands& o, std::int64_t workspace) {
  std::memset(o.workspace, 0xFF, std::size_t(workspace));
  for (std::int64_t i = 0; i < s.batch; i++) {
    const Piece p = piece_of(s, o, i);
    for (std::int64_t row = 0; row < p.rows; row++) {
      for (std::int64_t head = 0; head < s.heads; head++) attend_row(s, p, row, head);
    }
  }
}

/// As a library would take it: some bytes for each row.
std::int64_t workspace_of(const LibraryShape& s) { return 4 * s.batch * s.heads * s.rows; }

}  // namespace

void open_library_attention(Session& session) {
  if (session.library_attention == nullptr) session.library_attention = new Library;
}

void close_library_attention(Session& session) noexcept {
  delete library_of(session);
  session.library_attention = nullptr;
}

std::optional<std::uint64_t> library_workspace(Session& session, const LibraryShape& shape) {
  expect(session.library_attention != nullptr, "it was not opened");
  expect_shape(shape);
  std::set<LibraryShape>& plans = library_of(session)->plans;
  if (!plans.contains(shape)) {
    const auto exact = std::ranges::count_if(plans, [](const auto& p) { return !p.packed; });
    if (plans.size() >= kMostShapes) return {};
    if (!shape.packed && std::size_t(exact) >= kMostExactShapes) return {};
    expect(session.recording == nullptr, "a plan is made while a graph is recorded");
    plans.insert(shape);
  }
  return std::uint64_t(workspace_of(shape));
}

void library_attend(Session& session, const LibraryShape& shape, const LibraryOperands& operands) {
  expect(session.library_attention != nullptr && library_of(session)->plans.contains(shape),
         "no plan was made for this shape");
  const std::int64_t workspace = workspace_of(shape);
  expect_operands(shape, operands, workspace);
  emulation::submit(session, [=] { attend_now(shape, operands, workspace); });
}

}  // namespace chiasm::device

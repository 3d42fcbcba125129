// Attention with a library as its provider (kernels/cuda/library_attention.h): which calls go
// there, what comes back, recorded and replayed, and what is refused.
#include <bit>
#include <string_view>

#include "core/error.h"
#include "tests/cuda/keys.h"

namespace chiasm::cuda_check {

using device::AttentionProvider;
using kernels::AttentionShape;
using kernels::Problem;

namespace {

enum class By { library, own };

struct Case {
  std::string title;
  AttentionShape shape;
  bool paged;
  std::vector<kernels::Request> requests;
  By by = By::library;
};

/// A library's results are bfloat16, whose lower half is empty as a float32; our own are not.
By made_by(const Floats& values) {
  for (const float v : values) {
    if ((std::bit_cast<std::uint32_t>(v) & 0xffffu) != 0) return By::own;
  }
  return By::library;
}

std::shared_ptr<Problem> problem_of(const Case& c) {
  AttentionShape shape = c.shape;
  shape.bf16_products = true;
  auto p = std::make_shared<Problem>(kernels::make(shape, c.requests));
  if (c.paged) kernels::fill_pages(*p, DType::bf16);
  return p;
}

Floats reference(Bench& bench, const Problem& p, bool paged) {
  const auto kv = paged ? kernels::paged(p) : kernels::contiguous(p);
  return kernels::run(bench.reference, p, kv, kernels::sequences(p));
}

/// As attention.cpp's bound for bfloat16: results carry another 2^-9.
constexpr double kBound = 2.5e-2;

void check_case(Harness& h, const Case& c) {
  const auto p = problem_of(c);
  h.check(
      "library " + c.title + ", " + std::to_string(c.shape.heads) + "/" +
          std::to_string(c.shape.kv_heads) + " heads of " + std::to_string(c.shape.head_dim),
      c.shape.head_dim, kBound,
      [=](Bench& bench) {
        bench.device.set_attention_provider(AttentionProvider::cudnn);
        const kernels::KeyValues kv = keys_on(bench, *p, c.paged);
        const auto q = bench.rows(p->q, p->width()), out = bench.rows(p->rows, p->width());
        kernels::attention(bench.on_device, p->shape, q, kv, kernels::sequences(*p), p->first,
                           p->last, out);
        const Floats values = bench.read(out);
        if (made_by(values) != c.by) fail<DeviceError>("another provider made it");
        return values;
      },
      [=](Bench& bench) { return reference(bench, *p, c.paged); });
}

/// A list of calls made, recorded and replayed: plans and scratch memory are there by then.
void check_replay(Harness& h) {
  const Case c{
      "", kernels::shape_of(4, 2, 64), true, {kernels::causal(66, 130), kernels::causal(20, 20)}};
  const auto p = problem_of(c);
  h.check(
      "library, recorded and replayed", 64, kBound,
      [=](Bench& bench) {
        bench.device.set_attention_provider(AttentionProvider::cudnn);
        const kernels::KeyValues kv = keys_on(bench, *p, true);
        const auto q = bench.rows(p->q, p->width()), out = bench.rows(p->rows, p->width());
        Floats first;
        for (int turn = 0; turn < 3; turn++) {
          Floats values(std::size_t(p->rows * p->width()));
          {
            const Pass pass(bench.on_device, bench.arena());
            for (int call = 0; call < 8; call++) {  // as many as are worth a graph
              kernels::attention(bench.on_device, p->shape, q, kv, kernels::sequences(*p), p->first,
                                 p->last, out);
            }
            bring_back(bench.on_device, out, testing::view(values, {p->rows, p->width()}));
          }
          if (first.empty()) first = values;
          if (values != first || made_by(values) != By::library) return Floats{};
        }
        return bench.device.commands().replays() > 0 ? first : Floats{};
      },
      [=](Bench& bench) { return reference(bench, *p, true); });
}

/// Each a sequence alone, so that it is alike: the first few get a plan of their own size.
void check_sizes(Harness& h) {
  constexpr std::int64_t kSizes = 20, kLeast = 6, kHead = 16;
  const auto problems = std::make_shared<std::vector<Problem>>();
  for (std::int64_t i = 0; i < kSizes; i++) {
    problems->push_back(*problem_of(
        {"", kernels::shape_of(1, 1, kHead), false, {kernels::full(kLeast + i, kLeast + i)}}));
  }
  const auto all = [=](auto&& attend) {
    Floats out;
    for (const Problem& p : *problems) {
      const Floats part = attend(p);
      out.insert(out.end(), part.begin(), part.end());
    }
    return out;
  };
  h.check(
      "library, pictures of many sizes", kHead, kBound,
      [=](Bench& bench) {
        bench.device.set_attention_provider(AttentionProvider::cudnn);
        return all([&](const Problem& p) {
          const auto q = bench.rows(p.q, kHead), out = bench.rows(p.rows, kHead);
          kernels::attention(bench.on_device, p.shape, q, keys_on(bench, p, false),
                             kernels::sequences(p), p.first, p.last, out);
          const Floats values = bench.read(out);
          if (made_by(values) != By::library) fail<DeviceError>("another provider made it");
          return values;
        });
      },
      [=](Bench& bench) {
        return all([&](const Problem& p) { return reference(bench, p, false); });
      });
}

std::vector<Case> cases() {
  using namespace kernels;
  const std::vector<Request> alike{full(50, 50), full(50, 50), full(50, 50)};
  const std::vector<Request> unlike{full(70, 70), full(9, 30), full(64, 128)};
  const std::vector<Request> prompts{causal(66, 130), causal(70, 70), causal(1, 40), causal(6, 64)};
  return {
      {"alike", shape_of(2, 2, 72), false, alike},
      {"alike, fewer rows than keys", shape_of(4, 2, 64), false, {full(20, 90), full(20, 90)}},
      {"alike, causal", shape_of(4, 2, 64), false, {causal(50, 50), causal(50, 50)}},
      {"alike, causal behind a prefix",
       shape_of(2, 1, 80),
       false,
       {causal(30, 70), causal(30, 70)}},
      {"alike, windows", shape_of(2, 1, 64), false, {window(40, 90, 33), window(40, 90, 33)}},
      {"packed", shape_of(4, 4, 80), false, unlike},
      {"packed, causal", shape_of(4, 2, 128), false, prompts},
      {"packed, windows", shape_of(2, 1, 64), false, {window(40, 90, 33), window(66, 66, 33)}},
      {"pages", shape_of(4, 2, 64), true, unlike},
      {"pages, causal", shape_of(4, 2, 64), true, prompts},
      {"pages, causal, wide", shape_of(2, 1, 256), true, {causal(20, 100), causal(70, 70)}},
      {"pages, windows", shape_of(2, 1, 64), true, {window(40, 90, 33), window(66, 66, 33)}},
      // What it cannot express.
      {"not: prefix", shape_of(2, 1, 64), true, {prefix(50, 20)}, By::own},
      {"not: rows without keys", shape_of(2, 1, 64), false, {full(70, 70), full(3, 0)}, By::own},
      {"not: capped", shape_of(2, 2, 64, 5.0f), false, alike, By::own},
      {"not: steps", shape_of(4, 2, 64), true, {causal(1, 65), causal(1, 700)}, By::own},
  };
}

/// A call that is in order, of one causal sequence of 20 rows and 70 keys in pages.
struct Call {
  Problem p;
  device::AttentionCall call{};

  explicit Call(Bench& bench)
      : p(*problem_of({"", kernels::shape_of(2, 1, 64), true, {kernels::causal(20, 70)}})) {
    const kernels::KeyValues kv = keys_on(bench, p, true);
    const auto number = [&](std::span<const std::int32_t> numbers, std::string_view kind) {
      return reinterpret_cast<const std::int32_t*>(
          bench.device.resident(std::as_bytes(numbers), kind));
    };
    const std::vector<std::int32_t> sequence{0, 20, 70, 0, 0}, tiles{0, 0}, owner(20, 0);
    call.q = bench.rows(p.q, p.width()).data();
    call.out = bench.rows(p.rows, p.width()).data();
    call.q_stride = call.out_stride = p.width();
    call.rows = p.rows;
    call.heads = 2;
    call.kv_heads = 1;
    call.head_dim = 64;
    call.scale = p.shape.scale;
    call.k = kv.k_pages;
    call.v = kv.v_pages;
    call.paged = call.bf16_pages = call.bf16_products = true;
    call.sequences = reinterpret_cast<const device::Sequence*>(number(sequence, "sequences"));
    call.pages = number(p.tables.front(), "pages");
    call.first_key = number(p.first, "first keys");
    call.last_key = number(p.last, "last keys");
    call.row_sequence = number(owner, "row sequences");
    call.tiles = number(tiles, "tiles");
    call.tile_count = 1;
    call.most_keys = 128;
    call.facts = {device::Mask::causal, 0, 1, 20, 0, 2};
  }
};

using Misuse = void (*)(Bench&, device::AttentionCall&);

/// The changed call must fail with a text that holds `text`, `recorded` or not.
void refuses(Harness& h, const std::string& name, std::string_view text, Misuse misuse,
             bool recorded = false) {
  h.check(
      "misuse: a library's attention " + name, 1, 0,
      [=](Bench& bench) -> Floats {
        bench.device.set_attention_provider(AttentionProvider::cudnn);
        const device::Table& table = bench.device.table();
        device::Session* const session = bench.device.session();
        Call call(bench);
        misuse(bench, call.call);
        if (recorded) bench.device.check(table.begin_capture(session), "recording");
        device::Status status = table.attention(session, &call.call);
        // What lies in the operands is seen when the call takes its turn.
        if (status == device::Status::ok) status = table.synchronize(session);
        const std::string said = table.error();
        device::Graph* graph = nullptr;
        if (recorded && table.end_capture(session, &graph) == device::Status::ok) {
          table.forget(session, graph);
        }
        if (status == device::Status::ok) fail<DeviceError>("nothing was said");
        if (said.find(text) == std::string::npos) fail<DeviceError>("said instead: ", said);
        return {1};
      },
      [](Bench&) -> Floats { return {1}; });
}

void check_misuse_of_library(Harness& h) {
  using device::AttentionCall;
  refuses(h, "of pages behind the last", "page 1 of 1",
          [](Bench&, AttentionCall& c) { c.facts.page_count = 1; });
  refuses(h, "of pages out of step", "a page of k is not aligned to 16 bytes",
          [](Bench&, AttentionCall& c) { c.k = static_cast<const std::uint16_t*>(c.k) + 1; });
  refuses(h, "of pages that were given back", "a page of v lies in memory of the device that",
          [](Bench& b, AttentionCall& c) {
            std::byte* const memory = b.device.allocate(4 << 20);
            b.device.release(memory);
            c.v = memory + (1 << 20);  // what is taken next lies before it
          });
  refuses(h, "of more keys than its plan", "sequence 0 has 20 rows and 70 keys, the plan is made",
          [](Bench&, AttentionCall& c) { c.most_keys = 64; });
  refuses(h, "of heads that cannot be shared", "2 heads cannot share 3",
          [](Bench&, AttentionCall& c) { c.kv_heads = 3; });
  refuses(
      h, "in a recording, without a plan", "a plan is made while a graph is recorded",
      [](Bench&, AttentionCall&) {}, /*recorded=*/true);
}

void check_exclusion(Harness& h) {
  h.check(
      "misuse: a library's attention with batch invariance", 1, 0,
      [](Bench& bench) -> Floats {
        bench.device.set_batch_invariant(true);
        try {
          bench.device.set_attention_provider(AttentionProvider::cudnn);
        } catch (const DeviceError& e) {
          if (std::string_view(e.what()).find("exclude each other") != std::string_view::npos) {
            return {1};
          }
        }
        return {0};
      },
      [](Bench&) -> Floats { return {1}; });
}

}  // namespace

void check_library(Harness& h) {
  if (!device_report().emulated) {
    try {
      Device(0).set_attention_provider(AttentionProvider::cudnn);
    } catch (const DeviceError& e) {
      std::printf("no library's attention here: %s\n", e.what());
      return;
    }
  }
  for (const Case& c : cases()) check_case(h, c);
  check_replay(h);
  check_sizes(h);
  check_exclusion(h);
  if (device_report().emulated) check_misuse_of_library(h);
}

}  // namespace chiasm::cuda_check

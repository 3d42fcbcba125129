// The plug-in's one symbol: its table.
#include "kernels/cuda/library_attention.h"
#include "kernels/cuda/operators.h"

namespace chiasm::device {

std::string& last_error() {
  static thread_local std::string text;
  return text;
}

namespace {

void probe(std::int32_t index, Probe* out) { backend::probe(index, *out); }

Status open(std::int32_t index, Session** out) {
  return guarded(nullptr, [&] { *out = backend::open(index); });
}

/// Of a library's attention nobody knows which algorithm serves the next batch.
void expect_one_of(bool batch_invariant, AttentionProvider provider) {
  if (!batch_invariant || provider == AttentionProvider::own) return;
  throw Failure(Status::failed,
                "batch invariance and a library's attention exclude each other: leave one out");
}

Status set_batch_invariant(Session* session, bool wanted) {
  return guarded(session, [&] {
    expect_one_of(wanted, session->attention_provider);
    session->batch_invariant = wanted;
  });
}

Status set_attention_provider(Session* session, AttentionProvider provider) {
  return guarded(session, [&] {
    expect_one_of(session->batch_invariant, provider);
    if (provider == AttentionProvider::cudnn) open_library_attention(*session);
    session->attention_provider = provider;
  });
}

void close(Session* session) {
  if (session == nullptr) return;
  guarded(session, [&] {
    for (void* memory : session->scratch_blocks) backend::release(*session, memory);
    if (session->counter_memory != nullptr) backend::release(*session, session->counter_memory);
    backend::synchronize(*session);
    close_library_attention(*session);
    session->staging.release();
    session->downloads.release();
  });
  backend::close(session);
}

const char* error() { return last_error().c_str(); }

Status allocate(Session* session, std::uint64_t bytes, void** out) {
  return guarded(session, [&] { *out = backend::allocate(bytes); });
}

Status release(Session* session, void* memory) {
  return guarded(session, [&] { backend::release(*session, memory); });
}

Status upload(Session* session, void* to, const void* from, std::uint64_t bytes) {
  return guarded(session, [&] { backend::upload(*session, to, from, bytes); });
}

Status download(Session* session, void* to, const void* from, std::uint64_t bytes) {
  return guarded(session, [&] { backend::download(*session, to, from, bytes); });
}

Status begin_download(Session* session, const void* from, std::uint64_t bytes, Download** out) {
  return guarded(session, [&] { *out = session->downloads.begin(*session, from, bytes); });
}

Status end_download(Session* session, Download* download, void* to) {
  return guarded(session, [&] { session->downloads.end(*download, to); });
}

Status copy(Session* session, void* to, const void* from, std::uint64_t bytes) {
  return guarded(session, [&] { backend::copy(*session, to, from, bytes); });
}

Status synchronize(Session* session) {
  return guarded(session, [&] { backend::synchronize(*session); });
}

Status begin_capture(Session* session) {
  return guarded(session, [&] { backend::begin_capture(*session); });
}

Status end_capture(Session* session, Graph** out) {
  return guarded(session, [&] { *out = backend::end_capture(*session); });
}

Status launch(Session* session, Graph* graph) {
  return guarded(session, [&] { backend::launch(*session, *graph); });
}

void forget(Session* session, Graph* graph) {
  guarded(session, [&] { backend::forget(graph); });
}

/// An operator behind a function of the table.
template <class Call, void (*operation)(Session&, const Call&)>
Status entry(Session* session, const Call* call) {
  return guarded(session, [&] { operation(*session, *call); });
}

Table make_table() {
  Table t;
  t.build = backend::build();
  t.emulated = backend::emulated();
  t.probe = probe;
  t.open = open;
  t.set_batch_invariant = set_batch_invariant;
  t.set_attention_provider = set_attention_provider;
  t.close = close;
  t.error = error;
  t.allocate = allocate;
  t.release = release;
  t.upload = upload;
  t.download = download;
  t.begin_download = begin_download;
  t.end_download = end_download;
  t.copy = copy;
  t.synchronize = synchronize;
  t.begin_capture = begin_capture;
  t.end_capture = end_capture;
  t.launch = launch;
  t.forget = forget;
  t.norm = entry<NormCall, norm>;
  t.turn = entry<TurnCall, turn>;
  t.pointwise = entry<PointwiseCall, pointwise>;
  t.rows = entry<RowsCall, rows>;
  t.embed = entry<EmbedCall, embed>;
  t.patches = entry<PatchesCall, patches>;
  t.shuffle = entry<ShuffleCall, shuffle>;
  t.picture = entry<PictureCall, picture>;
  t.stretches = entry<StretchesCall, stretches>;
  t.mean = entry<MeanCall, mean>;
  t.resize = entry<ResizeCall, resize>;
  t.log_mel = entry<LogMelCall, log_mel>;
  t.linear = entry<LinearCall, linear>;
  t.qkv = entry<QkvCall, qkv>;
  t.attention = entry<AttentionCall, attention>;
  t.sample = entry<SampleCall, sample>;
  return t;
}

}  // namespace

}  // namespace chiasm::device

extern "C" __attribute__((visibility("default"))) const chiasm::device::Table* chiasm_device_table(
    std::uint32_t version) {
  static const chiasm::device::Table table = chiasm::device::make_table();
  return version == chiasm::device::kTableVersion ? &table : nullptr;
}

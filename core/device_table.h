#pragma once
/// The one door to a device plug-in: a table of plain functions, filled by a library that is loaded
/// at run time. Nothing else crosses it, so that a process without a device needs no CUDA library.
///
/// The plug-in exports `chiasm_device_table`, which gives its table, or null for a version that it
/// does not speak. Functions return a Status; `error()` then says what was wrong. They are called
/// by one thread at a time for each session. All work of a session is ordered as it was asked for:
/// `download` and `synchronize` wait for it, `end_download` for what came before its copy,
/// everything else may return before it is done. Memory is of the device: any session of it may use
/// it, and `allocate` and `release` may be called beside the other functions of their session.
#include <cstdint>

#include "core/device_calls.h"

namespace chiasm::device {

/// Another number, another table or other meanings: plug-in and program must agree.
inline constexpr std::uint32_t kTableVersion = 4;
inline constexpr const char* kTableSymbol = "chiasm_device_table";

enum class Status : std::int32_t { ok = 0, failed = 1, out_of_memory = 2, unsupported = 3 };

/// Whose attention serves the calls that both have: the plug-in's own kernels, or cuDNN's.
enum class AttentionProvider : std::int32_t { own, cudnn };

/// What a plug-in found on this machine. Texts end with a zero.
struct Probe {
  std::int32_t devices = 0;
  std::uint64_t memory_bytes = 0;  // of the device that was asked about
  char name[256] = {};             // of that device
  char missing[512] = {};          // why there is none; empty where there is one
};

/// An open device: a stream, scratch memory and what its libraries keep.
struct Session;
/// Calls of a session that were recorded, to be made again with one launch.
struct Graph;
/// A copy to the host that is on its way.
struct Download;

struct Table {
  std::uint32_t version = kTableVersion;
  std::uint32_t bytes = sizeof(Table);
  const char* build = "";  // toolkit and targets, for people
  bool emulated = false;   // runs on the CPU, for tests

  /// Looks at device `index`. Never fails: what is wrong stands in `missing`.
  void (*probe)(std::int32_t index, Probe* out) = nullptr;
  Status (*open)(std::int32_t index, Session** out) = nullptr;
  /// Whether every row's arithmetic must be the same bit for bit whatever stands beside it, from
  /// the next call on: own kernels alone, slower for many rows. Without it libraries choose by
  /// sizes.
  Status (*set_batch_invariant)(Session* session, bool wanted) = nullptr;
  /// Before the first call. `unsupported` where the library is missing; `failed` together with
  /// batch invariance, which a library does not promise.
  Status (*set_attention_provider)(Session* session, AttentionProvider provider) = nullptr;
  void (*close)(Session* session) = nullptr;
  /// Of the last call on this thread that failed.
  const char* (*error)() = nullptr;

  /// Memory aligned to 256 bytes, its contents undefined.
  Status (*allocate)(Session* session, std::uint64_t bytes, void** out) = nullptr;
  Status (*release)(Session* session, void* memory) = nullptr;
  /// From and to memory of the host; both have read their source when they return.
  Status (*upload)(Session* session, void* to, const void* from, std::uint64_t bytes) = nullptr;
  Status (*download)(Session* session, void* to, const void* from, std::uint64_t bytes) = nullptr;
  /// A copy to the host that is taken later: of what `from` holds once all that was asked for
  /// before is done, and before anything that is asked for after it.
  Status (*begin_download)(Session* session, const void* from, std::uint64_t bytes,
                           Download** out) = nullptr;
  /// Waits until it is there and takes it; with `to` null it is given up and nobody waits. Each is
  /// ended once, also where this fails, and before its session is closed.
  Status (*end_download)(Session* session, Download* download, void* to) = nullptr;
  /// Inside the device.
  Status (*copy)(Session* session, void* to, const void* from, std::uint64_t bytes) = nullptr;
  Status (*synchronize)(Session* session) = nullptr;

  /// Between the two, operators and `copy` are recorded instead of done; nothing else is allowed.
  /// Their arguments are those of the recording, what their pointers lead to is read at each
  /// launch. Scratch memory that they use must have been there before.
  Status (*begin_capture)(Session* session) = nullptr;
  Status (*end_capture)(Session* session, Graph** out) = nullptr;
  Status (*launch)(Session* session, Graph* graph) = nullptr;
  void (*forget)(Session* session, Graph* graph) = nullptr;

  // Operators. `unsupported` for shapes that the plug-in has no kernel for.
  Status (*norm)(Session* session, const NormCall* call) = nullptr;
  Status (*turn)(Session* session, const TurnCall* call) = nullptr;
  Status (*pointwise)(Session* session, const PointwiseCall* call) = nullptr;
  Status (*rows)(Session* session, const RowsCall* call) = nullptr;
  Status (*embed)(Session* session, const EmbedCall* call) = nullptr;
  Status (*patches)(Session* session, const PatchesCall* call) = nullptr;
  Status (*shuffle)(Session* session, const ShuffleCall* call) = nullptr;
  Status (*stretches)(Session* session, const StretchesCall* call) = nullptr;
  Status (*mean)(Session* session, const MeanCall* call) = nullptr;
  Status (*resize)(Session* session, const ResizeCall* call) = nullptr;
  Status (*log_mel)(Session* session, const LogMelCall* call) = nullptr;
  Status (*picture)(Session* session, const PictureCall* call) = nullptr;
  Status (*linear)(Session* session, const LinearCall* call) = nullptr;
  Status (*qkv)(Session* session, const QkvCall* call) = nullptr;
  Status (*attention)(Session* session, const AttentionCall* call) = nullptr;
  Status (*sample)(Session* session, const SampleCall* call) = nullptr;
};

using TableFunction = const Table* (*)(std::uint32_t version);

}  // namespace chiasm::device

#pragma once
/// What the functions of a plug-in share: an open device, scratch memory, and failures that become
/// statuses. `backend` is written twice: card/ over the CUDA runtime, emulation/ over plain memory.
#include <algorithm>
#include <cstdint>
#include <exception>
#include <new>
#include <string>
#include <vector>

#include "core/device_table.h"
#include "kernels/cuda/downloads.h"
#include "kernels/cuda/staging.h"

namespace chiasm::device {

/// The one exception inside a plug-in; it never leaves it.
struct Failure : std::exception {
  Failure(Status s, std::string t) : status(s), text(std::move(t)) {}
  const char* what() const noexcept override { return text.c_str(); }
  Status status;
  std::string text;
};

/// Where `Table::error` reads.
std::string& last_error();

namespace backend {

/// Toolkit and targets, and whether they are real.
const char* build();
bool emulated();

void probe(int index, Probe& out);
Session* open(int index);
void close(Session* session) noexcept;
void* allocate(std::uint64_t bytes);
/// After all work of the session, which may use it.
void release(Session& session, void* memory);
/// Through the session's staging.
void upload(Session& session, void* to, const void* from, std::uint64_t bytes);
void download(Session& session, void* to, const void* from, std::uint64_t bytes);
void copy(Session& session, void* to, const void* from, std::uint64_t bytes);
void synchronize(Session& session);

/// Memory of the host that the device reads and writes by itself.
void* allocate_pinned(std::uint64_t bytes);
void release_pinned(void* memory) noexcept;
/// Copies from and to pinned memory, which take their turn in the session while the host goes on.
void upload_pinned(Session& session, void* to, const void* from, std::uint64_t bytes);
void download_pinned(Session& session, void* to, const void* from, std::uint64_t bytes);
/// A place among a session's work: `record` marks it, `wait` returns once all before it is done;
/// at once where nothing was marked.
Event* make_event();
void record(Session& session, Event& event);
void wait(Event& event);
void forget(Event* event) noexcept;

/// See the table.
void begin_capture(Session& session);
Graph* end_capture(Session& session);
void launch(Session& session, Graph& graph);
void forget(Graph* graph) noexcept;

/// While one lives, this thread may use the session's device (the card), or the emulated device's
/// memory can be touched at all.
class Access {
 public:
  explicit Access(const Session* session);
  ~Access();
  Access(const Access&) = delete;
  Access& operator=(const Access&) = delete;
};

}  // namespace backend

inline constexpr std::size_t kCounters = 65536;

struct Session {
  int index = 0;
  void* stream = nullptr;        // cudaStream_t, or emulation::Stream
  void* libraries = nullptr;     // what the backend keeps
  bool batch_invariant = false;  // see the table
  AttentionProvider attention_provider = AttentionProvider::own;
  void* library_attention = nullptr;  // of library_attention.h
  void* counter_memory = nullptr;
  Graph* recording = nullptr;         // between begin_capture and end_capture
  std::vector<void*> scratch_blocks;  // the last is in use, older ones by recorded graphs
  std::uint64_t scratch_bytes = 0;    // of the last
  Staging staging;
  Downloads downloads;

  /// kCounters numbers that are zero between launches.
  unsigned* counters() {
    if (counter_memory == nullptr) {
      const std::vector<unsigned> zeros(kCounters, 0);
      counter_memory = backend::allocate(kCounters * sizeof(unsigned));
      backend::upload(*this, counter_memory, zeros.data(), kCounters * sizeof(unsigned));
    }
    return static_cast<unsigned*>(counter_memory);
  }

  /// Memory for the calls of one function of the table; the same each time. Each block is twice as
  /// long as the one before: all together take less than twice what is needed.
  void* scratch(std::uint64_t bytes) {
    if (bytes <= scratch_bytes) return scratch_blocks.back();
    if (recording != nullptr) throw Failure(Status::failed, "scratch memory grows in a recording");
    bytes = std::max(bytes, 2 * scratch_bytes);
    scratch_blocks.push_back(backend::allocate(bytes));
    scratch_bytes = bytes;
    return scratch_blocks.back();
  }
};

/// Runs `work` with access to the device and turns what it throws into a status.
template <class Work>
Status guarded(const Session* session, Work&& work) {
  try {
    const backend::Access access(session);
    work();
    return Status::ok;
  } catch (const Failure& failure) {
    last_error() = failure.text;
    return failure.status;
  } catch (const std::bad_alloc&) {
    last_error() = "the host is out of memory";
    return Status::out_of_memory;
  } catch (const std::exception& other) {
    last_error() = other.what();
    return Status::failed;
  }
}

}  // namespace chiasm::device

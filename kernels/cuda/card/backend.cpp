// The backend over the CUDA runtime. It has compiled and linked, and never run on a GPU yet.
#include <cstdio>
#include <memory>
#include <utility>

#include "kernels/cuda/card/check.h"
#include "kernels/cuda/card/libraries.h"

namespace chiasm::device {

struct Graph {
  cudaGraphExec_t runs = nullptr;
};

}  // namespace chiasm::device

namespace chiasm::device::backend {

struct Event {
  cudaEvent_t event = nullptr;
};

const char* build() { return CHIASM_CUDA_BUILD; }
bool emulated() { return false; }

void probe(int index, Probe& out) {
  const auto missing = [&](const char* why, const char* detail) {
    std::snprintf(out.missing, sizeof out.missing, "%s%s", why, detail);
  };
  int driver = 0, count = 0;
  if (cudaDriverGetVersion(&driver) != cudaSuccess || driver == 0) {
    return missing("no NVIDIA driver is installed", "");
  }
  const cudaError_t error = cudaGetDeviceCount(&count);
  if (error != cudaSuccess)
    return missing("the driver finds no device: ", cudaGetErrorString(error));
  out.devices = count;
  if (index < 0 || index >= count) {
    std::snprintf(out.missing, sizeof out.missing,
                  "no such device: this machine has %d, counted from 0", count);
    return;
  }
  cudaDeviceProp properties{};
  if (cudaGetDeviceProperties(&properties, index) != cudaSuccess) {
    return missing("the device does not answer", "");
  }
  std::snprintf(out.name, sizeof out.name, "%s", properties.name);
  out.memory_bytes = properties.totalGlobalMem;
  constexpr int kOldest = 8;  // Ampere: bfloat16 products and asynchronous copies
  if (properties.major < kOldest) {
    std::snprintf(out.missing, sizeof out.missing,
                  "%s is of compute capability %d.%d, 8.0 or later is needed", properties.name,
                  properties.major, properties.minor);
  }
}

Session* open(int index) {
  auto session = std::make_unique<Session>();
  session->index = index;
  check_cuda(cudaSetDevice(index), "choosing the device");
  cudaStream_t stream = nullptr;
  check_cuda(cudaStreamCreateWithFlags(&stream, cudaStreamNonBlocking), "a stream");
  session->stream = stream;
  session->libraries = open_libraries();
  return session.release();
}

void close(Session* session) noexcept {
  close_libraries(session->libraries);
  cudaStreamDestroy(stream_of(*session));
  delete session;
}

void* allocate(std::uint64_t bytes) {
  void* memory = nullptr;
  check_cuda(cudaMalloc(&memory, bytes > 0 ? bytes : 1), "memory");
  return memory;
}

/// The runtime waits for all work of the device before it takes memory back.
void release(Session&, void* memory) { check_cuda(cudaFree(memory), "giving memory back"); }

void upload(Session& s, void* to, const void* from, std::uint64_t bytes) {
  s.staging.upload(s, to, from, bytes);
}

void download(Session& s, void* to, const void* from, std::uint64_t bytes) {
  s.staging.download(s, to, from, bytes);
}

void copy(Session& s, void* to, const void* from, std::uint64_t bytes) {
  check_cuda(cudaMemcpyAsync(to, from, bytes, cudaMemcpyDeviceToDevice, stream_of(s)), "copy");
}

void synchronize(Session& s) { check_cuda(cudaStreamSynchronize(stream_of(s)), "waiting"); }

void* allocate_pinned(std::uint64_t bytes) {
  void* memory = nullptr;
  check_cuda(cudaMallocHost(&memory, bytes), "pinned memory of the host");
  return memory;
}

void release_pinned(void* memory) noexcept { cudaFreeHost(memory); }

void upload_pinned(Session& s, void* to, const void* from, std::uint64_t bytes) {
  check_cuda(cudaMemcpyAsync(to, from, bytes, cudaMemcpyHostToDevice, stream_of(s)), "upload");
}

void download_pinned(Session& s, void* to, const void* from, std::uint64_t bytes) {
  check_cuda(cudaMemcpyAsync(to, from, bytes, cudaMemcpyDeviceToHost, stream_of(s)), "download");
}

Event* make_event() {
  auto event = std::make_unique<Event>();
  check_cuda(cudaEventCreateWithFlags(&event->event, cudaEventDisableTiming), "an event");
  return event.release();
}

void record(Session& s, Event& event) {
  check_cuda(cudaEventRecord(event.event, stream_of(s)), "marking a place in the stream");
}

void wait(Event& event) { check_cuda(cudaEventSynchronize(event.event), "waiting for a copy"); }

void forget(Event* event) noexcept {
  cudaEventDestroy(event->event);
  delete event;
}

void begin_capture(Session& s) {
  check_cuda(cudaStreamBeginCapture(stream_of(s), cudaStreamCaptureModeThreadLocal), "recording");
  s.recording = new Graph;
}

Graph* end_capture(Session& s) {
  std::unique_ptr<Graph> graph(std::exchange(s.recording, nullptr));
  cudaGraph_t recorded = nullptr;
  check_cuda(cudaStreamEndCapture(stream_of(s), &recorded), "recording");
  const cudaError_t made = cudaGraphInstantiate(&graph->runs, recorded, 0);
  cudaGraphDestroy(recorded);
  check_cuda(made, "making a graph");
  return graph.release();
}

void launch(Session& s, Graph& graph) {
  check_cuda(cudaGraphLaunch(graph.runs, stream_of(s)), "launching a graph");
}

void forget(Graph* graph) noexcept {
  cudaGraphExecDestroy(graph->runs);
  delete graph;
}

Access::Access(const Session* session) {
  if (session != nullptr) check_cuda(cudaSetDevice(session->index), "choosing the device");
}
Access::~Access() = default;

}  // namespace chiasm::device::backend

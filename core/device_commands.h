#pragma once
/// What a forward pass asks of a device, gathered first and then done at once: small arrays go up
/// in one copy, and a list of calls that came before is replayed as a graph, one launch for all of
/// its kernels.
#include <cstddef>
#include <cstdint>
#include <deque>
#include <span>
#include <string_view>
#include <variant>
#include <vector>

#include "core/device_table.h"

namespace chiasm {

class Device;

/// Bytes that were staged, on their way to where they are read or written.
struct StagedCopy {
  std::byte* to;
  const std::byte* from;
  std::uint64_t bytes;
  bool operator==(const StagedCopy&) const = default;
};

using DeviceCall =
    std::variant<StagedCopy, device::NormCall, device::TurnCall, device::PointwiseCall,
                 device::RowsCall, device::EmbedCall, device::PatchesCall, device::ShuffleCall,
                 device::PictureCall, device::StretchesCall, device::MeanCall, device::ResizeCall,
                 device::LogMelCall, device::LinearCall, device::QkvCall, device::AttentionCall,
                 device::SampleCall>;

struct DeviceCommand {
  DeviceCall call;
  std::string_view name;  // lives as long as the program; failures carry it
  bool operator==(const DeviceCommand& other) const { return call == other.call; }
};
using DeviceList = std::vector<DeviceCommand>;

/// The commands of one pass at a time. Between `open` and `close` calls wait until `flush`, which
/// whoever reads results calls; outside of passes they are made at once.
class DeviceCommands {
 public:
  explicit DeviceCommands(Device& device) : device_(device) {}
  DeviceCommands(const DeviceCommands&) = delete;
  DeviceCommands& operator=(const DeviceCommands&) = delete;

  void open();
  /// Gives up what was not flushed.
  void close() noexcept;

  void add(const DeviceCall& call, std::string_view name);
  /// The device's copy of a few numbers, valid to the end of the pass, outside of one until
  /// kBlockBytes more were staged. Within a pass, equal numbers of one `kind` share a copy: the
  /// layers have theirs in common. A pass whose numbers differ in value alone asks for the same
  /// addresses, which is what makes its calls equal to those of the pass before.
  const std::byte* stage(std::span<const std::byte> numbers, std::string_view kind);
  /// Whether `bytes` are few enough to go to the device in a pass's one copy.
  bool stages(std::size_t bytes) const { return open_ && bytes <= kMostStaged; }
  void flush();
  /// Gives graphs and memory back, before the device is closed.
  void release() noexcept;

  /// Graphs kept, and launches of them so far.
  std::size_t graphs() const { return graphs_.size(); }
  std::uint64_t replays() const { return replays_; }

  static constexpr std::size_t kBlockBytes = std::size_t(1) << 20;

 private:
  /// Memory of the device and what is to go there.
  struct Block {
    std::vector<std::byte> host;
    std::byte* memory;
    std::size_t used = 0, uploaded = 0;
  };
  struct Place {
    std::size_t block, at;
  };
  struct Array {
    std::string_view kind;
    Place place;
    std::size_t bytes;
  };
  struct Kept {
    DeviceList list;
    device::Graph* graph;
    std::uint64_t used;  // the larger the later
  };

  static constexpr std::size_t kMostStaged = std::size_t(64) << 10, kAlignment = 256;
  static constexpr std::size_t kTurns = 2;     // blocks that take turns outside of passes
  static constexpr std::size_t kShortest = 8;  // commands that are worth a graph
  static constexpr std::size_t kGraphs = 64;   // kept
  static constexpr std::size_t kRecent = 8;    // lists that ran once

  Place take(std::size_t bytes);
  void next_block(std::size_t room);
  void upload_staged();
  void run(const DeviceCommand& command) const;
  void run_all(const DeviceList& list) const;
  bool replay(const DeviceList& list);
  void keep_graph(const DeviceList& list);

  Device& device_;
  bool open_ = false;
  DeviceList pending_;
  std::vector<Block> blocks_;
  std::size_t block_ = 0;  // in use
  std::vector<Array> arrays_;
  std::vector<Kept> graphs_;
  std::deque<DeviceList> recent_;
  std::uint64_t replays_ = 0;
};

}  // namespace chiasm

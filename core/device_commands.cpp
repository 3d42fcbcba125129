#include "core/device_commands.h"

#include <algorithm>
#include <bit>
#include <type_traits>
#include <utility>

#include "core/device.h"
#include "core/device_fusion.h"

namespace chiasm {

namespace {

/// The table's function for a kind of call.
template <class Call>
using Operator = device::Status (*)(device::Session*, const Call*);
Operator<device::NormCall> of(const device::Table& t, const device::NormCall&) { return t.norm; }
Operator<device::TurnCall> of(const device::Table& t, const device::TurnCall&) { return t.turn; }
Operator<device::PointwiseCall> of(const device::Table& t, const device::PointwiseCall&) {
  return t.pointwise;
}
Operator<device::RowsCall> of(const device::Table& t, const device::RowsCall&) { return t.rows; }
Operator<device::EmbedCall> of(const device::Table& t, const device::EmbedCall&) { return t.embed; }
Operator<device::PatchesCall> of(const device::Table& t, const device::PatchesCall&) {
  return t.patches;
}
Operator<device::ShuffleCall> of(const device::Table& t, const device::ShuffleCall&) {
  return t.shuffle;
}
Operator<device::PictureCall> of(const device::Table& t, const device::PictureCall&) {
  return t.picture;
}
Operator<device::StretchesCall> of(const device::Table& t, const device::StretchesCall&) {
  return t.stretches;
}
Operator<device::MeanCall> of(const device::Table& t, const device::MeanCall&) { return t.mean; }
Operator<device::ResizeCall> of(const device::Table& t, const device::ResizeCall&) {
  return t.resize;
}
Operator<device::LogMelCall> of(const device::Table& t, const device::LogMelCall&) {
  return t.log_mel;
}
Operator<device::LinearCall> of(const device::Table& t, const device::LinearCall&) {
  return t.linear;
}
Operator<device::QkvCall> of(const device::Table& t, const device::QkvCall&) { return t.qkv; }
Operator<device::AttentionCall> of(const device::Table& t, const device::AttentionCall&) {
  return t.attention;
}
Operator<device::SampleCall> of(const device::Table& t, const device::SampleCall&) {
  return t.sample;
}

}  // namespace

void DeviceCommands::release() noexcept {
  for (const Kept& kept : graphs_) device_.table().forget(device_.session(), kept.graph);
  graphs_.clear();
  for (const Block& block : blocks_) device_.release(block.memory);
  blocks_.clear();
}

void DeviceCommands::open() {
  open_ = true;
  block_ = 0;
  for (Block& block : blocks_) block.used = block.uploaded = 0;
  arrays_.clear();
}

void DeviceCommands::close() noexcept {
  open_ = false;
  pending_.clear();
}

void DeviceCommands::add(const DeviceCall& call, std::string_view name) {
  const DeviceCommand command{call, name};
  if (!open_) return run(command);
  pending_.push_back(command);
}

/// Goes on to a block that has the room and that nobody reads. A pass never comes back to one.
void DeviceCommands::next_block(std::size_t room) {
  block_++;
  if (!open_ && block_ >= kTurns) block_ = 0;
  while (open_ && block_ < blocks_.size() && blocks_[block_].host.size() < room) block_++;
  const std::size_t bytes = std::max(kBlockBytes, room);
  if (block_ >= blocks_.size()) {
    block_ = blocks_.size();
    std::byte* const memory = device_.allocate(bytes);
    blocks_.push_back({std::vector<std::byte>(bytes), memory});
    return;
  }
  Block& block = blocks_[block_];
  block.used = block.uploaded = 0;
  if (block.host.size() >= room) return;
  device_.release(block.memory);
  block.memory = device_.allocate(bytes);
  block.host.resize(bytes);
}

/// Where the next array of so many bytes lies. Its room is a power of two: it may grow a little
/// without moving those behind it.
DeviceCommands::Place DeviceCommands::take(std::size_t bytes) {
  const std::size_t room = std::bit_ceil(std::max(bytes, kAlignment));
  const bool fits =
      block_ < blocks_.size() && blocks_[block_].used + room <= blocks_[block_].host.size();
  if (!fits) next_block(room);
  Block& block = blocks_[block_];
  const Place place{block_, block.used};
  block.used += room;
  return place;
}

const std::byte* DeviceCommands::stage(std::span<const std::byte> numbers, std::string_view kind) {
  if (open_) {
    for (const Array& a : arrays_) {
      if (a.kind != kind || a.bytes != numbers.size()) continue;
      const Block& block = blocks_[a.place.block];
      const auto staged = std::span(block.host).subspan(a.place.at, a.bytes);
      if (std::ranges::equal(staged, numbers)) return block.memory + a.place.at;
    }
  }
  const Place place = take(numbers.size());
  Block& block = blocks_[place.block];
  std::ranges::copy(numbers, block.host.begin() + std::ptrdiff_t(place.at));
  if (open_) {
    arrays_.push_back({kind, place, numbers.size()});
  } else {
    upload_staged();
  }
  return block.memory + place.at;
}

void DeviceCommands::upload_staged() {
  for (Block& block : blocks_) {
    if (block.used == block.uploaded) continue;
    device_.check(
        device_.table().upload(device_.session(), block.memory + block.uploaded,
                               block.host.data() + block.uploaded, block.used - block.uploaded),
        "copying to the device");
    block.uploaded = block.used;
  }
}

void DeviceCommands::run(const DeviceCommand& command) const {
  const device::Table& table = device_.table();
  const auto make = [&](const auto& call) {
    if constexpr (std::is_same_v<std::remove_cvref_t<decltype(call)>, StagedCopy>) {
      return table.copy(device_.session(), call.to, call.from, call.bytes);
    } else {
      return of(table, call)(device_.session(), &call);
    }
  };
  device_.check(std::visit(make, command.call), command.name);
}

void DeviceCommands::run_all(const DeviceList& list) const {
  for (const DeviceCommand& command : fused(list)) run(command);
}

/// Launches the graph of an equal list, if there is one.
bool DeviceCommands::replay(const DeviceList& list) {
  const auto known = std::ranges::find(graphs_, list, &Kept::list);
  if (known == graphs_.end()) return false;
  known->used = ++replays_;
  device_.check(device_.table().launch(device_.session(), known->graph), "launching a graph");
  return true;
}

/// Records the list's launches. It ran before, so that its scratch memory is there.
void DeviceCommands::keep_graph(const DeviceList& list) {
  const device::Table& table = device_.table();
  device::Session* const session = device_.session();
  if (graphs_.size() == kGraphs) {
    const auto oldest = std::ranges::min_element(graphs_, {}, &Kept::used);
    table.forget(session, oldest->graph);
    graphs_.erase(oldest);
  }
  device_.check(table.begin_capture(session), "recording a graph");
  device::Graph* graph = nullptr;
  try {
    run_all(list);
  } catch (...) {
    if (table.end_capture(session, &graph) == device::Status::ok) table.forget(session, graph);
    throw;
  }
  device_.check(table.end_capture(session, &graph), "recording a graph");
  graphs_.push_back({list, graph, replays_});
}

void DeviceCommands::flush() {
  if (!open_) return;
  upload_staged();
  const DeviceList list = std::exchange(pending_, {});
  if (list.empty() || replay(list)) return;
  const auto before = std::ranges::find(recent_, list);
  if (list.size() < kShortest || before == recent_.end()) {
    run_all(list);
    if (list.size() < kShortest) return;
    if (recent_.size() == kRecent) recent_.pop_front();
    recent_.push_back(list);
    return;
  }
  recent_.erase(before);
  keep_graph(list);
  replay(list);
}

}  // namespace chiasm

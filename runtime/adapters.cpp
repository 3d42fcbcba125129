#include "runtime/adapters.h"

#include <utility>

namespace chiasm {

void Adapters::put(Lora lora) {
  auto shared = std::make_shared<const Lora>(std::move(lora));
  const std::scoped_lock lock(mutex_);
  all_[shared->name] = shared;
}

std::shared_ptr<const Lora> Adapters::find(const std::string& name) const {
  const std::scoped_lock lock(mutex_);
  const auto at = all_.find(name);
  if (at == all_.end()) fail_unknown(name);
  return at->second;
}

void Adapters::remove(const std::string& name) {
  const std::scoped_lock lock(mutex_);
  if (all_.erase(name) == 0) fail_unknown(name);
}

void Adapters::fail_unknown(const std::string& name) const {
  std::string known;
  for (const auto& [other, lora] : all_) known += (known.empty() ? "" : ", ") + other;
  fail<RequestError>("adapter \"", name,
                     "\" is not loaded; loaded are: ", known.empty() ? "none" : known);
}

std::vector<AdapterInfo> Adapters::list() const {
  const std::scoped_lock lock(mutex_);
  std::vector<AdapterInfo> out;
  for (const auto& [name, lora] : all_) {
    out.push_back({name, lora->path, lora->modules, lora->weights.largest_rank(),
                   std::int64_t(lora->weights.bytes()), lora->changes_encoder});
  }
  return out;
}

std::int64_t Adapters::bytes() const {
  const std::scoped_lock lock(mutex_);
  std::size_t total = 0;
  for (const auto& [name, lora] : all_) total += lora->weights.bytes();
  return std::int64_t(total);
}

}  // namespace chiasm

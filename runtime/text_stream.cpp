#include "runtime/text_stream.h"

#include <algorithm>

namespace chiasm {

std::string TextStream::push(std::int32_t id) {
  if (stopped_) return {};
  held_ += detokenizer_.push(id);
  return settle(false);
}

std::string TextStream::flush() {
  if (stopped_) return {};
  held_ += detokenizer_.flush();
  return settle(true);
}

/// Cuts at the first stop string; else keeps back the longest tail that begins one.
std::string TextStream::settle(bool final) {
  std::size_t cut = std::string::npos;
  for (const std::string& stop : stop_) cut = std::min(cut, held_.find(stop));
  if (cut != std::string::npos) {
    stopped_ = true;
    return held_.substr(0, cut);
  }
  std::size_t keep = 0;
  if (!final) {
    for (const std::string& stop : stop_) {
      for (std::size_t n = std::min(stop.size() - 1, held_.size()); n > keep; n--) {
        if (held_.ends_with(std::string_view(stop).substr(0, n))) {
          keep = n;
          break;
        }
      }
    }
  }
  std::string out = held_.substr(0, held_.size() - keep);
  held_.erase(0, out.size());
  return out;
}

}  // namespace chiasm

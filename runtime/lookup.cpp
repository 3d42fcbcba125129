#include "runtime/lookup.h"

#include <algorithm>

namespace chiasm {

std::vector<std::int32_t> look_up(std::span<const std::int32_t> text, std::int64_t most) {
  for (const std::size_t length : {std::size_t(3), std::size_t(2)}) {
    if (text.size() <= length) continue;
    const auto last = text.last(length);
    for (std::size_t begin = text.size() - length; begin-- > 0;) {
      if (!std::ranges::equal(text.subspan(begin, length), last)) continue;
      const auto behind = text.subspan(begin + length);
      const auto count = std::min(behind.size(), std::size_t(std::max<std::int64_t>(most, 0)));
      return {behind.begin(), behind.begin() + std::ptrdiff_t(count)};
    }
  }
  return {};
}

}  // namespace chiasm

#include "core/device_list.h"

#include <algorithm>
#include <charconv>
#include <optional>

#include "core/error.h"

namespace chiasm {

namespace {

constexpr std::string_view kCuda = "cuda", kNumbered = "cuda:", kAll = "cuda:all";

std::vector<std::string_view> split(std::string_view words) {
  std::vector<std::string_view> out;
  for (std::size_t begin = 0; begin <= words.size();) {
    const std::size_t end = std::min(words.find(',', begin), words.size());
    std::string_view word = words.substr(begin, end - begin);
    while (word.starts_with(' ')) word.remove_prefix(1);
    while (word.ends_with(' ')) word.remove_suffix(1);
    out.push_back(word);
    begin = end + 1;
  }
  return out;
}

/// The number of a CUDA device; none for other words.
std::optional<int> index_of(std::string_view word) {
  if (word == kCuda) return 0;
  if (!word.starts_with(kNumbered)) return std::nullopt;
  const std::string_view digits = word.substr(kNumbered.size());
  int index = -1;
  const auto [end, error] = std::from_chars(digits.data(), digits.data() + digits.size(), index);
  const bool whole = error == std::errc() && end == digits.data() + digits.size();
  return whole && index >= 0 ? std::optional(index) : std::nullopt;
}

std::vector<int> usable_devices() {
  std::vector<int> out;
  const int count = device_report().devices;
  for (int i = 0; i < count; i++) {
    if (device_report(i).usable()) out.push_back(i);
  }
  if (out.empty()) out.push_back(0);  // opening it says what is missing
  return out;
}

std::vector<int> listed_devices(const std::vector<std::string_view>& words) {
  std::vector<int> out;
  for (const std::string_view word : words) {
    const std::optional<int> index = index_of(word);
    if (!index && words.size() > 1 && word == "cpu") {
      fail<RequestError>(
          "device: \"cpu\" stands in a list with others; a list spreads requests over devices of "
          "one kind, and those that the CPU got would take many times as long; name CUDA devices "
          "alone, or \"cpu\" alone");
    }
    if (!index && words.size() > 1 && (word == "auto" || word == kAll)) {
      fail<RequestError>("device: \"", word, "\" stands in a list with others; give it alone");
    }
    if (!index) {
      fail<RequestError>("device \"", word,
                         "\" is not known; use auto, cpu, cuda or cuda:N, cuda:all, or several "
                         "cuda:N with commas between them");
    }
    if (std::ranges::find(out, *index) != out.end()) {
      fail<RequestError>("device \"cuda:", *index, "\" is named twice; name each device once");
    }
    out.push_back(*index);
  }
  return out;
}

}  // namespace

std::vector<ListedDevice> choose_devices(std::string_view words) {
  std::vector<int> indices;
  if (words == "cpu" || (words == "auto" && !device_report().usable())) {
    return {};
  } else if (words == "auto") {
    indices = {0};
  } else if (words == kAll) {
    indices = usable_devices();
  } else {
    indices = listed_devices(split(words));
  }
  std::vector<ListedDevice> out;
  for (const int index : indices) {
    out.push_back(
        {std::string(kNumbered) + std::to_string(index), std::make_unique<Device>(index)});
  }
  return out;
}

}  // namespace chiasm

// The words around a video's frames in SmolVLM's prompts.
#include <array>
#include <string_view>

#include "core/error.h"
#include "runtime/smolvlm.h"

namespace chiasm {

namespace {

constexpr std::array<std::string_view, 20> kSmall{
    "zero",     "one",     "two",     "three",     "four",     "five",    "six",
    "seven",    "eight",   "nine",    "ten",       "eleven",   "twelve",  "thirteen",
    "fourteen", "fifteen", "sixteen", "seventeen", "eighteen", "nineteen"};
constexpr std::array<std::string_view, 10> kTens{"",      "",      "twenty",  "thirty", "forty",
                                                 "fifty", "sixty", "seventy", "eighty", "ninety"};

std::string two_digits(std::int64_t number) {
  return (number < 10 ? "0" : "") + std::to_string(number);
}

/// Python's str(timedelta(seconds=...)): "0:01:05", "1 day, 2:03:04".
std::string duration_text(std::int64_t seconds) {
  constexpr std::int64_t kDay = 24 * 3600;
  std::string out;
  if (const std::int64_t days = seconds / kDay; days > 0) {
    out = std::to_string(days) + (days == 1 ? " day, " : " days, ");
    seconds %= kDay;
  }
  return out + std::to_string(seconds / 3600) + ":" + two_digits(seconds / 60 % 60) + ":" +
         two_digits(seconds % 60);
}

}  // namespace

std::string number_words(std::int64_t number) {
  if (number < 0 || number > 999'999) fail<RequestError>(number, " is not said in words here");
  if (number < 20) return std::string(kSmall[std::size_t(number)]);
  if (number < 100) {
    const std::string tens(kTens[std::size_t(number / 10)]);
    return number % 10 == 0 ? tens : tens + "-" + number_words(number % 10);
  }
  const bool thousands = number >= 1000;
  const std::int64_t unit = thousands ? 1000 : 100, rest = number % unit;
  std::string head = number_words(number / unit) + (thousands ? " thousand" : " hundred");
  if (rest == 0) return head;
  return head + (thousands && rest >= 100 ? ", " : " and ") + number_words(rest);
}

std::string smolvlm_video_text(const vision::TakenFrames& video, const std::string& frame) {
  const double fps = video.fps();
  const double last = double(video.indices.back()) / fps;
  const auto seconds = std::int64_t(video.video.seconds > 0 ? video.video.seconds : last);
  std::string out = "You are provided the following series of " + number_words(video.count()) +
                    " frames from a " + duration_text(seconds) + " [H:MM:SS] video.\n";
  for (const std::int64_t index : video.indices) {
    const auto second = std::int64_t(double(index) / fps);
    out += "\nFrame from " + two_digits(second / 60) + ":" + two_digits(second % 60) + ":" + frame;
  }
  return out + "\n\n";
}

}  // namespace chiasm

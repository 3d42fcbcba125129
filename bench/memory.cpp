/// Growth of resident memory beside the plan: bench_memory MODEL PICTURE [DTYPE [MAX_TOKENS]].
#include <cstdio>
#include <fstream>
#include <string>

#include "core/error.h"
#include "runtime/model.h"

namespace {

/// A line of /proc/self/status, in MB.
double status(const std::string& key) {
  std::ifstream in("/proc/self/status");
  std::string word;
  while (in >> word) {
    if (word == key + ":") {
      double kilobytes = 0;
      in >> kilobytes;
      return kilobytes / 1000 * 1.024;
    }
  }
  return 0;
}

void run(int count, char** args) {
  chiasm::LoadOptions options;
  if (count > 3) options.dtype = args[3];
  const double before = status("VmRSS");
  chiasm::Model model = chiasm::Model::load(args[1], options);
  std::printf("load            %8.1f MB resident more, %8.1f MB at most\n",
              status("VmRSS") - before, status("VmHWM") - before);
  chiasm::Request request = model.caption_request(chiasm::ImageInput::from_file(args[2]));
  request.options.max_tokens = count > 4 ? std::stol(args[4]) : 64;
  request.options.ignore_eos = true;
  const chiasm::Plan plan = model.plan(request);
  const chiasm::Result result = model.generate(request);
  const double growth = status("VmHWM") - before;
  const auto megabytes = [](std::int64_t bytes) { return double(bytes) / 1e6; };
  std::printf("after an answer %8.1f MB resident more, %8.1f MB at most\n",
              status("VmRSS") - before, growth);
  std::printf("plan            %8.1f MB: weights %.1f, fixed %.1f, KV %.1f, activations %.1f\n",
              megabytes(plan.peak_bytes), megabytes(plan.weight_bytes), megabytes(plan.fixed_bytes),
              megabytes(plan.kv_bytes), megabytes(plan.activation_bytes));
  std::printf("at most / (weights * 1.2 + KV) = %.3f;  at most / plan = %.3f\n",
              growth / (1.2 * megabytes(plan.weight_bytes) + megabytes(plan.kv_bytes)),
              growth / megabytes(plan.peak_bytes));
  std::printf(
      "%ld prompt tokens, %ld tiles; seconds: preprocess %.2f, encode %.2f, prefill %.2f, "
      "decode %.2f (%ld tokens)\n",
      long(plan.tokens), long(plan.tiles), result.timings.preprocess, result.timings.encode,
      result.timings.prefill, result.timings.decode, long(result.usage.completion_tokens));
}

}  // namespace

int main(int count, char** args) {
  if (count < 3) {
    std::fprintf(stderr, "usage: %s MODEL PICTURE [DTYPE [MAX_TOKENS]]\n", args[0]);
    return 2;
  }
  try {
    run(count, args);
  } catch (const chiasm::Error& e) {
    std::fprintf(stderr, "%s\n", e.what());
    return 1;
  }
  return 0;
}

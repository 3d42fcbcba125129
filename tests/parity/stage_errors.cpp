#include "tests/parity/stage_errors.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cstdio>
#include <list>
#include <map>
#include <sstream>

namespace chiasm::testing {

namespace {

using Errors = std::vector<std::pair<std::string, double>>;

/// Values of each stage, pieces appended in the order of computing.
using Taps = std::map<std::string, std::vector<float>, std::less<>>;

void keep(Taps& taps, std::string_view stage, TensorView<const float> values) {
  auto at = taps.find(stage);
  if (at == taps.end()) at = taps.emplace(std::string(stage), std::vector<float>()).first;
  for (std::int64_t i = 0; i < values.rows(); i++) {
    at->second.insert(at->second.end(), values.row(i), values.row(i) + values.cols());
  }
}

struct NamedRow {
  std::string name;
  ParityRow row;
};

std::list<NamedRow>& rows() {
  static std::list<NamedRow> all;
  return all;
}

std::string number(double v) {
  char text[32] = "-";
  if (v >= 0) std::snprintf(text, sizeof text, "%.1e", v);
  return text;
}

/// Prints the table when the tests are over.
class TablePrinter : public ::testing::Environment {
 public:
  void TearDown() override {
    if (rows().empty()) return;
    std::printf("\nRelative L2 error against transformers in float32, largest over the prompts:\n");
    std::printf("%-16s %-9s %-40s %-9s %9s %9s %9s  %s\n", "checkpoint", "family", "shape", "dtype",
                "encoder", "projector", "logits", "greedy");
    for (const auto& [name, r] : rows()) {
      std::printf("%-16s %-9s %-40s %-9s %9s %9s %9s  %s\n", name.c_str(), r.family.c_str(),
                  r.shape.c_str(), r.dtype.c_str(), number(r.encoder).c_str(),
                  number(r.projector).c_str(), number(r.logits).c_str(), r.greedy.c_str());
    }
    std::fflush(stdout);
  }
};

[[maybe_unused]] const ::testing::Environment* const kPrinter =
    ::testing::AddGlobalTestEnvironment(new TablePrinter);

std::string shape_of(const ModelInfo& info) {
  std::ostringstream out;
  if (info.vision_layers > 0) {
    out << "vit " << info.vision_layers << "x" << info.vision_hidden_size << ", ";
  }
  out << "llm " << info.layers << "x" << info.hidden_size << ", " << info.vocab_size << " tokens";
  return out.str();
}

}  // namespace

std::vector<std::string> stage_order(const GoldenCase& golden) {
  std::vector<std::string> order;
  const auto add = [&](const std::string& name) {
    if (golden.stages.contains(name)) order.push_back(name);
  };
  const auto add_layers = [&](const std::string& prefix) {
    for (int i = 0; golden.stages.contains(prefix + std::to_string(i)); i++) {
      add(prefix + std::to_string(i));
    }
  };
  add("vision.embed");
  add_layers("vision.layers.");
  add("vision.out");
  add("audio.embed");
  add_layers("audio.layers.");
  add("audio.out");
  add("projector.out");
  add("decoder.embed");
  add_layers("decoder.layers.");
  add("decoder.norm");
  add("logits");
  return order;
}

Errors stage_errors(Model& model, const GoldenCase& golden) {
  Taps taps;
  model.set_tap([&](std::string_view stage, TensorView<const float> values) {
    if (stage != "logits") keep(taps, stage, values);
  });
  const Tensor logits = model.logits(golden.request());
  model.set_tap({});
  keep(taps, "logits", logits.view<float>());
  Errors out;
  for (const std::string& stage : stage_order(golden)) {
    out.emplace_back(stage, relative_error(taps[stage], golden.stages.at(stage)));
  }
  return out;
}

std::string first_divergence(const Errors& errors, double bound) {
  const auto wrong = std::find_if(errors.begin(), errors.end(),
                                  [bound](const auto& e) { return !(e.second <= bound); });
  if (wrong == errors.end()) return "";
  std::ostringstream out;
  out << "first diverging stage: " << wrong->first << " (" << wrong->second << " > " << bound
      << ")";
  for (const auto& [stage, error] : errors) out << "\n  " << stage << "  " << error;
  return out.str();
}

ParityRow& parity_row(const std::string& name, const Model& model, const std::string& dtype) {
  for (NamedRow& r : rows()) {
    if (r.name == name && r.row.dtype == dtype) return r.row;
  }
  NamedRow fresh{name, {}};
  fresh.row.family = model.info().family;
  fresh.row.shape = shape_of(model.info());
  fresh.row.dtype = dtype;
  rows().push_back(fresh);
  return rows().back().row;
}

void note_errors(ParityRow& row, const Errors& errors) {
  for (const auto& [stage, error] : errors) {
    if (stage == "vision.out" || stage == "audio.out") row.encoder = std::max(row.encoder, error);
    if (stage == "projector.out") row.projector = std::max(row.projector, error);
    if (stage == "logits") row.logits = std::max(row.logits, error);
  }
}

}  // namespace chiasm::testing

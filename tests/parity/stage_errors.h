#pragma once
/// Runs a golden case and measures every stage; keeps the table that the binary prints at its end.
#include <string>
#include <utility>
#include <vector>

#include "runtime/model.h"
#include "tests/parity/golden_file.h"

namespace chiasm::testing {

/// Names of a case's stages in the order in which they are computed.
std::vector<std::string> stage_order(const GoldenCase& golden);

/// Relative L2 error of each stage of `golden`, in order of computing, from one run of
/// Model::logits with a tap.
std::vector<std::pair<std::string, double>> stage_errors(Model& model, const GoldenCase& golden);

/// The first stage whose error is over `bound`, with the errors of all; empty when there is none.
std::string first_divergence(const std::vector<std::pair<std::string, double>>& errors,
                             double bound);

/// One line of the parity table: the largest error of each main stage over the cases of a folder.
struct ParityRow {
  std::string family, shape, dtype;
  double encoder = -1, projector = -1, logits = -1;  // -1: the family has no such stage
  std::string greedy = "-";                          // "4 of 4 equal"
};

/// The row of (folder, dtype), made on first use. Printed by print_parity_table in order of making.
ParityRow& parity_row(const std::string& name, const Model& model, const std::string& dtype);
void note_errors(ParityRow& row, const std::vector<std::pair<std::string, double>>& errors);

}  // namespace chiasm::testing

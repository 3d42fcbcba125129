// Continues a text: complete MODEL TEXT [MAX_TOKENS]
#include <cstdlib>
#include <iostream>

#include "runtime/model.h"

int main(int argc, char** argv) try {
  if (argc != 3 && argc != 4) {
    std::cerr << "usage: complete MODEL TEXT [MAX_TOKENS]\n";
    return 2;
  }
  chiasm::Model model = chiasm::Model::load(argv[1]);
  auto request = chiasm::Request::text(argv[2]);
  if (argc == 4) request.options.max_tokens = std::atoll(argv[3]);
  model.generate(request,
                 [](std::string_view piece) { return bool(std::cout << piece << std::flush); });
  std::cout << "\n";
} catch (const chiasm::Error& e) {
  std::cerr << "complete: " << e.what() << "\n";
  return 1;
}

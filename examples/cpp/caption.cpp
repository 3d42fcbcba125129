// Says what is on a picture, or answers a question: caption MODEL_FOLDER PICTURE [QUESTION]
#include <iostream>

#include "runtime/model.h"

int main(int argc, char** argv) try {
  if (argc != 3 && argc != 4) {
    std::cerr << "usage: caption MODEL_FOLDER PICTURE [QUESTION]\n";
    return 2;
  }
  chiasm::Model model = chiasm::Model::load(argv[1]);
  const auto picture = chiasm::ImageInput::from_file(argv[2]);
  const auto request = argc == 4 ? model.turn(argv[3], {picture}) : model.caption_request(picture);
  model.generate(request,
                 [](std::string_view piece) { return bool(std::cout << piece << std::flush); });
  std::cout << "\n";
} catch (const chiasm::Error& e) {
  std::cerr << "caption: " << e.what() << "\n";
  return 1;
}

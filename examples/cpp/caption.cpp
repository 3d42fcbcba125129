// Says what is on a picture: caption MODEL_FOLDER PICTURE
#include <iostream>

#include "runtime/model.h"

int main(int argc, char** argv) try {
  if (argc != 3) {
    std::cerr << "usage: caption MODEL_FOLDER PICTURE\n";
    return 2;
  }
  chiasm::Model model = chiasm::Model::load(argv[1]);
  const auto request = model.caption_request(chiasm::ImageInput::from_file(argv[2]));
  model.generate(request,
                 [](std::string_view piece) { return bool(std::cout << piece << std::flush); });
  std::cout << "\n";
} catch (const chiasm::Error& e) {
  std::cerr << "caption: " << e.what() << "\n";
  return 1;
}

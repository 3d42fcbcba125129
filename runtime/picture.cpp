#include "core/error.h"
#include "core/json.h"
#include "runtime/request.h"

namespace chiasm {

ImageInput ImageInput::from_file(const std::string& path, std::size_t max_bytes) {
  try {
    return from_bytes(read_file(path, max_bytes), path);
  } catch (const ModelError& e) {
    throw MediaError(e.what());
  }
}

ImageInput ImageInput::from_bytes(std::string bytes, std::string name) {
  ImageInput input;
  input.name = std::move(name);
  input.encoded = std::make_shared<const std::string>(std::move(bytes));
  return input;
}

ImageInput ImageInput::from_pixels(vision::Image image, std::string name) {
  ImageInput input;
  input.name = std::move(name);
  input.pixels = std::make_shared<const vision::Image>(std::move(image));
  return input;
}

Request Request::text(std::string prompt, std::vector<ImageInput> images) {
  Request request;
  request.prompt.push_back({std::move(prompt), true});
  request.images = std::move(images);
  return request;
}

}  // namespace chiasm

// Models loaded with quantize="int8" and "int4", on the bundled model's trained weights.
#include <gtest/gtest.h>

#include <cmath>
#include <string>

#include "runtime/model.h"
#include "tests/support/expect_error.h"

namespace chiasm {
namespace {

using chiasm::testing::throws;

Model load(const std::string& quantize) {
  LoadOptions options;
  options.dtype = "float32";
  options.quantize = quantize;
  options.threads = 2;
  return Model::load(std::string(CHIASM_SOURCE_DIR) + "/models/chiasm-mini", options);
}

vision::Image gradient() {
  vision::Image image;
  image.width = 80;
  image.height = 60;
  for (std::int64_t y = 0; y < image.height; y++) {
    for (std::int64_t x = 0; x < image.width; x++) {
      for (const std::int64_t v : {3 * x, 4 * y, (x * y) % 256}) {
        image.rgb.push_back(std::uint8_t(v % 256));
      }
    }
  }
  return image;
}

double cosine(const Tensor& a, const Tensor& b) {
  const auto x = a.view<float>(), y = b.view<float>();
  double xy = 0, xx = 0, yy = 0;
  for (std::int64_t i = 0; i < x.shape().count(); i++) {
    xy += double(x.data()[i]) * y.data()[i];
    xx += double(x.data()[i]) * x.data()[i];
    yy += double(y.data()[i]) * y.data()[i];
  }
  return xy / std::sqrt(xx * yy);
}

// Bounds with room over what was measured (0.9999 and 0.995): a wrong layout gives about 0.
TEST(QuantizeLoad, StaysCloseToFloat32) {
  Model plain = load(""), int8 = load("int8"), int4 = load("int4");
  EXPECT_EQ(int8.info().quantize, "int8");
  EXPECT_LT(int8.info().weight_bytes, 0.45 * double(plain.info().weight_bytes));
  EXPECT_LT(int4.info().weight_bytes, 0.9 * double(int8.info().weight_bytes));
  const ImageInput image = ImageInput::from_pixels(gradient());
  const Tensor features = plain.encode_image(image);
  EXPECT_GT(cosine(features, int8.encode_image(image)), 0.999);
  const Request request = plain.turn("What is in this picture?", {image});
  const Tensor logits = plain.logits(request);
  EXPECT_GT(cosine(logits, int8.logits(request)), 0.999);
  EXPECT_GT(cosine(logits, int4.logits(request)), 0.98);
}

TEST(QuantizeLoad, RefusesUnknownNames) {
  EXPECT_TRUE(throws<RequestError>([] { load("int5"); }, {"quantize \"int5\"", "int8 or int4"}));
}

}  // namespace
}  // namespace chiasm

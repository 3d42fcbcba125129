#include "audio/prepared.h"

#include <algorithm>

namespace chiasm::audio {

void PreparedSound::window(std::int64_t index, TensorView<float> out) const {
  const auto all = mel->view<float>("log-mel features");
  const std::int64_t begin = first + index * out.rows();
  for (std::int64_t i = 0; i < out.rows(); i++) {
    if (begin + i < all.rows()) {
      std::copy_n(all.row(begin + i), out.cols(), out.row(i));
    } else {
      std::fill_n(out.row(i), out.cols(), 0.0f);
    }
  }
}

}  // namespace chiasm::audio

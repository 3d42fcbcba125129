// What stands in for cudnn_attention.cpp where cuDNN's headers were missing at build time.
#include "kernels/cuda/library_attention.h"

namespace chiasm::device {

void open_library_attention(Session& /*session*/) {
  throw Failure(
      Status::unsupported,
      "cuDNN's attention: this plug-in was built without cuDNN's headers; install cuDNN 9 "
      "with its headers and build the plug-in again, or leave attention_provider out");
}
void close_library_attention(Session& /*session*/) noexcept {}
std::optional<std::uint64_t> library_workspace(Session& /*session*/,
                                               const LibraryShape& /*shape*/) {
  return {};
}
void library_attend(Session& /*session*/, const LibraryShape& /*shape*/,
                    const LibraryOperands& /*operands*/) {
  throw Failure(Status::failed, "cuDNN's attention was asked for without cuDNN");
}

}  // namespace chiasm::device

// Which attention kernel a call goes to.
#include "kernels/cuda/library_attention.h"
#include "kernels/cuda/operators.h"

namespace chiasm::device {

void attention(Session& session, const AttentionCall& call) {
  if (call.rows == 0) return;
  if (call.head_dim > 256) {
    throw Failure(Status::unsupported, "attention with heads of " + std::to_string(call.head_dim) +
                                           "; sizes up to 256 are there");
  }
  const bool narrow =
      call.bf16_products && call.head_dim % 8 == 0 && (!call.paged || call.bf16_pages);
  // A tile of few rows would mostly multiply zeros; rows are decoded one by one, heads together.
  const bool many = call.rows > 4 * call.tile_count;
  if (narrow && many && !session.batch_invariant) {
    const bool library = session.attention_provider == AttentionProvider::cudnn;
    if (library && attention_library(session, call)) return;
    return attention_tiles(session, call);
  }
  attention_rows(session, call);
}

}  // namespace chiasm::device

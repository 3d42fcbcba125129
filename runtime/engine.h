#pragma once
/// The one loop under every call: submit, step, cancel.
#include <condition_variable>
#include <cstdint>
#include <deque>
#include <memory>
#include <mutex>
#include <vector>

#include "core/arena.h"
#include "core/context.h"
#include "runtime/encoder_cache.h"
#include "runtime/encoding.h"
#include "runtime/prefix_cache.h"
#include "runtime/sequence.h"

namespace chiasm {

class Draft;
class EncoderLane;
class EncoderStore;
struct PartRows;

struct EngineOptions {
  std::int64_t max_context = 2048;  // tokens a sequence may hold
  std::int64_t kv_pages = 1024;     // capacity of the KV cache
  DType kv_dtype = DType::f32;
  std::int64_t prefill_rows = 512;  // prompt rows a step takes at most
  /// Patches a step encodes at most, of any media; more only where one piece alone has more. Enough
  /// to keep the kernels busy, little memory.
  std::int64_t patches_per_step = 2048;
  std::int64_t max_batch = 64;  // sequences that run at once
  /// Sequences that may wait; those of one call always may, once nobody waits.
  std::int64_t max_waiting = 100'000;
  std::size_t remembered_prefixes = 8;
  std::size_t encoder_cache_bytes = std::size_t(64) << 20;  // of encoded media; 0: none is kept
  std::shared_ptr<EncoderStore>
      encoder_store;  // keeps them beyond this process; null: nothing does
  /// A lane of the device that the decoder runs on (Device::lane), where media are encoded beside
  /// the decoder's steps; it outlives the engine. Null: they are encoded between the steps.
  Device* encoder_device = nullptr;
  AllLimits limits;
  std::vector<std::int32_t> end_tokens, suppressed, suppressed_first;
  std::int64_t draft_tokens = 0;  // guessed by the draft model for requests that do not say

  /// Of what a decoder looks at: of fixed length, and all of it is read again for every token, so
  /// that it is not kept in int8.
  DType cross_dtype() const { return kv_dtype == DType::i8 ? DType::bf16 : kv_dtype; }
};

/// Continuous batching over one model. Thread-safe: whoever waits for a sequence drives the loop
/// when nobody else does, so there is no thread of its own and an idle engine costs nothing.
class Engine {
 public:
  Engine(const Family& family, const language::Tokenizer& tokenizer, const Context& ctx,
         EngineOptions options);
  /// `draft` guesses ahead; null: none.
  Engine(const Family& family, const language::Tokenizer& tokenizer, const Context& ctx,
         EngineOptions options, std::unique_ptr<Draft> draft);
  ~Engine();
  Engine(const Engine&) = delete;
  Engine& operator=(const Engine&) = delete;

  /// Queues sequences, all or none. RequestError when one of them can never be served.
  void submit(std::span<const std::shared_ptr<Sequence>> sequences);
  /// Asks for an end; the sequence finishes at the next step with finish_reason "cancelled".
  void cancel(Sequence& sequence);
  /// Drives or waits until all of `sequences` are done. `on_text` gets their text, with the index
  /// of the sequence, on the calling thread; `on_done` how many are done whenever that grows.
  /// Throws the first error, after cancelling the rest; Interrupted by `poll`.
  void wait(std::span<const std::shared_ptr<Sequence>> sequences, const OnChoice& on_text,
            const Poll& poll, const OnDone& on_done = {});

  const EngineOptions& options() const { return options_; }
  /// As it stood after the last step.
  EngineStats stats() const;
  /// Scratch bytes of a step that makes such a call, then one of the decoder with so many rows.
  /// What the draft model takes for a sequence, its weights included; 0 without one.
  std::int64_t draft_bytes(const Sequence& sequence) const;
  std::size_t step_bytes(const EncoderLoad& load, std::int64_t rows) const;
  /// What an adapter adds to that for a prompt: rows between its two products, and gates that wait
  /// for them.
  std::int64_t adapter_bytes(const Lora& adapter, const Prompt& prompt) const;
  /// The largest call of the encoder and the most rows in a step that a prompt can lead to.
  EncoderLoad largest_load(const Prompt& prompt) const;
  std::int64_t largest_batch(const Prompt& prompt) const;
  /// The tap, read at the start of each step.
  void set_tap(Tap tap);
  /// Where the times of every later step go; null: nowhere.
  void set_profile(std::shared_ptr<Profile> profile);

 private:
  using List = std::vector<std::shared_ptr<Sequence>>;

  void check(const Sequence& sequence) const;
  void step(const Poll& interrupted);
  Timed enter(std::string_view stage) const;
  void drop_cancelled(List& list);
  void admit();
  bool fits(const Sequence& sequence) const;
  std::int64_t most_pages(const Sequence& sequence) const;
  void start(Sequence& sequence);
  void list_media(Sequence& sequence);
  bool outgrows(const Sequence& sequence) const;
  void begin_again(Sequence& sequence);
  void encode_some(const Poll& interrupted);
  void encode_beside();
  void keep_features(const Sequence& sequence, EncodingMedium& medium,
                     std::shared_ptr<const Tensor> rows);
  static void make_ready(EncodingMedium& medium);
  struct OwnPart;
  std::vector<OwnPart> gather_pieces(EncoderLoad& load, const Poll& interrupted);
  bool prepare_medium(Sequence& sequence, EncodingMedium& medium, const Poll& interrupted);
  void count_encoded(const Context& ctx, const OwnPart& own);
  std::shared_ptr<const Tensor> find_features(const EncoderCache::Key& key);
  void save_features();
  bool run_batch();
  struct Batch;
  /// A step that a device was asked for, the tokens of which have not been read.
  struct Ahead {
    List sequences;
    kernels::FetchedTokens tokens;
    double since;
  };
  void slide(Sequence& sequence) const;
  static std::int64_t rows_now(const Sequence& sequence, std::int64_t budget);
  std::vector<std::int64_t> share_rows() const;
  Batch gather() const;
  void guess();
  std::int64_t drafted_tokens(const Sequence& sequence) const;
  std::optional<std::int32_t> next_guess(const Sequence& sequence, std::span<float> logits) const;
  static bool counts(const Sequence& sequence, std::int64_t row);
  static void check_guess(Sequence& sequence);
  static std::int64_t settle_guesses(Sequence& sequence, std::int64_t count);
  language::DeepRows fill_rows(const Batch& batch, TensorView<float> x, Tensor& deep) const;
  AdaptedRows adapted_rows(const Batch& batch);
  static language::BatchPart decoder_part(Sequence& sequence, std::int64_t count,
                                          std::vector<PartRows>& rows);
  void forward(const Batch& batch);
  bool chooses_on_device(const List& sequences) const;
  void decode_on_device(const List& sequences);
  void ask_for_tokens(const List& sequences);
  void follow_device();
  void read_tokens(Ahead& step);
  bool goes_on(const List& sequences) const;
  void use_logits(const Batch& batch, TensorView<const float> features);
  void choose_or_abandon(Sequence& sequence, std::span<float> logits);
  void choose(Sequence& sequence, std::span<float> logits);
  void shape(Sequence& sequence, std::span<float> logits) const;
  void penalize(const GenerateOptions& options, std::span<const std::int32_t> tokens,
                std::span<const std::int32_t> seen, std::span<float> logits) const;
  void branch(Sequence& leader, std::span<const float> logits);
  bool is_end(const Sequence& sequence, std::int32_t token) const;
  void accept(Sequence& sequence, std::int32_t token);
  void propose(Sequence& sequence, std::span<float> logits);
  void advance_searches();
  void advance(Sequence& leader);
  std::string ending(const Sequence& beam, std::int32_t token) const;
  void go_on(Sequence& leader, const std::vector<BeamCandidate>& chosen);
  void add_beam(Sequence& leader);
  void tell_answers(Sequence& leader);
  std::string text_of(std::span<const std::int32_t> tokens,
                      const std::vector<std::string>& stop) const;
  void show(Sequence& sequence, const std::string& text);
  void finish(Sequence& sequence, std::string reason);
  void retire(Sequence& sequence);
  void abandon(Sequence& sequence, std::exception_ptr error);

  const Family& family_;
  const language::Tokenizer& tokenizer_;
  Context ctx_;
  EngineOptions options_;

  // The loop's own; touched by whoever drives.
  language::KvPages pages_;
  PrefixCache prefixes_;  // after pages_: gives its pages back first
  EncoderCache encoded_;
  std::deque<EncoderCache::Entry> unsaved_;  // features that the folder does not have yet
  std::unique_ptr<Draft> draft_;
  Arena arena_;
  List waiting_, running_;
  std::unique_ptr<EncoderLane> lane_;  // null: media are encoded between the decoder's steps
  std::optional<kernels::DrawnTokens> drawn_;  // of a device's steps; none on the CPU
  std::optional<Ahead> ahead_;
  double last_read_ = 0;  // when the tokens of a device's step were
  std::int64_t steps_ahead_ = 0;

  mutable std::mutex mutex_;
  std::condition_variable changed_;
  bool driving_ = false;
  List incoming_;
  EngineStats stats_;
  Tap tap_, tap_in_use_;
  std::shared_ptr<Profile> profile_, profile_in_use_;
};

}  // namespace chiasm

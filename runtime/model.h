#pragma once
/// A loaded model: the public door of the C++ API.
///
///   chiasm::Model model = chiasm::Model::load("SmolVLM-256M-Instruct");
///   auto request = model.turn("What is this?", {chiasm::ImageInput::from_file("photo.jpg")});
///   chiasm::Result answer = model.generate(request);
#include <filesystem>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "core/profile.h"
#include "core/tensor.h"
#include "projector/pooling.h"
#include "runtime/picture_tiles.h"
#include "runtime/request.h"
#include "runtime/transcript.h"

namespace chiasm {

struct LoadOptions {
  /// auto, cpu, cuda, cuda:N, cuda:all, or several cuda:N with commas between them
  /// (core/device_list.h): each of these runs the whole model, and requests are spread over them.
  std::string device = "auto";
  std::string dtype = "auto";  // auto (as the checkpoint), float32, bfloat16, float16
  // "" (none); int8: all large matrices in 8 bits; int4: the decoder's MLPs in 4 bits, the rest,
  // which suffers more from few bits, in 8. dtype then says what norms and the like are kept in.
  std::string quantize;
  // Of a .gguf file: the file of its vision encoder and projector; "": the one beside it, if there
  // is one; "none": words alone.
  std::string mmproj;
  // auto (float32 under float32, else bfloat16), float32, bfloat16, int8 (half of bfloat16's bytes)
  std::string kv_cache = "auto";
  /// A smaller model with the same vocabulary, as a path that load takes: it guesses how answers go
  /// on, `draft_tokens` of them at a time (GenerateOptions::draft_tokens). Empty: none.
  std::filesystem::path draft;
  std::int64_t draft_tokens = 4;
  /// A folder that keeps the features of encoded media beyond this process (encoder_store.h), made
  /// where it is missing; models and processes may share it. Empty: none. At most so many bytes;
  /// the least recently used features go first.
  std::filesystem::path encoder_cache_dir;
  std::int64_t encoder_cache_dir_bytes = std::int64_t(1) << 30;
  /// On a device: whether every answer is the same bit for bit whatever runs beside it, as it
  /// always is on the CPU. Slower for prompts, pictures and many sequences.
  bool batch_invariant = false;
  /// On a device: whose attention serves prompts and pictures under bfloat16: "own" kernels, or
  /// "cudnn", where it has what a call asks for (docs/cuda.md). Not with batch_invariant.
  std::string attention_provider = "own";
  int threads = 0;               // 0: every CPU this process may use
  std::int64_t max_context = 0;  // tokens a sequence may hold; 0: what config.json says
  std::int64_t max_image_pixels = 178'956'970;
  std::int64_t max_video_frames = vision::VideoLimits().max_taken;
  double max_audio_seconds = audio::SoundLimits().max_seconds;
  std::function<void(double fraction)> progress;
};

/// What a pass costs, for the share of the machine's limits: multiply-adds and bytes.
struct Work {
  std::int64_t token_macs = 0;  // the decoder's layers, one token, without attention
  std::int64_t head_macs = 0;   // the output head, one token
  std::int64_t key_macs = 0;    // attention of all layers, one query and one key
  std::int64_t step_bytes = 0;  // weights that a step of decoding reads
  std::int64_t key_bytes = 0;   // keys and values of one token
};

/// What `inspect` shows.
struct ModelInfo {
  std::string chat_template;         // the Jinja template inside a GGUF file; empty for folders
  std::string bos_token, eos_token;  // their texts, empty where the tokenizer names none
  std::string family, path, dtype, quantize, kv_dtype, isa, image_token, audio_token;
  std::string device;         // "cpu", or the names of the devices that run it
  std::string draft;          // path of the model that guesses ahead; empty: none
  std::string packed_layout;  // of a packed file whose weights are mapped; empty for other models
  std::int64_t parameters = 0, weight_bytes = 0, file_bytes = 0;
  std::int64_t fixed_bytes = 0;  // tokenizer, tables and program, measured while loading
  std::int64_t vocab_size = 0, hidden_size = 0, layers = 0, max_context = 0;
  std::string video_token;  // what stands for a video in a prompt; empty: it sees none
  std::int64_t vision_hidden_size = 0, vision_layers = 0, image_size = 0;
  std::int64_t patches_per_tile = 0, tokens_per_tile = 0;
  std::int64_t sound_rate = 0;  // samples a second that it hears; 0: it hears no sound
  Work work;
  int threads = 0;
  std::vector<std::int32_t> eos_token_ids;
};

/// One array of `preprocess_image`: float32 or int64 (masks), named as transformers' processor
/// does.
struct NamedTensor {
  std::string name;
  Tensor values;
};

/// Pixels of a picture, upright, and once its family's processor has resized it: 0 in families that
/// cut pictures or never tell places in such pixels.
struct PictureSizes {
  std::int64_t width = 0, height = 0;
  std::int64_t resized_width = 0, resized_height = 0;
};

/// What the tokens of an answer attended to.
struct Attention {
  /// [answer tokens, rows of prompt and answer but its last]: of the row that a token was drawn
  /// from, the softmax weights of all rows up to it, averaged over heads and layers; a row's sum is
  /// 1.
  Tensor weights;
  std::vector<std::vector<std::int32_t>> pictures;  // the rows that each picture takes
};

/// One of the devices that a model runs on. Bytes are of its own memory.
struct DeviceState {
  std::string device, name;       // "cuda:1", and what its driver calls it
  std::string failure;            // why it is given no more requests; empty while it is
  std::int64_t memory_bytes = 0;  // all that it has
  std::int64_t weight_bytes = 0;  // its copy of the weights, as large as they are on the host
  std::int64_t kv_bytes = 0;      // pages of its KV cache, taken when the model is loaded
  EngineStats stats;
};

/// A loaded adapter.
struct AdapterInfo {
  std::string name, path;
  std::int64_t modules = 0, rank = 0, bytes = 0;  // modules that it changes; the largest rank
  bool changes_encoder = false;
};

/// Thread-safe: calls from several threads join one loop and share its batches. Move-only.
class Model {
 public:
  /// Loads a Hugging Face model folder, or a GGUF file of a language model (gguf_model.h), with the
  /// projector beside it (gguf_pair.h); their blocks are kept as they are. ModelError says what is
  /// missing or does not fit.
  static Model load(const std::filesystem::path& path, const LoadOptions& options = {});
  ~Model();
  Model(Model&&) noexcept;
  Model& operator=(Model&&) noexcept;

  /// Runs one request to its end. RequestError, MediaError; the model stays usable after any error.
  /// A beam search gives no pieces: RequestError where it meets `on_text`.
  Result generate(const Request& request, const OnText& on_text = {}, const Poll& interrupted = {});
  /// Several answers to one request, which share its prompt: `count` of them, at least 1, the i-th
  /// with the seed `options.seed` + i. `on_text` gets their text as it comes. Of a beam search its
  /// `count` best answers, best first.
  std::vector<Result> choices(const Request& request, std::int64_t count,
                              const OnChoice& on_text = {}, const Poll& interrupted = {});
  /// Runs several as one batch; results in order. The first error cancels the others and is thrown.
  std::vector<Result> generate_all(std::vector<Request> requests, const Poll& interrupted = {},
                                   const OnDone& on_done = {});
  /// Total log-probability of each answer after the prompt, in nats. An answer is tokenized on its
  /// own, without special tokens.
  std::vector<double> score(const Request& request, const std::vector<std::string>& answers,
                            const Poll& interrupted = {});
  /// Writes down speech of any length, in windows of 30 s that follow one another by the times the
  /// model gives, as transformers does. RequestError for models that do not listen, MediaError.
  Transcript transcribe(const AudioInput& sound, const TranscribeOptions& options = {},
                        const OnSegment& on_segment = {}, const Poll& interrupted = {});
  /// Reads a PEFT LoRA folder, beside any others, for requests that name it in
  /// GenerateOptions::adapter; one of that name is replaced, for requests that come later.
  /// ModelError (see load_lora), RequestError for an empty name, DeviceError on a device.
  void load_adapter(const std::string& name, const std::filesystem::path& folder);
  /// RequestError when there is none of that name. Requests that run with it go on.
  void unload_adapter(const std::string& name);
  std::vector<AdapterInfo> adapters() const;
  /// Before running: lengths and bytes. Reads picture headers only.
  Plan plan(const Request& request) const;

  /// The family's own plain turn format: one user turn with the media first, ready for an
  /// answer. The words are untrusted. RequestError for families without one.
  Request turn(const std::string& words, std::vector<ImageInput> images = {},
               std::vector<VideoInput> videos = {}) const;
  /// The same with sounds first.
  Request sound_turn(const std::string& words, std::vector<AudioInput> sounds) const;
  /// The request that `caption` runs.
  Request caption_request(ImageInput image) const;

  /// What the places that a model prints are measured in. Reads the picture's header only.
  /// RequestError for models that read no pictures, MediaError.
  PictureSizes picture_sizes(const ImageInput& image) const;

  /// The tiles that the model sees of a picture, and the place of each of its tokens, where the
  /// prompt holds `pictures` in all. Reads the header only. RequestError for models that read no
  /// pictures, MediaError.
  PictureTiles tiles(const ImageInput& image, std::size_t pictures = 1) const;

  /// What the tokens of `answer`, say a result's, attended to after the request's prompt: a pass of
  /// its own with float32 keys and values. `layers`: of the decoder, which are averaged; empty: all
  /// that attend. RequestError for layers that there are not, an empty or too long answer, decoders
  /// that look at an encoder; DeviceError on a device; MediaError.
  Attention attention(const Request& request, const std::vector<std::int32_t>& answer,
                      const std::vector<std::int64_t>& layers = {}, const Poll& interrupted = {});

  // For checking and for research.
  std::vector<NamedTensor> preprocess_image(const ImageInput& image) const;
  Tensor encode_image(const ImageInput& image,
                      const Poll& interrupted = {});  // [tokens, d_model] f32
  std::vector<NamedTensor> preprocess_video(const VideoInput& video) const;
  Tensor encode_video(const VideoInput& video,
                      const Poll& interrupted = {});  // [tokens, d_model] f32
  std::vector<NamedTensor> preprocess_audio(const AudioInput& sound) const;
  Tensor encode_audio(const AudioInput& sound,
                      const Poll& interrupted = {});                    // [rows, d_model] f32
  Tensor logits(const Request& request, const Poll& interrupted = {});  // [tokens, vocab] f32
  /// The decoder's rows after its last norm.
  Tensor hidden_rows(const Request& request,
                     const Poll& interrupted = {});  // [tokens, d_model] f32
  /// One vector of length 1 for a prompt and its media: the last of those rows, or their mean.
  Tensor embed(const Request& request, projector::Pooling pooling,
               const Poll& interrupted = {});  // [1, d_model] f32
  /// Calls `tap(stage, values)` with intermediates of every later forward pass; empty: none.
  /// For tests of one request at a time.
  void set_tap(const Tap& tap);

  /// Collects the times of every operator of later requests from now on, from nothing; or stops.
  void profile(bool on);
  /// What was collected since profile(true); empty without it.
  std::vector<OperatorTime> operator_times() const;

  /// The prompt's token ids, placeholders expanded to each picture's run of image tokens.
  std::vector<std::int32_t> prompt_ids(const Request& request) const;
  std::vector<std::int32_t> tokenize(const std::string& text, bool add_special_tokens = true) const;
  std::string detokenize(const std::vector<std::int32_t>& ids,
                         bool skip_special_tokens = true) const;
  /// Text of the special tokens: what a chat template's user contents must not smuggle in.
  std::vector<std::string> special_tokens() const;
  /// What each token stands for in the midst of a text; nothing for structure tokens, which no
  /// text holds, and for rows without a token. [vocab_size] of the model.
  std::vector<std::string> token_bytes() const;
  const ModelInfo& info() const;
  /// How busy the engine is, as of its last step; of several devices, the sums.
  EngineStats stats() const;
  /// The devices that it runs on; none for the CPU.
  std::vector<DeviceState> devices() const;

 private:
  struct Impl;
  explicit Model(std::unique_ptr<Impl> impl);
  std::unique_ptr<Impl> impl_;
};

/// Families that `Model::load` knows, by config.json's model_type.
std::vector<std::string> supported_families();

}  // namespace chiasm

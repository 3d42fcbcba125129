#pragma once
/// What a model family is: how it preprocesses, assembles, places and prompts. One readable file
/// each.
#include <array>
#include <cstdint>
#include <filesystem>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "audio/prepared.h"
#include "core/arena.h"
#include "core/context.h"
#include "core/json.h"
#include "core/weights.h"
#include "language/decoder.h"
#include "language/tokenizer.h"
#include "runtime/model.h"
#include "runtime/picture_tiles.h"
#include "runtime/speech.h"
#include "vision/image.h"
#include "vision/prepared.h"
#include "vision/video_sampler.h"

namespace chiasm {

/// A part of a medium that the encoder takes whole: a tile, a picture, a window of sound.
struct Piece {
  std::int64_t patches = 0;  // rows inside the encoder: what its work and memory grow with
  std::int64_t rows = 0;     // of features that it becomes
};

/// What a medium becomes, known from its header alone.
struct MediumLayout {
  std::vector<Piece> pieces;
  std::int64_t tokens = 0;  // rows of the prompt that its features take
  std::int64_t bytes = 0;   // of all pieces prepared
  std::string expansion;    // what the placeholder becomes in the prompt's text
  /// Tokens along time, height and width, for families that place their rows in a grid; positions
  /// between two steps in time; whether words stand between the steps, each a grid of its own.
  std::array<std::int64_t, 3> grid{};
  float time_step = 1;
  bool steps_apart = false;
  /// Pixels of the picture once it is resized, where it stays whole and may print its places in
  /// them; else 0.
  std::int64_t resized_width = 0, resized_height = 0;

  std::int64_t patches() const;
  std::int64_t rows() const;
};

/// A medium ready for the encoder, piece by piece.
using Prepared = vision::PreparedPicture;

/// One piece of a prepared medium.
struct PieceRef {
  const Prepared* medium = nullptr;  // of a picture or a video
  std::int64_t index = 0;
  const audio::PreparedSound* sound = nullptr;  // of a sound, instead
};

/// The media before the words of a turn, pictures first.
struct TurnMedia {
  std::size_t pictures = 0, videos = 0;
};

struct PlacedMedium;
struct Prompt;

/// Where the rows of a prompt stand and what they see, where that is not simply one after the
/// other.
struct Arrangement {
  std::int64_t axes = 1;
  std::vector<std::int32_t> positions;  // rotary, [axes][rows]; empty: a row's place
  std::int32_t next = 0;                // position of the first token after the prompt, all axes
  /// Rows [begin, end) that see each other both ways, in ascending order. They are never taken
  /// apart.
  struct Span {
    std::int64_t begin, end;
  };
  std::vector<Span> spans;
  bool whole_spans = false;  // sliding layers see a span from its beginning, whatever their window
};

/// A model family, assembled from concrete modules. With its counterpart for embedders
/// (embedder_family.h) the only abstract class of the runtime.
/// Immutable after loading; safe to share between threads.
class Family {
 public:
  virtual ~Family() = default;

  virtual const language::Decoder& decoder() const = 0;
  /// Fills in the family's own part of `info`.
  virtual void describe(ModelInfo& info) const = 0;
  virtual std::size_t weight_bytes() const = 0;
  /// Whether `encode` keeps to operators on rows in the device's memory.
  virtual bool runs_on_device() const { return false; }

  /// The text that stands for one picture in a prompt ("<image>"), and the token that one row of
  /// features replaces. Empty and none for families without pictures.
  virtual std::string_view placeholder() const { return {}; }
  /// What stands for a picture in a prompt without placeholders: its marks are around it.
  virtual std::string picture_text() const { return std::string(placeholder()); }
  virtual std::optional<std::int32_t> image_token() const { return std::nullopt; }

  // The following are called only when image_token() has a value.

  /// Of a picture of width x height pixels in a prompt of `pictures` pictures.
  virtual MediumLayout layout(std::int64_t width, std::int64_t height, std::size_t pictures) const;
  /// Likewise, its tiles and the place of each of its tokens: as many as the layout's.
  virtual PictureTiles tiles(std::int64_t width, std::int64_t height, std::size_t pictures) const;
  virtual Prepared preprocess(const Context& ctx, const vision::Image& image,
                              const MediumLayout& layout) const;
  /// What transformers' processor returns for the picture, by its names.
  virtual std::vector<NamedTensor> processor_output(const Prepared& picture) const;
  /// Features of pieces of any media as one packed batch, each piece's rows below those of the one
  /// before. out: [rows of all pieces, feature_width()].
  virtual void encode(const Context& ctx, std::span<const PieceRef> pieces, Arena& arena,
                      TensorView<float> out) const;
  /// Multiply-adds of encoding and projecting a piece, attention included.
  virtual std::int64_t piece_macs(const Piece& piece) const;
  /// Scratch bytes of `encode` for pieces of so many patches and rows together.
  virtual std::size_t encode_bytes(std::int64_t patches, std::int64_t rows) const;
  /// d_model, and as much again for each decoder layer that adds features of its own (deepstack).
  virtual std::int64_t feature_width() const { return decoder().config().hidden_size; }
  /// From the features of all pieces of a medium [rows, feature_width()] to those of its tokens
  /// [tokens, feature_width()]: padding taken out, separators put in. As they are by default.
  virtual Tensor assemble(const Context& ctx, const PlacedMedium& medium, Tensor features) const;
  /// Writes around a prompt's words, placeholders among them, what the processor writes; called
  /// where a request wants special tokens. Whether the tokenizer then adds its own: yes by default.
  virtual bool write_around(std::vector<PromptSpan>& prompt) const;
  /// Positions and spans of a prompt whose media are placed.
  virtual Arrangement arrange(const Prompt& prompt) const;

  /// Videos: as the functions of pictures above; they share encode(), encode_bytes() and
  /// assemble(). Only families whose video_token() has a value have the others.
  virtual std::optional<std::int32_t> video_token() const { return std::nullopt; }
  virtual std::string_view video_placeholder() const { return {}; }
  virtual std::string video_text() const { return std::string(video_placeholder()); }
  virtual const vision::VideoSampler& sampler() const;
  virtual MediumLayout video_layout(const vision::TakenFrames& video) const;
  /// Prepares the next of the taken frames. The first frame comes to an empty `video`.
  virtual void add_frame(const Context& ctx, const vision::Image& frame, const MediumLayout& layout,
                         Prepared& video) const;
  virtual std::vector<NamedTensor> video_output(const Prepared& video) const;

  /// Sounds: as the functions of pictures above. `sound_token` has no value where features go to
  /// the decoder's cross-attention instead of over rows of the prompt; the layout's `tokens` is 0
  /// then. Called only where reads_sounds().
  virtual bool reads_sounds() const { return false; }
  virtual std::string_view sound_placeholder() const { return {}; }
  /// What stands for a sound in a prompt without placeholders: its marks are around it.
  virtual std::string sound_text() const { return std::string(sound_placeholder()); }
  virtual std::optional<std::int32_t> sound_token() const { return std::nullopt; }
  virtual std::int64_t sound_rate() const { return 16'000; }  // samples a second
  virtual MediumLayout sound_layout(std::int64_t samples) const;
  virtual audio::PreparedSound preprocess_sound(const Context& ctx,
                                                std::span<const float> samples) const;
  virtual std::vector<NamedTensor> processor_output(const audio::PreparedSound& sound) const;
  /// As turn(), with `sounds` placeholders before the words.
  virtual std::optional<std::vector<PromptSpan>> sound_turn(const std::string& words,
                                                            std::size_t sounds) const;
  /// What writing down speech takes; null for families that do not.
  virtual const Speech* speech() const { return nullptr; }

  /// One user turn with a placeholder for each of `media` before the words, ready for an answer;
  /// nothing for families without a format of their own.
  virtual std::optional<std::vector<PromptSpan>> turn(const std::string& words,
                                                      const TurnMedia& media) const;
};

/// How a family's weights are kept. Norms, biases and position tables are float32 always.
struct WeightFormats {
  kernels::WeightFormat plain;  // of what is too sensitive to quantize (patch embeddings)
  language::DecoderFormats text;
  kernels::WeightFormat vision;  // the encoder's layers and the projector
};

/// What a family is made from.
struct FamilyParts {
  const Context& ctx;
  std::filesystem::path folder;
  Json config;
  Weights weights;
  WeightFormats formats;
  const language::Tokenizer& tokenizer;
  // The image processor's, where no folder's file holds them (GGUF).
  std::optional<Json> given_settings = std::nullopt;

  /// The image processor's settings. ModelError when the folder has none.
  Json image_settings() const;
};

/// `pixel_values` [tiles, 3, height, width] of a picture whose tiles are of one size.
NamedTensor pixel_values(const Prepared& picture);

/// Builds the family that config.json's model_type names; ModelError listing the supported ones.
std::unique_ptr<Family> make_family(const FamilyParts& parts);

// One per file; listed in families.cpp.
std::unique_ptr<Family> make_text_model(const FamilyParts& parts);
std::unique_ptr<Family> make_gemma3(const FamilyParts& parts);
std::unique_ptr<Family> make_paligemma(const FamilyParts& parts);
std::unique_ptr<Family> make_internvl(const FamilyParts& parts);
std::unique_ptr<Family> make_llava(const FamilyParts& parts);
std::unique_ptr<Family> make_llava_next(const FamilyParts& parts);
std::unique_ptr<Family> make_llava_onevision(const FamilyParts& parts);
std::unique_ptr<Family> make_qwen_vl(const FamilyParts& parts);
std::unique_ptr<Family> make_qwen2_audio(const FamilyParts& parts);
std::unique_ptr<Family> make_ultravox(const FamilyParts& parts);
std::unique_ptr<Family> make_voxtral(const FamilyParts& parts);
std::unique_ptr<Family> make_mistral3(const FamilyParts& parts);
std::unique_ptr<Family> make_lfm2_vl(const FamilyParts& parts);
std::unique_ptr<Family> make_smolvlm(const FamilyParts& parts);
std::unique_ptr<Family> make_whisper(const FamilyParts& parts);

}  // namespace chiasm

#pragma once
/// From a request to token ids: placeholders expanded, pictures placed.
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "core/error.h"
#include "core/hash.h"
#include "language/tokenizer.h"
#include "runtime/family.h"
#include "runtime/request.h"
#include "vision/video_file.h"

namespace chiasm {

/// A video and which of its frames the model sees.
struct PlacedVideo {
  VideoInput input;
  vision::TakenFrames taken;
  std::shared_ptr<vision::VideoFile> file;  // open; null where frames are given
};

enum class MediumKind { picture, video, sound };

/// A medium's place in the prompt.
struct PlacedMedium {
  ImageInput input;
  std::optional<PlacedVideo> video;            // instead of a picture
  std::optional<AudioInput> sound;             // likewise
  std::optional<audio::PreparedSound> window;  // of a sound whose features are there already
  ContentHash hash;
  MediumLayout layout;
  std::int64_t width = 0, height = 0;  // of a picture or a frame, after EXIF orientation
  std::vector<std::int32_t> rows;      // positions in the prompt that its features take, in order

  MediumKind kind() const;
};

struct Prompt {
  std::vector<std::int32_t> ids;
  std::vector<PlacedMedium> media;  // in the order of their rows
  /// What each position holds, for prefix reuse: equal keys mean equal tokens and equal pictures.
  std::vector<std::uint64_t> keys;
  std::int64_t image_tokens = 0, video_tokens = 0, sound_tokens = 0;
  Arrangement arrangement;

  /// The span that has row `row` inside, after its first row; null where none has.
  const Arrangement::Span* span_across(std::int64_t row) const;
  /// Adds words behind the prompt, as if they had been generated.
  void append(std::span<const std::int32_t> tokens);
};

/// What media of each kind may cost.
struct AllLimits {
  vision::MediaLimits pictures;
  vision::VideoLimits videos;
  audio::SoundLimits sounds;
};

/// Reads headers of media only (limits checked). RequestError when placeholders and media do not
/// fit, MediaError for media that cannot be read. Media whose features replace the same token are
/// told apart by their placeholders; where the prompt is token ids, pictures come before videos.
Prompt make_prompt(const Family& family, const language::Tokenizer& tokenizer,
                   const Request& request, const AllLimits& limits);

/// RequestError unless every id is in [0, vocab_size). A tokenizer may know more tokens than the
/// weights: found before it joins a batch, such a token fails its own request alone.
void check_ids(std::span<const std::int32_t> ids, std::int64_t vocab_size);

/// What `use` makes of a picture's pixels, decoded first where it is encoded; errors name it.
/// MediaError.
template <class Use>
auto with_pixels(const ImageInput& input, const vision::MediaLimits& limits, const Use& use) {
  return in_context(input.name, [&] {
    if (input.pixels != nullptr) return use(*input.pixels);
    return use(vision::decode(std::as_bytes(std::span(*input.encoded)), limits));
  });
}

/// A medium on its own, its header read. MediaError.
PlacedMedium place(const Family& family, const ImageInput& input, std::size_t pictures,
                   const vision::MediaLimits& limits);

/// The same for videos.
PlacedMedium place(const Family& family, const VideoInput& input, const AllLimits& limits);

/// The pieces of a placed video, frame by frame. MediaError, Interrupted.
Prepared prepare_video(const Family& family, const Context& ctx, const PlacedMedium& medium,
                       const vision::MediaLimits& limits);

/// The pieces of a placed picture or video. MediaError, Interrupted.
Prepared prepare(const Family& family, const Context& ctx, const PlacedMedium& medium,
                 const vision::MediaLimits& limits);

/// The same for sounds.
PlacedMedium place(const Family& family, const AudioInput& input, const audio::SoundLimits& limits);
audio::PreparedSound prepare_sound(const Family& family, const Context& ctx,
                                   const PlacedMedium& medium, const audio::SoundLimits& limits);

/// The samples of a sound at `rate`. MediaError.
audio::Waveform waveform(const AudioInput& input, const audio::SoundLimits& limits,
                         std::int64_t rate);

/// Key of a text token; of image token `index` of a picture.
std::uint64_t token_key(std::int32_t id);

}  // namespace chiasm

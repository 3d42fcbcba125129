#include "runtime/prompt.h"

#include <algorithm>
#include <numeric>

namespace chiasm {

namespace {

std::size_t count(std::string_view text, std::string_view placeholder) {
  std::size_t n = 0;
  for (std::size_t at = text.find(placeholder); at != std::string_view::npos;
       at = text.find(placeholder, at + placeholder.size())) {
    n++;
  }
  return n;
}

/// Media of one kind, and what stands for one of them in a prompt's text.
struct Kind {
  std::string placeholder;
  std::string alone;  // a whole medium, where the prompt names none
  std::string_view noun;
  std::vector<const PlacedMedium*> media;
};

/// Puts a placeholder for each medium first where the text has none.
void add_placeholders(const Kind& kind, std::vector<PromptSpan>& spans) {
  const std::string& placeholder = kind.placeholder;
  if (placeholder.empty()) return;
  std::size_t found = 0;
  for (const PromptSpan& span : spans) {
    if (span.trusted) found += count(span.text, placeholder);
  }
  if (found == 0 && !kind.media.empty()) {  // media then go first
    std::string first;
    for (std::size_t i = 0; i < kind.media.size(); i++) first += kind.alone;
    spans.insert(spans.begin(), PromptSpan{first, true});
    found = kind.media.size();
  }
  if (found != kind.media.size()) {
    fail<RequestError>("the prompt has ", found, " ", placeholder, " placeholder(s) for ",
                       kind.media.size(), " ", kind.noun, "(s); write one for each ", kind.noun,
                       ", or none");
  }
}

/// Replaces each placeholder by its medium's expansion.
void expand(const Kind& kind, std::vector<PromptSpan>& spans) {
  if (kind.placeholder.empty() || kind.media.empty()) return;
  const std::string& placeholder = kind.placeholder;
  std::size_t next = 0;
  for (PromptSpan& span : spans) {
    if (!span.trusted) continue;
    std::string out;
    std::size_t from = 0;
    for (std::size_t at = span.text.find(placeholder); at != std::string::npos;
         at = span.text.find(placeholder, from)) {
      out.append(span.text, from, at - from);
      out += kind.media[next++]->layout.expansion;
      from = at + placeholder.size();
    }
    out.append(span.text, from);
    span.text = std::move(out);
  }
}

bool is_sound(const PlacedMedium& medium) { return medium.sound.has_value(); }

/// Gives the prompt's tokens of one kind to its media, in order; returns how many there are.
std::int64_t lay_media(Prompt& prompt, std::int32_t token, bool sounds) {
  std::vector<PlacedMedium*> media;
  std::int64_t wanted = 0, found = 0;
  for (PlacedMedium& medium : prompt.media) {
    if (is_sound(medium) != sounds) continue;
    media.push_back(&medium);
    wanted += medium.layout.tokens;
  }
  std::size_t next = 0;
  for (std::size_t i = 0; i < prompt.ids.size(); i++) {
    if (prompt.ids[i] != token) continue;
    while (next < media.size() &&
           std::int64_t(media[next]->rows.size()) == media[next]->layout.tokens) {
      next++;
    }
    found++;
    if (next == media.size()) continue;  // counted, and refused below
    PlacedMedium& medium = *media[next];
    const auto row = std::uint64_t(medium.rows.size());
    // A picture that is cut otherwise beside others (LLaVA-OneVision) has other rows there.
    const std::uint64_t cut = mix64(std::uint64_t(medium.layout.tokens));
    prompt.keys[i] = mix64(medium.hash.low ^ cut ^ mix64(medium.hash.high + row));
    medium.rows.push_back(std::int32_t(i));
  }
  if (found != wanted) {
    fail<RequestError>("the prompt has ", found, sounds ? " sound" : " image", " tokens, its ",
                       media.size(), sounds ? " sound(s) make " : " picture(s) make ", wanted);
  }
  return found;
}

/// RequestError for media that the model does not read.
void check_media(const Family& family, const Request& request) {
  if (!request.images.empty() && !family.image_token()) {
    fail<RequestError>("this model reads no pictures; load a vision-language model");
  }
  if (!request.audio.empty() && !family.reads_sounds()) {
    fail<RequestError>("this model reads no sounds; load a speech or audio-language model");
  }
  if (family.decoder().has_cross() && request.audio.size() != 1) {
    fail<RequestError>("this model writes down one sound a request, it got ", request.audio.size());
  }
}

/// Ids of the prompt's text, each placeholder expanded.
std::vector<std::int32_t> encode(const Family& family, const language::Tokenizer& tokenizer,
                                 const Request& request, const std::vector<PlacedMedium>& media) {
  Kind pictures{
      std::string(family.placeholder()), std::string(family.picture_text()), "picture", {}};
  Kind sounds{std::string(family.sound_placeholder()), family.sound_text(), "sound", {}};
  for (const PlacedMedium& medium : media) {
    (is_sound(medium) ? sounds : pictures).media.push_back(&medium);
  }
  std::vector<PromptSpan> spans = request.prompt;
  add_placeholders(pictures, spans);
  add_placeholders(sounds, spans);
  const bool special = request.add_special_tokens && family.write_around(spans);
  expand(pictures, spans);
  expand(sounds, spans);
  std::vector<language::TextSpan> text;
  for (const PromptSpan& span : spans) text.push_back({span.text, span.trusted});
  return tokenizer.encode_spans(text, special);
}

}  // namespace

void check_ids(std::span<const std::int32_t> ids, std::int64_t vocab_size) {
  for (const std::int32_t id : ids) {
    if (id < 0 || id >= vocab_size) {
      fail<RequestError>("token id ", id, " is outside the vocabulary of ", vocab_size);
    }
  }
}

PlacedMedium place(const Family& family, const ImageInput& input, std::size_t pictures,
                   const vision::MediaLimits& limits) {
  PlacedMedium medium;
  medium.input = input;
  in_context(input.name, [&] {
    if (input.pixels != nullptr) {
      medium.width = input.pixels->width;
      medium.height = input.pixels->height;
      medium.hash = content_hash(std::as_bytes(std::span(input.pixels->rgb)),
                                 mix64(std::uint64_t(medium.width)));
    } else {
      const auto bytes = std::as_bytes(std::span(*input.encoded));
      const vision::PictureInfo info = vision::read_header(bytes);
      vision::check_limits(info, bytes.size(), limits);
      medium.width = info.upright_width();
      medium.height = info.upright_height();
      medium.hash = content_hash(bytes, 1);
    }
    medium.layout = family.layout(medium.width, medium.height, pictures);
  });
  return medium;
}

Prepared prepare(const Family& family, const Context& ctx, const PlacedMedium& medium,
                 const vision::MediaLimits& limits) {
  return with_pixels(medium.input, limits, [&](const vision::Image& image) {
    if (image.width != medium.width || image.height != medium.height) {
      fail<MediaError>("decodes to another size than its header says");
    }
    return family.preprocess(ctx, image, medium.layout);
  });
}

const Arrangement::Span* Prompt::span_across(std::int64_t row) const {
  for (const Arrangement::Span& span : arrangement.spans) {
    if (span.begin < row && row < span.end) return &span;
  }
  return nullptr;
}

void Prompt::append(std::span<const std::int32_t> tokens) {
  auto& positions = arrangement.positions;
  if (!positions.empty()) {
    for (std::int64_t axis = arrangement.axes; axis > 0; axis--) {  // the last first: none moves
      auto at = positions.begin() + axis * std::int64_t(ids.size());
      at = positions.insert(at, tokens.size(), 0);
      std::iota(at, at + std::int64_t(tokens.size()), arrangement.next);
    }
    arrangement.next += std::int32_t(tokens.size());
  }
  for (const std::int32_t id : tokens) {
    ids.push_back(id);
    keys.push_back(token_key(id));
  }
}

std::uint64_t token_key(std::int32_t id) { return mix64(std::uint64_t(id)); }

Prompt make_prompt(const Family& family, const language::Tokenizer& tokenizer,
                   const Request& request, const vision::MediaLimits& limits,
                   const audio::SoundLimits& sound_limits) {
  Prompt prompt;
  check_media(family, request);
  for (const ImageInput& input : request.images) {
    prompt.media.push_back(place(family, input, request.images.size(), limits));
  }
  for (const AudioInput& input : request.audio) {
    prompt.media.push_back(place(family, input, sound_limits));
  }
  prompt.ids = request.token_ids.empty() ? encode(family, tokenizer, request, prompt.media)
                                         : request.token_ids;
  if (prompt.ids.empty()) fail<RequestError>("the prompt is empty");
  for (const std::int32_t id : prompt.ids) prompt.keys.push_back(token_key(id));
  const auto image_token = family.image_token(), sound_token = family.sound_token();
  if (image_token) prompt.image_tokens = lay_media(prompt, *image_token, /*sounds=*/false);
  if (sound_token) prompt.sound_tokens = lay_media(prompt, *sound_token, /*sounds=*/true);
  if (image_token || sound_token) prompt.arrangement = family.arrange(prompt);
  return prompt;
}

}  // namespace chiasm

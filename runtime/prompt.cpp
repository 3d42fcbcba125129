#include "runtime/prompt.h"

#include <algorithm>
#include <array>
#include <iterator>
#include <numeric>
#include <utility>

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
  std::optional<std::int32_t> token;  // that a row of features replaces
  std::vector<PlacedMedium> media;
  std::size_t used = 0;  // media whose place in the text is known
};

/// Pictures, videos and sounds of a request, in the order of MediumKind.
using Kinds = std::array<Kind, 3>;

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

/// The kind whose next placeholder in `text` comes first, and where; null without any.
std::pair<Kind*, std::size_t> next_place(Kinds& kinds, std::string_view text, std::size_t from) {
  std::pair<Kind*, std::size_t> first{nullptr, std::string_view::npos};
  for (Kind& kind : kinds) {
    if (kind.placeholder.empty() || kind.media.empty()) continue;
    const std::size_t at = text.find(kind.placeholder, from);
    if (at < first.second) first = {&kind, at};
  }
  return first;
}

/// Replaces each placeholder by its medium's expansion, and moves the media out of `kinds` in the
/// order of the text.
void expand(Kinds& kinds, std::vector<PromptSpan>& spans, std::vector<PlacedMedium>& media) {
  for (PromptSpan& span : spans) {
    if (!span.trusted) continue;
    std::string out;
    std::size_t from = 0;
    for (;;) {
      const auto [kind, at] = next_place(kinds, span.text, from);
      if (kind == nullptr) break;
      PlacedMedium& medium = kind->media[kind->used++];
      out.append(span.text, from, at - from);
      out += medium.layout.expansion;
      from = at + kind->placeholder.size();
      media.push_back(std::move(medium));
    }
    out.append(span.text, from);
    span.text = std::move(out);
  }
}

std::string_view noun(MediumKind kind) {
  switch (kind) {
    case MediumKind::picture:
      return "picture";
    case MediumKind::video:
      return "video";
    case MediumKind::sound:
      return "sound";
  }
  fail<RequestError>("a medium of unknown kind");
}

/// "2 picture(s) and 1 video(s)": what `media` are.
std::string counted(std::span<PlacedMedium* const> media) {
  std::string out;
  for (const MediumKind kind : {MediumKind::picture, MediumKind::video, MediumKind::sound}) {
    const auto n =
        std::ranges::count_if(media, [kind](const PlacedMedium* m) { return m->kind() == kind; });
    if (n == 0) continue;
    if (!out.empty()) out += " and ";
    out += std::to_string(n) + " " + std::string(noun(kind)) + "(s)";
  }
  return out.empty() ? "0 media" : out;
}

/// Gives the prompt's tokens `token` to `media`, in order.
void lay_media(Prompt& prompt, std::int32_t token, std::span<PlacedMedium* const> media) {
  std::int64_t wanted = 0, found = 0;
  for (const PlacedMedium* medium : media) wanted += medium->layout.tokens;
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
    const bool sounds = !media.empty() && media[0]->kind() == MediumKind::sound;
    fail<RequestError>("the prompt has ", found, sounds ? " sound" : " image", " tokens, its ",
                       counted(media), " make ", wanted);
  }
}

/// Lays all media over the tokens of their kinds and counts them.
void lay_all(const Kinds& kinds, Prompt& prompt) {
  std::vector<std::int32_t> tokens;  // kinds may share one
  for (const Kind& kind : kinds) {
    if (!kind.token || std::ranges::find(tokens, *kind.token) != tokens.end()) continue;
    tokens.push_back(*kind.token);
    std::vector<PlacedMedium*> media;
    for (PlacedMedium& medium : prompt.media) {
      if (kinds[std::size_t(medium.kind())].token == kind.token) media.push_back(&medium);
    }
    lay_media(prompt, *kind.token, media);
  }
  for (const PlacedMedium& medium : prompt.media) {
    const auto rows = std::int64_t(medium.rows.size());
    switch (medium.kind()) {
      case MediumKind::picture:
        prompt.image_tokens += rows;
        break;
      case MediumKind::video:
        prompt.video_tokens += rows;
        break;
      case MediumKind::sound:
        prompt.sound_tokens += rows;
        break;
    }
  }
  std::ranges::stable_sort(prompt.media, {}, [](const PlacedMedium& m) {
    return m.rows.empty() ? std::int32_t(0) : m.rows.front();
  });
}

/// RequestError for media that the model does not read.
void check_media(const Family& family, const Request& request) {
  if (!request.images.empty() && !family.image_token()) {
    fail<RequestError>("this model reads no pictures; load a vision-language model");
  }
  if (!request.videos.empty() && !family.video_token()) {
    fail<RequestError>("this model sees no videos; load a model that does, such as Qwen2.5-VL");
  }
  if (!request.audio.empty() && !family.reads_sounds()) {
    fail<RequestError>("this model reads no sounds; load a speech or audio-language model");
  }
  if (family.decoder().has_cross() && request.audio.size() != 1) {
    fail<RequestError>("this model writes down one sound a request, it got ", request.audio.size());
  }
}

/// The media of a request, their headers read.
Kinds place_all(const Family& family, const Request& request, const AllLimits& limits) {
  Kinds kinds{Kind{std::string(family.placeholder()),
                   family.picture_text(),
                   noun(MediumKind::picture),
                   family.image_token(),
                   {}},
              Kind{std::string(family.video_placeholder()),
                   family.video_text(),
                   noun(MediumKind::video),
                   family.video_token(),
                   {}},
              Kind{std::string(family.sound_placeholder()),
                   std::string(family.sound_placeholder()),
                   noun(MediumKind::sound),
                   family.sound_token(),
                   {}}};
  const auto media = [&](MediumKind kind) -> auto& { return kinds[std::size_t(kind)].media; };
  for (const ImageInput& input : request.images) {
    media(MediumKind::picture)
        .push_back(place(family, input, request.images.size(), limits.pictures));
  }
  for (const VideoInput& input : request.videos) {
    media(MediumKind::video).push_back(place(family, input, limits));
  }
  for (const AudioInput& input : request.audio) {
    media(MediumKind::sound).push_back(place(family, input, limits.sounds));
  }
  return kinds;
}

/// Ids of the prompt's text, each placeholder expanded; the media go to `media` in its order.
std::vector<std::int32_t> encode(const Family& family, const language::Tokenizer& tokenizer,
                                 const Request& request, Kinds& kinds,
                                 std::vector<PlacedMedium>& media) {
  std::vector<PromptSpan> spans = request.prompt;
  for (const Kind& kind : kinds) add_placeholders(kind, spans);
  const bool special = request.add_special_tokens && family.write_around(spans);
  expand(kinds, spans, media);
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
  if (medium.video) return prepare_video(family, ctx, medium, limits);
  return with_pixels(medium.input, limits, [&](const vision::Image& image) {
    if (image.width != medium.width || image.height != medium.height) {
      fail<MediaError>("decodes to another size than its header says");
    }
    return family.preprocess(ctx, image, medium.layout);
  });
}

MediumKind PlacedMedium::kind() const {
  if (video) return MediumKind::video;
  return sound || window ? MediumKind::sound : MediumKind::picture;
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
                   const Request& request, const AllLimits& limits) {
  Prompt prompt;
  check_media(family, request);
  Kinds kinds = place_all(family, request, limits);
  prompt.ids = request.token_ids;
  if (prompt.ids.empty()) prompt.ids = encode(family, tokenizer, request, kinds, prompt.media);
  for (Kind& kind : kinds) {  // those that no placeholder stands for
    std::move(kind.media.begin() + std::int64_t(kind.used), kind.media.end(),
              std::back_inserter(prompt.media));
  }
  if (prompt.ids.empty()) fail<RequestError>("the prompt is empty");
  for (const std::int32_t id : prompt.ids) prompt.keys.push_back(token_key(id));
  lay_all(kinds, prompt);
  if (family.image_token() || family.sound_token()) prompt.arrangement = family.arrange(prompt);
  return prompt;
}

}  // namespace chiasm

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

/// The prompt's text with a placeholder for each picture, first where it has none.
std::vector<PromptSpan> with_placeholders(const Family& family, const Request& request,
                                          const std::vector<PlacedMedium>& pictures) {
  const std::string placeholder(family.placeholder());
  std::vector<PromptSpan> spans = request.prompt;
  std::size_t found = 0;
  for (const PromptSpan& span : spans) {
    if (span.trusted && !placeholder.empty()) found += count(span.text, placeholder);
  }
  if (found == 0 && !pictures.empty()) {  // pictures then go first
    std::string first;
    for (std::size_t i = 0; i < pictures.size(); i++) first += family.picture_text();
    spans.insert(spans.begin(), PromptSpan{first, true});
    found = pictures.size();
  }
  if (found != pictures.size()) {
    fail<RequestError>("the prompt has ", found, " ", placeholder, " placeholder(s) for ",
                       pictures.size(), " picture(s); write one for each picture, or none");
  }
  return spans;
}

/// Replaces each placeholder by its picture's expansion.
void expand(const Family& family, const std::vector<PlacedMedium>& pictures,
            std::vector<PromptSpan>& spans) {
  if (pictures.empty()) return;
  const std::string placeholder(family.placeholder());
  std::size_t next = 0;
  for (PromptSpan& span : spans) {
    if (!span.trusted) continue;
    std::string out;
    std::size_t from = 0;
    for (std::size_t at = span.text.find(placeholder); at != std::string::npos;
         at = span.text.find(placeholder, from)) {
      out.append(span.text, from, at - from);
      out += pictures[next++].layout.expansion;
      from = at + placeholder.size();
    }
    out.append(span.text, from);
    span.text = std::move(out);
  }
}

/// Gives the prompt's image tokens to its media, in order.
void lay_media(Prompt& prompt, std::int32_t image_token) {
  std::size_t next = 0;
  for (std::size_t i = 0; i < prompt.ids.size(); i++) {
    if (prompt.ids[i] != image_token) continue;
    while (next < prompt.media.size() &&
           std::int64_t(prompt.media[next].rows.size()) == prompt.media[next].layout.tokens) {
      next++;
    }
    prompt.image_tokens++;
    if (next == prompt.media.size()) continue;  // counted, and refused below
    PlacedMedium& medium = prompt.media[next];
    const auto row = std::uint64_t(medium.rows.size());
    // A picture that is cut otherwise beside others (LLaVA-OneVision) has other rows there.
    const std::uint64_t cut = mix64(std::uint64_t(medium.layout.tokens));
    prompt.keys[i] = mix64(medium.hash.low ^ cut ^ mix64(medium.hash.high + row));
    medium.rows.push_back(std::int32_t(i));
  }
  std::int64_t wanted = 0;
  for (const PlacedMedium& medium : prompt.media) wanted += medium.layout.tokens;
  if (prompt.image_tokens != wanted) {
    fail<RequestError>("the prompt has ", prompt.image_tokens, " image tokens, its ",
                       prompt.media.size(), " picture(s) make ", wanted);
  }
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
                   const Request& request, const vision::MediaLimits& limits) {
  Prompt prompt;
  const auto image_token = family.image_token();
  if (!request.images.empty() && !image_token) {
    fail<RequestError>("this model reads no pictures; load a vision-language model");
  }
  for (const ImageInput& input : request.images) {
    prompt.media.push_back(place(family, input, request.images.size(), limits));
  }
  if (!request.token_ids.empty()) {
    prompt.ids = request.token_ids;
  } else {
    std::vector<PromptSpan> spans = with_placeholders(family, request, prompt.media);
    const bool special = request.add_special_tokens && family.write_around(spans);
    expand(family, prompt.media, spans);
    std::vector<language::TextSpan> text;
    for (const PromptSpan& span : spans) text.push_back({span.text, span.trusted});
    prompt.ids = tokenizer.encode_spans(text, special);
  }
  if (prompt.ids.empty()) fail<RequestError>("the prompt is empty");
  for (const std::int32_t id : prompt.ids) prompt.keys.push_back(token_key(id));
  if (image_token) {
    lay_media(prompt, *image_token);
    prompt.arrangement = family.arrange(prompt);
  }
  return prompt;
}

}  // namespace chiasm

#include "runtime/prompt.h"

#include <algorithm>

namespace chiasm {

namespace {

PlacedPicture place(const Family& family, const ImageInput& input,
                    const vision::MediaLimits& limits) {
  PlacedPicture picture;
  picture.input = input;
  in_context(input.name, [&] {
    if (input.pixels != nullptr) {
      picture.width = input.pixels->width;
      picture.height = input.pixels->height;
      picture.hash = content_hash(std::as_bytes(std::span(input.pixels->rgb)),
                                  mix64(std::uint64_t(picture.width)));
    } else {
      const auto bytes = std::as_bytes(std::span(*input.encoded));
      const vision::PictureInfo info = vision::read_header(bytes);
      vision::check_limits(info, bytes.size(), limits);
      picture.width = info.upright_width();
      picture.height = info.upright_height();
      picture.hash = content_hash(bytes, 1);
    }
    picture.layout = family.layout(picture.width, picture.height);
  });
  return picture;
}

std::size_t count(std::string_view text, std::string_view placeholder) {
  std::size_t n = 0;
  for (std::size_t at = text.find(placeholder); at != std::string_view::npos;
       at = text.find(placeholder, at + placeholder.size())) {
    n++;
  }
  return n;
}

/// The prompt's text with each placeholder replaced by its picture's expansion.
std::vector<PromptSpan> expand(const Family& family, const Request& request,
                               const std::vector<PlacedPicture>& pictures) {
  const std::string placeholder(family.placeholder());
  std::vector<PromptSpan> spans = request.prompt;
  std::size_t found = 0;
  for (const PromptSpan& span : spans) {
    if (span.trusted && !placeholder.empty()) found += count(span.text, placeholder);
  }
  if (found == 0 && !pictures.empty()) {  // pictures then go first
    std::string first;
    for (std::size_t i = 0; i < pictures.size(); i++) first += placeholder;
    spans.insert(spans.begin(), PromptSpan{first, true});
    found = pictures.size();
  }
  if (found != pictures.size()) {
    fail<RequestError>("the prompt has ", found, " ", placeholder, " placeholder(s) for ",
                       pictures.size(), " picture(s); write one for each picture, or none");
  }
  if (found == 0) return spans;
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
  return spans;
}

void lay_pictures(Prompt& prompt, std::int32_t image_token) {
  std::size_t picture = 0;
  for (std::size_t i = 0; i < prompt.ids.size(); i++) {
    if (prompt.ids[i] != image_token) continue;
    while (picture < prompt.pictures.size() && std::int64_t(prompt.pictures[picture].rows.size()) ==
                                                   prompt.pictures[picture].layout.tokens) {
      picture++;
    }
    prompt.image_tokens++;
    if (picture == prompt.pictures.size()) continue;  // counted, and refused below
    PlacedPicture& p = prompt.pictures[picture];
    const auto row = std::uint64_t(p.rows.size());
    prompt.keys[i] = mix64(p.hash.low ^ mix64(p.hash.high + row));
    p.rows.push_back(std::int32_t(i));
  }
  std::int64_t wanted = 0;
  for (const PlacedPicture& p : prompt.pictures) wanted += p.layout.tokens;
  if (prompt.image_tokens != wanted) {
    fail<RequestError>("the prompt has ", prompt.image_tokens, " image tokens, its ",
                       prompt.pictures.size(), " picture(s) make ", wanted);
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

vision::PreparedPicture preprocess(const Family& family, const Context& ctx,
                                   const ImageInput& input, const vision::MediaLimits& limits) {
  return with_pixels(input, limits,
                     [&](const vision::Image& image) { return family.preprocess(ctx, image); });
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
    prompt.pictures.push_back(place(family, input, limits));
  }
  if (!request.token_ids.empty()) {
    prompt.ids = request.token_ids;
  } else {
    const std::vector<PromptSpan> spans = expand(family, request, prompt.pictures);
    std::vector<language::TextSpan> text;
    for (const PromptSpan& span : spans) text.push_back({span.text, span.trusted});
    prompt.ids = tokenizer.encode_spans(text, request.add_special_tokens);
  }
  if (prompt.ids.empty()) fail<RequestError>("the prompt is empty");
  for (const std::int32_t id : prompt.ids) prompt.keys.push_back(token_key(id));
  if (image_token) lay_pictures(prompt, *image_token);
  return prompt;
}

}  // namespace chiasm

#include "runtime/embedder.h"

#include <algorithm>
#include <optional>

#include "projector/pooling.h"
#include "runtime/loader.h"
#include "runtime/lora.h"
#include "runtime/prompt.h"

namespace chiasm {

namespace {

/// Rows that go through a model together: enough to keep the kernels busy, little memory.
constexpr std::int64_t kRowsPerStep = 2048;

}  // namespace

struct Embedder::Impl {
  LoadedEmbedder loaded;
  vision::MediaLimits limits;
  std::optional<Lora> lora;
  Tap tap;

  const EmbedderFamily& family() const { return *loaded.family; }
  Context context(const Poll& interrupted) const {
    Context ctx = loaded.context();
    if (interrupted) ctx.interrupted = &interrupted;
    if (tap) ctx.tap = &tap;
    return ctx;
  }
  /// All rows go through the adapter, where there is one, with `arena` between its two products.
  AdaptedRows adapted(Arena& arena) const {
    AdaptedRows rows;
    if (lora) rows.all = &lora->weights;
    rows.arena = &arena;
    return rows;
  }
  std::string_view prompt(const TextOptions& options) const;
  std::vector<std::vector<std::int32_t>> tokens(const std::vector<std::string>& texts,
                                                const TextOptions& options) const;
};

std::string_view Embedder::Impl::prompt(const TextOptions& options) const {
  const EmbedderPrompts& prompts = loaded.info.prompts;
  const std::string& name = options.prompt.value_or(prompts.otherwise);
  if (name.empty()) return {};
  const auto it = prompts.texts.find(name);
  if (it != prompts.texts.end()) return it->second;
  std::string known;
  for (const auto& [other, text] : prompts.texts) known += (known.empty() ? "" : ", ") + other;
  fail<RequestError>("prompt \"", name, "\": this model has ",
                     known.empty() ? "no prompts" : "only " + known);
}

std::vector<std::vector<std::int32_t>> Embedder::Impl::tokens(const std::vector<std::string>& texts,
                                                              const TextOptions& options) const {
  const std::int64_t longest = loaded.info.max_tokens;
  if (longest == 0) fail<RequestError>("this model embeds no texts");
  const language::TextSpan before{prompt(options), true};
  std::vector<std::vector<std::int32_t>> all;
  for (std::size_t i = 0; i < texts.size(); i++) {
    const language::TextSpan spans[] = {before, {texts[i], false}};
    in_context("text " + std::to_string(i + 1),
               [&] { all.push_back(family().tokens(*loaded.tokenizer, spans)); });
    auto& ids = all.back();
    if (ids.empty()) fail<RequestError>("text ", i + 1, " is empty");
    const std::int64_t over = std::int64_t(ids.size()) - longest;
    if (over <= 0) continue;
    if (!options.truncate) {
      fail<RequestError>("text ", i + 1, " has ", ids.size(), " tokens, the model takes at most ",
                         longest, "; cut it into passages and embed each, or set truncate");
    }
    const auto closing = ids.end() - family().closing_tokens();
    ids.erase(closing - over, closing);
  }
  return all;
}

Embedder::Embedder(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
Embedder::~Embedder() = default;
Embedder::Embedder(Embedder&&) noexcept = default;
Embedder& Embedder::operator=(Embedder&&) noexcept = default;

Embedder Embedder::load(const std::filesystem::path& folder, const EmbedderOptions& options) {
  auto impl = std::make_unique<Impl>();
  impl->loaded = load_embedder(folder, options);
  impl->limits.max_pixels = options.max_image_pixels;
  if (!options.lora.empty()) {
    impl->lora = load_lora(impl->loaded.context(), options.lora, impl->loaded.products);
    impl->loaded.info.lora = options.lora;
    impl->loaded.info.weight_bytes += std::int64_t(impl->lora->weights.bytes());
  }
  return Embedder(std::move(impl));
}

Tensor Embedder::embed_texts(const std::vector<std::string>& texts, const TextOptions& options,
                             const Poll& interrupted) const {
  const auto ids = impl_->tokens(texts, options);
  Context ctx = impl_->context(interrupted);
  Tensor out = float_tensor({std::int64_t(ids.size()), info().size});
  Arena arena;
  const AdaptedRows adapted = impl_->adapted(arena);
  if (adapted.all != nullptr) ctx.adapted = &adapted;
  for (std::size_t first = 0, next = 0; first < ids.size(); first = next) {
    ctx.poll();
    std::int64_t rows = 0;
    while (next < ids.size() &&
           (rows == 0 || rows + std::int64_t(ids[next].size()) <= kRowsPerStep)) {
      rows += std::int64_t(ids[next++].size());
    }
    const auto count = std::int64_t(next - first);
    impl_->family().embed_texts(ctx, std::span(ids).subspan(first, next - first), arena,
                                out.view<float>().slice_rows(std::int64_t(first), count));
  }
  projector::unit_rows(out.view<float>());
  return out;
}

Tensor Embedder::embed_images(const std::vector<ImageInput>& images,
                              const Poll& interrupted) const {
  if (info().patches_per_picture == 0) fail<RequestError>("this model embeds no pictures");
  Context ctx = impl_->context(interrupted);
  const auto all = std::int64_t(images.size());
  const std::int64_t step = std::max<std::int64_t>(1, kRowsPerStep / info().patches_per_picture);
  Tensor out = float_tensor({all, info().size});
  Arena arena;
  const AdaptedRows adapted = impl_->adapted(arena);
  if (adapted.all != nullptr) ctx.adapted = &adapted;
  for (std::int64_t first = 0; first < all; first += step) {
    const std::int64_t count = std::min(step, all - first);
    std::vector<vision::PreparedPicture> tiles;
    for (std::int64_t i = first; i < first + count; i++) {
      ctx.poll();
      tiles.push_back(with_pixels(images[std::size_t(i)], impl_->limits, [&](const auto& image) {
        return impl_->family().preprocess(ctx, image);
      }));
    }
    impl_->family().embed_images(ctx, tiles, arena, out.view<float>().slice_rows(first, count));
  }
  projector::unit_rows(out.view<float>());
  return out;
}

std::vector<std::int64_t> Embedder::count_tokens(const std::vector<std::string>& texts,
                                                 const TextOptions& options) const {
  std::vector<std::int64_t> counts;
  for (const auto& ids : impl_->tokens(texts, options)) counts.push_back(std::int64_t(ids.size()));
  return counts;
}

void Embedder::set_tap(Tap tap) { impl_->tap = std::move(tap); }

const EmbedderInfo& Embedder::info() const { return impl_->loaded.info; }

}  // namespace chiasm

#include "runtime/model.h"

#include <algorithm>
#include <random>

#include "kernels/pages.h"
#include "runtime/adapters.h"
#include "runtime/attention.h"
#include "runtime/device_states.h"
#include "runtime/draft.h"
#include "runtime/engines.h"
#include "runtime/generate_options.h"
#include "runtime/loader.h"
#include "runtime/medium_features.h"
#include "runtime/transcribe.h"

namespace chiasm {

struct Model::Impl {
  LoadedModel loaded;
  Context ctx;  // of the first device
  std::unique_ptr<Engines> engines;
  Adapters adapters;

  const Family& family() const { return *loaded.family; }
  const language::Tokenizer& tokenizer() const { return *loaded.tokenizer; }
  /// The adapter of that name; null for no name.
  std::shared_ptr<const Lora> adapter(const std::string& name) const {
    return name.empty() ? nullptr : adapters.find(name);
  }

  Prompt prompt(const Request& request) const {
    return make_prompt(family(), tokenizer(), request, engines->options().limits);
  }
  std::shared_ptr<Sequence> sequence(const Request& request) const;
  Tensor encode(const PlacedMedium& medium, const Poll& interrupted) const;
  std::unique_ptr<Draft> load_draft(const LoadOptions& options);
  Result search(const Request& request, bool in_pieces, const Poll& interrupted) const;
};

namespace {

/// For calls that generate nothing: of the options the adapter alone counts.
Request without_options(const Request& request) {
  Request out = request;
  out.options = {};
  out.options.adapter = request.options.adapter;
  return out;
}

std::uint64_t random_seed() {
  std::random_device device;
  return (std::uint64_t(device()) << 32) | device();
}

}  // namespace

std::shared_ptr<Sequence> Model::Impl::sequence(const Request& request) const {
  check_options(request.options, family().decoder().config().vocab_size);
  auto s = std::make_shared<Sequence>();
  s->prompt = prompt(request);
  s->options = request.options;
  s->options.top_k = std::min(s->options.top_k, family().decoder().config().vocab_size);
  s->seed = request.options.seed ? *request.options.seed : random_seed();
  s->first_logits = s->prompt_length() - 1;
  if (s->options.constraint) s->mask = s->options.constraint();
  s->adapter = adapter(s->options.adapter);
  if (s->adapter) {
    // Keys and values belong to the weights that made them: no two adapters share a beginning.
    if (!s->prompt.keys.empty()) s->prompt.keys.front() ^= mix64(s->adapter->id);
  }
  return s;
}

/// Null where none is wanted.
std::unique_ptr<Draft> Model::Impl::load_draft(const LoadOptions& options) {
  if (options.draft.empty()) return nullptr;
  if (options.draft_tokens < 1 || options.draft_tokens > 32) {
    fail<RequestError>("draft_tokens is ", options.draft_tokens, ", expected between 1 and 32");
  }
  if (ctx.device != nullptr) {
    fail<DeviceError>("draft models run on the CPU so far; load the model with device=\"cpu\"");
  }
  const language::Decoder& decoder = family().decoder();
  if (decoder.has_cross() || decoder.needs_whole_prefix()) {
    fail<RequestError>("draft: family ", loaded.info.family,
                       " cannot be guessed ahead: wrong guesses cannot be taken back from a state "
                       "of fixed size, and what looks at an encoder is not followed");
  }
  LoadOptions own;
  own.device = "cpu";
  if (options.draft.extension() == ".gguf") own.mmproj = "none";  // it sees no pictures
  own.threads = 1;  // while it is loaded; it runs with the model's
  LoadedModel draft = load_model(options.draft, own);
  loaded.engine_options.draft_tokens = options.draft_tokens;
  loaded.info.draft = draft.info.path;
  return in_context("draft " + draft.info.path, [&] {
    return std::make_unique<Draft>(std::move(draft), tokenizer(), loaded.info.vocab_size, ctx);
  });
}

Model::Model(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
Model::~Model() = default;
Model::Model(Model&&) noexcept = default;
Model& Model::operator=(Model&&) noexcept = default;

Model Model::load(const std::filesystem::path& folder, const LoadOptions& options) {
  auto impl = std::make_unique<Impl>();
  impl->loaded = load_model(folder, options);
  if (impl->loaded.info.packed_layout.empty()) impl->loaded.checkpoint.reset();  // all is packed
  impl->ctx = impl->loaded.context();
  std::unique_ptr<Draft> draft = impl->load_draft(options);
  impl->engines =
      std::make_unique<Engines>(impl->family(), impl->tokenizer(), impl->loaded.places(),
                                impl->loaded.engine_options, std::move(draft));
  return Model(std::move(impl));
}

/// Runs a beam search; its other answers are in Result::others.
Result Model::Impl::search(const Request& request, bool in_pieces, const Poll& interrupted) const {
  if (in_pieces) {
    fail<RequestError>(
        "num_beams over 1: a beam search knows its answers only at its end and cannot give them "
        "in pieces");
  }
  const std::vector<std::shared_ptr<Sequence>> one{sequence(request)};
  engines->run(one, {}, interrupted);
  return std::move(one.front()->result);
}

Result Model::generate(const Request& request, const OnText& on_text, const Poll& interrupted) {
  if (request.options.num_beams > 1) {
    return impl_->search(request, bool(on_text), interrupted);
  }
  OnChoice receive;
  if (on_text) receive = [&](std::size_t, std::string_view piece) { return on_text(piece); };
  return std::move(choices(request, 1, receive, interrupted).front());
}

std::vector<Result> Model::choices(const Request& request, std::int64_t count,
                                   const OnChoice& on_text, const Poll& interrupted) {
  if (count < 1) fail<RequestError>("n is ", count, ", expected at least 1");
  if (request.options.num_beams > 1) {
    Request wider = request;
    wider.options.answers = count;
    std::vector<Result> best{impl_->search(wider, bool(on_text), interrupted)};
    for (Result& other : std::exchange(best.front().others, {})) best.push_back(std::move(other));
    return best;
  }
  const std::shared_ptr<Sequence> first = impl_->sequence(request);
  Sequence& leader = *first;
  std::vector<std::shared_ptr<Sequence>> all{first};
  for (std::int64_t i = 1; i < count; i++) {
    auto s = std::make_shared<Sequence>();
    s->prompt = leader.prompt;
    s->options = leader.options;
    s->seed = leader.seed + std::uint64_t(i);
    s->first_logits = leader.first_logits;
    s->adapter = leader.adapter;
    if (s->options.constraint) s->mask = s->options.constraint();
    leader.followers.push_back(s);
    all.push_back(std::move(s));
  }
  impl_->engines->run({&first, 1}, on_text, interrupted);
  std::vector<Result> results;
  for (const auto& s : all) results.push_back(std::move(s->result));
  return results;
}

std::vector<Result> Model::generate_all(std::vector<Request> requests, const Poll& interrupted,
                                        const OnDone& on_done) {
  std::vector<std::shared_ptr<Sequence>> sequences;
  for (std::size_t i = 0; i < requests.size(); i++) {
    in_context("request " + std::to_string(i + 1),
               [&] { sequences.push_back(impl_->sequence(requests[i])); });
    requests[i].images.clear();
    requests[i].videos.clear();
    requests[i].audio.clear();
  }
  impl_->engines->run(sequences, {}, interrupted, on_done);
  std::vector<Result> results;
  for (const auto& s : sequences) results.push_back(std::move(s->result));
  return results;
}

std::vector<double> Model::score(const Request& request, const std::vector<std::string>& answers,
                                 const Poll& interrupted) {
  Request prompt_only = without_options(request);
  std::vector<double> scores(answers.size(), 0);
  std::vector<std::shared_ptr<Sequence>> sequences;
  for (std::size_t i = 0; i < answers.size(); i++) {
    const auto s = impl_->sequence(prompt_only);
    const std::vector<language::TextSpan> answer{{answers[i], false}};
    const auto ids = impl_->tokenizer().encode_spans(answer, false);
    if (ids.empty()) fail<RequestError>("answer ", i, " has no tokens");
    s->prompt.append(ids);
    double* score = &scores[i];
    Sequence* raw = s.get();
    s->on_logits = [this, score, raw](std::int64_t row, std::span<const float> logits) {
      if (row + 1 >= raw->prompt_length()) return;
      const std::int32_t next = raw->prompt.ids[std::size_t(row + 1)];
      *score += double(logits[std::size_t(next)]) - kernels::log_sum_exp(impl_->ctx, logits);
    };
    sequences.push_back(s);
  }
  // The first one leaves the prompt's keys and values for the others.
  const std::span<const std::shared_ptr<Sequence>> all(sequences);
  for (const auto part : {all.first(std::min<std::size_t>(1, all.size())),
                          all.subspan(std::min<std::size_t>(1, all.size()))}) {
    impl_->engines->run(part, {}, interrupted);
  }
  return scores;
}

Plan Model::plan(const Request& request) const {
  const std::shared_ptr<Sequence> s = impl_->sequence(request);
  const Engine& engine = impl_->engines->one();
  const auto& decoder = impl_->family().decoder();
  Plan plan;
  plan.tokens = s->prompt_length();
  plan.image_tokens = s->prompt.image_tokens;
  plan.audio_tokens = s->prompt.sound_tokens;
  plan.video_tokens = s->prompt.video_tokens;
  std::int64_t pixel_bytes = 0, features = 0;
  for (const PlacedMedium& m : s->prompt.media) {
    plan.tiles += std::int64_t(m.layout.pieces.size());
    for (const Piece& piece : m.layout.pieces) {
      plan.encode_macs += impl_->family().piece_macs(piece);
    }
    std::int64_t decoder_bytes = 0;
    if (m.video) {
      plan.frames += m.video->taken.count();
      if (m.video->file != nullptr) decoder_bytes = m.video->file->decoder_bytes();
    }
    pixel_bytes = std::max(pixel_bytes, m.width * m.height * 3 + m.layout.bytes + decoder_bytes);
    features += std::max(m.layout.rows(), m.layout.tokens) * impl_->family().feature_width() *
                std::int64_t(sizeof(float));
  }
  plan.weight_bytes = std::int64_t(impl_->family().weight_bytes());
  if (!info().packed_layout.empty()) {  // of a mapped token table, pages that are looked up
    plan.weight_bytes -= std::int64_t(decoder.bytes() - decoder.step_bytes());
  }
  const std::int64_t pages = kernels::pages_for(s->longest(engine.options().max_context));
  const std::int64_t more = s->branches() - 1;  // beams, which share what the prompt fills
  const std::int64_t own_pages = pages - s->prompt_length() / kernels::kPageTokens;
  const language::KvShape kv = decoder.kv_shape(engine.options().kv_dtype);
  plan.kv_bytes =
      (pages + more * own_pages) * kernels::kPageTokens * std::int64_t(kv.token_bytes()) +
      (1 + more) * std::int64_t(kv.fixed_bytes());
  plan.activation_bytes =
      std::int64_t(
          engine.step_bytes(engine.largest_load(s->prompt), engine.largest_batch(s->prompt))) +
      pixel_bytes + features +
      more * (info().vocab_size + info().hidden_size) * std::int64_t(sizeof(float));
  plan.weight_bytes += impl_->adapters.bytes();
  if (s->adapter) plan.activation_bytes += engine.adapter_bytes(*s->adapter, s->prompt);
  plan.fixed_bytes = info().fixed_bytes;
  plan.draft_bytes = engine.draft_bytes(*s);
  plan.peak_bytes = plan.weight_bytes + plan.fixed_bytes + plan.kv_bytes + plan.activation_bytes +
                    plan.draft_bytes;
  return plan;
}

namespace {
Request turn_request(const std::optional<std::vector<PromptSpan>>& spans, const std::string& name) {
  if (!spans) {
    fail<RequestError>("family ", name,
                       " has no turn format of its own; render the chat template and give the "
                       "prompt as text");
  }
  Request request;
  request.prompt = *spans;
  request.add_special_tokens = false;  // the turn format writes its own beginning
  return request;
}
}  // namespace

Request Model::turn(const std::string& words, std::vector<ImageInput> images,
                    std::vector<VideoInput> videos) const {
  Request request =
      turn_request(impl_->family().turn(words, {images.size(), videos.size()}), info().family);
  request.images = std::move(images);
  request.videos = std::move(videos);
  return request;
}

Request Model::sound_turn(const std::string& words, std::vector<AudioInput> sounds) const {
  Request request = turn_request(impl_->family().sound_turn(words, sounds.size()), info().family);
  request.audio = std::move(sounds);
  return request;
}

Request Model::caption_request(ImageInput image) const {
  return turn("Describe this image.", {std::move(image)});
}

PictureSizes Model::picture_sizes(const ImageInput& image) const {
  const PlacedMedium medium =
      place(impl_->family(), image, 1, impl_->engines->options().limits.pictures);
  return {medium.width, medium.height, medium.layout.resized_width, medium.layout.resized_height};
}

PictureTiles Model::tiles(const ImageInput& image, std::size_t pictures) const {
  const PlacedMedium medium =
      place(impl_->family(), image, pictures, impl_->engines->options().limits.pictures);
  return impl_->family().tiles(medium.width, medium.height, pictures);
}

std::vector<NamedTensor> Model::preprocess_image(const ImageInput& image) const {
  const auto& limits = impl_->engines->options().limits.pictures;
  const PlacedMedium medium = place(impl_->family(), image, 1, limits);
  return impl_->family().processor_output(prepare(impl_->family(), impl_->ctx, medium, limits));
}

/// The columns of a medium's features that go over its rows.
Tensor Model::Impl::encode(const PlacedMedium& medium, const Poll& interrupted) const {
  const EngineOptions& options = engines->options();
  Tensor features = engines->on_one(medium.layout.tokens, [&](Engine&, const Context& there) {
    Context own = there;
    if (interrupted) own.interrupted = &interrupted;
    return medium_features(family(), own, medium, options.limits, options.patches_per_step);
  });
  const std::int64_t dim = family().decoder().config().hidden_size;
  const auto all = features.view<float>();
  if (all.cols() == dim) return features;
  Tensor first = float_tensor({all.rows(), dim});  // without what is for the decoder's layers
  for (std::int64_t i = 0; i < all.rows(); i++) {
    std::copy_n(all.row(i), dim, first.view<float>().row(i));
  }
  return first;
}

Tensor Model::encode_image(const ImageInput& image, const Poll& interrupted) {
  return impl_->encode(place(impl_->family(), image, 1, impl_->engines->options().limits.pictures),
                       interrupted);
}

std::vector<NamedTensor> Model::preprocess_video(const VideoInput& video) const {
  const auto& limits = impl_->engines->options().limits;
  const Family& family = impl_->family();
  const PlacedMedium medium = place(family, video, limits);
  return family.video_output(prepare(family, impl_->ctx, medium, limits.pictures));
}

Tensor Model::encode_video(const VideoInput& video, const Poll& interrupted) {
  return impl_->encode(place(impl_->family(), video, impl_->engines->options().limits),
                       interrupted);
}

std::vector<NamedTensor> Model::preprocess_audio(const AudioInput& sound) const {
  const auto& limits = impl_->engines->options().limits.sounds;
  const PlacedMedium medium = place(impl_->family(), sound, limits);
  return impl_->family().processor_output(
      prepare_sound(impl_->family(), impl_->ctx, medium, limits));
}

Tensor Model::encode_audio(const AudioInput& sound, const Poll& interrupted) {
  return impl_->encode(place(impl_->family(), sound, impl_->engines->options().limits.sounds),
                       interrupted);
}

Transcript Model::transcribe(const AudioInput& sound, const TranscribeOptions& options,
                             const OnSegment& on_segment, const Poll& interrupted) {
  // Each window's requests look at the same keys and values, which lie on one device.
  return impl_->engines->on_one(info().max_context, [&](Engine& engine, const Context& ctx) {
    return chiasm::transcribe(engine, impl_->family(), impl_->tokenizer(), ctx, sound, options,
                              impl_->adapter(options.adapter), on_segment, interrupted);
  });
}

Tensor Model::logits(const Request& request, const Poll& interrupted) {
  Request prompt_only = without_options(request);
  const std::shared_ptr<Sequence> s = impl_->sequence(prompt_only);
  s->first_logits = 0;
  Tensor out = float_tensor({s->prompt_length(), impl_->family().decoder().config().vocab_size});
  const auto view = out.view<float>();
  s->on_logits = [view](std::int64_t row, std::span<const float> values) {
    std::ranges::copy(values, view.row(row));
  };
  impl_->engines->run({&s, 1}, {}, interrupted);
  return out;
}

Tensor Model::hidden_rows(const Request& request, const Poll& interrupted) {
  Request prompt_only = without_options(request);
  const std::shared_ptr<Sequence> s = impl_->sequence(prompt_only);
  Tensor out = float_tensor({s->prompt_length(), info().hidden_size});
  collect_rows(*s, out.view<float>());
  impl_->engines->run({&s, 1}, {}, interrupted);
  return out;
}

Tensor Model::embed(const Request& request, projector::Pooling pooling, const Poll& interrupted) {
  const Tensor rows = hidden_rows(request, interrupted);
  Tensor out = float_tensor({1, info().hidden_size});
  const std::int64_t count = rows.shape()[0];
  projector::pool(pooling, rows.view<float>(), {&count, 1}, out.view<float>());
  projector::unit_rows(out.view<float>());
  return out;
}

Attention Model::attention(const Request& request, const std::vector<std::int32_t>& answer,
                           const std::vector<std::int64_t>& layers, const Poll& interrupted) {
  Prompt prompt = impl_->prompt(request);
  prompt.append(answer);
  Context ctx = impl_->ctx;
  if (interrupted) ctx.interrupted = &interrupted;
  const std::shared_ptr<const Lora> lora = impl_->adapter(request.options.adapter);
  return attend(impl_->family(), ctx, impl_->engines->options(), prompt,
                std::int64_t(answer.size()), layers, lora.get());
}

void Model::load_adapter(const std::string& name, const std::filesystem::path& folder) {
  if (name.empty()) fail<RequestError>("an adapter needs a name");
  if (impl_->ctx.device != nullptr) {
    fail<DeviceError>("adapters run on the CPU so far; load the model with device=\"cpu\"");
  }
  Lora lora = load_lora(impl_->ctx, folder, impl_->loaded.products);
  lora.name = name;
  impl_->adapters.put(std::move(lora));
}

void Model::unload_adapter(const std::string& name) { impl_->adapters.remove(name); }

std::vector<AdapterInfo> Model::adapters() const { return impl_->adapters.list(); }

void Model::set_tap(const Tap& tap) { impl_->engines->set_tap(tap); }

void Model::profile(bool on) { impl_->engines->profile(on); }

std::vector<OperatorTime> Model::operator_times() const { return impl_->engines->operator_times(); }

std::vector<std::int32_t> Model::prompt_ids(const Request& request) const {
  return impl_->prompt(request).ids;
}

std::vector<std::int32_t> Model::tokenize(const std::string& text, bool add_special_tokens) const {
  return impl_->tokenizer().encode(text, add_special_tokens);
}

std::string Model::detokenize(const std::vector<std::int32_t>& ids,
                              bool skip_special_tokens) const {
  // A model may have rows without a token; they decode to nothing, as in transformers.
  check_ids(ids, std::max(impl_->tokenizer().vocab_size(), info().vocab_size));
  return impl_->tokenizer().decode(ids, skip_special_tokens);
}

std::vector<std::string> Model::special_tokens() const {
  std::vector<std::string> out;
  for (std::int32_t id = 0; id < impl_->tokenizer().vocab_size(); id++) {
    if (impl_->tokenizer().is_structure(id)) out.emplace_back(impl_->tokenizer().token_text(id));
  }
  return out;
}

std::vector<std::string> Model::token_bytes() const {
  const language::Tokenizer& tokenizer = impl_->tokenizer();
  std::vector<std::string> out(std::size_t(impl_->family().decoder().config().vocab_size));
  const auto known = std::min(std::int64_t(out.size()), tokenizer.vocab_size());
  for (std::int32_t id = 0; id < known; id++) {
    if (!tokenizer.is_structure(id)) out[std::size_t(id)] = tokenizer.token_bytes(id);
  }
  return out;
}

const ModelInfo& Model::info() const { return impl_->loaded.info; }

EngineStats Model::stats() const { return impl_->engines->stats(); }

std::vector<DeviceState> Model::devices() const {
  return device_states(impl_->loaded, *impl_->engines);
}

}  // namespace chiasm

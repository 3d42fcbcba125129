#include "runtime/retriever.h"

#include <algorithm>

#include "projector/pooling.h"
#include "runtime/engines.h"
#include "runtime/loader.h"
#include "vision/processor_settings.h"

namespace chiasm {

namespace {

constexpr int kFillings = 10;  // tokens behind a query, room for the model to think in

/// What the family's processor writes around texts and pictures.
struct RetrieverPrompts {
  std::string before, after, picture;

  static RetrieverPrompts read(const std::filesystem::path& folder, const std::string& family) {
    const Json config = vision::processor_settings(folder);
    RetrieverPrompts out;
    if (family == "colpali") {  // PaliGemma's own processor adds pictures, <bos> and the line feed
      out.before = config.str("query_prefix", "Question: ");
      out.picture = config.str("visual_prompt_prefix", "Describe the image.");
      for (int i = 0; i < kFillings; i++) out.after += "<pad>";
    } else {
      out.before = config.str("query_prefix", "Query: ");
      out.picture = config.str("visual_prompt_prefix",
                               "<|im_start|>user\n<|vision_start|><|image_pad|><|vision_end|>"
                               "Describe the image.<|im_end|><|endoftext|>");
      for (int i = 0; i < kFillings; i++) out.after += "<|endoftext|>";
      out.after += "\n";
    }
    return out;
  }
};

}  // namespace

struct Retriever::Impl {
  LoadedRetriever loaded;
  Context ctx;
  std::unique_ptr<Engines> engines;
  RetrieverPrompts prompts;
  RetrieverInfo info;

  std::vector<Tensor> run(const std::vector<Request>& requests, const char* what,
                          const Poll& interrupted) const;
};

/// All requests as one batch of the engine, their rows carried into the space.
std::vector<Tensor> Retriever::Impl::run(const std::vector<Request>& requests, const char* what,
                                         const Poll& interrupted) const {
  std::vector<std::shared_ptr<Sequence>> sequences;
  std::vector<Tensor> rows;
  for (std::size_t i = 0; i < requests.size(); i++) {
    in_context(std::string(what) + " " + std::to_string(i + 1), [&] {
      auto s = std::make_shared<Sequence>();
      s->prompt = make_prompt(*loaded.model.family, *loaded.model.tokenizer, requests[i],
                              engines->options().limits);
      if (s->prompt_length() > info.max_tokens) {
        fail<RequestError>(s->prompt_length(), " tokens, the model takes at most ",
                           info.max_tokens);
      }
      rows.push_back(
          float_tensor({s->prompt_length(), loaded.model.family->decoder().config().hidden_size}));
      collect_rows(*s, rows.back().view<float>());
      sequences.push_back(std::move(s));
    });
  }
  engines->run(sequences, {}, interrupted);
  Context host = ctx;  // few and narrow vectors, of rows that are here already
  host.device = nullptr;
  std::vector<Tensor> out;
  for (const Tensor& r : rows) {
    out.push_back(float_tensor({r.shape()[0], info.size}));
    loaded.head(host, r.view<float>(), out.back().view<float>());
    projector::unit_rows(out.back().view<float>());
  }
  return out;
}

Retriever::Retriever(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
Retriever::~Retriever() = default;
Retriever::Retriever(Retriever&&) noexcept = default;
Retriever& Retriever::operator=(Retriever&&) noexcept = default;

Retriever Retriever::load(const std::filesystem::path& folder, const EmbedderOptions& options) {
  LoadOptions settings;
  settings.device = options.device;
  settings.dtype = options.dtype;
  settings.quantize = options.quantize;
  settings.threads = options.threads;
  settings.max_image_pixels = options.max_image_pixels;
  settings.progress = options.progress;
  auto impl = std::make_unique<Impl>(Impl{load_retriever(folder, settings), {}, nullptr, {}, {}});
  LoadedModel& model = impl->loaded.model;
  model.checkpoint.reset();  // all is packed
  impl->ctx = model.context();
  impl->engines = std::make_unique<Engines>(*model.family, *model.tokenizer, model.places(),
                                            model.engine_options);
  RetrieverInfo& info = impl->info;
  info.family = impl->loaded.config["model_type"].str();
  impl->prompts = RetrieverPrompts::read(folder, info.family);
  info.path = model.info.path;
  info.dtype = model.info.dtype;
  info.quantize = model.info.quantize;
  info.isa = model.info.isa;
  info.size = impl->loaded.head.out();
  info.max_tokens = model.engine_options.max_context;
  info.parameters = model.info.parameters;
  info.weight_bytes = model.info.weight_bytes + std::int64_t(impl->loaded.head.bytes());
  info.threads = model.info.threads;
  return Retriever(std::move(impl));
}

std::vector<Tensor> Retriever::embed_texts(const std::vector<std::string>& texts,
                                           const Poll& interrupted) const {
  const RetrieverPrompts& p = impl_->prompts;
  std::vector<Request> requests;
  for (const std::string& text : texts) {
    requests.emplace_back();
    requests.back().prompt = {{p.before, true}, {text, false}, {p.after, true}};
  }
  return impl_->run(requests, "text", interrupted);
}

std::vector<Tensor> Retriever::embed_images(const std::vector<ImageInput>& images,
                                            const Poll& interrupted) const {
  std::vector<Request> requests;
  for (const ImageInput& image : images) {
    requests.emplace_back();
    requests.back().prompt = {{impl_->prompts.picture, true}};
    requests.back().images = {image};
  }
  return impl_->run(requests, "picture", interrupted);
}

const RetrieverInfo& Retriever::info() const { return impl_->info; }

double max_sim(TensorView<const float> query, TensorView<const float> document) {
  document.expect({document.rows(), query.cols()});
  if (document.rows() < 1) fail<ShapeError>("max_sim: a document without vectors");
  double total = 0;
  for (std::int64_t i = 0; i < query.rows(); i++) {
    double best = 0;
    for (std::int64_t j = 0; j < document.rows(); j++) {
      double product = 0;
      for (std::int64_t k = 0; k < query.cols(); k++) {
        product += double(query.row(i)[k]) * double(document.row(j)[k]);
      }
      best = j == 0 ? product : std::max(best, product);
    }
    total += best;
  }
  return total;
}

}  // namespace chiasm

/// Model: every call releases the GIL while C++ works and hears Ctrl-C.
#include <pybind11/functional.h>
#include <pybind11/stl.h>
#include <pybind11/typing.h>

#include <tuple>

#include "python/bind.h"

namespace chiasm::python {

namespace {

using Progress = std::optional<std::function<void(double)>>;
using Done = std::optional<std::function<void(std::size_t)>>;
using Receive = std::optional<std::function<bool(py::str)>>;
using ReceiveChoice = std::optional<std::function<bool(std::size_t, py::str)>>;
using Arrays = py::typing::Dict<py::str, py::array>;
using Floats = py::array_t<float>;

std::unique_ptr<Model> load(const std::string& folder, const std::string& device,
                            const std::string& dtype, const std::string& quantize,
                            const std::string& kv_cache, const std::string& mmproj,
                            bool batch_invariant, const std::string& attention_provider,
                            int threads, std::int64_t max_context, const std::string& draft,
                            std::int64_t draft_tokens, const std::string& encoder_cache_dir,
                            std::int64_t encoder_cache_dir_bytes, std::int64_t max_image_pixels,
                            double max_audio_seconds, const Progress& progress) {
  LoadOptions o;
  o.device = device;
  o.dtype = dtype;
  o.quantize = quantize;
  o.kv_cache = kv_cache;
  o.mmproj = mmproj;
  o.batch_invariant = batch_invariant;
  o.attention_provider = attention_provider;
  o.threads = threads;
  o.max_context = max_context;
  o.draft = draft;
  o.draft_tokens = draft_tokens;
  o.encoder_cache_dir = encoder_cache_dir;
  o.encoder_cache_dir_bytes = encoder_cache_dir_bytes;
  o.max_image_pixels = max_image_pixels;
  o.max_audio_seconds = max_audio_seconds;
  o.progress = heard(progress);
  Unlocked unlock;
  return std::make_unique<Model>(Model::load(folder, o));
}

Result generate(Model& model, const Request& request, const Receive& on_text,
                std::optional<const CancelFlag*> cancel) {
  OnText receive;
  if (on_text) {
    receive = [&](std::string_view piece) {
      Locked lock;
      return (*on_text)(text(piece));
    };
  }
  return unlocked([&](const Poll& poll) { return model.generate(request, receive, poll); },
                  cancel.value_or(nullptr));
}

std::vector<Result> choices(Model& model, const Request& request, std::int64_t count,
                            const ReceiveChoice& on_text, std::optional<const CancelFlag*> cancel) {
  OnChoice receive;
  if (on_text) {
    receive = [&](std::size_t choice, std::string_view piece) {
      Locked lock;
      return (*on_text)(choice, text(piece));
    };
  }
  return unlocked([&](const Poll& poll) { return model.choices(request, count, receive, poll); },
                  cancel.value_or(nullptr));
}

std::vector<Result> generate_all(Model& model, const std::vector<Request>& requests,
                                 const Done& on_done) {
  OnDone tell;
  if (on_done) {
    tell = [&](std::size_t done) {
      Locked lock;
      (*on_done)(done);
    };
  }
  return unlocked([&](const Poll& poll) { return model.generate_all(requests, poll, tell); });
}

Arrays preprocess_image(const Model& model, const ImageInput& image) {
  std::vector<NamedTensor> tensors =
      unlocked([&](const Poll&) { return model.preprocess_image(image); });
  Arrays out;
  for (NamedTensor& t : tensors) out[text(t.name)] = array(std::move(t.values));
  return out;
}

}  // namespace

std::function<void(double)> heard(const Progress& progress) {
  return [&progress](double fraction) {
    Locked lock;
    if (PyErr_CheckSignals() != 0) throw py::error_already_set();
    if (progress) (*progress)(fraction);
  };
}

void bind_model(py::module_& m) {
  const LoadOptions d;
  py::class_<AdapterInfo>(m, "AdapterInfo", "A loaded adapter.")
      .def_property_readonly("name", [](const AdapterInfo& self) { return text(self.name); })
      .def_property_readonly("path", [](const AdapterInfo& self) { return text(self.path); })
      .def_readonly("modules", &AdapterInfo::modules)
      .def_readonly("rank", &AdapterInfo::rank)
      .def_readonly("bytes", &AdapterInfo::bytes)
      .def_readonly("changes_encoder", &AdapterInfo::changes_encoder);

  py::class_<Model> model(m, "Model", "A loaded model. Thread-safe.");
  model
      .def_static(
          "load", &load, py::arg("folder"), py::kw_only(), py::arg("device") = "auto",
          py::arg("dtype") = "auto", py::arg("quantize") = "", py::arg("kv_cache") = "auto",
          py::arg("mmproj") = "", py::arg("batch_invariant") = false,
          py::arg("attention_provider") = d.attention_provider, py::arg("threads") = 0,
          py::arg("max_context") = 0, py::arg("draft") = "",
          py::arg("draft_tokens") = d.draft_tokens, py::arg("encoder_cache_dir") = "",
          py::arg("encoder_cache_dir_bytes") = d.encoder_cache_dir_bytes,
          py::arg("max_image_pixels") = d.max_image_pixels,
          py::arg("max_audio_seconds") = d.max_audio_seconds, py::arg("progress") = py::none(),
          "Loads a Hugging Face folder or a .gguf file. `progress` hears the fraction read.")
      .def("generate", &generate, py::arg("request"), py::arg("on_text") = py::none(),
           py::arg("cancel") = py::none(),
           "Runs a request. `on_text` hears each piece; False from it ends the answer.")
      .def("choices", &choices, py::arg("request"), py::arg("count"),
           py::arg("on_text") = py::none(), py::arg("cancel") = py::none(),
           "Several answers to one request. `on_text` hears (choice, piece); False from it ends "
           "all.")
      .def("generate_all", &generate_all, py::arg("requests"), py::arg("on_done") = py::none(),
           "Runs several requests as one batch. `on_done` hears how many are done.")
      .def(
          "score",
          [](Model& self, const Request& request, const std::vector<std::string>& answers) {
            return unlocked([&](const Poll& poll) { return self.score(request, answers, poll); });
          },
          py::arg("request"), py::arg("answers"), "Total log-probability of each answer, in nats.")
      .def(
          "load_adapter",
          [](Model& self, const std::string& name, const std::string& folder) {
            unlocked([&](const Poll&) { self.load_adapter(name, folder); });
          },
          py::arg("name"), py::arg("folder"), "Reads a PEFT LoRA folder for requests that name it.")
      .def("unload_adapter", &Model::unload_adapter, py::arg("name"),
           "Takes an adapter away for requests that come later.")
      .def("adapters", &Model::adapters, "The adapters that requests may name.")
      .def("plan", &Model::plan, py::arg("request"), py::call_guard<Unlocked>(),
           "Lengths and bytes, before running.")
      .def("turn", &Model::turn, py::arg("words"), py::arg("images") = std::vector<ImageInput>(),
           py::arg("videos") = std::vector<VideoInput>(), py::call_guard<Unlocked>(),
           "A user turn in the family's own format.")
      .def("sound_turn", &Model::sound_turn, py::arg("words"), py::arg("sounds"),
           py::call_guard<Unlocked>(), "The same with sounds first.")
      .def(
          "picture_sizes",
          [](const Model& self, const ImageInput& image) {
            const PictureSizes s = unlocked([&](const Poll&) { return self.picture_sizes(image); });
            return std::tuple{s.width, s.height, s.resized_width, s.resized_height};
          },
          py::arg("image"), "Width and height of a picture, and of the same resized, in pixels.")
      .def("preprocess_image", &preprocess_image, py::arg("image"),
           "The arrays of the model's own processor.")
      .def(
          "encode_image",
          [](Model& self, const ImageInput& image) {
            return Floats(
                array(unlocked([&](const Poll& poll) { return self.encode_image(image, poll); })));
          },
          py::arg("image"), "float32 [tokens, d_model], after the projector.")
      .def(
          "logits",
          [](Model& self, const Request& request) {
            return Floats(
                array(unlocked([&](const Poll& poll) { return self.logits(request, poll); })));
          },
          py::arg("request"), "float32 [tokens, vocab].")
      .def(
          "embed",
          [](Model& self, const Request& request, bool mean) {
            const auto pooling = mean ? projector::Pooling::mean : projector::Pooling::last;
            return Floats(array(
                unlocked([&](const Poll& poll) { return self.embed(request, pooling, poll); })));
          },
          py::arg("request"), py::kw_only(), py::arg("mean"), "float32 [1, d_model], of length 1.")
      .def(
          "set_tap", [](Model& self, const PythonTap& tap) { self.set_tap(tap_of(tap)); },
          py::arg("tap"),
          "Has `tap(stage, values)` hear intermediates of later requests, float32 [rows, columns] "
          "as they are computed; None: no longer.")
      .def("profile", &Model::profile, py::arg("on"), py::call_guard<Unlocked>(),
           "Collects the times of operators from now on, or stops.")
      .def("operator_times", &Model::operator_times, py::call_guard<Unlocked>(),
           "What was collected.")
      .def("prompt_ids", &Model::prompt_ids, py::arg("request"), py::call_guard<Unlocked>(),
           "Token ids of a request's prompt, placeholders expanded.")
      .def("tokenize", &Model::tokenize, py::arg("text"), py::arg("add_special_tokens") = true,
           py::call_guard<Unlocked>())
      .def(
          "detokenize",
          [](const Model& self, const std::vector<std::int32_t>& ids, bool skip_special_tokens) {
            return text(self.detokenize(ids, skip_special_tokens));
          },
          py::arg("ids"), py::arg("skip_special_tokens") = true)
      .def(
          "special_tokens",
          [](const Model& self) {
            std::vector<py::str> tokens;
            for (const std::string& token : self.special_tokens()) tokens.push_back(text(token));
            return tokens;
          },
          "Texts that stand for structure, never for a user's words.")
      .def(
          "token_bytes",
          [](const Model& self) {
            std::vector<py::bytes> tokens;
            for (const std::string& token : self.token_bytes()) tokens.emplace_back(token);
            return tokens;
          },
          "What each token stands for in the midst of a text; nothing for structure tokens.")
      .def("stats", &Model::stats, "How busy the engine is, as of its last step.")
      .def("devices", &Model::devices, "The devices that it runs on; none for the CPU.")
      .def_property_readonly("info", [](const Model& self) { return ModelInfo(self.info()); });
  bind_shown(model);
  bind_speech(model);
  bind_video(model);
}

}  // namespace chiasm::python

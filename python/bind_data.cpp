/// Plain data that comes out of the runtime, and tensors as NumPy arrays.
#include <pybind11/stl.h>

#include <algorithm>

#include "python/bind.h"

namespace chiasm::python {

namespace {

py::dtype numpy_dtype(DType t) {
  switch (t) {
    case DType::f32:
      return py::dtype::of<float>();
    case DType::i64:
      return py::dtype::of<std::int64_t>();
    case DType::i32:
      return py::dtype::of<std::int32_t>();
    case DType::u8:
      return py::dtype::of<std::uint8_t>();
    default:
      fail<RequestError>("a ", name(t), " tensor has no NumPy type");
  }
}

/// A read-only attribute whose bytes are shown as text.
template <class T>
auto text_of(std::string T::*member) {
  return [member](const T& self) { return text(self.*member); };
}

}  // namespace

py::array array(Tensor tensor) {
  auto* owner = new Tensor(std::move(tensor));
  const py::capsule keeper(owner, [](void* p) { delete static_cast<Tensor*>(p); });
  std::vector<py::ssize_t> shape;
  for (int i = 0; i < owner->shape().rank(); i++) shape.push_back(owner->shape()[i]);
  return py::array(numpy_dtype(owner->dtype()), shape, owner->data(), keeper);
}

Tap tap_of(const PythonTap& hear) {
  if (!hear) return {};
  return [hear = *hear](std::string_view stage, TensorView<const float> values) {
    const Locked lock;
    py::array_t<float> rows({values.rows(), values.cols()});
    for (std::int64_t i = 0; i < values.rows(); i++) {
      std::copy_n(values.row(i), values.cols(), rows.mutable_data(i, 0));
    }
    hear(text(stage), rows);
  };
}

void bind_data(py::module_& m) {
  py::class_<Usage>(m, "Usage", "Token counts of a request.")
      .def_readonly("prompt_tokens", &Usage::prompt_tokens)
      .def_readonly("image_tokens", &Usage::image_tokens)
      .def_readonly("video_tokens", &Usage::video_tokens)
      .def_readonly("audio_tokens", &Usage::audio_tokens)
      .def_readonly("cached_tokens", &Usage::cached_tokens)
      .def_readonly("guessed_tokens", &Usage::guessed_tokens)
      .def_readonly("rejected_tokens", &Usage::rejected_tokens)
      .def_readonly("completion_tokens", &Usage::completion_tokens);

  py::class_<Timings>(m, "Timings", "Seconds of a request's stages.")
      .def_readonly("preprocess", &Timings::preprocess)
      .def_readonly("encode", &Timings::encode)
      .def_readonly("prefill", &Timings::prefill)
      .def_readonly("decode", &Timings::decode);

  py::class_<TokenLogprob>(m, "TokenLogprob", "A chosen token and its best rivals.")
      .def_readonly("id", &TokenLogprob::id)
      .def_property_readonly("text", text_of(&TokenLogprob::text))
      .def_readonly("logprob", &TokenLogprob::logprob)
      .def_readonly("top", &TokenLogprob::top);

  py::class_<Result>(m, "Result", "An answer.")
      .def_property_readonly("text", text_of(&Result::text))
      .def_readonly("token_ids", &Result::token_ids)
      .def_property_readonly("finish_reason", text_of(&Result::finish_reason))
      .def_readonly("usage", &Result::usage)
      .def_readonly("timings", &Result::timings)
      .def_readonly("logprobs", &Result::logprobs)
      .def_readonly("score", &Result::score)
      .def_readonly("others", &Result::others);

  py::class_<Plan>(m, "Plan", "Lengths and bytes of a request, told before it runs.")
      .def_readonly("tokens", &Plan::tokens)
      .def_readonly("image_tokens", &Plan::image_tokens)
      .def_readonly("audio_tokens", &Plan::audio_tokens)
      .def_readonly("video_tokens", &Plan::video_tokens)
      .def_readonly("frames", &Plan::frames)
      .def_readonly("tiles", &Plan::tiles)
      .def_readonly("encode_macs", &Plan::encode_macs)
      .def_readonly("weight_bytes", &Plan::weight_bytes)
      .def_readonly("fixed_bytes", &Plan::fixed_bytes)
      .def_readonly("kv_bytes", &Plan::kv_bytes)
      .def_readonly("activation_bytes", &Plan::activation_bytes)
      .def_readonly("draft_bytes", &Plan::draft_bytes)
      .def_readonly("peak_bytes", &Plan::peak_bytes);

  py::class_<EngineStats>(m, "EngineStats", "How busy an engine is.")
      .def_readonly("waiting", &EngineStats::waiting)
      .def_readonly("running", &EngineStats::running)
      .def_readonly("pages", &EngineStats::pages)
      .def_readonly("pages_in_use", &EngineStats::pages_in_use)
      .def_readonly("encoder_hits", &EngineStats::encoder_hits)
      .def_readonly("encoder_misses", &EngineStats::encoder_misses)
      .def_readonly("encoder_bytes", &EngineStats::encoder_bytes)
      .def_readonly("encoder_disk_hits", &EngineStats::encoder_disk_hits)
      .def_readonly("encoder_disk_writes", &EngineStats::encoder_disk_writes)
      .def_readonly("encoder_disk_failures", &EngineStats::encoder_disk_failures)
      .def_readonly("steps_ahead", &EngineStats::steps_ahead);

  py::class_<DeviceState>(m, "DeviceState", "One of the devices that a model runs on.")
      .def_property_readonly("device", text_of(&DeviceState::device))
      .def_property_readonly("name", text_of(&DeviceState::name))
      .def_property_readonly("failure", text_of(&DeviceState::failure))
      .def_readonly("memory_bytes", &DeviceState::memory_bytes)
      .def_readonly("weight_bytes", &DeviceState::weight_bytes)
      .def_readonly("kv_bytes", &DeviceState::kv_bytes)
      .def_readonly("stats", &DeviceState::stats);

  py::class_<ModelInfo>(m, "ModelInfo", "What a loaded model is.")
      .def_property_readonly("family", text_of(&ModelInfo::family))
      .def_property_readonly("path", text_of(&ModelInfo::path))
      .def_property_readonly("dtype", text_of(&ModelInfo::dtype))
      .def_property_readonly("quantize", text_of(&ModelInfo::quantize))
      .def_property_readonly("packed_layout", text_of(&ModelInfo::packed_layout))
      .def_property_readonly("kv_dtype", text_of(&ModelInfo::kv_dtype))
      .def_property_readonly("chat_template", text_of(&ModelInfo::chat_template))
      .def_property_readonly("bos_token", text_of(&ModelInfo::bos_token))
      .def_property_readonly("eos_token", text_of(&ModelInfo::eos_token))
      .def_property_readonly("isa", text_of(&ModelInfo::isa))
      .def_property_readonly("device", text_of(&ModelInfo::device))
      .def_property_readonly("draft", text_of(&ModelInfo::draft))
      .def_property_readonly("image_token", text_of(&ModelInfo::image_token))
      .def_property_readonly("audio_token", text_of(&ModelInfo::audio_token))
      .def_property_readonly("video_token", text_of(&ModelInfo::video_token))
      .def_readonly("parameters", &ModelInfo::parameters)
      .def_readonly("weight_bytes", &ModelInfo::weight_bytes)
      .def_readonly("file_bytes", &ModelInfo::file_bytes)
      .def_readonly("vocab_size", &ModelInfo::vocab_size)
      .def_readonly("hidden_size", &ModelInfo::hidden_size)
      .def_readonly("layers", &ModelInfo::layers)
      .def_readonly("max_context", &ModelInfo::max_context)
      .def_readonly("vision_hidden_size", &ModelInfo::vision_hidden_size)
      .def_readonly("vision_layers", &ModelInfo::vision_layers)
      .def_readonly("image_size", &ModelInfo::image_size)
      .def_readonly("patches_per_tile", &ModelInfo::patches_per_tile)
      .def_readonly("tokens_per_tile", &ModelInfo::tokens_per_tile)
      .def_readonly("sound_rate", &ModelInfo::sound_rate)
      .def_readonly("work", &ModelInfo::work)
      .def_readonly("threads", &ModelInfo::threads)
      .def_readonly("eos_token_ids", &ModelInfo::eos_token_ids);
}

}  // namespace chiasm::python

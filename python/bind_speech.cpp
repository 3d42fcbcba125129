/// Sounds in, words and features out.
#include <pybind11/functional.h>
#include <pybind11/stl.h>
#include <pybind11/typing.h>

#include "python/bind.h"

namespace chiasm::python {

namespace {

using Heard = std::optional<std::function<void(const TranscriptSegment&, double)>>;
using Arrays = py::typing::Dict<py::str, py::array>;

/// Copies samples. Integers are refused: nobody says what their full scale is.
AudioInput from_samples(const py::array& samples, std::int64_t rate, std::string name) {
  if (!samples.dtype().equal(py::dtype::of<float>())) {
    fail<MediaError>(name, ": the array holds ", py::str(samples.dtype()).cast<std::string>(),
                     ", expected float32 samples between -1 and 1");
  }
  if (samples.ndim() != 1) {
    const py::object shape = samples.attr("shape");
    fail<MediaError>(name, ": the array has the shape ", py::str(shape).cast<std::string>(),
                     ", expected one channel [samples]");
  }
  const auto dense = py::array_t<float, py::array::c_style>::ensure(samples);
  if (!dense) throw py::error_already_set();
  audio::Waveform sound;
  sound.rate = rate;
  sound.samples.assign(dense.data(), dense.data() + dense.size());
  return AudioInput::from_samples(std::move(sound), std::move(name));
}

TranscribeOptions options(std::string language, bool translate, bool timestamps,
                          std::vector<double> temperatures, double compression_threshold,
                          double logprob_threshold, double no_speech_threshold, std::uint64_t seed,
                          std::string adapter, bool pad_with_zeros) {
  TranscribeOptions o;
  o.padding = pad_with_zeros ? SoundPadding::zeros : SoundPadding::silence;
  o.language = std::move(language);
  o.translate = translate;
  o.timestamps = timestamps;
  o.temperatures = std::move(temperatures);
  o.compression_threshold = compression_threshold;
  o.logprob_threshold = logprob_threshold;
  o.no_speech_threshold = no_speech_threshold;
  o.seed = seed;
  o.adapter = std::move(adapter);
  return o;
}

Transcript transcribe(Model& model, const AudioInput& sound, const TranscribeOptions& options,
                      const Heard& on_segment, std::optional<const CancelFlag*> cancel) {
  OnSegment tell;
  if (on_segment) {
    tell = [&](const TranscriptSegment& segment, double done) {
      Locked lock;
      (*on_segment)(segment, done);
    };
  }
  return unlocked([&](const Poll& poll) { return model.transcribe(sound, options, tell, poll); },
                  cancel.value_or(nullptr));
}

Arrays preprocess_audio(const Model& model, const AudioInput& sound) {
  std::vector<NamedTensor> tensors =
      unlocked([&](const Poll&) { return model.preprocess_audio(sound); });
  Arrays out;
  for (NamedTensor& t : tensors) out[text(t.name)] = array(std::move(t.values));
  return out;
}

}  // namespace

void bind_audio_input(py::module_& m) {
  py::class_<AudioInput>(m, "AudioInput", "A sound, as encoded bytes or as samples.")
      .def_static(
          "from_file",
          [](const std::string& path) {
            Unlocked unlock;
            return AudioInput::from_file(path);
          },
          py::arg("path"), "Reads a file's bytes; MediaError when it cannot be read.")
      .def_static(
          "from_bytes",
          [](const py::bytes& encoded, std::string name) {
            return AudioInput::from_bytes(encoded, std::move(name));
          },
          py::arg("encoded"), py::arg("name"), "The content of a WAV, FLAC, Ogg or MP3 file.")
      .def_static("from_samples", &from_samples, py::arg("samples"), py::arg("rate"),
                  py::arg("name"), "float32 [samples] of one channel. MediaError for other arrays.")
      .def_readonly("name", &AudioInput::name);

  m.def(
      "decode_sound",
      [](const std::string& path, std::int64_t rate) {
        const auto samples =
            unlocked([&](const Poll&) { return audio::decode_file(path, {}, rate).samples; });
        return py::array_t<float>(py::ssize_t(samples.size()), samples.data());
      },
      py::arg("path"), py::arg("rate"),
      "float32 [samples] of a file, its channels averaged, at `rate` samples a second. "
      "MediaError.");

  const TranscribeOptions d;
  py::class_<TranscribeOptions>(m, "TranscribeOptions", "How speech is written down.")
      .def(py::init(&options), py::kw_only(), py::arg("language") = d.language,
           py::arg("translate") = d.translate, py::arg("timestamps") = d.timestamps,
           py::arg("temperatures") = d.temperatures,
           py::arg("compression_threshold") = d.compression_threshold,
           py::arg("logprob_threshold") = d.logprob_threshold,
           py::arg("no_speech_threshold") = d.no_speech_threshold, py::arg("seed") = d.seed,
           py::arg("adapter") = d.adapter, py::arg("pad_with_zeros") = false);
  py::class_<Confidence>(m, "Confidence", "What a window's words were judged by.")
      .def_readonly("temperature", &Confidence::temperature)
      .def_readonly("mean_logprob", &Confidence::mean_logprob)
      .def_readonly("compression_ratio", &Confidence::compression_ratio)
      .def_readonly("no_speech", &Confidence::no_speech);
  py::class_<TranscriptSegment>(m, "TranscriptSegment", "Words between two times, in seconds.")
      .def_readonly("start", &TranscriptSegment::start)
      .def_readonly("end", &TranscriptSegment::end)
      .def_property_readonly("text", [](const TranscriptSegment& s) { return text(s.text); })
      .def_readonly("token_ids", &TranscriptSegment::token_ids)
      .def_readonly("confidence", &TranscriptSegment::confidence);
  py::class_<Transcript>(m, "Transcript", "Written-down speech.")
      .def_property_readonly("text", [](const Transcript& t) { return text(t.text); })
      .def_readonly("language", &Transcript::language)
      .def_readonly("duration", &Transcript::duration)
      .def_readonly("segments", &Transcript::segments)
      .def_readonly("timings", &Transcript::timings);
}

void bind_speech(py::class_<Model>& model) {
  model
      .def("transcribe", &transcribe, py::arg("sound"), py::arg("options"),
           py::arg("on_segment") = py::none(), py::arg("cancel") = py::none(),
           "Writes down speech. `on_segment` hears each segment and what part of the sound is "
           "done.")
      .def("preprocess_audio", &preprocess_audio, py::arg("sound"),
           "The arrays of the model's own feature extractor.")
      .def(
          "encode_audio",
          [](Model& self, const AudioInput& sound) {
            return py::array_t<float>(
                array(unlocked([&](const Poll& poll) { return self.encode_audio(sound, poll); })));
          },
          py::arg("sound"), "float32 [rows, d_model].");
}

}  // namespace chiasm::python

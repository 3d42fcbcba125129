/// Plain data that goes into the runtime.
#include <pybind11/functional.h>
#include <pybind11/stl.h>

#include <algorithm>
#include <cstring>

#include "python/bind.h"

namespace chiasm::python {

namespace {

/// What makes the mask of one answer, in Python: a function without arguments whose result takes
/// the answer's token ids and gives the mask's words as bytes.
using PythonMask = std::function<std::string(std::vector<std::int32_t>)>;
using Constraint = std::optional<std::function<PythonMask()>>;

/// What Python raises becomes a RequestError: it may pass through threads that know no Python.
template <class Call>
auto as_request_error(const Call& call) {
  try {
    return call();
  } catch (const py::error_already_set& e) {
    fail<RequestError>("the constraint fails: ", e.what());
  } catch (const py::cast_error&) {
    fail<RequestError>("the constraint fails: expected a function that returns bytes");
  }
}

/// transformers' early_stopping: True, False or "never".
EarlyStopping early_stopping_of(const std::string& name) {
  if (name == "True") return EarlyStopping::at_once;
  if (name == "False") return EarlyStopping::likely;
  if (name == "never") return EarlyStopping::never;
  fail<RequestError>("early_stopping is ", name, ", expected True, False or \"never\"");
}

TokenMask mask_of(PythonMask python) {
  return [python = std::move(python)](std::span<const std::int32_t> tokens,
                                      std::span<std::uint32_t> allowed) {
    const std::string words = as_request_error([&] {
      return python({tokens.begin(), tokens.end()});
    });
    std::memcpy(allowed.data(), words.data(), std::min(words.size(), allowed.size_bytes()));
  };
}

GenerateOptions options(std::int64_t max_tokens, double temperature, std::int64_t top_k,
                        double top_p, double min_p, double repetition_penalty,
                        std::optional<std::uint64_t> seed, std::vector<std::string> stop,
                        int logprobs, std::vector<std::pair<std::int32_t, float>> logit_bias,
                        double presence_penalty, double frequency_penalty,
                        const Constraint& constraint, std::string adapter, std::int64_t priority,
                        bool ignore_eos, bool slide, std::int64_t lookup,
                        std::optional<std::int64_t> draft_tokens, std::int64_t num_beams,
                        double length_penalty, const std::string& early_stopping,
                        std::int64_t answers) {
  GenerateOptions o;
  o.max_tokens = max_tokens;
  o.temperature = temperature;
  o.top_k = top_k;
  o.top_p = top_p;
  o.min_p = min_p;
  o.repetition_penalty = repetition_penalty;
  o.seed = seed;
  o.stop = std::move(stop);
  o.logprobs = logprobs;
  o.logit_bias = std::move(logit_bias);
  o.presence_penalty = presence_penalty;
  o.frequency_penalty = frequency_penalty;
  o.adapter = std::move(adapter);
  o.priority = priority;
  if (constraint) {
    o.constraint = [make = *constraint] { return mask_of(as_request_error(make)); };
  }
  o.ignore_eos = ignore_eos;
  o.slide = slide;
  o.lookup = lookup;
  o.draft_tokens = draft_tokens;
  o.num_beams = num_beams;
  o.length_penalty = length_penalty;
  o.early_stopping = early_stopping_of(early_stopping);
  o.answers = answers;
  return o;
}

Request request(const std::vector<std::pair<std::string, bool>>& spans,
                std::vector<std::int32_t> token_ids, std::vector<ImageInput> images,
                std::vector<AudioInput> audio, std::vector<VideoInput> videos,
                bool add_special_tokens, std::optional<GenerateOptions> generate_options) {
  Request r;
  for (const auto& [words, trusted] : spans) r.prompt.push_back({words, trusted});
  r.token_ids = std::move(token_ids);
  r.images = std::move(images);
  r.audio = std::move(audio);
  r.videos = std::move(videos);
  r.add_special_tokens = add_special_tokens;
  if (generate_options) r.options = std::move(*generate_options);
  return r;
}

}  // namespace

void bind_request(py::module_& m) {
  bind_picture_input(m);
  bind_video_input(m);  // after the pictures that it names, before the request that holds it

  const GenerateOptions d;
  py::class_<GenerateOptions>(m, "GenerateOptions", "Checked when a request is submitted.")
      .def(py::init(&options), py::kw_only(), py::arg("max_tokens") = d.max_tokens,
           py::arg("temperature") = d.temperature, py::arg("top_k") = d.top_k,
           py::arg("top_p") = d.top_p, py::arg("min_p") = d.min_p,
           py::arg("repetition_penalty") = d.repetition_penalty, py::arg("seed") = py::none(),
           py::arg("stop") = d.stop, py::arg("logprobs") = d.logprobs,
           py::arg("logit_bias") = d.logit_bias, py::arg("presence_penalty") = d.presence_penalty,
           py::arg("frequency_penalty") = d.frequency_penalty, py::arg("constraint") = py::none(),
           py::arg("adapter") = d.adapter, py::arg("priority") = d.priority,
           py::arg("ignore_eos") = d.ignore_eos, py::arg("slide") = d.slide,
           py::arg("lookup") = d.lookup, py::arg("draft_tokens") = py::none(),
           py::arg("num_beams") = d.num_beams, py::arg("length_penalty") = d.length_penalty,
           py::arg("early_stopping") = "False", py::arg("answers") = d.answers)
      .def_readwrite("max_tokens", &GenerateOptions::max_tokens);

  py::class_<Request>(m, "Request", "A prompt as spans (text, trusted) or as token ids.")
      .def(py::init(&request), py::arg("spans"), py::kw_only(),
           py::arg("token_ids") = std::vector<std::int32_t>(),
           py::arg("images") = std::vector<ImageInput>(),
           py::arg("audio") = std::vector<AudioInput>(),
           py::arg("videos") = std::vector<VideoInput>(), py::arg("add_special_tokens") = true,
           py::arg("options") = py::none())
      .def_readwrite("options", &Request::options)
      .def_property_readonly("spans", [](const Request& r) {
        std::vector<std::pair<py::str, bool>> spans;
        for (const PromptSpan& span : r.prompt) spans.emplace_back(text(span.text), span.trusted);
        return spans;
      });
}

}  // namespace chiasm::python

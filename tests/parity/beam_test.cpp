/// Beam search: transformers' answers and scores (tests/reference/make_beam_golden.py), the same
/// alone and beside others, within the pages that are promised.
#include <gtest/gtest.h>

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "core/error.h"
#include "core/json.h"
#include "runtime/loader.h"
#include "runtime/model.h"
#include "runtime/prompt.h"
#include "tests/parity/beams.h"
#include "tests/parity/golden_file.h"
#include "tests/parity/setting.h"
#include "tests/support/expect_error.h"

namespace chiasm::testing {

namespace {

/// Answers of an engine of its own over a loaded model.
std::vector<Result> run(const LoadedModel& loaded, const EngineOptions& options,
                        const std::vector<Request>& requests,
                        std::int64_t* pages_in_use = nullptr) {
  Engine engine(*loaded.family, *loaded.tokenizer, loaded.context(), options);
  std::vector<std::shared_ptr<Sequence>> all;
  for (const Request& request : requests) {
    const auto& s = all.emplace_back(std::make_shared<Sequence>());
    s->prompt = make_prompt(*loaded.family, *loaded.tokenizer, request, options.limits);
    s->options = request.options;
    s->first_logits = s->prompt_length() - 1;
  }
  engine.submit(all);
  engine.wait(all, {}, {});
  if (pages_in_use != nullptr) *pages_in_use = engine.stats().pages_in_use;
  std::vector<Result> results;
  for (const auto& s : all) results.push_back(std::move(s->result));
  return results;
}

TEST(Beams, AnswerAsTransformersDoes) {
  const Json cases = Json::load(golden_root() / "beams.json")["cases"];
  ASSERT_GT(cases.size(), 20u);
  std::string folder;
  std::optional<LoadedModel> model;
  for (std::size_t i = 0; i < cases.size(); i++) {
    const Json want = cases[i], settings = want["settings"];
    SCOPED_TRACE(want["folder"].str() + " case " + std::to_string(i));
    if (folder != want["folder"].str()) {
      folder = want["folder"].str();
      LoadOptions options;
      options.dtype = "float32";
      options.threads = 2;
      model.emplace(load_model(golden_root() / "models" / folder, options));
    }
    std::vector<ImageInput> pictures;
    for (std::size_t k = 0; k < want["images"].size(); k++) {
      pictures.push_back(golden_picture(want["images"][k].str()));
    }
    Request request = Request::text(want["prompt"].str(), std::move(pictures));
    request.options = beam_options(settings);
    EngineOptions options = model->engine_options;
    if (settings.has("eos_token_id")) {
      const auto ends = settings["eos_token_id"].integers();
      options.end_tokens.assign(ends.begin(), ends.end());
    }
    expect_answers(run(*model, options, {request}).front(), want["answers"]);
  }
}

class BeamsBesideOthers : public ::testing::TestWithParam<Setting> {
 protected:
  BeamsBesideOthers() : golden_(read_golden(golden_root() / "models" / GetParam().folder)) {}

  Request request(std::size_t number, std::int64_t beams) const {
    Request out = golden_.cases[number % golden_.cases.size()].request();
    out.options.max_tokens = std::int64_t(20 + number);
    out.options.num_beams = beams;
    out.options.answers = beams;
    out.options.repetition_penalty = number % 2 == 0 ? 1 : 1.2;
    return out;
  }

  GoldenFolder golden_;
};

void expect_same(const Result& a, const Result& b) {
  EXPECT_EQ(a.token_ids, b.token_ids);
  EXPECT_EQ(a.text, b.text);
  EXPECT_EQ(a.finish_reason, b.finish_reason);
  EXPECT_EQ(a.score, b.score);  // every bit
  ASSERT_EQ(a.others.size(), b.others.size());
  for (std::size_t i = 0; i < a.others.size(); i++) expect_same(a.others[i], b.others[i]);
}

TEST_P(BeamsBesideOthers, AreThoseOfARequestAlone) {
  const auto load = [&] { return Model::load(golden_.path, GetParam().options(2)); };
  std::vector<Request> requests;
  for (std::size_t i = 0; i < 6; i++)
    requests.push_back(request(i, i % 3 == 2 ? 1 : 2 + 2 * (i % 3)));
  requests[2].options.temperature = 0.8;
  requests[2].options.seed = 3;
  Model model = load();
  const std::vector<Result> together = model.generate_all(requests);
  Model alone = load();
  for (std::size_t i = 0; i < requests.size(); i++) {
    SCOPED_TRACE(i);
    expect_same(together[i], alone.generate(requests[i]));
  }
}

// One beam is greedy decoding; lfm2 and mamba2 keep numbers of fixed count besides keys and values,
// mamba2 nothing else.
INSTANTIATE_TEST_SUITE_P(Small, BeamsBesideOthers,
                         ::testing::Values(Setting{"llama_gqa", "bfloat16"},
                                           Setting{"smolvlm_2x2", "float32"},
                                           Setting{"qwen2_vl_merge", "bfloat16"},
                                           Setting{"gemma3_local", "bfloat16", "int8"},
                                           Setting{"lfm2_mixed", "bfloat16"},
                                           Setting{"mamba2_groups", "float32"}),
                         ::testing::PrintToStringParamName());

class BeamLimits : public ::testing::Test {
 protected:
  BeamLimits() : golden_(read_golden(golden_root() / "models" / "llama_gqa")) {
    options_.dtype = "float32";
    options_.threads = 2;
  }
  Request request(std::int64_t beams, std::int64_t max_tokens) const {
    Request out = golden_.find("long").request();
    out.options.num_beams = beams;
    out.options.max_tokens = max_tokens;
    out.options.ignore_eos = true;
    return out;
  }

  GoldenFolder golden_;
  LoadOptions options_;
};

/// The prompt fills three pages, which all beams share; each has at most two more and one to copy.
TEST_F(BeamLimits, FitIntoThePagesThatArePromised) {
  const std::int64_t prompt = std::int64_t(golden_.find("long").ids.size());
  ASSERT_EQ(prompt / 64, 3);
  const Request one = request(5, 5 * 64 - prompt);
  const LoadedModel loaded = load_model(golden_.path, options_);
  EngineOptions tight = loaded.engine_options;
  tight.remembered_prefixes = 0;
  tight.kv_pages = 3 + 5 * 3 - 1;
  EXPECT_TRUE(throws<RequestError>([&] { run(loaded, tight, {one}); }, {"tokens of KV cache"}));
  tight.kv_pages++;
  std::int64_t in_use = -1;
  const std::vector<Result> answers = run(loaded, tight, {one, one, one}, &in_use);
  EXPECT_EQ(in_use, 0) << "pages were lost";
  const Result roomy = Model::load(golden_.path, options_).generate(one);
  for (const Result& result : answers) expect_same(result, roomy);
}

TEST_F(BeamLimits, APlanCountsWhatBeamsDoNotShare) {
  const Model model = Model::load(golden_.path, options_);
  const std::int64_t prompt = std::int64_t(golden_.find("long").ids.size());
  const Plan one = model.plan(request(1, 5 * 64 - prompt));
  const Plan five = model.plan(request(5, 5 * 64 - prompt));
  EXPECT_EQ(five.kv_bytes * 5, one.kv_bytes * (3 + 5 * 2));
  EXPECT_GT(five.activation_bytes, one.activation_bytes);
}

TEST_F(BeamLimits, StopStringsEndBeams) {
  Model model = Model::load(golden_.path, options_);
  Request r = request(4, 40);
  r.options.answers = 4;
  const Result whole = model.generate(r);
  std::string stop;  // the text of a token in the midst
  for (std::size_t i = 5; stop.empty() || stop.find("\xEF\xBF\xBD") != std::string::npos; i++) {
    ASSERT_LT(i, whole.token_ids.size());
    stop = model.detokenize({whole.token_ids[i]});
  }
  r.options.stop = {stop};
  const Result cut = model.generate(r);
  bool stopped = false;
  std::vector<Result> all = cut.others;
  all.push_back(cut);
  for (const Result& result : all) {
    EXPECT_EQ(result.text.find(stop), std::string::npos);
    stopped |= result.finish_reason == "stop";
  }
  EXPECT_TRUE(stopped);
}

TEST_F(BeamLimits, ChoicesAreTheBest) {
  Model model = Model::load(golden_.path, options_);
  Request r = request(4, 12);
  const std::vector<Result> best = model.choices(r, 3);
  ASSERT_EQ(best.size(), 3u);
  EXPECT_TRUE(best[0].others.empty());
  EXPECT_GE(*best[0].score, *best[1].score);
  EXPECT_GE(*best[1].score, *best[2].score);
  r.options.answers = 3;
  EXPECT_EQ(model.generate(r).others[1].token_ids, best[2].token_ids);
  EXPECT_EQ(model.generate(r).others[1].usage.completion_tokens, 12);
  EXPECT_FALSE(model.generate(request(1, 3)).score);
}

TEST_F(BeamLimits, AreLeftWhenTheCallerWants) {
  Model model = Model::load(golden_.path, options_);
  int polls = 0;
  EXPECT_THROW(model.generate(request(6, 500), {}, [&] { return ++polls == 40; }), Interrupted);
  EXPECT_EQ(model.generate(request(1, 4)).token_ids.size(), 4u);  // usable, and alone again
  EXPECT_EQ(model.stats().running, 0);
}

TEST_F(BeamLimits, GiveNoPieces) {
  Model model = Model::load(golden_.path, options_);
  const auto hear = [](std::string_view) { return true; };
  EXPECT_TRUE(throws<RequestError>([&] { model.generate(request(2, 4), hear); }, {"in pieces"}));
}

// phi3_longrope turns sequences over its first length otherwise.
TEST(BeamsOfLongRope, StayOnOneSide) {
  const GoldenFolder golden = read_golden(golden_root() / "models" / "phi3_longrope");
  LoadOptions options;
  options.dtype = "float32";
  Model model = Model::load(golden.path, options);
  Request request = golden.find("short").request();
  request.options.num_beams = 2;
  request.options.max_tokens = 3;
  EXPECT_EQ(model.generate(request).usage.completion_tokens, 3);
  request.options.max_tokens = 200;
  EXPECT_TRUE(throws<RequestError>([&] { model.generate(request); }, {"beam search cannot cross"}));
}

}  // namespace

}  // namespace chiasm::testing

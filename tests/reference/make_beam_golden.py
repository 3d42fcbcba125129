"""Makes tests/golden/beams.json: answers that transformers' beam search gives, with their scores.
Those of models/chiasm-mini are made by tools/mini, with its other golden values.

    python tests/reference/make_beam_golden.py

Needs what make_golden.py needs, and the folders that it made. A case is kept only if float64 gives the
same answers in the same order: no rounding decides between two of them.
"""
import json
import re

import torch
import transformers

from make_golden import PROMPTS, ROOT, TEXT_PROMPTS, Reference

PLAIN = {"num_beams": 4, "num_return_sequences": 4, "max_new_tokens": 24}
# (folder, prompt of make_golden, settings of generate)
CASES = [
    ("llama_gqa", "text", PLAIN),
    ("llama_gqa", "long", PLAIN | {"num_beams": 7, "num_return_sequences": 3, "length_penalty": 2.0}),
    ("llama_gqa", "long", PLAIN | {"early_stopping": True}),
    ("llama_gqa", "long", PLAIN | {"early_stopping": "never"}),
    ("llama_gqa", "short", PLAIN | {"length_penalty": -1.0, "early_stopping": "never"}),
    ("llama_gqa", "text", PLAIN | {"repetition_penalty": 1.4, "num_beams": 3, "num_return_sequences": 1}),
    ("llama_gqa", "text", PLAIN | {"eos_token_id": None, "max_new_tokens": 70}),
    ("llama_suppress", "text", PLAIN | {"length_penalty": 0.0, "early_stopping": "never"}),
    ("llama_suppress", "short", PLAIN | {"early_stopping": True}),
    ("gemma2_caps", "long", PLAIN),
    ("mistral_window", "long", PLAIN | {"num_beams": 2, "num_return_sequences": 2, "max_new_tokens": 80}),
    ("qwen3_heads", "text", PLAIN | {"num_beams": 10, "num_return_sequences": 10}),
    ("smolvlm_2x2", "two", PLAIN),
    ("smolvlm_2x2", "one", PLAIN | {"num_beams": 3, "num_return_sequences": 2, "early_stopping": True}),
]
# Each with end tokens that its answers meet at several lengths.
ENDINGS = [{"early_stopping": early, "length_penalty": penalty}
           for early in (False, True, "never") for penalty in (1.0, -1.0, 0.0, 3.0)]
STOPS = ("llama_gqa", "text")  # a case whose best answer is cut by a stop string, too


class Stops(transformers.StoppingCriteria):
    """Stop strings by the decoded text. transformers' own criterion wants each of them spelled by the
    vocabulary's tokens, which it cannot tell of these tokenizers."""

    def __init__(self, tokenizer, begin, texts):
        self.tokenizer, self.begin, self.texts = tokenizer, begin, texts

    def __call__(self, input_ids, scores, **_):
        said = self.tokenizer.batch_decode(input_ids[:, self.begin:], skip_special_tokens=True)
        return torch.tensor([any(text in s for text in self.texts) for s in said])


def searched(model, inputs, tokenizer, settings):
    """Each answer's ids, without the end token and what fills up, and its score."""
    given = dict(settings)
    if stops := given.pop("stop_strings", None):
        begin = inputs["input_ids"].shape[1]
        given["stopping_criteria"] = [Stops(tokenizer, begin, stops)]
    with torch.inference_mode():
        out = model.generate(**inputs, **given, do_sample=False, return_dict_in_generate=True,
                             output_scores=True)
    ends = given.get("eos_token_id", model.generation_config.eos_token_id) or []
    answers = []
    scores = out.sequences_scores.tolist()
    for ids, score in zip(out.sequences[:, inputs["input_ids"].shape[1]:].tolist(), scores):
        end = min((ids.index(e) for e in ends if e in ids), default=len(ids))
        answers.append({"ids": ids[:end], "score": score})
    return answers


def record(ref, inputs, settings):
    floats = {k: v.double() if v.is_floating_point() else v for k, v in inputs.items()}
    answers = searched(ref.model.float(), inputs, ref.tokenizer, settings)
    exact = searched(ref.model.double(), floats, ref.tokenizer, settings)
    ref.model.float()
    ids = [a["ids"] for a in answers]
    if ids != [a["ids"] for a in exact]:
        raise SystemExit("float64 answers otherwise; change the settings")
    return answers


def described(folder, prompt, names, settings, answers):
    lengths = [len(a["ids"]) for a in answers]
    print(f"{folder} {settings}: {lengths} tokens, {[round(a['score'], 3) for a in answers]}")
    return {"folder": folder, "prompt": prompt, "images": names, "settings": settings, "answers": answers}


def random_models():
    out, ref, loaded = [], None, None
    for folder, name, settings in CASES:
        if folder != loaded:
            ref, loaded = Reference(ROOT / folder), folder
        prompt, names = (TEXT_PROMPTS if ref.text_only else PROMPTS)[name]
        inputs = ref.inputs(prompt, names)
        answers = record(ref, inputs, settings)
        out.append(described(folder, prompt, names, settings, answers))
        if (folder, name) == STOPS and settings == PLAIN:
            said = ref.tokenizer.decode(answers[0]["ids"], skip_special_tokens=True)
            stops = settings | {"stop_strings": re.findall(r"[^\W\d_]", said)[-1:]}
            out.append(described(folder, prompt, names, stops, record(ref, inputs, stops)))
    return out


def endings():
    """One prompt under every way to end a search."""
    ref = Reference(ROOT / "llama_gqa")
    prompt, names = TEXT_PROMPTS["long"]
    inputs = ref.inputs(prompt, names)
    free = searched(ref.model, inputs, ref.tokenizer, PLAIN | {"eos_token_id": None})
    ends = sorted({a["ids"][place] for a in free for place in (4, 9, 15)})
    out = []
    for ending in ENDINGS:
        settings = PLAIN | {"eos_token_id": ends} | ending
        out.append(described("llama_gqa", prompt, names, settings, record(ref, inputs, settings)))
    return out


def main():
    torch.set_num_threads(1)  # the models are small
    transformers.utils.logging.set_verbosity_error()
    transformers.utils.logging.disable_progress_bar()
    made = {"cases": random_models() + endings(),
            "versions": {"torch": torch.__version__, "transformers": transformers.__version__}}
    (ROOT.parent / "beams.json").write_text(json.dumps(made, ensure_ascii=False) + "\n")


if __name__ == "__main__":
    main()

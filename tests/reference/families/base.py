"""What all vision-language goldens share: a folder's description, its weights, its files, and the
recording of what transformers computes with it. One file per family beside this one."""

import importlib
import json
import math
import pathlib
import sys
from collections.abc import Callable
from dataclasses import dataclass, field

import torch
import transformers
from golden_stages import Golden, greedy, score
from PIL import Image
from safetensors.torch import load_file, save_file
from transformers import AutoProcessor, AutoTokenizer

from families import tokenizers

ROOT = pathlib.Path(__file__).parents[2] / "golden" / "models"
VOCAB = 359  # more than any tokenizer here has: published heads are padded too
# Small folders: the norms of the whole tensors are kept as well.
MAIN_STAGES = ("vision.out", "projector.out", "logits")
MAIN_SAMPLES, INNER_SAMPLES, PIXEL_SAMPLES = 300, 80, 400
GREEDY_TOKENS = 24
SMALLEST_MARGIN = 2e-3  # logits; float32 noise is about 1e-5 of the same
ANSWERS = [" a red bicycle", "no", "그림에는 0.25"]
PICTURES = ("wide.png", "tall.png", "square.png", "dot.png")
CLIP_MEAN, CLIP_STD = [0.48145466, 0.4578275, 0.40821073], [0.26862954, 0.26130258, 0.27577711]
IMAGENET_MEAN, IMAGENET_STD = [0.485, 0.456, 0.406], [0.229, 0.224, 0.225]
HALF = [0.5, 0.5, 0.5]
TEXT_KEYS = ("input_ids", "attention_mask", "token_type_ids", "mm_token_type_ids", "labels")


@dataclass
class Folder:
    """One golden folder. `stages` gives the modules behind the taps' names (see `Stages`)."""

    name: str
    seed: int
    config: Callable  # () -> the configuration
    model: type
    tokenizer: Callable  # () -> tokenizers.Tokenizer
    tokenizer_config: dict
    files: dict  # further JSON files by name
    chat_template: str
    picture: str  # the text that stands for a picture
    cases: dict  # name: (prompt, file names)
    stages: Callable  # (model, Stages)
    mean: list = field(default_factory=lambda: CLIP_MEAN)
    std: list = field(default_factory=lambda: CLIP_STD)
    pictures: tuple = PICTURES  # preprocessed alone
    text_prompt: str | None = "How many people are there in 1234 pictures, or none?"
    positions: Callable | None = None  # (model, inputs) -> [axes, n], where not 0, 1, 2, ...
    publish: Callable | None = None  # name of a tensor -> its name in older published folders
    config_file: Callable | None = None  # changes config.json to an older published form
    call: dict = field(default_factory=dict)  # options of the processor's call with pictures
    channels_last: bool = False  # in the rows of pixel_values
    answer_type: int = 0  # token type of what the model says
    end: str = ""  # end-of-turn token, in generation_config.json


def decoder(hidden=48, heads=2, kv=1, layers=2, inter=60, **more):
    """Keys of a text configuration; the head's size is hidden / heads unless given."""
    return {
        "hidden_size": hidden,
        "num_attention_heads": heads,
        "num_key_value_heads": kv,
        "num_hidden_layers": layers,
        "intermediate_size": inter,
        "vocab_size": VOCAB,
        "max_position_embeddings": 2048,
        **more,
    }


def ids_of(tokenizer, *names):
    return [tokenizer.token_to_id(name) for name in names]


# Queries and keys are larger, else attention is nearly uniform and hides mistakes; what enters the
# residual is smaller than it; the head is larger, so that greedy choices have margins.
GAINS = {
    "q_proj": 1.4,
    "k_proj": 1.4,
    "qkv": 1.3,
    "out_proj": 0.6,
    "o_proj": 0.6,
    "attn.proj": 0.6,
    "projection_layer": 0.6,
    "fc2": 0.6,
    "down_proj": 0.6,
    "feed_forward.w2": 0.6,
    "lm_head": 4,
}


def plus_one_norms(model):
    """Gemma's norms multiply by 1 + weight."""
    return {
        name
        for name, module in model.named_modules()
        if type(module).__name__ in ("GemmaRMSNorm", "Gemma2RMSNorm", "Gemma3RMSNorm")
    }


def randomise(model, seed):
    """Weights of about 1/sqrt(fan_in), so that no layer fades; norms away from 1 and biases from 0;
    rounded to bfloat16."""
    random = torch.Generator().manual_seed(seed)
    about_zero = plus_one_norms(model)
    # A row of a tied head must not win only for being in the residual; the last norm makes up for it.
    tied = getattr(model.config, "tie_word_embeddings", False)
    scale = float(getattr(model.get_input_embeddings(), "scalar_embed_scale", 1.0))
    for name, p in model.named_parameters():
        noise = torch.randn(p.shape, generator=random)
        if name.endswith("bias"):
            value = 0.2 * noise
        elif p.ndim == 1 and "class_embedding" not in name and "newline" not in name:
            value = 0.2 * noise + (0 if name.removesuffix(".weight") in about_zero else 1)
            if tied and name.endswith(("language_model.norm.weight", "embedding_norm.weight")):
                value += 5 * scale
        elif "embed_tokens" in name:
            value = noise * (0.08 / scale if tied else 1)
        elif "embed" in name and "proj" not in name and "patch" not in name:
            value = noise  # positions, classes
        elif "newline" in name:
            value = noise
        else:
            gain = next((g for part, g in GAINS.items() if part in name), 1)
            value = noise * (gain / math.sqrt(p[0].numel()))
        p.data = value.to(torch.bfloat16).float()


# What published folders of transformers 4 leave out of nested configurations, being the default.
DEFAULTS = {
    "attention_dropout": 0.0,
    "initializer_factor": 1.0,
    "initializer_range": 0.02,
    "num_channels": 3,
    "attention_bias": False,
    "mlp_bias": False,
    "pretraining_tp": 1,
    "use_cache": True,
    "tie_word_embeddings": False,
    "pad_token_id": None,
    "layer_norm_eps": 1e-5,
    "hidden_act": "silu",
}


def old_part(config, **defaults):
    """A nested configuration without what is at its default, in the keys of transformers 4."""
    out = {k: v for k, v in config.items() if v != {**DEFAULTS, **defaults}.get(k, ...)}
    rope = out.pop("rope_parameters", None)
    if rope:
        theta = rope.pop("rope_theta")
        if theta != defaults.get("rope_theta", 10000.0):
            out["rope_theta"] = theta
        if rope.get("rope_type") != "default":
            out["rope_scaling"] = rope
    return out


def write_json(path, value):
    path.write_text(json.dumps(value, indent=1) + "\n")


def build(f: Folder, folder: pathlib.Path):
    """Writes the whole folder but generation_config.json."""
    folder.mkdir(parents=True, exist_ok=True)
    for old in folder.iterdir():
        old.unlink()
    model = f.model(f.config()).eval()
    randomise(model, f.seed)
    model.tie_weights()
    model.to(torch.bfloat16).save_pretrained(folder)
    file = folder / "model.safetensors"
    if f.publish:
        tensors = {f.publish(k): v for k, v in load_file(file).items()}
        save_file(tensors, file, metadata={"format": "pt"})
    file.chmod(0o644)
    if f.config_file:
        path = folder / "config.json"
        write_json(path, f.config_file(json.loads(path.read_text())))
    tokenizers.write(f.tokenizer(), folder, f.tokenizer_config)
    for name, value in f.files.items():
        write_json(folder / name, value)
    if f.chat_template:
        (folder / "chat_template.jinja").write_text(f.chat_template)
    (folder / "generation_config.json").unlink(missing_ok=True)


class Stages:
    """Hooks that record intermediates by the names of the runtime's taps, as [rows, columns]."""

    def __init__(self, f: Folder, model):
        self.values, self.handles, self.nested = {}, [], 0
        f.stages(model, self)

    def output(self, module, name, pick=lambda x: x):
        def record(_, __, output):
            self.keep(name, pick(output[0] if isinstance(output, tuple) else output))

        self.handles.append(module.register_forward_hook(record))

    def input(self, module, name, pick=lambda x: x):
        def record(_, args, kwargs):
            self.keep(name, pick(args[0] if args else kwargs["hidden_states"]))

        self.handles.append(module.register_forward_pre_hook(record, with_kwargs=True))

    def features(self, model, name="projector.out"):
        """The rows of all pictures, then of all videos, as they go among the text's."""
        for method in ("get_image_features", "get_video_features"):
            if hasattr(model, method):
                self._features(model, method, name)

    def _features(self, model, method, name):
        inner = getattr(model, method)

        def record(*args, **kwargs):
            self.nested += 1  # Qwen3-VL's videos pass through its function of pictures
            out = inner(*args, **kwargs)
            self.nested -= 1
            if self.nested > 0:
                return out
            rows = out.pooler_output
            rows = list(rows) if isinstance(rows, (list, tuple)) else [rows]
            self.keep(name, torch.cat([r.reshape(-1, r.shape[-1]) for r in rows]))
            return out

        setattr(model, method, record)
        self.handles.append(_Restore(model, method, inner))

    def decoder(self, text):
        """The decoder's stages but the logits."""
        self.input(text.layers[0], "decoder.embed")
        for i, layer in enumerate(text.layers):
            self.output(layer, f"decoder.layers.{i}")
        self.output(text.norm if hasattr(text, "norm") else text.embedding_norm, "decoder.norm")

    def layers(self, layers, pick=lambda x: x):
        """The encoder's layers and what enters the first."""
        self.input(layers[0], "vision.embed", pick)
        for i, layer in enumerate(layers):
            self.output(layer, f"vision.layers.{i}", pick)

    def keep(self, name, tensor):
        rows = tensor.detach().reshape(-1, tensor.shape[-1]).clone()
        before = self.values.get(name)  # of the pictures, where a prompt has a video too
        self.values[name] = rows if before is None else torch.cat([before, rows])

    def __enter__(self):
        return self

    def __exit__(self, *_):
        for handle in self.handles:
            handle.remove()


class _Restore:
    def __init__(self, owner, name, value):
        self.owner, self.name, self.value = owner, name, value

    def remove(self):
        setattr(self.owner, self.name, self.value)


class Reference:
    """A folder as transformers loads it, in float32."""

    def __init__(self, f: Folder, folder):
        self.f = f
        self.model = f.model.from_pretrained(
            folder, dtype=torch.float32, attn_implementation="eager"
        ).eval()
        self.processor = AutoProcessor.from_pretrained(folder)
        self.tokenizer = AutoTokenizer.from_pretrained(folder)

    def inputs(self, prompt, names):
        if hasattr(self.model.model, "rope_deltas"):  # left over from the prompt before
            self.model.model.rope_deltas = None
        images = [Image.open(ROOT / "pictures" / n) for n in names]
        options = self.f.call if images else {}
        out = self.processor(
            text=[prompt], images=[images] if images else None, return_tensors="pt", **options
        )
        return {k: v for k, v in out.items() if k != "labels"}


def record_picture(ref, golden, name):
    """All arrays of the processor for one picture, and the length of a prompt of it alone."""
    f, arrays = ref.f, {}
    inputs = ref.inputs(f.picture, [name])
    for key, value in inputs.items():
        if key not in TEXT_KEYS:
            arrays[key] = golden.array(
                f"{name}/{key}", value, f.mean, f.std, PIXEL_SAMPLES, f.channels_last
            )
    return {"file": name, "arrays": arrays, "prompt_tokens": inputs["input_ids"].shape[1]}


def record_case(ref, golden, name, prompt, names):
    inputs = ref.inputs(prompt, names)
    with torch.inference_mode(), Stages(ref.f, ref.model) as recorded:
        recorded.keep("logits", ref.model(**inputs).logits)  # a head may have a softcap behind it
    stages = {}
    for stage, values in recorded.values.items():
        samples = MAIN_SAMPLES if stage in MAIN_STAGES else INNER_SAMPLES
        stages[stage] = golden.add(f"{name}/{stage}", values, samples)
    ids, margin = greedy(ref.model, inputs, GREEDY_TOKENS, eos_token_id=None)
    penalized, penalized_margin = greedy(
        ref.model, inputs, GREEDY_TOKENS, eos_token_id=None, repetition_penalty=1.3
    )
    for what, value in ((name, margin), (f"{name}, penalty", penalized_margin)):
        if value < SMALLEST_MARGIN:
            print(f"  {what}: smallest margin {value:.1e} is close to float32 noise")
    answers = [ref.tokenizer(a, add_special_tokens=False)["input_ids"] for a in ANSWERS]
    case = {
        "name": name,
        "prompt": prompt,
        "images": list(names),
        "ids": inputs["input_ids"][0].tolist(),
        "stages": stages,
        "greedy": ids,
        "greedy_margin": margin,
        "greedy_text": ref.tokenizer.decode(ids, skip_special_tokens=True),
        "penalized": penalized,
        "penalized_margin": penalized_margin,
        "scores": [score_answer(ref.f, ref.model, inputs, a) for a in answers],
    }
    for key in ("mm_token_type_ids", "token_type_ids"):
        if key in inputs:
            case["token_types"] = inputs[key][0].tolist()
    if ref.f.positions:
        case["positions"] = ref.f.positions(ref.model, inputs).tolist()
    return case


def score_answer(f, model, inputs, answer):
    more = dict(inputs)
    for key in ("mm_token_type_ids", "token_type_ids"):
        if key in more:
            more[key] = torch.nn.functional.pad(more[key], (0, len(answer)), value=f.answer_type)
    return score(model, more, answer)


def choose_end_tokens(ref, folder, case):
    """generation_config.json with several end tokens, two of which the first case's greedy answer
    meets: the later in the answer comes first in the list."""
    seen = list(dict.fromkeys(case["greedy"]))
    ends = [seen[len(seen) * 2 // 3], seen[len(seen) // 3]]
    if ref.f.end:
        ends.append(ref.tokenizer.convert_tokens_to_ids(ref.f.end))
    write_json(folder / "generation_config.json", {"eos_token_id": ends, "do_sample": False})
    stop = min(case["greedy"].index(e) for e in ends[:2])
    return {"eos_token_ids": ends, "stopped": case["greedy"][:stop]}


def record_turn(ref):
    """Ids of one user turn by the family's chat template: the picture, then the words."""
    words = "What is it?"
    content = [{"type": "image"}, {"type": "text", "text": words}]
    prompt = ref.processor.apply_chat_template(
        [{"role": "user", "content": content}], add_generation_prompt=True
    )
    ids = ref.inputs(prompt, ["wide.png"])["input_ids"][0].tolist()
    if ref.tokenizer.bos_token_id is not None and ids[:2] == [ref.tokenizer.bos_token_id] * 2:
        # The template writes the beginning token and the tokenizer adds it: one is enough.
        prompt, ids = prompt.removeprefix(ref.tokenizer.bos_token), ids[1:]
    return {"words": words, "images": ["wide.png"], "prompt": prompt, "ids": ids}


def make(f: Folder):
    folder = ROOT / f.name
    print(f.name)
    build(f, folder)
    ref, golden = Reference(f, folder), Golden()
    pictures = [record_picture(ref, golden, name) for name in f.pictures]
    prompts = {**f.cases, **({"text": (f.text_prompt, [])} if f.text_prompt else {})}
    cases = [record_case(ref, golden, n, *p) for n, p in prompts.items()]
    record = {
        "family": json.loads((folder / "config.json").read_text())["model_type"],
        "dtype": "bfloat16",
        "answers": ANSWERS,
        "picture_prompt": f.picture,
        "image_mean": f.mean,
        "image_std": f.std,
        "pictures": pictures,
        "cases": cases,
        "ends": choose_end_tokens(ref, folder, cases[0]),
        "turn": record_turn(ref) if f.chat_template else None,
        "versions": {"torch": torch.__version__, "transformers": transformers.__version__},
    }
    save(folder, golden, record)


def save(folder, golden, record):
    """Writes what a folder's tests are held to, and tells how sure the greedy tokens are."""
    golden.save(folder / "golden.safetensors")
    (folder / "golden.safetensors").chmod(0o644)
    text = json.dumps(record, ensure_ascii=False, separators=(",", ":"))
    (folder / "golden.json").write_text(text + "\n")
    for case in record["cases"]:
        print(
            f"  {case['name']}: {len(case['ids'])} tokens, {len(set(case['greedy']))} distinct greedy, "
            f"margins {case['greedy_margin']:.1e} {case['penalized_margin']:.1e}"
        )
    print(f"  {sum(p.stat().st_size for p in folder.iterdir()) // 1000} KB")


def make_folders(families, make):
    """Calls `make` for the folders of `families`: all, or those that the command line names, by their
    own or by their family's name."""
    torch.set_num_threads(2)
    transformers.utils.logging.disable_progress_bar()
    transformers.utils.logging.set_verbosity_error()
    for family in families:
        for folder in importlib.import_module(f"families.{family}").FOLDERS:
            if not sys.argv[1:] or family in sys.argv[1:] or folder.name in sys.argv[1:]:
                make(folder)

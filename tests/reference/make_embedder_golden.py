"""Makes tests/golden/embedders: small random checkpoints of the embedder families, and the vectors
that transformers gives texts and pictures with them, in float32 on the weights as stored.

    python tests/reference/make_embedder_golden.py [name ...]

Needs what make_golden.py needs, and its pictures.
"""

import json
import math
import pathlib
import sys

import torch
import transformers
from families import base
from families.tokenizers import WORDS
from PIL import Image
from safetensors.torch import save_file
from tokenizers import (Regex, Tokenizer, decoders, models, normalizers, pre_tokenizers,
                        processors, trainers)
from transformers import (AutoTokenizer, BertConfig, BertModel, CLIPConfig, CLIPImageProcessor,
                          CLIPModel, DistilBertConfig, DistilBertModel, MPNetConfig, MPNetModel,
                          RobertaConfig, RobertaModel, SiglipConfig, SiglipImageProcessor,
                          SiglipModel)

OUT = pathlib.Path(__file__).parents[1] / "golden/embedders"
TEXTS = ["A red bicycle beside an old wall.", "", "How many people are there? 3456!", "the sea",
         "Zürich naïve ÉTÉ 日本 x", "there is a small house by the sea " * 3]
CLIP_SPLIT = (r"<\|startoftext\|>|<\|endoftext\|>|'s|'t|'re|'ve|'m|'ll|'d|[\p{L}]+|[\p{N}]|"
              r"[^\s\p{L}\p{N}]+")


def wordpiece():
    t = Tokenizer(models.WordPiece(unk_token="[UNK]"))
    t.normalizer = normalizers.BertNormalizer()
    t.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    t.decoder = decoders.WordPiece()
    t.train_from_iterator(WORDS, trainers.WordPieceTrainer(
        vocab_size=220, show_progress=False,
        special_tokens=["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]))
    t.post_processor = processors.TemplateProcessing(
        single="[CLS] $A [SEP]", pair="[CLS] $A [SEP] $B [SEP]",
        special_tokens=[("[CLS]", 2), ("[SEP]", 3)])
    return t, {"pad_token": "[PAD]", "cls_token": "[CLS]", "sep_token": "[SEP]"}


def roberta_bpe():
    t = Tokenizer(models.BPE(unk_token="<unk>"))
    t.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    t.decoder = decoders.ByteLevel()
    t.train_from_iterator(WORDS, trainers.BpeTrainer(
        vocab_size=320, show_progress=False, special_tokens=["<s>", "<pad>", "</s>", "<unk>"],
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet()))
    t.post_processor = processors.RobertaProcessing(("</s>", 2), ("<s>", 0), True, False)
    return t, {"pad_token": "<pad>", "bos_token": "<s>", "eos_token": "</s>"}


def clip_bpe():
    end = "<|endoftext|>"
    t = Tokenizer(models.BPE(unk_token=end, end_of_word_suffix="</w>", continuing_subword_prefix=""))
    t.normalizer = normalizers.Sequence([
        normalizers.NFC(), normalizers.Replace(Regex(r"\s+"), " "), normalizers.Lowercase()])
    t.pre_tokenizer = pre_tokenizers.Sequence([
        pre_tokenizers.Split(Regex(CLIP_SPLIT), "removed", invert=True),
        pre_tokenizers.ByteLevel(add_prefix_space=False)])
    t.decoder = decoders.ByteLevel()
    # Every byte alone and at the end of a word, then what is trained, then the special tokens.
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    t.train_from_iterator(WORDS, trainers.BpeTrainer(
        vocab_size=420, show_progress=False, initial_alphabet=alphabet, end_of_word_suffix="</w>"))
    value = json.loads(t.to_str())
    vocab = value["model"]["vocab"]
    for token in [a + "</w>" for a in alphabet] + ["<|startoftext|>", end]:
        vocab.setdefault(token, len(vocab))
    t = Tokenizer.from_str(json.dumps(value))
    t.add_special_tokens(["<|startoftext|>", end])
    ids = [t.token_to_id(x) for x in (end, "<|startoftext|>")]
    t.post_processor = processors.RobertaProcessing((end, ids[0]), ("<|startoftext|>", ids[1]),
                                                    False, False)
    return t, {"pad_token": end, "bos_token": "<|startoftext|>", "eos_token": end}


def siglip_unigram():
    t = Tokenizer(models.Unigram())
    t.normalizer = normalizers.Sequence([
        normalizers.Lowercase(), normalizers.Replace(Regex(r"[!\"#$%&'()*+,\-./:;<=>?@\[\\\]^_`{|}~]"), ""),
        normalizers.Replace(Regex(r"\s+"), " "), normalizers.Strip()])
    t.pre_tokenizer = pre_tokenizers.Metaspace()
    t.decoder = decoders.Metaspace()
    t.train_from_iterator(WORDS, trainers.UnigramTrainer(
        vocab_size=150, show_progress=False, special_tokens=["<pad>", "</s>", "<unk>"],
        unk_token="<unk>"))
    t.post_processor = processors.TemplateProcessing(
        single="$A </s>", pair="$A </s> $B </s>", special_tokens=[("</s>", 1)])
    return t, {"pad_token": "</s>", "eos_token": "</s>", "unk_token": "<unk>"}


def randomise(model, seed):
    """As base.randomise, for towers of any kind; biases of attention pools too."""
    random = torch.Generator().manual_seed(seed)
    for name, p in model.named_parameters():
        noise = torch.randn(p.shape, generator=random)
        if name.startswith("logit"):
            value = p.data.float() + 0.3 * noise
        elif name.endswith("bias"):
            value = 0.2 * noise
        elif p.ndim == 1 and "class_embedding" not in name:
            value = 1 + 0.2 * noise
        elif "embedding" in name and "patch" not in name or name.endswith(("class_embedding", "probe")):
            value = noise
        else:
            gain = next((g for part, g in base.GAINS.items() if part in name), 1)
            if any(part in name for part in ("query", "key", "in_proj")):
                gain = 1.4
            value = noise * (gain / math.sqrt(p[0].numel()))
        p.data = value.to(torch.bfloat16).float()


def rows(values):
    unit = torch.nn.functional.normalize(values, dim=-1)
    return [[float(f"{x:.8g}") for x in row] for row in unit.tolist()]


class Folder:
    def __init__(self, name, model, tokenizer, files=None):
        self.path = OUT / name
        self.path.mkdir(parents=True, exist_ok=True)
        for old in self.path.rglob("*"):
            if old.is_file():
                old.unlink()
        randomise(model, sum(map(ord, name)))
        model.to(torch.bfloat16).save_pretrained(self.path)
        (self.path / "model.safetensors").chmod(0o644)
        fast, names = tokenizer
        fast.save(str(self.path / "tokenizer.json"), pretty=False)
        config = {"tokenizer_class": "PreTrainedTokenizerFast", "model_max_length": 64, **names}
        self.write("tokenizer_config.json", config)
        for file, value in (files or {}).items():
            self.write(file, value)
        self.model = type(model).from_pretrained(self.path, dtype=torch.float32,
                                                 attn_implementation="eager").eval()
        self.tokenizer = AutoTokenizer.from_pretrained(self.path)
        self.record = {"versions": {"torch": torch.__version__,
                                    "transformers": transformers.__version__}}

    def write(self, file, value):
        path = self.path / file
        path.parent.mkdir(exist_ok=True)
        path.write_text(json.dumps(value, indent=1) + "\n")

    def save(self):
        text = json.dumps(self.record, ensure_ascii=False, separators=(",", ":"))
        (self.path / "golden.json").write_text(text + "\n")
        size = sum(p.stat().st_size for p in self.path.rglob("*") if p.is_file())
        print(self.path.name, size // 1000, "KB")


def sentence_files(mode, longest, prompts=None, default=None):
    flags = {f"pooling_mode_{m}": m == mode
             for m in ("cls_token", "mean_tokens", "max_tokens", "mean_sqrt_len_tokens")}
    kinds = [("", "Transformer"), ("1_Pooling", "Pooling"), ("2_Normalize", "Normalize")]
    return {
        "modules.json": [{"idx": i, "name": str(i), "path": path,
                          "type": f"sentence_transformers.models.{kind}"}
                         for i, (path, kind) in enumerate(kinds)],
        "1_Pooling/config.json": {"word_embedding_dimension": 32, **flags},
        "sentence_bert_config.json": {"max_seq_length": longest, "do_lower_case": False},
        "config_sentence_transformers.json": {"prompts": prompts or {},
                                              "default_prompt_name": default},
    }


def add_dense(folder, layers):
    """Dense modules as sentence-transformers writes them, behind the pooling: (out, activation, bias)."""
    modules = json.loads((folder.path / "modules.json").read_text())
    normalize, width, made = modules.pop(), 32, []
    for i, (out, activation, bias) in enumerate(layers):
        torch.manual_seed(i)
        layer = torch.nn.Linear(width, out, bias=bias)
        path = f"{i + 2}_Dense"
        folder.write(f"{path}/config.json", {"in_features": width, "out_features": out, "bias": bias,
                                             "activation_function": activation})
        save_file({f"linear.{k}": v for k, v in layer.state_dict().items()},
                  folder.path / path / "model.safetensors")
        (folder.path / path / "model.safetensors").chmod(0o644)
        modules.append({"idx": len(modules), "name": path, "path": path,
                        "type": "sentence_transformers.models.Dense"})
        made += [layer, {"Tanh": torch.nn.Tanh(), "Identity": torch.nn.Identity()}[activation.split(".")[-1]]]
        width = out
    folder.write("modules.json", [*modules, {**normalize, "idx": len(modules)}])
    return torch.nn.Sequential(*made)


def bert(name, model, tokenizer, mode, longest, prompts=None, default=None, dense=(),
         more=()):
    """What sentence-transformers computes: each text tokenized with the prompt before it, cut at the
    longest length, its rows pooled, one long."""
    f = Folder(name, model, tokenizer, sentence_files(mode, longest, prompts, default))
    behind = add_dense(f, dense)
    cases = []
    for prompt in [None, *(prompts or {})]:
        for text in [*TEXTS, *more]:
            words = (prompts or {}).get(default if prompt is None else prompt, "") + text
            inputs = f.tokenizer(words, return_tensors="pt", truncation=True, max_length=longest)
            with torch.inference_mode():
                hidden = f.model(**inputs).last_hidden_state
            vector = {"cls_token": hidden[:, 0], "mean_tokens": hidden.mean(1),
                      "max_tokens": hidden.amax(1)}[mode]
            with torch.inference_mode():
                vector = behind(vector)
            whole = f.tokenizer(words)["input_ids"]
            cases.append({"text": text, "prompt": prompt, "tokens": len(whole),
                          "vector": rows(vector)[0]})
    f.record["texts"] = cases
    f.save()


def two_towers(name, model, tokenizer, processor, **padding):
    f = Folder(name, model, tokenizer)
    processor.save_pretrained(f.path)
    cases = []
    for text in TEXTS[:5]:
        inputs = f.tokenizer(text, return_tensors="pt", **padding)
        with torch.inference_mode():
            vector = f.model.get_text_features(input_ids=inputs["input_ids"])
        vector = getattr(vector, "pooler_output", vector)
        cases.append({"text": text, "prompt": None,
                      "tokens": len(f.tokenizer(text)["input_ids"]), "vector": rows(vector)[0]})
    pictures = []
    for file in base.PICTURES:
        image = Image.open(base.ROOT / "pictures" / file).convert("RGB")
        inputs = processor(images=image, return_tensors="pt")
        with torch.inference_mode():
            vector = f.model.get_image_features(**inputs)
        vector = getattr(vector, "pooler_output", vector)
        pictures.append({"file": file, "vector": rows(vector)[0]})
    bias = getattr(f.model, "logit_bias", None)
    f.record.update(texts=cases, pictures=pictures,
                    logit_scale=float(f.model.logit_scale.exp()),
                    logit_bias=0.0 if bias is None else float(bias))
    f.save()


def small(**more):
    return {"hidden_size": 32, "num_attention_heads": 2, "num_hidden_layers": 2,
            "intermediate_size": 52, **more}


def clip(name, act, patch, old_end):
    tokenizer = clip_bpe()
    vocab = tokenizer[0].get_vocab_size()
    end = 2 if old_end else tokenizer[0].token_to_id("<|endoftext|>")
    config = CLIPConfig(
        text_config=small(vocab_size=vocab, max_position_embeddings=40, hidden_act=act,
                          eos_token_id=end, projection_dim=24),
        vision_config=small(image_size=28, patch_size=patch, hidden_act=act, hidden_size=48,
                            num_attention_heads=3, projection_dim=24), projection_dim=24)
    size = {"shortest_edge": 28}
    two_towers(name, CLIPModel(config), tokenizer,
               CLIPImageProcessor(size=size, crop_size={"height": 28, "width": 28}))


def siglip(name):
    tokenizer = siglip_unigram()
    config = SiglipConfig(
        text_config=small(vocab_size=tokenizer[0].get_vocab_size() + 3, max_position_embeddings=16,
                          pad_token_id=1, bos_token_id=0, eos_token_id=1),
        vision_config=small(image_size=30, patch_size=6))
    two_towers(name, SiglipModel(config), tokenizer,
               SiglipImageProcessor(size={"height": 30, "width": 30}),
               padding="max_length", max_length=16, truncation=True)


def make(name):
    if name == "bert_mean":
        bert(name, BertModel(BertConfig(**small(vocab_size=230, max_position_embeddings=48))),
             wordpiece(), "mean_tokens", 24)
    elif name == "bert_prompts":
        bert(name, BertModel(BertConfig(**small(vocab_size=230, max_position_embeddings=40,
                                                hidden_act="gelu_new"))),
             wordpiece(), "cls_token", 30, {"query": "How many: ", "document": ""}, "query")
    elif name == "roberta_max":
        bert(name, RobertaModel(RobertaConfig(**small(vocab_size=320, max_position_embeddings=42,
                                                      type_vocab_size=1))),
             roberta_bpe(), "max_tokens", 38)
    elif name == "distilbert_dense":
        bert(name, DistilBertModel(DistilBertConfig(vocab_size=230, max_position_embeddings=48, dim=32,
                                                    hidden_dim=52, n_layers=2, n_heads=2)),
             wordpiece(), "mean_tokens", 24,
             dense=[(40, "torch.nn.modules.activation.Tanh", True),
                    (24, "torch.nn.modules.linear.Identity", False)])
    elif name == "mpnet_far":
        bert(name, MPNetModel(MPNetConfig(**small(vocab_size=320, max_position_embeddings=180))),
             roberta_bpe(), "mean_tokens", 170, more=["there is a small house by the sea " * 25])
    elif name == "clip_quick":
        clip(name, "quick_gelu", 7, old_end=True)
    elif name == "clip_gelu":
        clip(name, "gelu", 14, old_end=False)
    elif name == "siglip_pool":
        siglip(name)


def main():
    torch.set_num_threads(2)
    transformers.utils.logging.set_verbosity_error()
    transformers.utils.logging.disable_progress_bar()
    for name in sys.argv[1:] or ("bert_mean", "bert_prompts", "roberta_max",
                                 "distilbert_dense", "mpnet_far", "clip_quick", "clip_gelu",
                                 "siglip_pool"):
        make(name)


if __name__ == "__main__":
    main()

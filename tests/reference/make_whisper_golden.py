"""A small random Whisper and what transformers makes of sounds with it.

    python tests/reference/make_whisper_golden.py tests/golden/whisper/tiny

Windows are 1 s long instead of 30, so that a sound of a few seconds goes through all of the
long-form path. Weights are rounded to bfloat16 and kept so; values are of float32 arithmetic on them.
"""

import json
import pathlib
import sys

import numpy as np
import torch
from safetensors.numpy import save_file
from safetensors.torch import save_file as save_weights
from tokenizers import AddedToken, Tokenizer, decoders, models, pre_tokenizers
from transformers import (
    GenerationConfig,
    WhisperConfig,
    WhisperFeatureExtractor,
    WhisperForConditionalGeneration,
)

sys.path.insert(0, str(pathlib.Path(__file__).parents[1] / "python"))
from spoken import sound  # noqa: E402

LANGUAGES = ("en", "de", "fr")
WORDS = 256  # one token a byte
NAMES = (
    ["<|endoftext|>", "<|startoftranscript|>"]
    + [f"<|{code}|>" for code in LANGUAGES]
    + ["<|translate|>", "<|transcribe|>", "<|startoflm|>", "<|startofprev|>", "<|nospeech|>"]
    + ["<|notimestamps|>"]
)
TIMES = [f"<|{i * 0.02:.2f}|>" for i in range(51)]
IDS = {name: WORDS + i for i, name in enumerate(NAMES)}


def tokenizer():
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    made = Tokenizer(models.BPE({c: i for i, c in enumerate(alphabet)}, []))
    made.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    made.decoder = decoders.ByteLevel()
    made.add_special_tokens(NAMES)
    made.add_tokens([AddedToken(time, special=False, normalized=False) for time in TIMES])
    return made


def model(seed):
    torch.manual_seed(seed)
    config = WhisperConfig(
        vocab_size=WORDS + len(NAMES) + len(TIMES),
        num_mel_bins=80,
        d_model=32,
        encoder_layers=2,
        decoder_layers=2,
        encoder_attention_heads=2,
        decoder_attention_heads=4,
        encoder_ffn_dim=72,
        decoder_ffn_dim=56,
        max_source_positions=50,
        max_target_positions=48,
        bos_token_id=IDS["<|endoftext|>"],
        eos_token_id=IDS["<|endoftext|>"],
        pad_token_id=IDS["<|endoftext|>"],
        decoder_start_token_id=IDS["<|startoftranscript|>"],
        suppress_tokens=None,
        begin_suppress_tokens=None,
    )
    made = WhisperForConditionalGeneration(config).eval()
    with torch.no_grad():
        for name, weight in made.named_parameters():
            if weight.dim() > 1:
                fan_in = weight[0].numel() if "embed" not in name else config.d_model
                weight.normal_(0, (4 if "embed_positions" in name else 1.3) / fan_in**0.5)
            else:
                weight.normal_(1 if name.endswith("norm.weight") else 0, 0.3)
            weight.copy_(weight.bfloat16().float())
    end = IDS["<|endoftext|>"]
    made.generation_config = GenerationConfig(
        is_multilingual=True,
        lang_to_id={f"<|{c}|>": IDS[f"<|{c}|>"] for c in LANGUAGES},
        task_to_id={"transcribe": IDS["<|transcribe|>"], "translate": IDS["<|translate|>"]},
        no_timestamps_token_id=IDS["<|notimestamps|>"],
        max_initial_timestamp_index=20,
        suppress_tokens=[
            *range(33),
            127,
            *range(IDS["<|startoftranscript|>"], IDS["<|nospeech|>"] + 1),
        ],
        begin_suppress_tokens=[65, end],
        max_length=48,
        return_timestamps=False,
        prev_sot_token_id=IDS["<|startofprev|>"],
        bos_token_id=end,
        eos_token_id=end,
        pad_token_id=end,
        decoder_start_token_id=IDS["<|startoftranscript|>"],
    )
    return made


def words(tokens):
    return [int(t) for t in tokens if int(t) != IDS["<|endoftext|>"]]


def once(made, mel, language, task):
    """The tokens of one window, times or not."""
    tokens = made.generate(mel, language=language, task=task, force_unique_generate_call=True)[
        0
    ].tolist()
    begin = tokens.index(IDS["<|notimestamps|>"]) + 1
    return words(tokens[begin:])


class Judged:
    """Every window's figures that decide about falling back, as the reference computes them."""

    def __init__(self, made):
        self.made, self.inner, self.all = made, made._need_fallback, []

    def __enter__(self):
        self.made._need_fallback = self.record
        return self

    def __exit__(self, *_):
        del self.made._need_fallback

    def record(self, sequence, outputs, index, processors, config, vocab_size, temperature):
        detection = next(p for p in processors if type(p).__name__ == "WhisperNoSpeechDetection")
        self.all.append(
            {
                "compression_ratio": self.made._retrieve_compression_ratio(sequence, vocab_size),
                "avg_logprob": float(
                    self.made._retrieve_avg_logprobs(outputs[index]["scores"], sequence, temperature)
                ),
                "no_speech_prob": float(detection.no_speech_prob[index]),
            }
        )
        return self.inner(sequence, outputs, index, processors, config, vocab_size, temperature)


# Decide nothing, but have the figures computed.
NEVER = {
    "temperature": (0.0,),
    "compression_ratio_threshold": 1e6,
    "logprob_threshold": -1e6,
    "no_speech_threshold": 0.0,
}


def main():
    out, seed = pathlib.Path(sys.argv[1]), int(sys.argv[2]) if len(sys.argv) > 2 else 3
    out.mkdir(parents=True, exist_ok=True)
    made, extract = model(seed), WhisperFeatureExtractor(chunk_length=1)
    save_weights(
        {n: w.bfloat16() for n, w in made.state_dict().items() if n != "proj_out.weight"},
        out / "model.safetensors",
        metadata={"format": "pt"},
    )
    made.config.save_pretrained(out)
    made.generation_config.save_pretrained(out)
    extract.save_pretrained(out)
    tokenizer().save(str(out / "tokenizer.json"))
    (out / "tokenizer_config.json").write_text(
        json.dumps(
            {
                "tokenizer_class": "WhisperTokenizer",
                "bos_token": "<|endoftext|>",
                "eos_token": "<|endoftext|>",
                "unk_token": "<|endoftext|>",
            }
        )
        + "\n"
    )

    short, long = sound(1.0, 1), sound(3.3, 2)
    mel = extract(short, sampling_rate=16000, return_tensors="pt").input_features
    ids = [
        IDS[n] for n in ("<|startoftranscript|>", "<|de|>", "<|transcribe|>", "<|notimestamps|>")
    ]
    ids += [ord(c) for c in "Chiasm!"]
    with torch.no_grad():
        hidden = made.model.encoder(mel).last_hidden_state
        logits = made(input_features=mel, decoder_input_ids=torch.tensor([ids])).logits
        language = made.detect_language(mel)
    save_file(
        {"input_features": mel.numpy(), "encoder": hidden[0].numpy(), "logits": logits[0].numpy()},
        out / "golden.safetensors",
    )
    whole = extract(
        long,
        sampling_rate=16000,
        return_tensors="pt",
        truncation=False,
        padding="longest",
        return_attention_mask=True,
    )
    with Judged(made) as judged:
        spoken = made.generate(
            whole.input_features,
            attention_mask=whole.attention_mask,
            language="fr",
            task="transcribe",
            return_timestamps=True,
            return_segments=True,
            **NEVER,
        )["segments"][0]
    golden = {
        "ids": ids,
        "language": NAMES[int(language[0]) - WORDS][2:-2],
        "transcribed": once(made, mel, "en", "transcribe"),
        "translated": once(made, mel, "de", "translate"),
        "windows": judged.all,
        "segments": [
            {"start": float(s["start"]), "end": float(s["end"]), "tokens": words(s["tokens"])}
            for s in spoken
        ],
    }
    (out / "golden.json").write_text(json.dumps(golden) + "\n")
    print(
        golden["language"],
        len(golden["segments"]),
        golden["transcribed"][:12],
        golden["segments"][:3],
    )


if __name__ == "__main__":
    main()

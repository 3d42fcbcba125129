"""Makes tests/golden/decoder: the decoder of a small random Whisper over rows that stand for an encoder's,
in float32: for tests of the decoder alone.

    python tests/reference/make_decoder_golden.py
"""
import json
import pathlib

import torch
from safetensors.torch import save_file
from transformers import WhisperConfig, WhisperForConditionalGeneration

from golden_checkpoints import randomise

FOLDER = pathlib.Path(__file__).parents[1] / "golden" / "decoder"
SIZES = dict(d_model=48, decoder_layers=2, decoder_attention_heads=2, decoder_ffn_dim=76, vocab_size=97,
             max_target_positions=40, max_source_positions=80, encoder_layers=1, encoder_attention_heads=2,
             encoder_ffn_dim=8, num_mel_bins=8, pad_token_id=0, bos_token_id=1, eos_token_id=2,
             decoder_start_token_id=1, scale_embedding=True)
IDS, ROWS = 23, 75  # tokens, and rows of the encoder: more than a page of 64 keys


def main():
    config = WhisperConfig(**SIZES)
    model = WhisperForConditionalGeneration(config).eval()
    randomise(model, 31, torch.bfloat16)
    random = torch.Generator().manual_seed(32)
    ids = torch.randint(3, SIZES["vocab_size"], (1, IDS), generator=random)
    features = torch.randn((1, ROWS, SIZES["d_model"]), generator=random)
    with torch.inference_mode():
        decoder = model.model.decoder
        out = decoder(input_ids=ids, encoder_hidden_states=features, use_cache=False)
        logits = model.proj_out(out.last_hidden_state)
    FOLDER.mkdir(parents=True, exist_ok=True)
    weights = {f"model.decoder.{name}": p.to(torch.bfloat16).contiguous()
               for name, p in decoder.state_dict().items()}
    save_file(weights, FOLDER / "model.safetensors")
    save_file({"features": features[0], "logits": logits[0]}, FOLDER / "golden.safetensors")
    (FOLDER / "config.json").write_text(json.dumps({"model_type": "whisper", **SIZES}, indent=1) + "\n")
    (FOLDER / "golden.json").write_text(json.dumps({"ids": ids[0].tolist()}) + "\n")
    for file in FOLDER.iterdir():
        file.chmod(0o644)


if __name__ == "__main__":
    main()

"""Encoders alone, as shares of this machine's bfloat16 peak, which is measured in the same process before
and after; and the same shapes in their peers.

    python bench/encoders.py weights FOLDER [--whisper WHISPER]   # once; needs torch and transformers
    python bench/encoders.py chiasm FOLDER [--rounds N]           # where Chiasm is installed
    python bench/encoders.py torch FOLDER [--rounds N]
    python bench/encoders.py openvino FOLDER [--rounds N]
    python bench/encoders.py ctranslate2 MODEL [--rounds N]       # the Whisper folder of CTranslate2

Two shapes: Whisper base over one window of 30 s (1,500 rows of 512, 6 layers), on trained weights where
--whisper names them, and CLIP-L/14-336 (577 rows of 1,024, 23 layers as LLaVA uses it) with random ones and a
decoder too small to matter. Times are of the encoder with its projector, of two threads.
"""

import argparse
import json
import pathlib
import shutil
import statistics
import time

THREADS = 2
WHISPER = {"layers": 6, "width": 512, "inner": 2048, "rows": 1500, "bins": 80}
CLIP = {"layers": 23, "width": 1024, "inner": 4096, "rows": 577, "tokens": 576, "out": 64}


def layer_macs(s):
    rows, width = s["rows"], s["width"]
    return rows * (4 * width * width + 2 * width * s["inner"]) + 2 * rows * rows * width


def whisper_macs():
    s = WHISPER
    convolutions = 3 * s["width"] * (2 * s["rows"] * s["bins"] + s["rows"] * s["width"])
    return s["layers"] * layer_macs(s) + convolutions


def clip_macs():
    s = CLIP
    patches = s["tokens"] * s["width"] * 3 * 14 * 14
    return s["layers"] * layer_macs(s) + patches + s["tokens"] * s["out"] * (s["width"] + s["out"])


def make_weights(folder, whisper):
    import torch
    import transformers

    torch.manual_seed(1)
    vision = transformers.CLIPVisionConfig(
        hidden_size=1024,
        intermediate_size=4096,
        num_hidden_layers=24,
        num_attention_heads=16,
        image_size=336,
        patch_size=14,
        projection_dim=768,
    )
    text = transformers.LlamaConfig(
        hidden_size=CLIP["out"],
        intermediate_size=64,
        num_hidden_layers=1,
        num_attention_heads=1,
        num_key_value_heads=1,
        vocab_size=359,
        max_position_embeddings=2048,
    )
    golden = pathlib.Path(__file__).parents[1] / "tests" / "golden" / "models" / "llava_clip"
    token = json.loads((golden / "config.json").read_text())["image_token_index"]
    config = transformers.LlavaConfig(
        vision_config=vision, text_config=text, image_token_index=token
    )
    model = transformers.LlavaForConditionalGeneration(config).to(torch.bfloat16)
    clip = folder / "clip"
    clip.mkdir(parents=True, exist_ok=True)
    model.save_pretrained(clip)
    for file in golden.glob("*.json"):
        if file.name not in ("config.json", "generation_config.json", "golden.json"):
            shutil.copy(file, clip)
    path = clip / "preprocessor_config.json"
    settings = json.loads(path.read_text())
    settings["size"], settings["crop_size"] = {"shortest_edge": 336}, {"height": 336, "width": 336}
    path.write_text(json.dumps(settings))
    path = clip / "processor_config.json"
    if path.exists():
        path.write_text(json.dumps({**json.loads(path.read_text()), "patch_size": 14}))
    if whisper:
        shutil.copytree(whisper, folder / "whisper", dirs_exist_ok=True)


def median_seconds(call, rounds):
    call()
    call()
    times = []
    for _ in range(rounds):
        start = time.perf_counter()
        call()
        times.append(time.perf_counter() - start)
    return times


def tell(what, times, macs, peak):
    ms = [1000 * t for t in sorted(times)]
    row = f"{what}: {statistics.median(ms):.0f} ms [{ms[0]:.0f}, {ms[-1]:.0f}]"
    rate = 2 * macs / statistics.median(times)
    share = f", {100 * rate / peak:.0f}% of the bfloat16 peak of {peak / 1e9:.0f} GFLOP/s" if peak else ""
    print(f"{row}, {rate / 1e9:.0f} GFLOP/s{share}", flush=True)


def run_chiasm(folder, rounds):
    import numpy as np

    import chiasm
    from chiasm import _chiasm

    def peak():
        return _chiasm.machine_limits(THREADS)["bfloat16"]

    random = np.random.default_rng(1)
    speech = random.standard_normal(30 * 16000).astype(np.float32) / 10
    picture = random.integers(0, 256, (336, 336, 3), np.uint8)
    for dtype in ("bfloat16", "int8"):
        how = {"dtype": "bfloat16"} if dtype == "bfloat16" else {"quantize": "int8"}
        for name, macs in (("whisper", whisper_macs()), ("clip", clip_macs())):
            model = chiasm.load(folder / name, threads=THREADS, **how)
            # The features that go into the encoder are no part of its time.
            call = (
                (lambda: model.encode_audio(speech, 16000))
                if name == "whisper"
                else (lambda: model.encode_image(picture))
            )
            prepare = (
                (lambda: model.preprocess_audio(speech, 16000))
                if name == "whisper"
                else (lambda: model.preprocess_image(picture))
            )
            before = peak()
            whole, prepared = median_seconds(call, rounds), median_seconds(prepare, rounds)
            times = [t - statistics.median(prepared) for t in whole]
            tell(f"Chiasm {dtype}, {name}", times, macs, max(before, peak()))


def run_torch(folder, rounds):
    import torch
    import transformers

    torch.set_num_threads(THREADS)
    whisper = transformers.WhisperForConditionalGeneration.from_pretrained(
        folder / "whisper", dtype=torch.bfloat16
    ).model.encoder.eval()
    clip = transformers.LlavaForConditionalGeneration.from_pretrained(
        folder / "clip", dtype=torch.bfloat16
    ).eval()
    mel, pixels = torch.randn(1, 80, 3000).bfloat16(), torch.randn(1, 3, 336, 336).bfloat16()
    with torch.inference_mode():
        tell("torch bfloat16, whisper", median_seconds(lambda: whisper(mel), rounds), whisper_macs(), 0)
        encode = clip.get_image_features
        tell(
            "torch bfloat16, clip",
            median_seconds(lambda: encode(pixel_values=pixels), rounds),
            clip_macs(),
            0,
        )


def run_openvino(folder, rounds):
    """The same modules, traced from torch in float32 and run with OpenVINO's hint for bfloat16."""
    import numpy as np
    import openvino as ov
    import torch
    import transformers

    whisper = transformers.WhisperForConditionalGeneration.from_pretrained(
        folder / "whisper", dtype=torch.float32
    ).model.encoder.eval()
    clip = transformers.LlavaForConditionalGeneration.from_pretrained(
        folder / "clip", dtype=torch.float32
    ).eval()

    for module in (whisper, clip):
        module.requires_grad_(False)  # so that tracing takes the weights for constants

    class Picture(torch.nn.Module):
        def forward(self, pixels):
            tower = clip.model.vision_tower(pixels, output_hidden_states=True)
            return clip.model.multi_modal_projector(tower.hidden_states[-2][:, 1:])

    class Sound(torch.nn.Module):
        def forward(self, mel):
            return whisper(mel).last_hidden_state

    settings = {
        "INFERENCE_PRECISION_HINT": "bf16",
        "PERFORMANCE_HINT": "LATENCY",
        "INFERENCE_NUM_THREADS": THREADS,
    }
    for name, module, shape, macs in (
        ("whisper", Sound(), (1, 80, 3000), whisper_macs()),
        ("clip", Picture(), (1, 3, 336, 336), clip_macs()),
    ):
        with torch.inference_mode():
            traced = ov.convert_model(module.eval(), example_input=torch.randn(shape))
        request = ov.compile_model(traced, "CPU", settings).create_infer_request()
        given = np.random.default_rng(1).standard_normal(shape).astype(np.float32)
        times = median_seconds(lambda r=request, x=given: r.infer([x]), rounds)
        tell(f"OpenVINO bfloat16, {name}", times, macs, 0)


def run_ctranslate2(model, rounds):
    import ctranslate2
    import numpy as np

    mel = ctranslate2.StorageView.from_array(np.random.randn(1, 80, 3000).astype(np.float32))
    for kind in ("float32", "bfloat16", "int8"):
        try:
            loaded = ctranslate2.models.Whisper(
                str(model), device="cpu", compute_type=kind, intra_threads=THREADS
            )
        except ValueError as e:
            print(f"CTranslate2 {kind}: {e}")
            continue
        times = median_seconds(lambda m=loaded: m.encode(mel), rounds)
        tell(f"CTranslate2 {kind}, whisper", times, whisper_macs(), 0)


PEERS = {"torch": run_torch, "openvino": run_openvino, "ctranslate2": run_ctranslate2}


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("what", choices=["weights", "chiasm", *PEERS])
    parser.add_argument("folder", type=pathlib.Path)
    parser.add_argument("--whisper", type=pathlib.Path)
    parser.add_argument("--rounds", type=int, default=15)
    o = parser.parse_args()
    if o.what == "weights":
        make_weights(o.folder, o.whisper)
    else:
        {"chiasm": run_chiasm, **PEERS}[o.what](o.folder, o.rounds)


if __name__ == "__main__":
    main()

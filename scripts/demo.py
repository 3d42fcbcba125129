"""What demo.sh shows: the bundled model on the bundled pictures, then a photograph through the full
SmolVLM-256M shape with random weights.

    python scripts/demo.py MODEL_OF_256M_SHAPE PHOTOGRAPH
"""

import pathlib
import sys

import chiasm

ASSETS = pathlib.Path(__file__).resolve().parents[1] / "docs" / "assets"
QUESTIONS = {
    "photo.png": "Is this an animal or a vehicle?",
    "scene.png": "What colour is the square?",
    "sign.png": "What does the sign say?",
}


def show(model: chiasm.Model, picture: pathlib.Path, question: str | None, max_tokens: int) -> None:
    """Asks about a picture and prints what a user would want to know of the run."""
    words = question or "Describe this image."
    content = [{"type": "image", "image": str(picture)}, {"type": "text", "text": words}]
    messages = [{"role": "user", "content": content}]
    plan = model.plan(messages)
    out = model.generate(messages, max_tokens=max_tokens)
    t, u = out.timings, out.usage
    print(f"  picture   {picture.name}: {plan.image_tokens} image tokens")
    print(f"  question  {words}")
    print(f"  answer    {out.text.strip()}")
    print(
        f"  tokens    {u.prompt_tokens} in the prompt, {u.completion_tokens} in the answer; "
        f"planned {plan.peak_bytes / 1e6:.0f} MB ({plan.weight_bytes / 1e6:.0f} MB of weights)"
    )
    print(
        f"  ms        preprocess {t.preprocess * 1e3:.1f}, encode {t.encode * 1e3:.1f}, "
        f"prefill {t.prefill * 1e3:.1f}, decode {t.decode * 1e3:.1f}\n"
    )


def main() -> int:
    folder, photograph = map(pathlib.Path, sys.argv[1:3])
    print("The bundled model, a small one trained for this repository:")
    model = chiasm.load()
    for name, question in QUESTIONS.items():
        show(model, ASSETS / name, None, max_tokens=48)
        show(model, ASSETS / name, question, max_tokens=48)
    print("A photograph through SmolVLM-256M's full shape (random weights: the words mean nothing):")
    show(chiasm.load(str(folder)), photograph, None, max_tokens=16)
    return 0


if __name__ == "__main__":
    sys.exit(main())

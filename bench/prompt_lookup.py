"""What guessing ahead saves: answers that quote a document, with and without `prompt_lookup`, in turns.

    python bench/prompt_lookup.py MODEL --rounds 3        # a language model, such as SmolLM2
"""

import argparse
import statistics

import chiasm

DOCUMENT = """Invoice 2291 from Harbour Tools Ltd., 14 March 2026.
1. Torque wrench, 40 to 200 Nm, with case: 129.00 euros
2. Set of hex keys, 1.5 to 10 mm, long: 24.50 euros
3. Safety glasses, clear, scratch resistant, three pairs: 31.20 euros
4. Work gloves, size 9, cut resistant, two pairs: 18.90 euros
5. Cordless drill, 18 V, with two batteries and charger: 214.00 euros
6. Drill bits for metal, 1 to 13 mm, 25 pieces: 46.80 euros
Payable within 30 days. Goods remain our property until paid in full."""
TASKS = (
    "Repeat the list of items of this invoice, word for word.",
    "Copy this invoice exactly.",
    "Write this invoice down again and correct spelling mistakes.",
)


def answer(model: chiasm.Model, task: str, lookup: int, tokens: int) -> chiasm.Result:
    content = f"{task}\n\n{DOCUMENT}"
    return model.generate(
        [{"role": "user", "content": content}], max_tokens=tokens, prompt_lookup=lookup
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("model")
    parser.add_argument("--lookup", type=int, default=10)
    parser.add_argument("--tokens", type=int, default=200)
    parser.add_argument("--rounds", type=int, default=3)
    arguments = parser.parse_args()
    model = chiasm.load(arguments.model)
    print("| task | tokens | guessed right | times as fast |\n| --- | --: | --: | --: |")
    for task in TASKS:
        ratios = []
        for _ in range(arguments.rounds):
            plain = answer(model, task, 0, arguments.tokens)
            ahead = answer(model, task, arguments.lookup, arguments.tokens)
            assert ahead.token_ids == plain.token_ids
            ratios.append(plain.timings.decode / ahead.timings.decode)
        usage = ahead.usage
        share = usage.guessed_tokens / usage.completion_tokens
        print(f"| {task} | {usage.completion_tokens} | {share:.0%} | {statistics.median(ratios):.2f} |")


if __name__ == "__main__":
    main()

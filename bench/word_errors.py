"""Word error rate of Whisper base on spoken sentences, beside faster-whisper on the same weights.

    python tests/reference/ctranslate2_to_whisper.py FOLDER --installed
    python bench/word_errors.py speak SOUNDS                      # espeak-ng says the sentences
    python bench/word_errors.py chiasm FOLDER SOUNDS ours.json    # where Chiasm is installed
    python bench/word_errors.py zeros FOLDER SOUNDS ours0.json    # windows filled as faster-whisper does
    python bench/word_errors.py faster MODEL SOUNDS theirs.json   # where faster-whisper is
    python bench/word_errors.py ctranslate2 MODEL FOLDER SOUNDS engine.json
    python bench/word_errors.py transformers FOLDER SOUNDS reference.json
    python bench/word_errors.py compare SOUNDS ours.json theirs.json ...

All decode greedily in float32, without fallback and without earlier text, with times; the language is
given. MODEL is a CTranslate2 folder (the parts of model.bin joined). faster-whisper fills a short window up
with zeros where transformers and openai-whisper have the features of silence, so unsure words differ.
"""

import functools
import json
import pathlib
import re
import subprocess
import sys

SENTENCES = [
    "The harbour was quiet, and the boats moved slowly with the tide.",
    "She opened the window to let the morning air into the room.",
    "A good teacher explains the same thing in many different ways.",
    "The train to the city leaves from the second platform.",
    "He forgot his umbrella, although the sky was full of dark clouds.",
    "Please send the letter before the end of the week.",
    "The children built a castle of sand beside the water.",
    "Old maps show rivers that are no longer there.",
    "We ordered soup, bread and a bottle of red wine.",
    "The library closes early on winter evenings.",
    "My grandmother still writes everything down with a pencil.",
    "There is a small bakery behind the church.",
    "The engineer measured the bridge twice before he signed the report.",
    "Nobody noticed that the clock had stopped.",
    "After the storm, the streets were covered with leaves.",
    "The museum bought a painting of a lighthouse.",
    "Water boils sooner on the top of a mountain.",
    "They walked along the canal until it became dark.",
    "The doctor asked him to breathe in and hold his breath.",
    "A narrow path leads through the forest to the lake.",
    "The orchestra played the last movement without a mistake.",
    "I would like to know when the next bus arrives.",
    "The farmer counted his sheep and found that one was missing.",
    "Birds fly south when the days become short.",
    "The new computer is faster, but it makes more noise.",
    "Her brother works as a carpenter in a small town.",
    "The kettle whistled while he was reading the newspaper.",
    "Snow had fallen during the night and covered every roof.",
    "The judge listened to both sides before she decided.",
    "It takes patience to learn a musical instrument.",
    "A cup of coffee and a slice of cake, please.",
    "The astronomer pointed his telescope at the brightest star.",
    "We lost our way because the signs were hidden by trees.",
    "The old bridge was replaced by a tunnel under the river.",
    "He speaks three languages and understands a fourth.",
    "The garden needs water, for it has not rained in weeks.",
]
VOICES = ("en-gb", "en-us", "en-gb-scotland", "en-gb+f2", "en-us+f4", "en-us+m3")
SPEEDS = (130, 155, 180, 210)  # words a minute


def plan():
    """(file name, sentence, voice, speed): every sentence in every voice, speeds in turns. One voice
    for each would leave the rates of two implementations to a few unsure sentences."""
    for i, sentence in enumerate(SENTENCES):
        for j, voice in enumerate(VOICES):
            yield f"{i:02}-{j}.wav", sentence, voice, SPEEDS[(i // 2 + j) % len(SPEEDS)]


def speak(folder):
    folder.mkdir(parents=True, exist_ok=True)
    for name, sentence, voice, speed in plan():
        command = ["espeak-ng", "-v", voice, "-s", str(speed), "-w", str(folder / name), sentence]
        subprocess.run(command, check=True)


def chiasm(model, folder, out, padding="silence"):
    import chiasm

    loaded = chiasm.load(model, dtype="float32")
    texts = {
        n: loaded.transcribe(folder / n, language="en", padding=padding).text for n, *_ in plan()
    }
    out.write_text(json.dumps(texts, indent=1) + "\n")


def faster(model, folder, out):
    from faster_whisper import WhisperModel

    loaded = WhisperModel(str(model), device="cpu", compute_type="float32")
    texts = {}
    for name, *_ in plan():
        segments, _ = loaded.transcribe(
            str(folder / name), language="en", beam_size=1, temperature=0.0,
            condition_on_previous_text=False,
        )  # fmt: skip
        texts[name] = "".join(s.text for s in segments).strip()
    out.write_text(json.dumps(texts, indent=1) + "\n")


def ctranslate2(model, whole, folder, out):
    """faster-whisper's engine on the features that transformers makes, here by Chiasm."""
    import ctranslate2
    from faster_whisper.tokenizer import Tokenizer
    from tokenizers import Tokenizer as Vocabulary

    import chiasm

    features = chiasm.load(whole, dtype="float32")
    engine = ctranslate2.models.Whisper(str(model), device="cpu", compute_type="float32")
    vocabulary = Vocabulary.from_file(str(model / "tokenizer.json"))
    tokenizer = Tokenizer(vocabulary, True, task="transcribe", language="en")
    texts = {}
    for name, *_ in plan():
        mel = features.preprocess_audio(folder / name)["input_features"]
        (result,) = engine.generate(
            ctranslate2.StorageView.from_array(mel),
            [tokenizer.sot_sequence],
            beam_size=1,
            max_initial_timestamp_index=50,
        )
        texts[name] = tokenizer.decode(result.sequences_ids[0]).strip()
    out.write_text(json.dumps(texts, indent=1) + "\n")


def transformers(model, folder, out):
    import io

    import soundfile
    import soxr
    from transformers import WhisperFeatureExtractor, WhisperForConditionalGeneration, WhisperTokenizerFast

    loaded = WhisperForConditionalGeneration.from_pretrained(model, dtype="float32").eval()
    extract = WhisperFeatureExtractor.from_pretrained(model)
    tokenizer = WhisperTokenizerFast.from_pretrained(model)
    texts = {}
    for name, *_ in plan():
        samples, rate = soundfile.read(io.BytesIO((folder / name).read_bytes()), dtype="float32")
        samples = soxr.resample(samples, rate, 16000, quality="HQ")
        mel = extract(samples, sampling_rate=16000, return_tensors="pt").input_features
        ids = loaded.generate(mel, language="en", task="transcribe", return_timestamps=True)[0]
        texts[name] = tokenizer.decode(ids, skip_special_tokens=True).strip()
    out.write_text(json.dumps(texts, indent=1) + "\n")


def words(text):
    return re.sub(r"[^a-z' ]", " ", text.lower()).split()


def distance(said, heard):
    """Levenshtein distance of words."""
    row = list(range(len(heard) + 1))
    for i, a in enumerate(said, 1):
        before, row[0] = row[0], i
        for j, b in enumerate(heard, 1):
            before, row[j] = row[j], min(row[j] + 1, row[j - 1] + 1, before + (a != b))
    return row[-1]


def compare(folder, *files):
    told = [json.loads(file.read_text()) for file in files]
    said = sum(len(words(sentence)) for _, sentence, *_ in plan())
    for file, texts in zip(files, told):
        wrong = sum(distance(words(s), words(texts[n])) for n, s, *_ in plan())
        print(f"{file.stem}: {wrong} of {said} words wrong, {100 * wrong / said:.2f} %")
    same = sum(all(t[n] == told[0][n] for t in told) for n, *_ in plan())
    print(f"the same text, letter by letter: {same} of {len(told[0])}")
    for name, sentence, voice, speed in plan():
        texts = [t[name] for t in told]
        if any(words(t) != words(sentence) for t in texts) or len(set(texts)) > 1:
            print(f"  {voice}, {speed}: {sentence}", *(f"    {f.stem}: {t}" for f, t in zip(files, texts)), sep="\n")


if __name__ == "__main__":
    what, *paths = sys.argv[1:]
    commands = {
        "speak": speak,
        "chiasm": chiasm,
        "zeros": functools.partial(chiasm, padding="zeros"),
        "faster": faster,
        "ctranslate2": ctranslate2,
        "transformers": transformers,
        "compare": compare,
    }
    commands[what](*map(pathlib.Path, paths))

"""Makes tests/golden/audio/: small sounds of every kind, what librosa's parts (soundfile, soxr) decode
and resample them to, and the log-mel features of transformers' WhisperFeatureExtractor.

    python tests/reference/make_audio_golden.py

Needs soundfile and soxr beside the packages named in README.md, and espeak-ng for the spoken sentence.
"""
import io
import json
import pathlib
import subprocess

import numpy as np
import soundfile
import soxr
import transformers
from safetensors.numpy import save_file
from transformers import WhisperFeatureExtractor

OUT = pathlib.Path(__file__).parent.parent / "golden" / "audio"
SENTENCE = "The ear hears what the eye has missed."
STRIDE = 7  # of the samples kept of a waveform
MEL_STRIDE = 101


def tone(rate, seconds, channels, seed):
    """Sliding tones, one higher than the other, with noise: [frames, channels] in [-0.9, 0.9]."""
    t = np.arange(int(rate * seconds)) / rate
    noise = np.random.default_rng(seed).normal(size=(t.size, channels))
    out = [0.6 * np.sin(2 * np.pi * (300 * (c + 1) * t + 900 * t * t)) for c in range(channels)]
    return np.clip(np.stack(out, 1) + 0.03 * noise, -0.9, 0.9)


def speech():
    wav = subprocess.run(["espeak-ng", "-v", "en-gb", "--stdout", SENTENCE], capture_output=True, check=True)
    samples, rate = soundfile.read(io.BytesIO(wav.stdout), dtype="float32")
    return soxr.resample(samples, rate, 16000, quality="HQ")


def write(name, samples, rate, **how):
    soundfile.write(OUT / "sounds" / name, samples, rate, **how)


def write_sounds():
    folder = OUT / "sounds"
    folder.mkdir(parents=True, exist_ok=True)
    for old in folder.iterdir():
        old.unlink()
    write("pcm_16_stereo.wav", tone(44100, 0.05, 2, 1), 44100, subtype="PCM_16")
    write("pcm_24_eight.wav", tone(48000, 0.02, 8, 2), 48000, subtype="PCM_24")
    write("pcm_u8_8khz.wav", tone(8000, 0.2, 1, 3), 8000, subtype="PCM_U8")
    write("pcm_32.wav", tone(22050, 0.05, 1, 4), 22050, subtype="PCM_32")
    write("float_16khz.wav", 1.5 * tone(16000, 0.05, 1, 5), 16000, subtype="FLOAT")
    write("big_endian.wav", tone(11025, 0.1, 1, 6), 11025, subtype="PCM_16", endian="BIG")
    write("a_law.wav", tone(8000, 0.2, 1, 7), 8000, subtype="ALAW")
    write("adpcm.wav", tone(22050, 0.1, 1, 8), 22050, subtype="MS_ADPCM")
    write("rf64.wav", tone(16000, 0.05, 1, 9), 16000, format="RF64", subtype="PCM_16")
    write("flac_16_stereo.flac", tone(44100, 0.05, 2, 10), 44100, subtype="PCM_16")
    write("flac_24.flac", tone(96000, 0.02, 1, 11), 96000, subtype="PCM_24")
    write("vorbis_stereo.ogg", tone(44100, 0.2, 2, 12), 44100, format="OGG", subtype="VORBIS")
    write("opus.ogg", tone(48000, 0.2, 1, 13), 48000, format="OGG", subtype="OPUS")
    write("mp3_stereo.mp3", tone(44100, 0.3, 2, 14), 44100, format="MP3", subtype="MPEG_LAYER_III")
    write("mp3_mono.mp3", tone(16000, 0.4, 1, 15), 16000, format="MP3", subtype="MPEG_LAYER_III")
    write("silence.wav", np.zeros(1600), 16000, subtype="PCM_16")
    write("one_sample.wav", np.full(1, 0.5), 16000, subtype="PCM_16")
    write("speech.flac", speech(), 16000, subtype="PCM_16")


def kept(tensors, name, values, stride):
    """Some of the values as a tensor of the file, and what the JSON says of them."""
    flat = np.ascontiguousarray(values, np.float32).reshape(-1)
    tensors[name] = flat[::stride].copy()
    return {"tensor": name, "shape": list(np.shape(values)), "stride": stride,
            "norm": float(np.linalg.norm(flat.astype(np.float64)))}


def waveforms(tensors):
    cases = []
    for file in sorted((OUT / "sounds").iterdir()):
        samples, rate = soundfile.read(file, dtype="float32", always_2d=True)
        mono = samples.T.mean(axis=0)  # as librosa.to_mono
        at_16k = soxr.resample(mono, rate, 16000, quality="HQ") if rate != 16000 else mono
        cases.append({"file": file.name, "rate": rate, "channels": samples.shape[1],
                      "decoded": kept(tensors, f"{file.name}.decoded", mono, STRIDE),
                      "at_16khz": kept(tensors, f"{file.name}.at_16khz", at_16k, STRIDE)})
    return cases


def mels(tensors):
    """Features of padded windows (how the model is asked) and of whole files (long sounds)."""
    spoken = soundfile.read(OUT / "sounds" / "speech.flac", dtype="float32")[0]
    sounds = {
        "speech": spoken,
        "quiet": spoken * np.float32(1 / 4096),
        "silence": np.zeros(16000, np.float32),
        "one_sample": np.full(1, 0.5, np.float32),
        "long": np.tile(spoken, 31 * 16000 // spoken.size + 1),  # over 30 s: cut when padded
    }
    cases = []
    for bins in (80, 128):
        extractor = WhisperFeatureExtractor(feature_size=bins)
        for name, samples in sounds.items():
            padded = extractor(samples, sampling_rate=16000, return_tensors="np")["input_features"][0]
            case = {"sound": name, "bins": bins, "repeat": len(samples) // spoken.size if name == "long" else 1,
                    "padded": kept(tensors, f"{name}.{bins}.padded", padded, MEL_STRIDE)}
            if samples.size > 200:  # reflection needs more than half a window
                whole = extractor(samples, sampling_rate=16000, return_tensors="np", truncation=False,
                                  padding="longest")["input_features"][0]
                case["whole"] = kept(tensors, f"{name}.{bins}.whole", whole, MEL_STRIDE)
            cases.append(case)
    return cases


def main():
    write_sounds()
    tensors = {}
    golden = {"made_with": {"transformers": transformers.__version__, "soundfile": soundfile.__version__,
                            "libsndfile": soundfile.__libsndfile_version__, "soxr": soxr.__version__},
              "waveforms": waveforms(tensors), "mels": mels(tensors)}
    save_file(tensors, OUT / "golden.safetensors")
    (OUT / "golden.json").write_text(json.dumps(golden, indent=1) + "\n")


if __name__ == "__main__":
    main()

"""Makes the video files of tests/golden/video and clips.json, what torchcodec and ffmpeg read from them.

    python tests/reference/make_clips.py

Needs the program ffmpeg with libx264, and the packages torchcodec, torch and numpy.

clip.mp4 is lossless: the frames of make_video_golden.py that the golden prompts of Qwen2.5-VL and SmolVLM
take, each shown until the next one of them, so that a model that decodes the file must give the golden answer.
turned.mp4 is what a phone might write: 4:2:0, frames out of order, key frames every 8, stored on its side.
stream.ts has no index, its first key frame is not at time 0.
"""

import json
import pathlib
import subprocess
import zlib

from make_video_golden import CLIP, OUT, frame

KEPT = (0, 3, 7, 11, 15, 19, 22)
NAMES = ("clip.mp4", "turned.mp4", "stream.ts")


def shown(t):
    return max(k for k in KEPT if k <= t)


def encode(path, frames, width, height, fps, *options, before=()):
    command = ["ffmpeg", "-hide_banner", "-loglevel", "error", "-y", "-f", "rawvideo", "-pix_fmt", "rgb24",
               "-s", f"{width}x{height}", "-r", str(fps), *before, "-i", "-", *options, "-threads", "1",
               "-fflags", "+bitexact", "-flags", "+bitexact", "-map_metadata", "-1", str(path)]
    subprocess.run(command, input=b"".join(f.tobytes() for f in frames), check=True)
    print(path.name, path.stat().st_size, "bytes")


def make():
    size = CLIP["width"], CLIP["height"]
    encode(OUT / "clip.mp4", [frame(*size, shown(t)) for t in range(CLIP["frames"])], *size, CLIP["fps"],
           "-c:v", "libx264rgb", "-qp", "0", "-preset", "veryslow", "-g", "12")
    smooth = [frame(72, 40, 0)[:, ::-1] // 2 + 3 * t for t in range(30)]
    encode(OUT / "upright.mp4", smooth, 72, 40, 30, "-c:v", "libx264", "-crf", "30", "-pix_fmt", "yuv420p",
           "-g", "8", "-bf", "2")
    subprocess.run(["ffmpeg", "-hide_banner", "-loglevel", "error", "-y", "-i", OUT / "upright.mp4", "-c", "copy",
                    "-metadata:s:v", "rotate=90", "-fflags", "+bitexact", OUT / "turned.mp4"], check=True)
    (OUT / "upright.mp4").unlink()
    encode(OUT / "stream.ts", smooth, 72, 40, 30, "-c:v", "mpeg2video", "-q:v", "8", "-g", "8", "-bf", "2")


def in_order(name, width, height):
    """A file's frames from first to last, by the program ffmpeg with torchcodec's filter."""
    command = ["ffmpeg", "-hide_banner", "-loglevel", "error", "-i", str(OUT / name), "-vsync", "passthrough",
               "-sws_flags", "bicubic", "-f", "rawvideo", "-pix_fmt", "rgb24", "-"]
    raw = subprocess.run(command, capture_output=True, check=True).stdout
    size = width * height * 3
    return [raw[i:i + size] for i in range(0, len(raw), size)]


def read(name):
    """What torchcodec says of a file, and the CRC-32 of each frame. In streams without an index it jumps too far
    and gives frames that are too late: those are told by ffmpeg, in order."""
    from torchcodec.decoders import VideoDecoder

    decoder = VideoDecoder(str(OUT / name), seek_mode="exact")
    about = decoder.metadata
    if name.endswith(".ts"):
        height, width = about.height, about.width
        frames = in_order(name, width, height)
    else:
        pixels = decoder.get_frames_at(list(range(about.num_frames))).data.permute(0, 2, 3, 1).contiguous().numpy()
        height, width = pixels.shape[1:3]
        frames = [frame.tobytes() for frame in pixels]
    return {"name": name, "frames": about.num_frames, "fps": about.average_fps, "seconds": about.duration_seconds,
            "width": width, "height": height, "crc": [zlib.crc32(frame) for frame in frames]}


def main():
    make()
    lines = ",\n".join(json.dumps(read(name), separators=(",", ":")) for name in NAMES)
    (OUT / "clips.json").write_text(f"[{lines}]\n")


if __name__ == "__main__":
    main()

"""
The C++ runtime. Use the package chiasm, which checks and documents its arguments.
"""
from __future__ import annotations
import collections.abc
import numpy
import numpy.typing
import typing
__all__: list[str] = ['AdapterInfo', 'AudioInput', 'CancelFlag', 'Confidence', 'DeviceState', 'Embedder', 'EmbedderInfo', 'EngineStats', 'GenerateOptions', 'ImageInput', 'Model', 'ModelInfo', 'OperatorTime', 'PictureTile', 'PictureTiles', 'Plan', 'Request', 'Result', 'Retriever', 'RetrieverInfo', 'Timings', 'TokenLogprob', 'TranscribeOptions', 'Transcript', 'TranscriptSegment', 'Usage', 'VideoFile', 'VideoInput', 'Work', 'checkpoint_tensors', 'decode_sound', 'machine_limits', 'quantize', 'system_info']
class CancelFlag:
    """
    Ends a running call from another thread.
    """
    def __init__(self) -> None:
        ...
    def set(self) -> None:
        """
        Asks the call that was given this flag to stop.
        """
class Work:
    """
    What a pass costs: multiply-adds and bytes.
    """
    @property
    def head_macs(self) -> int:
        ...
    @property
    def key_bytes(self) -> int:
        ...
    @property
    def key_macs(self) -> int:
        ...
    @property
    def step_bytes(self) -> int:
        ...
    @property
    def token_macs(self) -> int:
        ...
class OperatorTime:
    """
    An operator's share of a stage.
    """
    @property
    def calls(self) -> int:
        ...
    @property
    def in_(self) -> int:
        ...
    @property
    def name(self) -> str:
        ...
    @property
    def out(self) -> int:
        ...
    @property
    def rows(self) -> int:
        ...
    @property
    def seconds(self) -> float:
        ...
    @property
    def stage(self) -> str:
        ...
class Usage:
    """
    Token counts of a request.
    """
    @property
    def audio_tokens(self) -> int:
        ...
    @property
    def cached_tokens(self) -> int:
        ...
    @property
    def completion_tokens(self) -> int:
        ...
    @property
    def guessed_tokens(self) -> int:
        ...
    @property
    def image_tokens(self) -> int:
        ...
    @property
    def prompt_tokens(self) -> int:
        ...
    @property
    def rejected_tokens(self) -> int:
        ...
    @property
    def video_tokens(self) -> int:
        ...
class Timings:
    """
    Seconds of a request's stages.
    """
    @property
    def decode(self) -> float:
        ...
    @property
    def encode(self) -> float:
        ...
    @property
    def prefill(self) -> float:
        ...
    @property
    def preprocess(self) -> float:
        ...
class TokenLogprob:
    """
    A chosen token and its best rivals.
    """
    @property
    def id(self) -> int:
        ...
    @property
    def logprob(self) -> float:
        ...
    @property
    def text(self) -> str:
        ...
    @property
    def top(self) -> list[tuple[int, float]]:
        ...
class Result:
    """
    An answer.
    """
    @property
    def finish_reason(self) -> str:
        ...
    @property
    def logprobs(self) -> list[TokenLogprob]:
        ...
    @property
    def others(self) -> list[Result]:
        ...
    @property
    def score(self) -> float | None:
        ...
    @property
    def text(self) -> str:
        ...
    @property
    def timings(self) -> Timings:
        ...
    @property
    def token_ids(self) -> list[int]:
        ...
    @property
    def usage(self) -> Usage:
        ...
class Plan:
    """
    Lengths and bytes of a request, told before it runs.
    """
    @property
    def activation_bytes(self) -> int:
        ...
    @property
    def audio_tokens(self) -> int:
        ...
    @property
    def draft_bytes(self) -> int:
        ...
    @property
    def encode_macs(self) -> int:
        ...
    @property
    def fixed_bytes(self) -> int:
        ...
    @property
    def frames(self) -> int:
        ...
    @property
    def image_tokens(self) -> int:
        ...
    @property
    def kv_bytes(self) -> int:
        ...
    @property
    def peak_bytes(self) -> int:
        ...
    @property
    def tiles(self) -> int:
        ...
    @property
    def tokens(self) -> int:
        ...
    @property
    def video_tokens(self) -> int:
        ...
    @property
    def weight_bytes(self) -> int:
        ...
class EngineStats:
    """
    How busy an engine is.
    """
    @property
    def encoder_bytes(self) -> int:
        ...
    @property
    def encoder_disk_failures(self) -> int:
        ...
    @property
    def encoder_disk_hits(self) -> int:
        ...
    @property
    def encoder_disk_writes(self) -> int:
        ...
    @property
    def encoder_hits(self) -> int:
        ...
    @property
    def encoder_misses(self) -> int:
        ...
    @property
    def pages(self) -> int:
        ...
    @property
    def pages_in_use(self) -> int:
        ...
    @property
    def running(self) -> int:
        ...
    @property
    def steps_ahead(self) -> int:
        ...
    @property
    def waiting(self) -> int:
        ...
class DeviceState:
    """
    One of the devices that a model runs on.
    """
    @property
    def device(self) -> str:
        ...
    @property
    def failure(self) -> str:
        ...
    @property
    def kv_bytes(self) -> int:
        ...
    @property
    def memory_bytes(self) -> int:
        ...
    @property
    def name(self) -> str:
        ...
    @property
    def stats(self) -> EngineStats:
        ...
    @property
    def weight_bytes(self) -> int:
        ...
class ModelInfo:
    """
    What a loaded model is.
    """
    @property
    def audio_token(self) -> str:
        ...
    @property
    def bos_token(self) -> str:
        ...
    @property
    def chat_template(self) -> str:
        ...
    @property
    def device(self) -> str:
        ...
    @property
    def draft(self) -> str:
        ...
    @property
    def dtype(self) -> str:
        ...
    @property
    def eos_token(self) -> str:
        ...
    @property
    def eos_token_ids(self) -> list[int]:
        ...
    @property
    def family(self) -> str:
        ...
    @property
    def file_bytes(self) -> int:
        ...
    @property
    def hidden_size(self) -> int:
        ...
    @property
    def image_size(self) -> int:
        ...
    @property
    def image_token(self) -> str:
        ...
    @property
    def isa(self) -> str:
        ...
    @property
    def kv_dtype(self) -> str:
        ...
    @property
    def layers(self) -> int:
        ...
    @property
    def max_context(self) -> int:
        ...
    @property
    def packed_layout(self) -> str:
        ...
    @property
    def parameters(self) -> int:
        ...
    @property
    def patches_per_tile(self) -> int:
        ...
    @property
    def path(self) -> str:
        ...
    @property
    def quantize(self) -> str:
        ...
    @property
    def sound_rate(self) -> int:
        ...
    @property
    def threads(self) -> int:
        ...
    @property
    def tokens_per_tile(self) -> int:
        ...
    @property
    def video_token(self) -> str:
        ...
    @property
    def vision_hidden_size(self) -> int:
        ...
    @property
    def vision_layers(self) -> int:
        ...
    @property
    def vocab_size(self) -> int:
        ...
    @property
    def weight_bytes(self) -> int:
        ...
    @property
    def work(self) -> Work:
        ...
class AudioInput:
    """
    A sound, as encoded bytes or as samples.
    """
    @staticmethod
    def from_bytes(encoded: bytes, name: str) -> AudioInput:
        """
        The content of a WAV, FLAC, Ogg or MP3 file.
        """
    @staticmethod
    def from_file(path: str) -> AudioInput:
        """
        Reads a file's bytes; MediaError when it cannot be read.
        """
    @staticmethod
    def from_samples(samples: numpy.ndarray, rate: typing.SupportsInt | typing.SupportsIndex, name: str) -> AudioInput:
        """
        float32 [samples] of one channel. MediaError for other arrays.
        """
    @property
    def name(self) -> str:
        ...
class TranscribeOptions:
    """
    How speech is written down.
    """
    def __init__(self, *, language: str = '', translate: bool = False, timestamps: bool = True, temperatures: collections.abc.Sequence[typing.SupportsFloat | typing.SupportsIndex] = [0.0], compression_threshold: typing.SupportsFloat | typing.SupportsIndex = 1.35, logprob_threshold: typing.SupportsFloat | typing.SupportsIndex = -1.0, no_speech_threshold: typing.SupportsFloat | typing.SupportsIndex = 0.6, seed: typing.SupportsInt | typing.SupportsIndex = 0, adapter: str = '', pad_with_zeros: bool = False) -> None:
        ...
class Confidence:
    """
    What a window's words were judged by.
    """
    @property
    def compression_ratio(self) -> float:
        ...
    @property
    def mean_logprob(self) -> float:
        ...
    @property
    def no_speech(self) -> float:
        ...
    @property
    def temperature(self) -> float:
        ...
class TranscriptSegment:
    """
    Words between two times, in seconds.
    """
    @property
    def confidence(self) -> Confidence:
        ...
    @property
    def end(self) -> float:
        ...
    @property
    def start(self) -> float:
        ...
    @property
    def text(self) -> str:
        ...
    @property
    def token_ids(self) -> list[int]:
        ...
class Transcript:
    """
    Written-down speech.
    """
    @property
    def duration(self) -> float:
        ...
    @property
    def language(self) -> str:
        ...
    @property
    def segments(self) -> list[TranscriptSegment]:
        ...
    @property
    def text(self) -> str:
        ...
    @property
    def timings(self) -> Timings:
        ...
class ImageInput:
    """
    A picture, as encoded bytes or as pixels.
    """
    @staticmethod
    def decoded(encoded: bytes, name: str, max_pixels: typing.SupportsInt | typing.SupportsIndex) -> ImageInput:
        """
        The pixels of a file's content, upright, decoded here and now. MediaError when it is no picture, is damaged, or has more pixels than `max_pixels`.
        """
    @staticmethod
    def from_bytes(encoded: bytes, name: str) -> ImageInput:
        """
        The content of a JPEG, PNG, WebP, ... file.
        """
    @staticmethod
    def from_file(path: str) -> ImageInput:
        """
        Reads a file's bytes; MediaError when it cannot be read.
        """
    @staticmethod
    def from_pixels(pixels: numpy.ndarray, name: str) -> ImageInput:
        """
        uint8 [height, width, 3], RGB, upright. MediaError for any other array.
        """
    def thumbnail(self, side: typing.SupportsInt | typing.SupportsIndex) -> numpy.typing.NDArray[numpy.uint8]:
        """
        uint8 [height, width, 3] of at most `side` pixels a side, resized with antialiased triangles and never enlarged. RequestError when it is not decoded.
        """
    @property
    def name(self) -> str:
        ...
    @property
    def size(self) -> tuple[int, int]:
        """
        Width and height in pixels. RequestError when it is not decoded.
        """
class VideoFile:
    """
    An open video file. For one thread at a time.
    """
    def __init__(self, path: str) -> None:
        """
        Counts the frames. MediaError for what is no video, DeviceError without FFmpeg.
        """
    def read(self, frames: collections.abc.Sequence[typing.SupportsInt | typing.SupportsIndex]) -> list[numpy.typing.NDArray[numpy.uint8]]:
        """
        uint8 [height, width, 3] of each of `frames`, ascending numbers from 0.
        """
    @property
    def fps(self) -> float:
        ...
    @property
    def frames(self) -> int:
        ...
    @property
    def height(self) -> int:
        ...
    @property
    def seconds(self) -> float:
        ...
    @property
    def width(self) -> int:
        ...
class VideoInput:
    """
    A video: a file, its content, or frames as pictures.
    """
    @staticmethod
    def from_bytes(encoded: bytes, name: str) -> VideoInput:
        """
        The content of an MP4, MKV, ... file.
        """
    @staticmethod
    def from_file(path: str) -> VideoInput:
        """
        A file, which is read when its turn comes.
        """
    @staticmethod
    def from_folder(path: str, fps: typing.SupportsFloat | typing.SupportsIndex) -> VideoInput:
        """
        The pictures of a folder, ordered by name.
        """
    @staticmethod
    def from_frames(frames: collections.abc.Sequence[ImageInput], fps: typing.SupportsFloat | typing.SupportsIndex, name: str) -> VideoInput:
        """
        Pictures of one size; `fps` of 0 where it is unknown.
        """
    def choose(self, *, frames: typing.SupportsInt | typing.SupportsIndex, fps: typing.SupportsFloat | typing.SupportsIndex, all: bool) -> None:
        """
        Which frames the model sees; 0 leaves it to its settings.
        """
    @property
    def name(self) -> str:
        ...
class GenerateOptions:
    """
    Checked when a request is submitted.
    """
    def __init__(self, *, max_tokens: typing.SupportsInt | typing.SupportsIndex = 128, temperature: typing.SupportsFloat | typing.SupportsIndex = 0.0, top_k: typing.SupportsInt | typing.SupportsIndex = 0, top_p: typing.SupportsFloat | typing.SupportsIndex = 1.0, min_p: typing.SupportsFloat | typing.SupportsIndex = 0.0, repetition_penalty: typing.SupportsFloat | typing.SupportsIndex = 1.0, seed: typing.SupportsInt | typing.SupportsIndex | None = None, stop: collections.abc.Sequence[str] = [], logprobs: typing.SupportsInt | typing.SupportsIndex = 0, logit_bias: collections.abc.Sequence[tuple[typing.SupportsInt | typing.SupportsIndex, typing.SupportsFloat | typing.SupportsIndex]] = [], presence_penalty: typing.SupportsFloat | typing.SupportsIndex = 0.0, frequency_penalty: typing.SupportsFloat | typing.SupportsIndex = 0.0, constraint: collections.abc.Callable[[], collections.abc.Callable[[list[int]], str]] | None = None, adapter: str = '', priority: typing.SupportsInt | typing.SupportsIndex = 0, ignore_eos: bool = False, slide: bool = False, lookup: typing.SupportsInt | typing.SupportsIndex = 0, draft_tokens: typing.SupportsInt | typing.SupportsIndex | None = None, num_beams: typing.SupportsInt | typing.SupportsIndex = 1, length_penalty: typing.SupportsFloat | typing.SupportsIndex = 1.0, early_stopping: str = 'False', answers: typing.SupportsInt | typing.SupportsIndex = 1) -> None:
        ...
    @property
    def max_tokens(self) -> int:
        ...
    @max_tokens.setter
    def max_tokens(self, arg0: typing.SupportsInt | typing.SupportsIndex) -> None:
        ...
class Request:
    """
    A prompt as spans (text, trusted) or as token ids.
    """
    options: GenerateOptions
    def __init__(self, spans: collections.abc.Sequence[tuple[str, bool]], *, token_ids: collections.abc.Sequence[typing.SupportsInt | typing.SupportsIndex] = [], images: collections.abc.Sequence[ImageInput] = [], audio: collections.abc.Sequence[AudioInput] = [], videos: collections.abc.Sequence[VideoInput] = [], add_special_tokens: bool = True, options: GenerateOptions | None = None) -> None:
        ...
    @property
    def spans(self) -> list[tuple[str, bool]]:
        ...
class PictureTile:
    """
    A part of a picture that the encoder takes whole.
    """
    @property
    def box(self) -> tuple[float, float, float, float]:
        """
        Left, top, right and bottom of what it shows, in pixels of the upright picture.
        """
    @property
    def height(self) -> int:
        ...
    @property
    def overview(self) -> bool:
        ...
    @property
    def tokens(self) -> int:
        ...
    @property
    def width(self) -> int:
        ...
class PictureTiles:
    """
    The tiles and tokens of a picture.
    """
    @property
    def cols(self) -> int:
        ...
    @property
    def height(self) -> int:
        ...
    @property
    def rows(self) -> int:
        ...
    @property
    def tiles(self) -> list[PictureTile]:
        ...
    @property
    def token_boxes(self) -> numpy.typing.NDArray[numpy.float32]:
        """
        float32 [tokens, 4]: what each shows, as a tile's box; of no area where it shows no place.
        """
    @property
    def token_tiles(self) -> numpy.typing.NDArray[numpy.int32]:
        """
        int32 [tokens]: the tile of each; -1 where it is of none.
        """
    @property
    def width(self) -> int:
        ...
class AdapterInfo:
    """
    A loaded adapter.
    """
    @property
    def bytes(self) -> int:
        ...
    @property
    def changes_encoder(self) -> bool:
        ...
    @property
    def modules(self) -> int:
        ...
    @property
    def name(self) -> str:
        ...
    @property
    def path(self) -> str:
        ...
    @property
    def rank(self) -> int:
        ...
class Model:
    """
    A loaded model. Thread-safe.
    """
    @staticmethod
    def load(folder: str, *, device: str = 'auto', dtype: str = 'auto', quantize: str = '', kv_cache: str = 'auto', mmproj: str = '', batch_invariant: bool = False, attention_provider: str = 'own', threads: typing.SupportsInt | typing.SupportsIndex = 0, max_context: typing.SupportsInt | typing.SupportsIndex = 0, draft: str = '', draft_tokens: typing.SupportsInt | typing.SupportsIndex = 4, encoder_cache_dir: str = '', encoder_cache_dir_bytes: typing.SupportsInt | typing.SupportsIndex = 1073741824, max_image_pixels: typing.SupportsInt | typing.SupportsIndex = 178956970, max_audio_seconds: typing.SupportsFloat | typing.SupportsIndex = 14400.0, progress: collections.abc.Callable[[float], None] | None = None) -> Model:
        """
        Loads a Hugging Face folder or a .gguf file. `progress` hears the fraction read.
        """
    def adapters(self) -> list[AdapterInfo]:
        """
        The adapters that requests may name.
        """
    def attention(self, request: Request, answer: collections.abc.Sequence[typing.SupportsInt | typing.SupportsIndex], layers: collections.abc.Sequence[typing.SupportsInt | typing.SupportsIndex]) -> tuple[numpy.typing.NDArray[numpy.float32], list[list[int]]]:
        """
        float32 [answer tokens, rows], averaged over heads and layers (none named: all), and the rows of each picture.
        """
    def choices(self, request: Request, count: typing.SupportsInt | typing.SupportsIndex, on_text: collections.abc.Callable[[int, str], bool] | None = None, cancel: CancelFlag | None = None) -> list[Result]:
        """
        Several answers to one request. `on_text` hears (choice, piece); False from it ends all.
        """
    def detokenize(self, ids: collections.abc.Sequence[typing.SupportsInt | typing.SupportsIndex], skip_special_tokens: bool = True) -> str:
        ...
    def devices(self) -> list[DeviceState]:
        """
        The devices that it runs on; none for the CPU.
        """
    def embed(self, request: Request, *, mean: bool) -> numpy.typing.NDArray[numpy.float32]:
        """
        float32 [1, d_model], of length 1.
        """
    def encode_audio(self, sound: AudioInput) -> numpy.typing.NDArray[numpy.float32]:
        """
        float32 [rows, d_model].
        """
    def encode_image(self, image: ImageInput) -> numpy.typing.NDArray[numpy.float32]:
        """
        float32 [tokens, d_model], after the projector.
        """
    def encode_video(self, video: VideoInput) -> numpy.typing.NDArray[numpy.float32]:
        """
        float32 [tokens, d_model], after the projector.
        """
    def generate(self, request: Request, on_text: collections.abc.Callable[[str], bool] | None = None, cancel: CancelFlag | None = None) -> Result:
        """
        Runs a request. `on_text` hears each piece; False from it ends the answer.
        """
    def generate_all(self, requests: collections.abc.Sequence[Request], on_done: collections.abc.Callable[[int], None] | None = None) -> list[Result]:
        """
        Runs several requests as one batch. `on_done` hears how many are done.
        """
    def load_adapter(self, name: str, folder: str) -> None:
        """
        Reads a PEFT LoRA folder for requests that name it.
        """
    def logits(self, request: Request) -> numpy.typing.NDArray[numpy.float32]:
        """
        float32 [tokens, vocab].
        """
    def operator_times(self) -> list[OperatorTime]:
        """
        What was collected.
        """
    def picture_sizes(self, image: ImageInput) -> tuple[int, int, int, int]:
        """
        Width and height of a picture, and of the same resized, in pixels.
        """
    def plan(self, request: Request) -> Plan:
        """
        Lengths and bytes, before running.
        """
    def preprocess_audio(self, sound: AudioInput) -> dict[str, numpy.ndarray]:
        """
        The arrays of the model's own feature extractor.
        """
    def preprocess_image(self, image: ImageInput) -> dict[str, numpy.ndarray]:
        """
        The arrays of the model's own processor.
        """
    def preprocess_video(self, video: VideoInput) -> dict[str, numpy.ndarray]:
        """
        The arrays of the model's own processor.
        """
    def profile(self, on: bool) -> None:
        """
        Collects the times of operators from now on, or stops.
        """
    def prompt_ids(self, request: Request) -> list[int]:
        """
        Token ids of a request's prompt, placeholders expanded.
        """
    def score(self, request: Request, answers: collections.abc.Sequence[str]) -> list[float]:
        """
        Total log-probability of each answer, in nats.
        """
    def set_tap(self, tap: collections.abc.Callable[[str, numpy.typing.NDArray[numpy.float32]], None] | None) -> None:
        """
        Has `tap(stage, values)` hear intermediates of later requests, float32 [rows, columns] as they are computed; None: no longer.
        """
    def sound_turn(self, words: str, sounds: collections.abc.Sequence[AudioInput]) -> Request:
        """
        The same with sounds first.
        """
    def special_tokens(self) -> list[str]:
        """
        Texts that stand for structure, never for a user's words.
        """
    def stats(self) -> EngineStats:
        """
        How busy the engine is, as of its last step.
        """
    def tiles(self, image: ImageInput, pictures: typing.SupportsInt | typing.SupportsIndex = 1) -> PictureTiles:
        """
        The tiles of one of so many pictures in a prompt. Reads the header only.
        """
    def token_bytes(self) -> list[bytes]:
        """
        What each token stands for in the midst of a text; nothing for structure tokens.
        """
    def tokenize(self, text: str, add_special_tokens: bool = True) -> list[int]:
        ...
    def transcribe(self, sound: AudioInput, options: TranscribeOptions, on_segment: collections.abc.Callable[[TranscriptSegment, float], None] | None = None, cancel: CancelFlag | None = None) -> Transcript:
        """
        Writes down speech. `on_segment` hears each segment and what part of the sound is done.
        """
    def turn(self, words: str, images: collections.abc.Sequence[ImageInput] = [], videos: collections.abc.Sequence[VideoInput] = []) -> Request:
        """
        A user turn in the family's own format.
        """
    def unload_adapter(self, name: str) -> None:
        """
        Takes an adapter away for requests that come later.
        """
    @property
    def info(self) -> ModelInfo:
        ...
class EmbedderInfo:
    """
    What a loaded embedder is.
    """
    @property
    def default_prompt(self) -> str:
        ...
    @property
    def dtype(self) -> str:
        ...
    @property
    def family(self) -> str:
        ...
    @property
    def isa(self) -> str:
        ...
    @property
    def logit_bias(self) -> float:
        ...
    @property
    def logit_scale(self) -> float:
        ...
    @property
    def lora(self) -> str:
        ...
    @property
    def max_tokens(self) -> int:
        ...
    @property
    def parameters(self) -> int:
        ...
    @property
    def patches_per_picture(self) -> int:
        ...
    @property
    def path(self) -> str:
        ...
    @property
    def prompts(self) -> dict[str, str]:
        ...
    @property
    def quantize(self) -> str:
        ...
    @property
    def size(self) -> int:
        ...
    @property
    def threads(self) -> int:
        ...
    @property
    def weight_bytes(self) -> int:
        ...
class Embedder:
    """
    A loaded embedder. Thread-safe.
    """
    @staticmethod
    def load(folder: str, *, device: str = 'auto', dtype: str = 'auto', quantize: str = '', threads: typing.SupportsInt | typing.SupportsIndex = 0, max_image_pixels: typing.SupportsInt | typing.SupportsIndex = 178956970, lora: str = '', progress: collections.abc.Callable[[float], None] | None = None) -> Embedder:
        """
        Loads a Hugging Face folder, and the PEFT adapter of the folder `lora`. `progress` hears the fraction read.
        """
    def count_tokens(self, texts: collections.abc.Sequence[str], *, prompt: str | None = None, truncate: bool = False) -> list[int]:
        """
        Tokens of each text as embed_texts would read it.
        """
    def embed_images(self, images: collections.abc.Sequence[ImageInput]) -> numpy.typing.NDArray[numpy.float32]:
        """
        float32 [images, size], rows of length 1.
        """
    def embed_texts(self, texts: collections.abc.Sequence[str], *, prompt: str | None = None, truncate: bool = False) -> numpy.typing.NDArray[numpy.float32]:
        """
        float32 [texts, size], rows of length 1. `prompt`: the name of one of the model's.
        """
    def set_tap(self, tap: collections.abc.Callable[[str, numpy.typing.NDArray[numpy.float32]], None] | None) -> None:
        """
        Has `tap(stage, values)` hear intermediates of later calls, float32 [rows, columns]; None: no longer.
        """
    @property
    def info(self) -> EmbedderInfo:
        ...
class RetrieverInfo:
    """
    What a loaded retriever is.
    """
    @property
    def dtype(self) -> str:
        ...
    @property
    def family(self) -> str:
        ...
    @property
    def isa(self) -> str:
        ...
    @property
    def max_tokens(self) -> int:
        ...
    @property
    def parameters(self) -> int:
        ...
    @property
    def path(self) -> str:
        ...
    @property
    def quantize(self) -> str:
        ...
    @property
    def size(self) -> int:
        ...
    @property
    def threads(self) -> int:
        ...
    @property
    def weight_bytes(self) -> int:
        ...
class Retriever:
    """
    A loaded multi-vector retriever. Thread-safe.
    """
    @staticmethod
    def load(folder: str, *, device: str = 'auto', dtype: str = 'auto', quantize: str = '', threads: typing.SupportsInt | typing.SupportsIndex = 0, progress: collections.abc.Callable[[float], None] | None = None) -> Retriever:
        """
        Loads a Hugging Face folder. `progress` hears the fraction read.
        """
    def embed_images(self, images: collections.abc.Sequence[ImageInput]) -> list[numpy.typing.NDArray[numpy.float32]]:
        """
        For each picture float32 [tokens, size], rows of length 1.
        """
    def embed_texts(self, texts: collections.abc.Sequence[str]) -> list[numpy.typing.NDArray[numpy.float32]]:
        """
        For each text float32 [tokens, size], rows of length 1.
        """
    @property
    def info(self) -> RetrieverInfo:
        ...
def checkpoint_tensors(path: str) -> list[tuple[str, str, list[int]]]:
    """
    (name, format, shape) of every tensor of a folder or GGUF file; ModelError.
    """
def decode_sound(path: str, rate: typing.SupportsInt | typing.SupportsIndex) -> numpy.typing.NDArray[numpy.float32]:
    """
    float32 [samples] of a file, its channels averaged, at `rate` samples a second. MediaError.
    """
def machine_limits(threads: typing.SupportsInt | typing.SupportsIndex) -> dict[str, float]:
    """
    Operations per second by number format, and bytes read per second, of so many threads.
    """
def quantize(model: str, out: str, *, to: str = 'int8', dtype: str = 'auto', threads: typing.SupportsInt | typing.SupportsIndex = 0, force: bool = False, progress: collections.abc.Callable[[float], None] | None = None) -> None:
    """
    Writes the folder `out`: `model` quantized and packed. `progress` hears the fraction done.
    """
def system_info() -> dict[str, typing.Any]:
    """
    The CPU path, CPUs, device, compiler and known model families.
    """
__version__: str = '0.1.0'

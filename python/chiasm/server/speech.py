"""/v1/audio/transcriptions and /v1/audio/translations."""

from __future__ import annotations

from typing import Annotated, Any, Literal, Union

from fastapi import APIRouter, File, Form, Request, UploadFile
from starlette.responses import JSONResponse, PlainTextResponse, Response

from chiasm import _media
from chiasm._model import Model
from chiasm._options import transcribe_options, utf8
from chiasm._transcript import Transcript, transcript_of
from chiasm.server.errors import ApiError
from chiasm.server.state import state_of
from chiasm.server.stream import gone

router = APIRouter()
Format = Literal["json", "text", "srt", "verbose_json", "vtt"]


@router.post("/v1/audio/transcriptions", response_model=None)
async def transcriptions(
    request: Request,
    file: Annotated[UploadFile, File()],
    model: Annotated[str, Form()],
    language: Annotated[Union[str, None], Form(max_length=16)] = None,
    prompt: Annotated[Union[str, None], Form(max_length=0)] = None,
    response_format: Annotated[Format, Form()] = "json",
    temperature: Annotated[float, Form(ge=0, le=0)] = 0.0,
) -> Response:
    """Writes down speech in its own language."""
    return await _write(request, file, model, language, "transcribe", response_format)


@router.post("/v1/audio/translations", response_model=None)
async def translations(
    request: Request,
    file: Annotated[UploadFile, File()],
    model: Annotated[str, Form()],
    prompt: Annotated[Union[str, None], Form(max_length=0)] = None,
    response_format: Annotated[Format, Form()] = "json",
    temperature: Annotated[float, Form(ge=0, le=0)] = 0.0,
) -> Response:
    """Writes down speech in English."""
    return await _write(request, file, model, None, "translate", response_format)


async def _write(
    request: Request, file: UploadFile, name: str, language: str | None, task: str, shape: Format
) -> Response:
    state = state_of(request)
    model: Model = state.model("speech", name)
    sound = await file.read()
    if not sound:
        raise ApiError(400, "file: holds no bytes", param="file")
    job = await state.jobs.run(
        lambda receive, flag: transcript_of(
            model._native.transcribe(
                _media.sound_input(sound),
                transcribe_options(
                    language=utf8("language", language or ""), translate=task == "translate"
                ),
                cancel=flag,
            )
        ),
        gone(request),
    )
    return _shaped(job.done.result(), task, shape)


def _shaped(transcript: Transcript, task: str, shape: Format) -> Response:
    if shape == "text":
        return PlainTextResponse(transcript.text + "\n")
    if shape == "srt":
        return PlainTextResponse(transcript.srt())
    if shape == "vtt":
        return PlainTextResponse(transcript.vtt(), media_type="text/vtt")
    body: dict[str, Any] = {"text": transcript.text}
    if shape == "verbose_json":
        body |= {
            "task": task,
            "language": transcript.language,
            "duration": transcript.duration,
            "segments": [
                {
                    "id": i,
                    "start": segment.start,
                    "end": segment.end,
                    "text": segment.text,
                    "tokens": segment.token_ids,
                    "temperature": segment.temperature,
                    "avg_logprob": segment.avg_logprob,
                    "compression_ratio": segment.compression_ratio,
                    "no_speech_prob": segment.no_speech_prob,
                }
                for i, segment in enumerate(transcript.segments)
            ],
        }
    else:
        body["usage"] = {"type": "duration", "seconds": transcript.duration}
    return JSONResponse(body)

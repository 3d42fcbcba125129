"""What a server is and how it is doing: /v1/models, /health, /ready, /metrics."""

from __future__ import annotations

from collections.abc import Callable

from fastapi import APIRouter, Request
from starlette.responses import JSONResponse, PlainTextResponse, Response

from chiasm import _chiasm
from chiasm._devices import DeviceState
from chiasm._model import Model
from chiasm.server.errors import ApiError
from chiasm.server.metrics import Gauge, resident_bytes
from chiasm.server.state import State, state_of

router = APIRouter()


def _model(state: State, name: str, role: str) -> dict[str, object]:
    info = getattr(state.models, role).info
    out: dict[str, object] = {
        "id": name,
        "object": "model",
        "created": state.created,
        "owned_by": "chiasm",
        "role": role,
        "family": info.family,
    }
    if role == "chat":
        out |= {"max_context": info.max_context, "sees": bool(info.image_token)}
    return out


@router.get("/v1/models", response_model=None)
async def models(request: Request) -> Response:
    """The models that are served."""
    state = state_of(request)
    data = [_model(state, name, role) for name, role in state.models.names().items()]
    return JSONResponse({"object": "list", "data": data})


@router.get("/v1/models/{name:path}", response_model=None)
async def one_model(name: str, request: Request) -> Response:
    """One of them."""
    state = state_of(request)
    role = state.models.names().get(name)
    if role is None:
        raise ApiError(404, f"the model {name!r} is not here", code="model_not_found")
    return JSONResponse(_model(state, name, role))


@router.get("/health", response_model=None)
async def health() -> Response:
    """Whether the process answers at all."""
    return JSONResponse({"status": "ok"})


@router.get("/ready", response_model=None)
async def ready(request: Request) -> Response:
    """Whether a new request would be taken: 503 while the server stops, where it is full and where
    no device of a model answers any more."""
    state = state_of(request)
    active = len(state.jobs.active)
    if state.stopping:
        status = "stopping"
    elif any(_lost(getattr(state.models, role)) for role in ("chat", "speech")):
        status = "lost"
    else:
        status = "ready" if active < state.jobs.limit else "full"
    return JSONResponse(
        {"status": status, "requests": active, "limit": state.jobs.limit},
        200 if status == "ready" else 503,
    )


@router.get("/metrics", response_model=None)
async def metrics(request: Request) -> Response:
    """Counters and times for Prometheus."""
    state = state_of(request)
    gauges: dict[str, Gauge] = {
        "chiasm_requests_active": ("Requests that run or wait.", float(len(state.jobs.active))),
        "chiasm_requests_limit": ("As many are taken at once.", float(state.jobs.limit)),
        "process_resident_memory_bytes": ("Resident memory in bytes.", float(resident_bytes())),
    }
    for role in ("chat", "speech"):
        if (model := getattr(state.models, role)) is not None:
            gauges |= engine_gauges(role, model._native.stats())
            gauges |= device_gauges(role, model.devices)
    return PlainTextResponse(
        state.metrics.text(gauges), media_type="text/plain; version=0.0.4; charset=utf-8"
    )


def engine_gauges(role: str, stats: _chiasm.EngineStats) -> dict[str, Gauge]:
    """How busy a model's engine is, by metric name."""
    told = {
        "waiting": ("Requests that wait for room.", stats.waiting),
        "running": ("Requests in the batch.", stats.running),
        "kv_pages": ("Pages of the KV cache, of 64 tokens each.", stats.pages),
        "kv_pages_in_use": ("Those in use, remembered prefixes included.", stats.pages_in_use),
        "encoder_hits": ("Media whose features were at hand.", stats.encoder_hits),
        "encoder_misses": ("Media that were encoded.", stats.encoder_misses),
        "encoder_bytes": ("Bytes of features in memory.", stats.encoder_bytes),
        "encoder_disk_hits": ("Media whose features the folder had.", stats.encoder_disk_hits),
        "encoder_disk_writes": ("Features written to it.", stats.encoder_disk_writes),
        "encoder_disk_failures": ("Those that could not be.", stats.encoder_disk_failures),
        "steps_ahead": (
            "Steps that a device was asked for before the last one's tokens were read.",
            stats.steps_ahead,
        ),
    }
    return {f"chiasm_{role}_{name}": (help, float(v)) for name, (help, v) in told.items()}


def device_gauges(role: str, devices: list[DeviceState]) -> dict[str, Gauge]:
    """How each device of a model fares, by metric name; nothing on the CPU."""
    if not devices:
        return {}
    told: dict[str, tuple[str, Callable[[DeviceState], float]]] = {
        "usable": ("1 while the device is given requests.", lambda d: not d.failure),
        "waiting": ("Requests that wait for room on the device.", lambda d: d.waiting),
        "running": ("Requests in the device's batch.", lambda d: d.running),
        "memory_bytes": ("Memory of the device.", lambda d: d.memory_bytes),
        "kv_pages_in_use": ("Pages of its KV cache in use.", lambda d: d.kv_pages_in_use),
    }
    return {
        f"chiasm_{role}_device_{name}": (
            help,
            {f'device="{d.device}"': float(value(d)) for d in devices},
        )
        for name, (help, value) in told.items()
    }


def _lost(model: Model | None) -> bool:
    """Whether a model ran on devices of which none answers any more."""
    devices = [] if model is None else model.devices
    return bool(devices) and all(d.failure for d in devices)

"""Many requests of all kinds at once, come and gone at any moment: each answer is that of the request
alone."""

import random
import threading
import time

import pytest
from conftest import PICTURES

from chiasm import Interrupted, MediaError, RequestError, _chiasm
from chiasm._results import result_of

REQUESTS = 200
KINDS = ["wide.png", "tall.png", "square.png", "dot.png"]


def request(dice: random.Random) -> dict:
    """One of many kinds; some are alike, so that prefixes and pictures are shared."""
    out: dict = {"max_tokens": dice.choice((1, 5, 12, 40)), "seed": dice.randint(0, 3)}
    out["prompt"] = " ".join(["word"] * dice.choice((1, 1, 3, 70))) + f" {dice.randint(0, 4)}"
    if dice.random() < 0.5:
        count = dice.choice((1, 1, 1, 2))
        out["images"] = [str(PICTURES / dice.choice(KINDS)) for _ in range(count)]
        out["prompt"] = "<image>" * count + out["prompt"]
    if dice.random() < 0.5:
        out |= {"temperature": 1.5, "top_k": dice.choice((0, 20)), "top_p": dice.choice((1.0, 0.9))}
    if dice.random() < 0.2:
        out |= {"presence_penalty": 0.7, "frequency_penalty": 0.3, "logit_bias": {9: 3.0}}
    if dice.random() < 0.2:
        out["repetition_penalty"] = 1.2
    if dice.random() < 0.2:
        out["priority"] = dice.randint(-2, 2)
    if dice.random() < 0.1:
        out["regex"] = "[a-z]{3,9}"
    return out


class Caller(threading.Thread):
    """Runs one request after a while; cancels it after a while, perhaps."""

    def __init__(self, model, settings: dict, wait: float, leave: float | None):
        super().__init__()
        self.model, self.settings, self.wait, self.leave = model, settings, wait, leave
        self.outcome: object = None

    def run(self) -> None:
        time.sleep(self.wait)
        flag = _chiasm.CancelFlag()
        settings = dict(self.settings)
        prompt, images = settings.pop("prompt"), settings.pop("images", None)
        if self.leave is not None:
            timer = threading.Timer(self.leave, flag.set)
            timer.daemon = True
            timer.start()
        try:
            native = self.model._request(prompt, images, self.model._options(**settings))
            self.outcome = result_of(self.model._native.generate(native, None, flag)).token_ids
        except (Interrupted, RequestError, MediaError) as e:
            self.outcome = type(e)


def test_two_hundred_mixed_requests_are_those_alone(model):
    pytest.importorskip("llguidance")
    dice = random.Random(11)
    wanted = [request(dice) for _ in range(REQUESTS)]
    alone: list[object] = []
    for settings in wanted:
        alone.append(model.generate(**settings).token_ids)
    bad = [{"prompt": "<image>a", "images": [b"no picture"]}, {"prompt": "a", "max_tokens": 10**6}]
    callers = []
    for settings in wanted:
        leave = dice.uniform(0, 0.05) if dice.random() < 0.2 else None
        callers.append(Caller(model, settings, dice.uniform(0, 0.8), leave))
    strangers = [Caller(model, dice.choice(bad), dice.uniform(0, 0.8), None) for _ in range(20)]
    for caller in [*callers, *strangers]:
        caller.start()
    for caller in [*callers, *strangers]:
        caller.join(timeout=120)
        assert not caller.is_alive(), "a request is stuck"
    for caller, want in zip(callers, alone):
        if caller.leave is None or caller.outcome is not Interrupted:
            assert caller.outcome == want, caller.settings
    finished = sum(caller.outcome is not Interrupted for caller in callers)
    assert REQUESTS * 0.75 < finished
    assert {caller.outcome for caller in strangers} == {RequestError, MediaError}
    model.generate("a", max_tokens=1)
    stats = model._native.stats()
    assert (stats.waiting, stats.running) == (0, 0)

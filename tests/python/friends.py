"""What the tests of others' packages share."""

import os
import pathlib
import subprocess
import sys

ROOT = pathlib.Path(__file__).parents[2]
EXAMPLES = ROOT / "examples" / "friends"
ASSETS = ROOT / "docs" / "assets"
DOG, CAT, SCENE = (str(ASSETS / name) for name in ("dog.jpg", "photo.png", "scene.png"))
QUIET = {"OTEL_SDK_DISABLED": "true", "LANGSMITH_TRACING": "false", "HF_HUB_OFFLINE": "1"}
"""Nothing of others reports anything, whatever the machine's settings are."""


HERMES = """{% for t in tools or [] %}{{ t | tojson }}{% endfor %}
{% for m in messages %}{{ m.content }}{% for c in m.tool_calls or [] %}<tool_call>{{ c.function | tojson }}
</tool_call>{% endfor %}{% endfor %}"""
"""A chat template that knows tools, for models that were not made for them."""
SAID = 'Let me see. <tool_call>{"name": "weather", "arguments": {"city": "Bern"}}</tool_call>'
"""What a model that was would say."""


def example(name: str | pathlib.Path, *arguments: object) -> dict[str, str]:
    """What a script of examples/friends prints, by what stands before the first colon of a line."""
    done = subprocess.run(
        [sys.executable, EXAMPLES / name, *map(str, arguments)],
        capture_output=True,
        text=True,
        timeout=120,
        env=os.environ | QUIET,
    )
    assert done.returncode == 0, done.stderr
    return dict(line.split(": ", 1) for line in done.stdout.splitlines() if ": " in line)

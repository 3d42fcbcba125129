"""Chat templates, rendered as transformers 5 renders them, in a sandbox.

Templates come with a model from somebody else: they run in Jinja's immutable sandbox and see
nothing but plain JSON data.
"""

from __future__ import annotations

import datetime
import functools
import json
import pathlib
from typing import TYPE_CHECKING, Any

from chiasm.errors import ModelError, RequestError

if TYPE_CHECKING:
    import jinja2

# Tokens that transformers hands to a template by name.
_NAMED_TOKENS = (
    "bos_token",
    "eos_token",
    "unk_token",
    "sep_token",
    "pad_token",
    "cls_token",
    "mask_token",
)


class ChatTemplate:
    """A model's chat template and the token names it may use."""

    def __init__(self, source: str, tokens: dict[str, str] | None = None, where: str = "template"):
        self.source = source
        self.tokens = dict(tokens or {})
        self.where = where

    @property
    def bos_token(self) -> str:
        return self.tokens.get("bos_token", "")

    @classmethod
    def load(cls, folder: pathlib.Path) -> ChatTemplate | None:
        """The template of a model folder, or None. ModelError for files that cannot be read."""
        found = _find_template(folder)
        if found is None:
            return None
        source, where = found
        return cls(source, _named_tokens(folder), where)

    def render(
        self,
        messages: list[dict[str, Any]],
        *,
        add_generation_prompt: bool = True,
        tools: list[dict[str, Any]] | None = None,
    ) -> str:
        """The prompt. RequestError when the template refuses the messages."""
        import jinja2

        template = _compile(self.source, self.where)
        try:
            return template.render(
                messages=messages,
                tools=tools,
                documents=None,
                add_generation_prompt=add_generation_prompt,
                **self.tokens,
            )
        except jinja2.exceptions.SecurityError as e:
            raise ModelError(f"{self.where}: does what the sandbox forbids: {e}") from e
        except jinja2.exceptions.TemplateError as e:
            raise RequestError(f"the chat template refuses the messages: {e}") from e
        except Exception as e:  # a template may fail in any way that code can
            raise RequestError(
                f"the chat template fails on the messages: {type(e).__name__}: {e}"
            ) from e

    @property
    def takes_tools(self) -> bool:
        """Whether the template shows functions that the model may call."""
        return "tools" in self.source

    @functools.cached_property
    def _shapes(self) -> dict[tuple[str, bool], bool]:
        return {}

    def shows(self, role: str, as_list: bool) -> bool:
        """Whether the words of a `role` message given as a list of items (or as a str) appear as
        they are in the prompt. Found by trying."""
        key = (role, as_list)
        if key not in self._shapes:
            self._shapes[key] = self._try(role, as_list)
        return self._shapes[key]

    def shows_video(self, token: str) -> bool:
        """Whether a message's video leaves `token` in the prompt. Found by trying."""
        content = [{"type": "video"}, {"type": "text", "text": "chiasmprobe"}]
        try:
            return token in self.render([{"role": "user", "content": content}])
        except RequestError:
            return False

    def _try(self, role: str, as_list: bool) -> bool:
        probe = "chiasmprobe"
        content: Any = [{"type": "text", "text": probe}] if as_list else probe
        message = {"role": role, "content": content}
        user = {"role": "user", "content": content}
        chats = {"user": [user], "assistant": [user, message]}.get(role, [message, user])
        try:
            text = self.render(chats, add_generation_prompt=False)
        except RequestError:
            return False
        # A template that only knows strings prints a list as Python would.
        return text.count(probe) == len(chats) and "'type'" not in text and '"type"' not in text


def _read_json(file: pathlib.Path) -> dict[str, Any]:
    try:
        data = json.loads(file.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return {}
    except (OSError, ValueError) as e:
        raise ModelError(f"{file}: cannot be read: {e}") from e
    if not isinstance(data, dict):
        raise ModelError(f"{file}: expected a JSON object")
    return data


def _find_template(folder: pathlib.Path) -> tuple[str, str] | None:
    """transformers' order for processors, then what its tokenizers know."""
    for name in ("processor_config.json", "chat_template.json"):
        source = _one_template(_read_json(folder / name).get("chat_template"), folder / name)
        if source is not None:
            return source, str(folder / name)
    file = folder / "chat_template.jinja"
    if file.is_file():
        try:
            return file.read_text(encoding="utf-8"), str(file)
        except (OSError, ValueError) as e:
            raise ModelError(f"{file}: cannot be read: {e}") from e
    file = folder / "tokenizer_config.json"
    source = _one_template(_read_json(file).get("chat_template"), file)
    return None if source is None else (source, str(file))


def _one_template(value: Any, file: pathlib.Path) -> str | None:
    """A template is a str, or one of several by name: {name: str} or [{"name", "template"}]."""
    if value is None or isinstance(value, str):
        return value
    if isinstance(value, list):
        value = {t.get("name"): t.get("template") for t in value if isinstance(t, dict)}
    if isinstance(value, dict):
        default = value.get("default")
        if isinstance(default, str):
            return default
        raise ModelError(f"{file}: chat_template has no template named default")
    raise ModelError(f"{file}: chat_template is neither text nor a list of named templates")


def _named_tokens(folder: pathlib.Path) -> dict[str, str]:
    config = _read_json(folder / "tokenizer_config.json")
    extra = config.get("extra_special_tokens")
    values = _read_json(folder / "special_tokens_map.json")
    values |= {name: config[name] for name in _NAMED_TOKENS if config.get(name) is not None}
    values = {name: value for name, value in values.items() if name in _NAMED_TOKENS}
    if isinstance(extra, dict):  # a family's own names, such as image_token
        values |= extra
    tokens = {}
    for name, value in values.items():
        if isinstance(value, dict):  # an AddedToken
            value = value.get("content")
        if isinstance(value, str):
            tokens[name] = value
    return tokens


@functools.lru_cache(maxsize=16)
def _compile(source: str, where: str) -> jinja2.Template:
    import jinja2

    try:
        return _environment().from_string(source)
    except jinja2.exceptions.TemplateError as e:
        raise ModelError(f"{where}: the chat template is not valid Jinja: {e}") from e


@functools.lru_cache(maxsize=1)
def _environment() -> jinja2.Environment:
    """What transformers gives a template: loop controls, `generation`, four globals, tojson."""
    import jinja2
    import jinja2.ext
    import jinja2.sandbox

    class Generation(jinja2.ext.Extension):
        """`{% generation %}` marks what a model said, for training; here it shows its body."""

        tags = {"generation"}

        def parse(self, parser: Any) -> Any:
            line = next(parser.stream).lineno
            body = parser.parse_statements(("name:endgeneration",), drop_needle=True)
            return jinja2.nodes.Scope(body, lineno=line)

    class Namespace(jinja2.utils.Namespace):
        """Refuses names with an underscore in front: a way out of the sandbox."""

        def __init__(*args: Any, **kwargs: Any) -> None:
            self, rest = args[0], args[1:]
            values = dict(*rest, **kwargs)
            for name in values:
                _refuse_private(name)
            jinja2.utils.Namespace.__init__(self, values)

        def __setitem__(self, name: str, value: Any) -> None:
            _refuse_private(name)
            super().__setitem__(name, value)

    def _refuse_private(name: Any) -> None:
        if isinstance(name, str) and name.startswith("_"):
            raise jinja2.exceptions.SecurityError(f"a namespace may not hold {name!r}")

    class Dict:
        """`dict(...)` and `dict.fromkeys(...)`, without the class itself."""

        def __call__(self, *args: Any, **kwargs: Any) -> dict[Any, Any]:
            return dict(*args, **kwargs)

        def fromkeys(self, *args: Any, **kwargs: Any) -> dict[Any, Any]:
            return dict.fromkeys(*args, **kwargs)

    def raise_exception(message: str) -> None:
        raise jinja2.exceptions.TemplateError(message)

    def strftime_now(format: str) -> str:
        return datetime.datetime.now().strftime(format)

    def tojson(
        x: Any,
        ensure_ascii: bool = False,
        indent: int | None = None,
        separators: tuple[str, str] | None = None,
        sort_keys: bool = False,
    ) -> str:  # Jinja's own would escape <, > and & for HTML
        return json.dumps(
            x, ensure_ascii=ensure_ascii, indent=indent, separators=separators, sort_keys=sort_keys
        )

    environment = jinja2.sandbox.ImmutableSandboxedEnvironment(
        trim_blocks=True, lstrip_blocks=True, extensions=[Generation, jinja2.ext.loopcontrols]
    )
    environment.filters["tojson"] = tojson
    environment.globals.update(
        raise_exception=raise_exception,
        strftime_now=strftime_now,
        dict=Dict(),
        namespace=Namespace,
    )
    return environment

"""Hits as one HTML page that needs nothing beside it."""

from __future__ import annotations

import base64
import html
import os
import urllib.parse
from collections.abc import Sequence

from chiasm.rag._hits import Hit

_WORDS = 280
_STYLE = """
:root { color-scheme: light dark; --line: #d8d8d8; --soft: #666; --card: #fff; --page: #f4f4f2 }
@media (prefers-color-scheme: dark) {
  :root { --line: #3a3a3a; --soft: #a0a0a0; --card: #1e1e1e; --page: #131313 }
}
* { box-sizing: border-box }
body { margin: 0 auto; max-width: 72rem; padding: 1.5rem; background: var(--page);
  font: 15px/1.45 system-ui, sans-serif }
h1 { font-size: 1.3rem; margin: 0 0 .2rem; overflow-wrap: anywhere }
.count { color: var(--soft); margin: 0 0 1.2rem }
ol { display: grid; grid-template-columns: repeat(auto-fill, minmax(15rem, 1fr)); gap: 1rem;
  list-style: none; margin: 0; padding: 0 }
li { background: var(--card); border: 1px solid var(--line); border-radius: 8px; overflow: hidden;
  display: flex; flex-direction: column }
.look { display: flex; height: 12rem; align-items: center; justify-content: center;
  background: var(--page); border-bottom: 1px solid var(--line) }
.look img { max-width: 100%; max-height: 100%; display: block }
.about { padding: .7rem .8rem; min-width: 0 }
a { color: inherit; font-weight: 600; overflow-wrap: anywhere }
.where { color: var(--soft); font-size: .85rem; margin: .15rem 0 .4rem; overflow-wrap: anywhere }
.words { margin: 0; overflow-wrap: anywhere; white-space: pre-line }
""".strip()


def page(title: str, hits: Sequence[Hit], thumbnails: dict[str, bytes]) -> str:
    """A page of hits in their order. Every text is escaped: words of a file are never markup."""
    count = "1 result" if len(hits) == 1 else f"{len(hits)} results"
    cards = "\n".join(_card(rank, hit, thumbnails.get(hit.id)) for rank, hit in enumerate(hits, 1))
    name = html.escape(title)
    return f"""<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>{name}</title>
<style>
{_STYLE}
</style>
</head>
<body>
<h1>{name}</h1>
<p class="count">{count}</p>
<ol>
{cards}
</ol>
</body>
</html>
"""


def _card(rank: int, hit: Hit, thumbnail: bytes | None) -> str:
    link = "file://" + urllib.parse.quote(os.fsencode(hit.file_path or hit.path))
    if hit.page is not None:
        link += f"#page={hit.page}"
    name = html.escape(os.path.basename(hit.path))
    folder = html.escape(os.path.dirname(hit.path))
    facts = [hit.kind, hit.place]
    if hit.similarity is not None:
        facts.append(f"similarity {hit.similarity:.2f}")
    look = ""
    if thumbnail is not None:
        data = base64.b64encode(thumbnail).decode("ascii")
        said = html.escape(hit.caption or os.path.basename(hit.path), quote=True)
        look = f'<div class="look"><img src="data:image/jpeg;base64,{data}" alt="{said}"></div>\n'
    words = hit.text or hit.caption
    shown = html.escape(words[:_WORDS] + ("..." if len(words) > _WORDS else ""))
    return (
        f'<li>\n{look}<div class="about">\n'
        f'{rank}. <a href="{html.escape(link, quote=True)}">{name}</a>\n'
        f'<p class="where">{" · ".join(fact for fact in facts if fact)}<br>{folder}</p>\n'
        f'<p class="words">{shown}</p>\n</div>\n</li>'
    )

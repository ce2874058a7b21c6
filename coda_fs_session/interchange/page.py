"""A session as one HTML file that loads nothing, and runs nothing."""

from __future__ import annotations

import html
import re
from collections.abc import Iterator

from ..session.session import Session
from ..session.shapes import Part, parts, role
from .markdown import heading

_LINK = re.compile(r"(?:https?://|mailto:)[^\s<>\"'`]+")
_HEAD = """<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; style-src 'unsafe-inline'">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="referrer" content="no-referrer">
<title>{title}</title>
<style>
body {{ font: 16px/1.5 sans-serif; max-width: 50em; margin: 2em auto; padding: 0 1em; color-scheme: light dark; }}
article {{ border-left: 4px solid gray; padding: 0 1em; margin: 1.5em 0; }}
article.user {{ border-color: steelblue; }}
article.assistant {{ border-color: seagreen; }}
h2 {{ font-size: 1em; color: gray; }}
pre {{ white-space: pre-wrap; overflow-wrap: anywhere; font: inherit; }}
details pre {{ font: 14px/1.4 monospace; }}
</style>
</head>
<body>
<h1>{title}</h1>
"""


def page_of(session: Session) -> Iterator[str]:
    """Yield the parts of a page. Nothing of the session is markup in it, and images are links."""
    title = session.metadata.get("title")
    yield _HEAD.format(title=html.escape(title if isinstance(title, str) and title else session.name))
    for message in session.iter_messages():
        kind = role(message)
        yield f'<article class="{kind if kind in ("user", "assistant", "system", "tool") else "other"}">\n'
        yield f"<h2>{html.escape(heading(message))}</h2>\n"
        for part in parts(message):
            yield _shown(part)
        yield "</article>\n"
    yield "</body>\n</html>\n"


def _shown(part: Part) -> str:
    if part.kind in ("text", "other"):
        return f"<pre>{_linked(part.text)}</pre>\n"
    if part.kind == "reasoning":
        return _folded("Reasoning", part.text) if part.text else ""
    if part.kind == "call":
        return _folded(f"Call of {part.name}", part.arguments)
    if part.kind == "result":
        return _folded(f"Result of {part.name}" if part.name else "Result", part.text)
    return f"<pre>[{part.kind}: {html.escape(part.name)}] {_linked(part.text)}</pre>\n"


def _folded(summary: str, text: str) -> str:
    return f"<details><summary>{html.escape(summary)}</summary><pre>{_linked(text)}</pre></details>\n"


def _linked(text: str) -> str:
    """Return a text as HTML; only addresses of the web and of mail become links."""
    made: list[str] = []
    end = 0
    for match in _LINK.finditer(text):
        address = match.group().rstrip(".,;:!?)]}")
        made.append(html.escape(text[end : match.start()]))
        shown = html.escape(address)
        made.append(f'<a href="{shown}" rel="noopener noreferrer">{shown}</a>')
        end = match.start() + len(address)
    return "".join(made) + html.escape(text[end:])

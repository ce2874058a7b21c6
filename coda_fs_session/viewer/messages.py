"""A message as a page shows it."""

from __future__ import annotations

from datetime import datetime
from typing import Any, NamedTuple

from markupsafe import Markup

from ..session.shapes import Part, model, parts, role, time
from ..session.shapes import preview as first_words
from .text import code, image, linked, markdown, plain, visible

LONGEST = 100_000
"""Characters of a part that a served page shows; the page of the message alone shows all."""
_FOLDED = 3_000
"""Characters from which on a text stands folded."""
_KNOWN = ("user", "assistant", "system", "developer", "tool")


class Passage(NamedTuple):
    """A part of a message.

    Attributes:
        label: what it is, "" for what is said.
        html: what is in it; folded: it is opened by a click; cut: so many characters more are not shown.
    """

    label: str
    html: Markup
    folded: bool = False
    cut: int = 0


class Shown(NamedTuple):
    """A message.

    Attributes:
        number: its place, from 1; anchor: its id in the page.
        role: one of those that the page has a style for; said_by: what the message calls it.
        marks: what happened here, as "tagged good".
    """

    number: int
    anchor: str
    role: str
    said_by: str
    model: str
    when: datetime | None
    passages: list[Passage]
    marks: tuple[str, ...] = ()

    @property
    def is_quiet(self) -> bool:
        """True where all of it is folded, as of most tools."""
        return all(passage.folded for passage in self.passages)


def shown(
    number: int, message: dict[str, Any], *, anchor: str = "", marks: tuple[str, ...] = (), most: int | None = LONGEST
) -> Shown:
    """Return what to show of a message.

    Args:
        most: characters of a part that are shown; None for all.
    """
    said_by = role(message)
    return Shown(
        number,
        anchor or f"m{number}",
        said_by if said_by in _KNOWN else "other",
        said_by or "?",
        model(message),
        time(message),
        [_passage(part, said_by, most) for part in parts(message) if part.text or part.name or part.arguments],
        marks,
    )


def words_of(message: dict[str, Any]) -> str:
    """Return the first words of a message, for a card."""
    return first_words(message) or ""


def _passage(part: Part, said_by: str, most: int | None) -> Passage:
    if part.kind in ("image", "audio", "video", "file"):
        return Passage("", _file(part))
    text = part.arguments or part.text if part.kind == "call" else part.text
    cut = max(len(text) - most, 0) if most is not None else 0
    text = text[: len(text) - cut]
    if part.kind == "text":
        html = markdown(text) if said_by != "tool" else plain(text)
        if said_by == "tool" or (said_by in ("system", "developer") and len(text) > _FOLDED // 4):
            return Passage(_sized(said_by, text), html, folded=True, cut=cut)
        if len(text) > _FOLDED * 10:
            return Passage(_sized("long text", text), html, folded=True, cut=cut)
        return Passage("", html, cut=cut)
    if part.kind == "reasoning":
        return Passage(_sized("reasoning", text), markdown(text), folded=True, cut=cut)
    if part.kind == "call":
        label = f"call of {part.name}" if part.name else "call"
        return Passage(_glance(label, text), code(text, _language(text)), folded=True, cut=cut)
    if part.kind == "result":
        label = f"result of {part.name}" if part.name else "result"
        html = code(text, "json") if _language(text) else plain(text)
        return Passage(_glance(label, text), html, folded=True, cut=cut)
    return Passage(_sized("other", text), code(text, "json"), folded=True, cut=cut)


def _file(part: Part) -> Markup:
    if part.kind == "image":
        return Markup('<p class="file">{}</p>').format(image(part.text, part.name))
    name = visible(f"{part.kind}: {part.name or 'unnamed'}")
    return Markup('<p class="file">[{}] {}</p>').format(name, linked(part.text))


def _language(text: str) -> str:
    return "json" if text[:1] in ("{", "[") and text.rstrip()[-1:] in ("}", "]") else ""


def _sized(label: str, text: str) -> str:
    lines = text.count("\n") + 1
    return f"{label} · {lines:,} line{'' if lines == 1 else 's'}"


def _glance(label: str, text: str) -> str:
    line = " ".join(text[:400].split())[:90]
    return f"{label} · {line}{'…' if len(text) > len(line) else ''}" if line else label

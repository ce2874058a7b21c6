"""What messages say, in the shapes that programs store: role, parts, text, preview."""

from __future__ import annotations

import copy

import pytest
from message_shapes import PICTURE
from message_shapes_of_programs import SHAPES

from coda_fs_session.session.shapes import counted_text, model, parts, preview, role, text


@pytest.mark.parametrize("name", SHAPES)
def test_shapes(name: str) -> None:
    """Each shape gives its role and its parts in order, and is not changed; no part has the bytes of an image."""
    shape = SHAPES[name]
    before = copy.deepcopy(shape.message)
    assert parts(shape.message) == shape.parts
    assert role(shape.message) == shape.role
    assert shape.message == before
    assert not [part for part in parts(shape.message) if PICTURE in "".join(part)]
    assert text(shape.message) == "\n".join(part.text for part in shape.parts if part.kind == "text")
    assert PICTURE not in counted_text(shape.message)


@pytest.mark.parametrize("name", [name for name, shape in SHAPES.items() if any(map(len, shape.parts))])
def test_what_is_said_counts(name: str) -> None:
    """Whatever a shape says or calls is in the text that is counted as tokens."""
    shape = SHAPES[name]
    counted = counted_text(shape.message)
    for part in shape.parts:
        if part.kind in ("text", "call", "result") and "reasoning" not in shape.message:
            assert part.kind != "call" or part.name in counted
            for line in part.text.split("\n"):
                assert line in counted or line.replace('"', '\\"') in counted


def test_models() -> None:
    """The model is found in the message, or in the record that wraps it."""
    assert model({"role": "assistant", "model": "m1", "content": ""}) == "m1"
    assert model({"type": "assistant", "message": {"model": "m2", "content": "x"}}) == "m2"
    assert model({"role": "user", "model": 7}) == ""


def test_previews() -> None:
    """A preview is one line of what a message says first, of 80 characters at most."""
    assert preview({"content": "  Hello,\n\n\tworld  "}) == "Hello, world"
    assert preview({"content": "word " * 100}) == ("word " * 16).rstrip()
    assert preview({"content": "x" * 10**6}) == "x" * 80
    assert (
        preview({"content": [{"type": "thinking", "thinking": "hm"}, {"type": "text", "text": "I look"}]}) == "I look"
    )
    assert preview(SHAPES["Anthropic, results"].message) == "found a b"
    assert preview(SHAPES["OpenAI, calls"].message) == 'grep {"x":1} sh ls'
    assert preview({"content": [{"type": "image", "source": {"data": PICTURE}}]}) == "image"
    assert preview({"content": [{"type": "file", "file": {"filename": "a.pdf"}}]}) == "a.pdf"
    assert preview({}) == preview({"content": " \n"}) == ""


@pytest.mark.parametrize(
    "hidden", ["\x1b[2J", "\u202e", "\u2066", "\u200f", "\x00", "\x9b", "\ud800", "\ufeff", "\u200b"]
)
def test_nothing_unseen_in_a_preview(hidden: str) -> None:
    """Controls, marks of direction, zero-width ones and lone surrogates are left out, and do not hide what follows."""
    shown = preview({"content": f"a{hidden}b {hidden * 200} c"})
    assert shown in ("ab c", "a[2Jb " + "[2J" * 25) or shown.startswith("a[2Jb [2J")
    assert not set(hidden) - set("[2J") & set(shown)


def test_emoji_and_accents_stay() -> None:
    """What joins characters to one sign is no mark of direction."""
    for words in ("👩‍👩‍👧 family", "नमस्ते", "cafe\u0301", "你好,世界", "می‌خواهم"):
        assert preview({"content": words}) == words

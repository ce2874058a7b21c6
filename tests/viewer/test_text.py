"""Texts of others as HTML: what is a link, what is an image, what is seen."""

from __future__ import annotations

import pytest

from coda_fs_session.viewer.text import code, image, is_allowed, linked, markdown, visible

from .hostile import PIXEL, TEXTS
from .markup import Tags, assert_harmless

GOLDEN = {
    "<script>x</script>": "<p>&lt;script&gt;x&lt;/script&gt;</p>\n",
    "a\n\n</script>\n": "<p>a</p>\n<p>&lt;/script&gt;</p>\n",
    "```html\n</script>\n```": (
        '<pre class="code" tabindex="0"><code><span class="p">&lt;/</span><span class="nt">script</span>'
        '<span class="p">&gt;</span>\n</code></pre>'
    ),
    "```\n<b>\n```": '<pre class="code" tabindex="0"><code>&lt;b&gt;\n</code></pre>',
    '<img onerror="x">': "<p>&lt;img onerror=&#34;x&#34;&gt;</p>\n",
    "[a](javascript:x)": "<p>[a](javascript:x)</p>\n",
    "[a](JAVASCRIPT:x)": "<p>[a](JAVASCRIPT:x)</p>\n",
    "[a](&#106;avascript:x)": "<p>[a](javascript:x)</p>\n",
    "[a](/etc/passwd)": "<p>[a](/etc/passwd)</p>\n",
    "[a](#m7)": '<p><a href="#m7" rel="noopener noreferrer">a</a></p>\n',
    "https://a.example/?q=1&b=2.": (
        '<p><a href="https://a.example/?q=1&amp;b=2" rel="noopener noreferrer">https://a.example/?q=1&amp;b=2</a>.</p>\n'
    ),
    "![a](https://a.example/i.png)": (
        '<p><a href="https://a.example/i.png" rel="noopener noreferrer">[image: a]</a></p>\n'
    ),
    "![a](data:image/svg+xml;base64,AAAA)": "<p>![a](data:image/svg+xml;base64,AAAA)</p>\n",
    f"![a]({PIXEL})": f'<p><img src="{PIXEL}" width="1" height="1" alt="a" loading="lazy"></p>\n',
    "&lt;b&gt;": "<p>&lt;b&gt;</p>\n",
    "\u202egnp": "<p>\\u{202e}gnp</p>\n",
    "# Title": '<p class="h1" dir="auto">Title</p>\n',
}


@pytest.mark.parametrize("text", GOLDEN, ids=repr)
def test_golden(text: str) -> None:
    """Markdown becomes this HTML, to the letter."""
    assert markdown(text) == GOLDEN[text]


@pytest.mark.parametrize("text", TEXTS, ids=range(len(TEXTS)))
def test_hostile_texts(text: str) -> None:
    """Nothing of them runs, whichever part of a message they are."""
    frame = "<h1></h1><style></style><script></script>"
    for made in (markdown(text), linked(text), code(text), code(text, "html"), image(text, text), image("x", text)):
        assert_harmless(f"{frame}{made}")


@pytest.mark.parametrize(
    "text", ["[" * 10_000_000, "[" * 20_000, "*a " * 9_999, "![](" * 5_000, "`" * 9_999 + " `" * 9_999]
)
def test_long_texts(text: str) -> None:
    """A line of 10 MB is shown as it is, and what takes a careless reader of Markdown for ever comes to an end."""
    assert len(markdown(text)) > 9_999
    assert "<span" not in code(f"x = 1\n{text}", "python")


@pytest.mark.parametrize("address", ["http://a", "https://a/b?c", "mailto:a@b", "#m7", "HTTPS://A"])
def test_allowed_addresses(address: str) -> None:
    """The web, mail, and places in the page."""
    assert is_allowed(address)


@pytest.mark.parametrize(
    "address",
    [
        "javascript:x",
        " https://a",
        "https://a b",
        "//a",
        "/a",
        "a",
        "?a",
        "data:x",
        "file:///a",
        "ftp://a",
        "https:\\\\a",
    ],
)
def test_refused_addresses(address: str) -> None:
    """All else is text."""
    assert not is_allowed(address)


def test_images_of_unknown_size_are_text() -> None:
    """An image that says it is one of a kind must be that, or its place in the page would not be known."""
    for data in ("AAAA", PIXEL.partition(",")[2][:12], "R0lGODlhAAAAAA=="):
        for kind in ("png", "jpeg", "gif", "webp"):
            assert not Tags(image(f"data:image/{kind};base64,{data}", "a")).attributes("src")
    assert Tags(image("data:image/gif;base64,R0lGODlhAgADAIAAAAAAAP///w==", "a")).found == [
        (
            "img",
            {"src": "data:image/gif;base64,R0lGODlhAgADAIAAAAAAAP///w==", "width": "2", "height": "3"}
            | {"alt": "a", "loading": "lazy"},
        )
    ]


def test_what_nobody_sees_is_shown() -> None:
    """Marks that turn the direction of writing, controls and lone surrogates; joiners of emoji stay."""
    assert visible("a\u202eb\x1b\ud800") == "a\\u{202e}b\\u{1b}\\u{d800}"
    assert visible("👩\u200d🚀 שלום") == "👩\u200d🚀 שלום"

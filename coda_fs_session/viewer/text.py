"""Texts of others as HTML: nothing in them is markup of the page, and nothing in them is loaded.

What leaves this module as `Markup` is safe to put into a page. Everything else is escaped by the templates.
"""

from __future__ import annotations

import base64
import re
import struct
from collections.abc import Callable, MutableMapping, Sequence
from functools import cache
from typing import Any

from markdown_it import MarkdownIt
from markdown_it.renderer import RendererHTML
from markdown_it.token import Token
from markupsafe import Markup, escape
from pygments import highlight
from pygments.formatters import HtmlFormatter
from pygments.lexers import get_lexer_by_name
from pygments.util import ClassNotFound

LONGEST_MARKDOWN = 50_000
"""Characters of a text that is read as Markdown; a longer one is shown as it is, as reading it may take seconds."""
LONGEST_CODE = 20_000
"""Characters of a block of code that gets colours."""
LARGEST_IMAGE = 8_000_000
"""Characters of an image that stands in a message."""

# Controls but tab and newline, marks that turn the direction of writing, separators that break lines, lone surrogates,
# and tag characters, which nobody sees.
_UNSEEN = re.compile(
    "[\0-\x08\x0b-\x1f\x7f-\x9f\u061c\u200b\u200e\u200f\u2028-\u202e\u2060-\u206f\ufeff\ufff9-\ufffb"
    "\ud800-\udfff\U000e0000-\U000e007f]"
)
_ALLOWED = re.compile(r"(?:https?://|mailto:|#)[^\s\\]*", re.IGNORECASE)
_ADDRESS = re.compile(r"(?:https?://|mailto:)[^\s<>\"'`]+")
_IMAGE = re.compile(r"data:image/(png|jpeg|gif|webp);base64,([A-Za-z0-9+/]+={0,2})")
_ENDS = ".,;:!?)]}"


def visible(text: str) -> str:
    r"""Return a text in which what nobody sees is written out: ``\u{202e}`` for a mark that turns the direction."""
    if text.isascii() and text.isprintable():
        return text
    if _UNSEEN.search(text) is None:
        return text
    return _UNSEEN.sub(lambda match: f"\\u{{{ord(match.group()):x}}}", text.replace("\r\n", "\n"))


def linked(text: str) -> Markup:
    """Return a text as it is, in which addresses of the web and of mail are links."""
    text = visible(text)
    made: list[str] = []
    end = 0
    for match in _ADDRESS.finditer(text):
        address = match.group().rstrip(_ENDS)
        made += (escape(text[end : match.start()]), link(address, address))
        end = match.start() + len(address)
    return Markup("".join((*made, escape(text[end:])))) if made else escape(text)


def link(address: str, shown: str) -> Markup:
    """Return a link, or only what it would show where the address is of a kind that is not allowed."""
    if not is_allowed(address):
        return escape(shown)
    return Markup('<a href="{}" rel="noopener noreferrer">{}</a>').format(address, shown)


def is_allowed(address: str) -> bool:
    """Tell whether a link may lead there: the web, mail, and places in the page."""
    return _ALLOWED.fullmatch(address) is not None


def image(address: str, name: str) -> Markup:
    """Return an image that stands in the address itself; of any other one a link, as a page loads nothing."""
    shown = visible(name) or "image"
    found = _IMAGE.fullmatch(address) if len(address) <= LARGEST_IMAGE else None
    size = _size_of(found[1], found[2]) if found else None
    if size is not None:
        picture = Markup('<img src="{}" width="{}" height="{}" alt="{}" loading="lazy">')
        return picture.format(address, *size, shown)
    if is_allowed(address):
        return link(address, f"[image: {shown}]")
    return escape(f"[image: {shown}]")


def code(text: str, language: str = "") -> Markup:
    """Return a block of code, in colours where its language is known."""
    text = visible(text)
    inner = escape(text)
    if language and len(text) <= LONGEST_CODE:
        lexer = _lexer(language[:30])
        if lexer is not None:
            inner = Markup(highlight(text, lexer, _FORMATTER))
    return Markup('<pre class="code" tabindex="0"><code>{}</code></pre>').format(inner)


def markdown(text: str) -> Markup:
    """Return a text that is Markdown; HTML in it is text, and images in it are links."""
    if len(text) > LONGEST_MARKDOWN:
        return plain(text)
    return Markup(visible(_markdown().render(text)))


def plain(text: str) -> Markup:
    """Return a text as it is, with its lines."""
    return Markup('<div class="plain" dir="auto">{}</div>').format(linked(text))


_FORMATTER: HtmlFormatter[str] = HtmlFormatter(nowrap=True)


@cache
def _lexer(language: str) -> Any:
    try:
        return get_lexer_by_name(language, stripnl=False)
    except ClassNotFound:
        return None


@cache
def _markdown() -> MarkdownIt:
    reader = MarkdownIt("commonmark", {"html": False}).enable(["table", "strikethrough"])
    # The allowed list of this package, in place of a list of what is forbidden. Of images `image` decides.
    reader.validateLink = lambda url: is_allowed(url) or _IMAGE.match(url[:40] + "AA") is not None  # type: ignore[method-assign]
    # Plain texts, all of them: what is added to a Markup is escaped.
    rules: dict[str, Any] = {
        "text": _text,
        "link_open": _link_open,
        "link_close": _link_close,
        "image": _image,
        "fence": lambda tokens, place, options, env: str(code(tokens[place].content, _language(tokens[place]))),
        "code_block": lambda tokens, place, options, env: str(code(tokens[place].content)),
        "table_open": lambda *_: '<div class="table" tabindex="0"><table>\n',
        "table_close": lambda *_: "</table></div>\n",
        # No style attribute: the page forbids these.
        "th_open": lambda *_: "<th>",
        "td_open": lambda *_: "<td>",
        # The headings of a message are none of the page.
        "heading_open": lambda tokens, place, *_: f'<p class="h{tokens[place].tag[1:]}" dir="auto">',
        "heading_close": lambda *_: "</p>\n",
    }
    renderer = reader.renderer
    assert isinstance(renderer, RendererHTML)
    renderer.rules |= rules
    return reader


def _language(token: Token) -> str:
    return (token.info.split() or [""])[0]


def _text(tokens: Sequence[Token], place: int, options: Any, env: MutableMapping[str, Any]) -> str:
    said = tokens[place].content
    # A link in a link is none, and most texts have no address.
    return str(escape(said) if env.get("links") or ":" not in said else linked(said))


def _link_open(tokens: Sequence[Token], place: int, options: Any, env: MutableMapping[str, Any]) -> str:
    address = str(tokens[place].attrs.get("href", ""))
    env.setdefault("links", []).append(is_allowed(address))
    if not env["links"][-1]:
        return ""
    return str(Markup('<a href="{}" rel="noopener noreferrer">').format(address))


def _link_close(tokens: Sequence[Token], place: int, options: Any, env: MutableMapping[str, Any]) -> str:
    return "</a>" if env["links"].pop() else ""


def _image(tokens: Sequence[Token], place: int, options: Any, env: MutableMapping[str, Any]) -> str:
    address, name = str(tokens[place].attrs.get("src", "")), tokens[place].content
    return str(escape(f"[image: {name or 'image'}]") if env.get("links") else image(address, name))


def _size_of(kind: str, data: str) -> tuple[int, int] | None:
    """Return width and height of an image, from its first bytes; None where these are not of such an image."""
    try:
        head = base64.b64decode(data[:87380])
        size = _SIZES[kind](head)
    except (ValueError, struct.error, IndexError):
        return None
    return size if size is not None and 0 < size[0] <= 20_000 and 0 < size[1] <= 20_000 else None


def _png(head: bytes) -> tuple[int, int] | None:
    return struct.unpack(">II", head[16:24]) if head[:8] == b"\x89PNG\r\n\x1a\n" else None


def _gif(head: bytes) -> tuple[int, int] | None:
    return struct.unpack("<HH", head[6:10]) if head[:6] in (b"GIF87a", b"GIF89a") else None


def _jpeg(head: bytes) -> tuple[int, int] | None:
    place = 2 if head[:2] == b"\xff\xd8" else len(head)
    while place + 9 < len(head) and head[place] == 0xFF:
        marker, length = head[place + 1], struct.unpack(">H", head[place + 2 : place + 4])[0]
        if 0xC0 <= marker <= 0xCF and marker not in (0xC4, 0xC8, 0xCC):
            height, width = struct.unpack(">HH", head[place + 5 : place + 9])
            return width, height
        place += 2 + length
    return None


def _webp(head: bytes) -> tuple[int, int] | None:
    if head[:4] != b"RIFF" or head[8:12] != b"WEBP":
        return None
    if head[12:16] == b"VP8X":
        return 1 + int.from_bytes(head[24:27], "little"), 1 + int.from_bytes(head[27:30], "little")
    if head[12:16] == b"VP8L":
        bits = int.from_bytes(head[21:25], "little")
        return 1 + (bits & 0x3FFF), 1 + (bits >> 14 & 0x3FFF)
    if head[12:16] == b"VP8 ":
        width, height = struct.unpack("<HH", head[26:30])
        return width & 0x3FFF, height & 0x3FFF
    return None


_SIZES: dict[str, Callable[[bytes], tuple[int, int] | None]] = {
    "png": _png,
    "gif": _gif,
    "jpeg": _jpeg,
    "webp": _webp,
}

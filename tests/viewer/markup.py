"""What is in a page: its tags, as a browser would find them."""

from __future__ import annotations

import re
from html.parser import HTMLParser


class Tags(HTMLParser):
    """The tags of a page with their attributes, and the texts of its scripts.

    Attributes:
        inside: the text that stands in tags of each name.
    """

    def __init__(self, page: str) -> None:
        super().__init__(convert_charrefs=True)
        self.found: list[tuple[str, dict[str, str | None]]] = []
        self.text: list[str] = []
        self._open: list[str] = []
        self.inside: dict[str, list[str]] = {}
        self.feed(page)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.found.append((tag, dict(attrs)))
        self._open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        if tag in self._open:
            while self._open.pop() != tag:
                pass

    def handle_data(self, data: str) -> None:
        self.text.append(data)
        if self._open:
            self.inside.setdefault(self._open[-1], []).append(data)

    def attributes(self, name: str) -> list[str]:
        return [value or "" for _, attributes in self.found for key, value in attributes.items() if key == name]


ALLOWED = frozenset(
    (
        *("a", "abbr", "article", "b", "blockquote", "body", "br", "circle", "code", "dd", "del", "details"),
        *("div", "dl", "dt", "em", "h1", "h2", "h3", "head", "header", "hr", "html", "img", "input", "ins", "kbd"),
        *("label", "li", "main", "meta", "nav", "ol", "p", "path", "pre", "s", "script", "section", "span"),
        *("strong", "style", "summary", "svg", "table", "tbody", "td", "th", "thead", "time", "title", "tr", "ul"),
        *("g"),
    )
)


_LEADS = re.compile(
    r"https?://|mailto:|#|/s/|/compare/|/search|/\?start=|/$|([\w%]+_files/)?\d+\.html#[\w-]+$|\.\./[\w%]+\.html$"
)


def assert_harmless(page: str) -> Tags:
    """Nothing in a page runs, loads or leads elsewhere but what the page itself brings."""
    tags = Tags(page)
    names = [name for name, _ in tags.found]
    assert set(names) <= ALLOWED, set(names) - ALLOWED
    assert names.count("script") == names.count("style") == names.count("h1") == 1
    attributes = {key for _, found in tags.found for key in found}
    assert not [key for key in attributes if key.startswith("on") or key in ("style", "srcdoc", "srcset", "action")]
    for address in tags.attributes("href"):
        assert _LEADS.match(address), address
    assert all(address.startswith("data:image/png;base64,") for address in tags.attributes("src"))
    for name, found in tags.found:
        if name == "a" and (found.get("href") or "").startswith(("http", "mailto")):
            assert found["rel"] == "noopener noreferrer"
    assert not set("\u202e\u2066\u200b\u2028\x00\x1b") & set("".join(tags.text))
    return tags

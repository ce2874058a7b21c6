"""`coda-session help`."""

from __future__ import annotations

from pathlib import Path

import click

from ..columns import Column, write_table
from ..exits import NOT_FOUND, CommandError
from ..run import Run
from ..verb import verb
from ..verbs import ALIASES, VERBS

_GUIDE = "command-line"


@verb("help", "coda-session help guide", "coda-session help syncing")
@click.argument("topic", required=False)
@click.pass_context
def command(context: click.Context, topic: str | None) -> None:
    """Show a page of the manual, or the help of a verb; without TOPIC, which pages there are."""
    run: Run = context.obj
    pages = _pages()
    if topic is None:
        run.out.note("coda-session help TOPIC shows one of these pages, or the help of a verb:")
        write_table(
            run.out, [Column("TOPIC"), Column("PAGE", cut=True)], [(name, _title(pages[name])) for name in pages]
        )
    elif topic in VERBS or topic in ALIASES:
        assert context.parent is not None
        group = context.parent.command
        assert isinstance(group, click.Group)
        found = group.get_command(context.parent, topic)
        assert found is not None
        with click.Context(found, info_name=ALIASES.get(topic, topic), parent=context.parent) as inner:
            run.out.write(found.get_help(inner) + "\n")
    elif topic == "guide" or topic in pages:
        run.out.write(_text(pages[_GUIDE if topic == "guide" else topic]))
    else:
        raise CommandError(f"there is no page {topic!r}; `coda-session help` lists them", NOT_FOUND)


def _pages() -> dict[str, Path]:
    """Return the pages of the manual by what they are asked for by; one that is called as a verb ends with ``.md``."""
    folder = Path(__file__).parents[2]
    found = sorted((folder / "docs").glob("*.md"))
    pages = (*found, folder / "FORMAT.md", folder / "THREATS.md")
    return {page.name if page.stem in VERBS else page.stem: page for page in pages}


def page_names() -> list[str]:
    return ["guide", *_pages()]


def _title(page: Path) -> str:
    return _text(page).partition("\n")[0].lstrip("# ")


def _text(page: Path) -> str:
    return page.read_text(encoding="utf-8")

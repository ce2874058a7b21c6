"""`coda-session view`."""

from __future__ import annotations

from datetime import datetime

import click

from ..exits import USAGE, CommandError
from ..points import find, part_of
from ..run import Run
from ..times import moment
from ..verb import verb


@verb("view", "coda-session view", "coda-session view trip:7 --idle 30m")
@click.argument("name", required=False)
@click.option("--idle", metavar="TIME", default="2h", help="End after so long without an open page: 2h, 0 for never.")
@click.option("--open/--no-open", "opens", default=None, help="Open the link, or only print it.")
@click.pass_obj
def command(run: Run, name: str | None, idle: str, opens: bool | None) -> None:
    """Show sessions in a browser: all of them, or one, with its branches. Ctrl-C ends it.

    The pages are for the browser that opens the link, on this machine alone. Nothing in the store is changed.
    """
    seconds = _seconds(idle)
    manager = run.reading()
    number: int | None = None
    if name is not None:
        way, session = find(manager, name)
        part = part_of(manager, session, way)
        name, number = session.name, part.start + 1 if part.chosen else None
    from ...viewer import Viewer

    run.out.may_page = False
    with Viewer(manager, idle=seconds) as viewer:
        run.out.write(f"{viewer.link(name, number)}\n")
        run.out.finish()
        run.out.note("Ctrl-C ends it")
        if run.out.terminal if opens is None else opens:
            _open(run, viewer.link(name, number, once=True))
        viewer.run()


def _seconds(text: str) -> float | None:
    """Return how long a text says, None for ever.

    Raises:
        CommandError: it says no time.
    """
    if text.strip() == "0":
        return None
    now = datetime.now()
    seconds = (now - moment(text, now)).total_seconds()
    if seconds <= 0:
        raise CommandError(f"--idle takes a time such as 30m or 2h, or 0, not {text!r}", USAGE)
    return seconds


def _open(run: Run, link: str) -> None:
    import webbrowser

    try:
        browser = webbrowser.get()
    except webbrowser.Error:
        return
    if type(browser) is webbrowser.GenericBrowser:
        # One of text would take this terminal.
        return
    if not browser.open(link):
        run.out.note("no browser could be opened: open the link yourself")

"""What the command says without a verb: what is here, and what to do next."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING

from .lists import is_hidden
from .safe import quoted, safe_line
from .telling import counted
from .times import ago, size

if TYPE_CHECKING:
    from .run import Run


def tell(run: Run) -> None:
    """Write it.

    Raises:
        CommandError: there is no store; it says how to begin.
    """
    manager = run.reading()
    infos = [info for info in manager.list_sessions(hidden=True) if not is_hidden(info)]
    messages = sum(info.message_count for info in infos)
    total = size(sum(info.size_bytes for info in infos))
    run.out.write(f"store     {safe_line(run.place())}\n")
    run.out.write(f"sessions  {len(infos):,} with {counted(messages, 'message')}, {total}\n")
    if infos:
        newest = infos[0]
        when = ago(newest.updated_at, datetime.now())
        run.out.write(f"newest    {quoted(newest.name)} ({counted(newest.message_count, 'message')}, {when})\n")
    run.out.write("see       coda-session list, coda-session show @\n")
    run.out.write("more      coda-session --help, coda-session help guide\n")

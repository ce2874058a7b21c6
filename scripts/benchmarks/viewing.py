"""Rows about the viewer: a page, the list, the memory that they take, and the file."""

from functools import partial
from pathlib import Path

from markdown_it import MarkdownIt

from coda_fs_session import SessionManager
from coda_fs_session.viewer.site import Site

from .children import run
from .contenders.ours import Ours
from .lab import Lab
from .measure import Check, Row, Summary, interleave, milliseconds, ratio, ready

FEW = 100
PROCESS = """
import sys
from benchmarks.memory import peak
from coda_fs_session import SessionManager
from coda_fs_session.viewer import Viewer

options = {"storage_path": sys.argv[1], "state_path": sys.argv[2], "max_session_size": 0}
with SessionManager({"session": options}, read_only=True) as manager, Viewer(manager) as viewer:
    for address in sys.argv[3:]:
        assert viewer.site.answer(address).status == 200
    print(peak())
"""


def first_page(lab: Lab) -> Row:
    """A page has 200 messages at most, so the short session has half of it."""
    many, end = f"{lab.scale.large:,}", f"the end of {lab.scale.large:,}"
    short, long = (lab.session(size, names=["ours"]) for size in (FEW, lab.scale.large))
    site = Site(SessionManager(lab.ours.config, read_only=True))
    addresses = {f"{FEW:,}": f"/s/{short}", many: f"/s/{long}", end: f"/s/{long}/at/99999999"}
    contenders = {name: ready(page, site, address) for name, address in addresses.items()}
    results = milliseconds(interleave(contenders, lab.rounds(20)))
    checks = [
        ratio(results, many, f"{FEW:,}", must=2),
        ratio(results, end, f"{FEW:,}"),
        Check("one page", results[many].median, aim=300, unit="ms"),
    ]
    return Row(f"viewer: the first page of {many} messages, and of {FEW}", results, checks)


def page(site: Site, address: str) -> bytes:
    site.forget()
    answer = site.answer(address)
    if answer.status != 200:
        raise RuntimeError(answer.body.decode())
    return answer.body


def list_of_sessions(lab: Lab) -> Row:
    """All rows, read anew, and sent with the words that they show."""
    ours = lab.store_of(lab.scale.many[0])
    manager = SessionManager(ours.config, read_only=True)
    contenders = {"viewer": ready(page, Site(manager), "/sessions.json"), "library": ready(listed, manager)}
    results = milliseconds(interleave(contenders, lab.rounds(20)))
    checks = [ratio(results, "viewer", "library", must=1.5)]
    return Row(f"viewer: the list of {lab.scale.many[0]:,} sessions", results, checks)


def listed(manager: SessionManager) -> list[object]:
    return [(info.name, info.preview) for info in manager.list_sessions(hidden=True)]


def memory(lab: Lab) -> Row:
    """The most that a process takes which shows the list, and a page of a long session."""
    many: Ours = lab.store_of(lab.scale.many[0])
    long = lab.session(lab.scale.large, names=["ours"])
    lab.end_programs()
    programs = {
        f"the list of {lab.scale.many[0]:,}": (many, "/", "/sessions.json"),
        f"a page of {lab.scale.large:,}": (lab.ours, f"/s/{long}", f"/s/{long}/at/99999999"),
    }
    results = {
        name: Summary.once(int(run(["-c", PROCESS, str(ours.store), str(ours.state), *addresses])) / 1e6, "MB")
        for name, (ours, *addresses) in programs.items()
    }
    checks = [Check(name, summary.median, must=60, unit="MB") for name, summary in results.items()]
    return Row("viewer: the most memory of a process", results, checks)


def file(lab: Lab) -> Row:
    """A session as HTML, and its texts as Markdown by markdown-it alone."""
    session = lab.session(lab.scale.medium, names=["ours"])
    manager = SessionManager(lab.ours.config, read_only=True)
    texts = [str(message.get("content")) for message in manager.load_session(session)]
    target = lab.spare() / "session.html"
    contenders = {
        "export": ready(partial(manager.export_session, format="html", overwrite=True), session, target),
        "markdown-it": ready(rendered, texts),
    }
    results = milliseconds(interleave(contenders, lab.rounds(5)))
    checks = [ratio(results, "export", "markdown-it", must=1 / 0.3)]
    size = sum(path.stat().st_size for path in _files(target))
    notes = [f"{size / 1e6:.1f} MB of HTML"]
    return Row(f"export as HTML of {lab.scale.medium:,} messages", results, checks, notes)


def rendered(texts: list[str]) -> int:
    reader = MarkdownIt("commonmark", {"html": False}).enable(["table", "strikethrough"])
    return sum(len(reader.render(text)) for text in texts)


def _files(target: Path) -> list[Path]:
    return [target, *target.parent.glob(f"{target.stem}_files/*")]

"""`coda-session import`: files and usual places, and what could not be read."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from .command import Command

LINES = [
    {"type": "user", "uuid": name, "parentUuid": parent, "sessionId": "s", "message": {"role": "user", "content": text}}
    for name, parent, text in (("u1", None, "Hello"), ("u2", "u1", "More"))
]


@pytest.fixture
def command(tmp_path: Path) -> Command:
    return Command(tmp_path, "files")


def put(path: Path) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(json.dumps(line) + "\n" for line in LINES))
    return path


def test_files(command: Command, tmp_path: Path) -> None:
    """A first import makes a store; a second one has nothing to do; a dry run changes nothing."""
    path = put(tmp_path / "s.jsonl")
    said = command("import", str(path)).out
    assert said.startswith("1 conversation: 1 new, 0 grew (+2 messages), 0 new branches"), said
    assert "1 unchanged" in command("import", str(path)).out
    assert "claude-code/Hello" in command("list").out
    assert "0 new" in command("import", "--dry-run", str(path)).out


def test_usual_places(command: Command) -> None:
    """Alone it lists what is there; with a format it brings that in; where nothing is, it says so."""
    home = Path(command.environment["HOME"])
    assert "name the files" in command("import").err
    assert command("import", "--format", "claude-code").code == 3
    put(home / ".claude" / "projects" / "-p" / "s.jsonl")
    done = command("import")
    assert (done.code, done.out) == (
        *(0, "claude-code: ~/.claude/projects: coda-session import --format claude-code\n"),
    )
    assert "1 new" in command("import", "--format", "claude-code").out


def test_what_cannot_be_read(command: Command, tmp_path: Path) -> None:
    """It is told, with an exit code of its own; what is asked for wrongly has another one."""
    put(tmp_path / "in" / "s.jsonl")
    (tmp_path / "in" / "conversations.json").write_text('[{"mapping": {')
    done = command("import", str(tmp_path / "in"))
    assert (done.code, "1 new" in done.out, "not read" in done.err) == (8, True, True)
    assert command("import", str(tmp_path / "nothing")).code == 3
    assert command("import", "--names", "{x}", str(tmp_path / "in")).code == 2


def test_export_in_other_forms(command: Command, tmp_path: Path) -> None:
    """For reading to stdout or files; lines for training and a family are one file of all."""
    command.fill("trip")
    command.fill("tour")
    assert "## user" in command("export", "trip", "-f", "md").out
    folder = f"{tmp_path}/out/"
    assert command("export", "--all", "-f", "html", "-o", folder).code == 0
    assert sorted(path.name for path in Path(folder).iterdir()) == ["tour.html", "trip.html"]
    for form in ("openai", "family"):
        file = tmp_path / form
        assert command("export", "--all", "-f", form, "-o", str(file)).code == 0
        assert len(file.read_text().splitlines()) >= 2
    assert command("export", "--all", "-f", "family").code == 2
    pairs = ("export", "--all", "-f", "trl", "-o", str(tmp_path / "trl"), "--prefer")
    assert command("tag", "trip", "good").code == 0
    assert [command(*pairs, prefer).code for prefer in ("best", "tag:", "tag:good")] == [2, 2, 0]
    assert "tag 'none'" in command(*pairs, "tag:none", "--overwrite").err


def test_export_of_branches_and_without_secrets(command: Command, tmp_path: Path) -> None:
    """JSON of a session with its branches is one file of all; a pattern that is none is wrong usage."""
    command.fill("trip")
    assert command("branch", "trip@1", "trip by train").code == 0
    assert command("branch", "trip by train@1", "by night train").code == 0
    file = tmp_path / "family.json"
    assert command("export", "trip", "--branches", "-o", str(file)).code == 0
    assert [each["name"] for each in json.loads(file.read_bytes())["sessions"]] == [
        *("trip", "trip by train", "by night train"),
    ]
    assert len(command("export", "trip", "--branches", "-f", "jsonl").out.splitlines()) == 4
    assert "[redacted]" in (shown := command("export", "trip", "--redact", "[A-Z]", "--redact", "q{9}").out), shown
    assert command("export", "trip", "--redact", "(").code == 2
    assert command("export", "trip", "--redact", "").code == 2

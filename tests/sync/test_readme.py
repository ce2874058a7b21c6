"""What the README says about syncing is what happens."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import pytest
from storekit import ROOT

from .stores import Machine, begin, check, diverge, run, tool

README = (ROOT / "README.md").read_text(encoding="utf-8")
SECTION = README.partition("## Syncing between machines")[2].partition("\n## ")[0]


def blocks(language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```", SECTION, re.DOTALL | re.MULTILINE)


def test_both_sides_write_as_shown(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The output below the example is what it prints."""
    (example,), (output,) = blocks("python"), blocks("text")
    exec(compile(example.replace("tempfile.mkdtemp()", repr(str(tmp_path))), "README.md", "exec"), {})
    assert capsys.readouterr().out == output


def test_rsync_as_shown(here: Machine, there: Machine) -> None:
    """Both machines write between two runs of the rsync commands, and once more: both have everything and agree."""
    program = tool("rsync")
    (script,) = blocks("sh")

    def sync() -> None:
        for line in script.splitlines():
            words = shlex.split(line, comments=True)
            assert words[0] == "rsync"
            places = {"~/chats": str(here.store), "desk:chats": str(there.store), "laptop": here.replica}
            arguments = words[1:]
            for said, meant in places.items():
                arguments = [each.replace(said, meant) for each in arguments]
            run(program, *arguments)

    begin(here)
    sync()
    diverge(here, there)
    sync()
    sync()
    check(here, there)
    assert here.data() == there.data()
    here.work(["say", "chat", "more here"])
    there.work(["say", "twig", "more there"])
    sync()
    sync()
    assert {"more here", "more there"} <= here.texts() == there.texts()
    assert here.view() == there.view()

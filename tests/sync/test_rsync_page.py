"""The rsync commands of the page on syncing do what it says."""

from __future__ import annotations

import re
import shlex

from storekit import ROOT

from .stores import Machine, begin, check, diverge, run, tool

PAGE = (ROOT / "coda_fs_session" / "docs" / "syncing.md").read_text(encoding="utf-8")


def test_rsync_as_shown(here: Machine, there: Machine) -> None:
    """Both machines write between two runs of the rsync commands, and once more: both have everything and agree."""
    program = tool("rsync")
    (script,) = re.findall(r"^```sh machines\n(.*?)^```", PAGE, re.DOTALL | re.MULTILINE)

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

"""Run every block of a page as a reader would who begins with an empty home: `python run_page.py PAGE`.

Blocks run in page order: Python in this one process, `sh` in a shell of its own in the home folder, `toml` by opening a
manager with it (or by loading its templates). A `text` block right below one that ran must be what that one printed.
A block with a note after its language (```` ```sh elsewhere ````) needs what an empty home has not, and is passed over.
So is one with a tool that this machine has not.

It is a program, and no function of the tests, so that nothing of a test is there to help. The last line of its output
is a JSON list of the problems.
"""

from __future__ import annotations

import contextlib
import io
import json
import subprocess
import sys
import tomllib
import traceback
from pathlib import Path

from page import Passage, missing_tools, read_page

PYTHON = ("python", "listing")


def main(path: Path) -> None:
    names: dict[str, object] = {"__name__": "__main__"}
    problems: list[str] = []
    below, printed = 0, None  # the line of an output that would belong to the last block, and what that one printed
    for passage in read_page(path):
        place = f"{path.name}:{passage.line}"
        if passage.kind == "text":
            if passage.line != below:
                problems.append(f"{place}: this output stands right below no block")
            elif printed is not None and passage.text.strip() != printed.strip():
                problems.append(f"{place}: what is printed is\n{printed}")
            continue
        # Two lines of fences stand between a block and its output, and one that is empty.
        below, printed = passage.line + len(passage.text.split("\n")) + 3, None
        if passage.note or passage.kind not in (*PYTHON, "sh", "toml"):
            continue
        if missing_tools(passage):
            continue
        try:
            printed = run(passage, names)
        except BaseException as error:
            trace = error.__traceback__
            while trace is not None and trace.tb_frame.f_code.co_filename != str(path):
                trace = trace.tb_next
            problems.append(f"{place}: {''.join(traceback.format_exception(type(error), error, trace))}")
    print("\n" + json.dumps(problems))


def run(passage: Passage, names: dict[str, object]) -> str:
    """Run a block and return what it printed; it raises what the block raises."""
    printed = io.StringIO()
    if passage.kind in PYTHON:
        # The empty lines above the code give it the line numbers that it has on the page.
        source = "\n" * (passage.line - 1) + passage.text
        with contextlib.redirect_stdout(printed):
            exec(compile(source, str(passage.page), "exec", dont_inherit=True), names)
    elif passage.kind == "sh":
        shell = ["bash", "-euo", "pipefail", "-c", passage.text]
        done = subprocess.run(shell, capture_output=True, text=True, timeout=120, check=False)
        if done.returncode:
            raise RuntimeError(f"ended with {done.returncode}: {done.stdout}{done.stderr}")
        return done.stdout
    else:
        load_settings(passage)
    return printed.getvalue()


def load_settings(passage: Passage) -> None:
    from coda_fs_session import SessionManager

    if "[session" not in passage.text and "[templates" not in passage.text:
        tomllib.loads(passage.text)
        return
    file = Path(f"settings-{passage.line}.toml")
    file.write_text(passage.text, encoding="utf-8")
    with SessionManager.from_toml(file) as manager:
        if "[templates" in passage.text:
            manager.templates.load(file)


if __name__ == "__main__":
    main(Path(sys.argv[1]))

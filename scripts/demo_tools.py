"""The last step of the demo: the store is read with text tools, and verified without the library."""

from __future__ import annotations

import hashlib
import json
import os
import shlex
import shutil
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import orjson
from demo_text import BOLD, PLAIN, Message, Stopwatch, heading, plural, words

READ_STORE = Path(__file__).resolve().parent / "read_store"


def show_text_tools(store: Path, name: str, word: str, messages: Sequence[Message], watch: Stopwatch) -> None:
    """Read one session without this library, and compare it with `messages`, which the library read."""
    heading("8. The same without this library")
    missing = [tool for tool in ("jq", "zstdcat", "sha256sum") if shutil.which(tool) is None]
    if missing:
        print(f"  !! {' and '.join(missing)} NOT INSTALLED: what needs them is left out.")
        print("  !! On Debian and Ubuntu: sudo apt install jq zstd coreutils\n")

    # read_store asks for a python3: let it be the one that runs this, for another may be too old.
    environment = os.environ | {"PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ.get('PATH', '')}"}

    def run(command: str, lines: int = 4) -> str:
        """Run a command in the store, and show it with the first lines that it prints."""
        if any(tool in command for tool in missing):
            print(f"  !! left out: {command}\n")
            return ""
        result = subprocess.run(
            ["sh", "-c", command], cwd=store, env=environment, stdin=subprocess.DEVNULL, capture_output=True, text=True
        )
        print(f"  {BOLD}$ {command}{PLAIN}")
        output = (result.stdout + result.stderr).splitlines()
        for line in output[:lines]:
            print(f"    {words(line, 104)}")
        if len(output) > lines:
            print(f"    ... {plural(len(output) - lines, 'line')} more")
        print()
        return result.stdout

    print(f"  $ cd {store}\n")
    with watch("the same with grep, jq, zstdcat and sha256sum"):
        run("find refs -name '*.jsonl' -exec awk 'FNR==1' {} + | jq -r .name | sort")
        header = json.dumps({"coda_fs_session": 1, "name": name}, ensure_ascii=False, separators=(",", ":"))[:-1]
        ref = run(f"grep -rlF {shlex.quote(header)} refs").strip()
        run(f"tail -n +2 {ref} | jq -c '.messages[]?'")
        run(f"find refs -name '*.jsonl' -exec awk 'FNR>1' {{}} + | tr '\\t' '\\n' | grep -iF {shlex.quote(word)}", 3)
        objects = run(f"head -n1 {ref} | jq -r '.base | .spine[0][]?, .tail | values | .[0]'").split()
        objects = objects or sorted(path.name.split(".")[0] for path in store.glob("objects/*/*"))
        for form in ("jsonl", "jsonl.zst"):
            found = [path for name in reversed(objects) for path in store.glob(f"objects/*/{name}.{form}")]
            if found:
                path = found[0].relative_to(store)
                run(f"sha256sum {path}" if form == "jsonl" else f"zstdcat {path} | sha256sum")
                run(f"{'cat' if form == 'jsonl' else 'zstdcat'} {path} | jq -r .role | sort | uniq -c")
    if missing:
        return
    print("  scripts/read_store does all of that, and verifies every hash on the way:\n")
    with watch("rebuild and verify it with scripts/read_store"):
        digest = run(f"{shlex.quote(str(READ_STORE))} . {shlex.quote(name)} | sha256sum")
    if digest.split()[0] != hashlib.sha256(b"".join(orjson.dumps(message) + b"\n" for message in messages)).hexdigest():
        sys.exit(f"error: read_store and the library do not agree about {name!r}")
    print(f"  The {plural(len(messages), 'message')} that the library returns have the same hash.")

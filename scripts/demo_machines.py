"""The steps of the demo that show what may happen to a store: two machines, killed processes, a secret."""

from __future__ import annotations

import json
import random
import shutil
import subprocess
import sys
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from demo_text import Message, Progress, Stopwatch, cell, heading, plural, said, words

from coda_fs_session import Redact, Session, SessionManager

WRITER = Path(__file__).resolve().parent / "demo_writer.py"
KILLS = 5


def show_machines(folder: Path, messages: Sequence[Message], watch: Stopwatch) -> None:
    """Let two machines go on with one conversation apart, and bring their folders together."""
    heading("5. Two machines go on with one conversation, and meet")
    name = "trip"

    def on(machine: str) -> SessionManager:
        options = {"storage_path": folder / machine, "state_path": folder / f"{machine}-state", "replica": machine}
        return SessionManager({"session": options})

    def say(machine: str, text: str) -> None:
        with on(machine) as manager:
            session = manager.load_session(name)
            session.add_message({"role": "user", "content": text})
            manager.save_session(session)
        print(f"  {machine} adds: {text}")

    def copy(source: str, target: str) -> None:
        # Any tool will do: each machine writes files of its own only, and this overwrites none with an older one.
        shutil.copytree(folder / source, folder / target, dirs_exist_ok=True)

    with watch("two machines go on apart, and copy their folders to each other"):
        with on("laptop") as manager:
            manager.save_session(Session(name, list(messages)))
        copy("laptop", "desk")
        print(f"  Both have the folder with the session {name!r} of {plural(len(messages), 'message')}.")
        say("laptop", "With a beach, please.")
        say("desk", "With mountains, please.")
        copy("laptop", "desk")
        copy("desk", "laptop")
        seen, told = {}, dict[str, str]()
        for machine in ("laptop", "desk"):
            with warnings.catch_warnings(record=True) as caught, on(machine) as manager:
                warnings.simplefilter("always")
                infos = sorted(manager.list_sessions(), key=lambda info: info.name)
                seen[machine] = [(info, manager.load_session(info.name).get_messages()) for info in infos]
            for warning in caught:
                told[machine] = str(warning.message)
    print("\n  The files are copied both ways. Both machines show both sides, under the same names:\n")
    for machine, sides in seen.items():
        print(f"  {machine}:")
        for info, held in sides:
            last = words(said(held[-1]), 40)
            apart = f", apart after message {info.diverged_at}" if info.sides else ""
            print(
                f"    {cell(info.name, 16)}{plural(len(held), 'message'):>11}  {cell(last, 26)}by {info.replica}{apart}"
            )
    for machine, text in told.items():
        print(f"\n  {machine} is told: {text}")
    content = [[(info.name, held) for info, held in sides] for sides in seen.values()]
    both = {str(said(held[-1])) for _, held in content[0]}
    if content[0] != content[1] or both != {"With a beach, please.", "With mountains, please."}:
        sys.exit("error: the two machines do not show the same, or lack a message")


def show_kills(options: dict[str, Any], manager: SessionManager, watch: Stopwatch) -> None:
    """Kill a process that saves, at some moment, and look for every message that it was told is saved."""
    heading("6. A process is killed while it saves")
    name = "demo/killed"
    with watch(f"start and kill {KILLS} processes that save"):
        progress = Progress("processes killed", KILLS)
        for _ in range(KILLS):
            acknowledged = _run_and_kill(options, name, random.randint(15, 40))
            held = manager.load_session(name).get_messages()
            if len(held) < acknowledged or [said(each) for each in held] != [
                f"message {number}" for number in range(1, len(held) + 1)
            ]:
                sys.exit(f"error: of {acknowledged} saved messages {len(held)} are there, or not in order")
            print(f"  kill -9 after message {acknowledged:>3} was saved: {len(held):>3} are there, whole and in order")
            progress.step()
        progress.end()


def _run_and_kill(options: dict[str, Any], name: str, saves: int) -> int:
    """Return the number of the last message that a process had saved when it was killed."""
    command = [sys.executable, str(WRITER), json.dumps(options), name]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as writer:
        assert writer.stdout is not None
        numbers = [int(writer.stdout.readline() or 0) for _ in range(saves)]
        writer.kill()
        numbers += [int(line) for line in writer.stdout if line.endswith("\n")]
    return max(numbers)


def show_secret(manager: SessionManager, folders: Sequence[Path], watch: Stopwatch) -> None:
    """Keep a secret out of the store, and look for it in every byte on the disk."""
    heading("7. A secret that somebody types in is kept out")
    secret = "sk-" + "".join(random.choices("abcdefghijkmnpqrstuvwxyz23456789", k=20))
    print('  manager.use(Redact([r"sk-[A-Za-z0-9]{8,}"], "[redacted]"))\n')
    with watch("save two messages with a secret, and search every file for it"):
        remove = manager.use(Redact([r"sk-[A-Za-z0-9]{8,}"], "[redacted]"))
        session = manager.create_session("demo/secret")
        session.add_message({"role": "user", "content": f"My key is {secret}, does it work?"})
        session.messages.append({"role": "tool", "content": "", "output": {"env": [f"KEY={secret}"]}})
        manager.save_session(session)
        remove()
        files = [path for folder in folders for path in folder.rglob("*") if path.is_file()]
        found = [path for path in files if secret.encode() in path.read_bytes()]
    print(f"  typed in: My key is {secret}, does it work?")
    for message in session.get_messages():
        print(f"  stored:   {json.dumps(message, ensure_ascii=False)}")
    if found:
        sys.exit(f"error: the secret is in {found[0]}")
    print(f"\n  It is in none of the {plural(len(files), 'file')} of the store and of the state beside it.")

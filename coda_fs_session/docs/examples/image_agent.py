"""An agent that looks at pictures, and survives `kill -9`: `python image_agent.py STORE NAME STEPS`.

Each step is one save: the picture that the agent looked at and what the model said of it. Killed anywhere and started
again, it goes on at the step after the last one that was saved.
"""

from __future__ import annotations

import base64
import random
import struct
import sys
import zlib
from typing import Any

from coda_fs_session import Session, SessionManager


class FakeModel:
    """In the place of a model of yours; it tells how large a picture is."""

    def look(self, messages: list[dict[str, Any]]) -> str:
        picture = base64.b64decode(messages[-1]["content"][0]["data"])
        return f"I see a picture of {len(picture):,} bytes, after {len(messages) - 1} messages."


def screenshot(step: int) -> bytes:
    """Draw a PNG of 200 x 200 points, another one for each step: no two are alike, as with real ones."""
    points = random.Random(step)
    rows = b"".join(b"\0" + points.randbytes(3 * 200) for _ in range(200))

    def part(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    header = struct.pack(">IIBBBBB", 200, 200, 8, 2, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + part(b"IHDR", header) + part(b"IDAT", zlib.compress(rows)) + part(b"IEND", b"")


def take(step: int, session: Session, model: FakeModel) -> None:
    data = base64.b64encode(screenshot(step)).decode()
    session.add_message(
        {"role": "tool", "step": step, "content": [{"type": "image", "media_type": "image/png", "data": data}]}
    )
    # The last messages are enough for a model, and need not be read from the start.
    session.add_message({"role": "assistant", "step": step, "content": model.look(session.get_messages(limit=5))})


def main() -> None:
    store, name, steps = sys.argv[1], sys.argv[2], int(sys.argv[3])
    model = FakeModel()
    # Nothing but a whole step is ever saved: an autosave could come in the middle of one.
    with SessionManager({"session": {"storage_path": store, "autosave_interval": 0}}) as manager:
        session = manager.create_session(name)
        if len(session) % 2:
            session.messages.pop()  # an error, not a kill, left a step half-made
        last = session.get_messages(limit=1)
        for step in range(last[0]["step"] + 1 if last else 0, steps):
            take(step, session, model)
            manager.save_session(session)
            print(f"step {step} is saved", flush=True)


if __name__ == "__main__":
    main()

"""Transcripts of the Claude Agent SDK in a store: `python claude_agent_sdk_store.py [STORE]`.

With the real program, give the store to `ClaudeAgentOptions(session_store=store)`. Here two entries are in its place.
"""

import asyncio
import sys
from typing import Any

from coda_fs_session import SessionManager
from coda_fs_session.integrations.claude_agent_sdk import CodaSessionStore

SESSION = "11111111-1111-4111-8111-111111111111"
ENTRIES: list[Any] = [
    {"type": "user", "uuid": "a", "message": {"role": "user", "content": "Where is it warm?"}},
    {"type": "assistant", "uuid": "b", "message": {"role": "assistant", "content": "On Crete."}},
]


async def main(manager: SessionManager) -> None:
    store = CodaSessionStore(manager)
    await store.append({"project_key": "-home-ann", "session_id": SESSION}, ENTRIES)
    await store.fork({"project_key": "-home-ann", "session_id": SESSION}, up_to="a")
    print(len(await store.list_sessions("-home-ann")), "sessions")
    for info in manager.list_sessions():
        print(info.preview.first, info.message_count)


with SessionManager(sys.argv[1] if len(sys.argv) > 1 else None) as manager:
    asyncio.run(main(manager))

"""A memory of LlamaIndex that is there tomorrow: `python llama_index_memory.py [STORE]`."""

import asyncio
import sys

from llama_index.core.llms import ChatMessage, MockLLM
from llama_index.core.memory import Memory

from coda_fs_session import SessionManager
from coda_fs_session.integrations.llama_index import CodaMemoryStore


async def main(manager: SessionManager) -> None:
    memory = Memory.from_defaults(session_id="ann", chat_store=CodaMemoryStore(manager))
    await memory.aput(ChatMessage("Where is it warm in March?"))
    answer = await MockLLM(max_tokens=2).achat(await memory.aget())
    await memory.aput(answer.message)
    for message in await memory.aget():
        print(message)


with SessionManager(sys.argv[1] if len(sys.argv) > 1 else None) as manager:
    asyncio.run(main(manager))

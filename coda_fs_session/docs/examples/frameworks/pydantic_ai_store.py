"""An agent of pydantic-ai that goes on tomorrow, with a scripted model: `python pydantic_ai_store.py [STORE]`."""

import asyncio
import sys

from pydantic_ai import Agent
from pydantic_ai.conversation import Conversation
from pydantic_ai.models.test import TestModel

from coda_fs_session import SessionManager
from coda_fs_session.integrations.pydantic_ai import CodaConversationStore


async def main(manager: SessionManager) -> None:
    store = CodaConversationStore(manager)
    agent = Agent(TestModel(custom_output_text="On Crete."))
    for question in ("Where is it warm in March?", "And in May?"):
        conversation = await store.load("ann") or Conversation(conversation_id="ann")
        await store.save(await agent.run(question, conversation=conversation))
    # Another conversation that begins with the first question and its answer, which both share.
    await store.fork("ann", at=2, new_conversation_id="ann-2")
    for info in sorted(manager.list_sessions(), key=lambda info: info.name):
        print(info.name, info.message_count)


with SessionManager(sys.argv[1] if len(sys.argv) > 1 else None) as manager:
    asyncio.run(main(manager))

"""An agent of the OpenAI Agents SDK that goes on tomorrow: `python openai_agents_sdk.py [STORE]`."""

import asyncio
import sys

from agents import Agent, Runner
from agents.testing import ScriptedModel, assistant_message

from coda_fs_session import SessionManager
from coda_fs_session.integrations.openai_agents import CodaSession


async def main(manager: SessionManager) -> None:
    session = CodaSession("ann", manager)
    model = ScriptedModel([[assistant_message("Crete.")], [assistant_message("Madeira.")]])
    agent = Agent(name="guide", model=model)
    await Runner.run(agent, "Where is it warm in March?", session=session)
    # Another answer to the same question, in a branch.
    await session.create_branch_from_turn(1, "again")
    await Runner.run(agent, "Where is it warm in March?", session=session)
    for name in ("main", "again"):
        print(name, [item.get("role") for item in await session.get_items(branch_id=name)])


with SessionManager(sys.argv[1] if len(sys.argv) > 1 else None) as manager:
    asyncio.run(main(manager))

"""An agent of Strands that goes on tomorrow, with a scripted model: `python strands_agents_repository.py [STORE]`."""

import sys
from collections.abc import AsyncIterator
from typing import Any

from strands import Agent
from strands.models import Model
from strands.session import RepositorySessionManager

from coda_fs_session import SessionManager
from coda_fs_session.integrations.strands_agents import CodaSessionRepository


class Scripted(Model):
    def update_config(self, **config: Any) -> None: ...

    def get_config(self) -> Any: ...

    def structured_output(self, *args: Any, **kwargs: Any) -> Any: ...

    async def stream(self, *args: Any, **kwargs: Any) -> AsyncIterator[Any]:
        yield {"messageStart": {"role": "assistant"}}
        yield {"contentBlockDelta": {"delta": {"text": "On Crete."}, "contentBlockIndex": 0}}
        yield {"messageStop": {"stopReason": "end_turn"}}


with SessionManager(sys.argv[1] if len(sys.argv) > 1 else None) as manager:
    for question in ("Where is it warm?", "And in May?"):
        keeper = RepositorySessionManager("trip", CodaSessionRepository(manager))
        Agent(Scripted(), session_manager=keeper, agent_id="guide", callback_handler=None)(question)
    info = manager.list_sessions()[0]
    print(info.name, info.message_count)

"""An agent of Google's ADK that goes on tomorrow, with a scripted model: `python google_adk_service.py [STORE]`."""

import asyncio
import sys
from collections.abc import AsyncGenerator

from google.adk.agents import LlmAgent
from google.adk.models import BaseLlm
from google.adk.models.llm_request import LlmRequest
from google.adk.models.llm_response import LlmResponse
from google.adk.runners import Runner
from google.genai import types

from coda_fs_session import SessionManager
from coda_fs_session.integrations.google_adk import CodaSessionService


class Scripted(BaseLlm):
    async def generate_content_async(
        self, llm_request: LlmRequest, stream: bool = False
    ) -> AsyncGenerator[LlmResponse, None]:
        yield LlmResponse(content=types.Content(role="model", parts=[types.Part(text="On Crete.")]))


async def main(manager: SessionManager) -> None:
    service = CodaSessionService(manager)
    runner = Runner(
        app_name="app", agent=LlmAgent(name="guide", model=Scripted(model="scripted")), session_service=service
    )
    await service.create_session(app_name="app", user_id="ann", session_id="trip")
    for question in ("Where is it warm?", "And in May?"):
        said = types.Content(role="user", parts=[types.Part(text=question)])
        async for _event in runner.run_async(user_id="ann", session_id="trip", new_message=said):
            pass
    info = manager.list_sessions()[0]
    print(info.name, info.message_count)


with SessionManager(sys.argv[1] if len(sys.argv) > 1 else None) as manager:
    asyncio.run(main(manager))

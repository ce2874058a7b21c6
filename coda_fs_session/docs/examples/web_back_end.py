"""A web back end with many users: `pip install fastapi uvicorn`, then `uvicorn web_back_end:app --workers 4`.

Each request opens its session by the user's name and the chat's, under a lock of that session. Other workers save to
the same store: what two of them add to one chat at the same time is put one after the other.
"""

from __future__ import annotations

import os
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from threading import Lock
from typing import Annotated, Any
from zlib import crc32

from fastapi import Depends, FastAPI, Header, HTTPException, Query, Request
from fastapi.responses import JSONResponse
from pydantic import BaseModel, Field

from coda_fs_session import (
    InvalidNameError,
    Session,
    SessionExistsError,
    SessionManager,
    SessionNotFoundError,
    SessionTooLargeError,
)

USERS = {"token-of-ann": "ann", "token-of-bob": "bob"}  # a real back end asks what knows its users
STATUS = {SessionNotFoundError: 404, SessionExistsError: 409, InvalidNameError: 422, SessionTooLargeError: 413}


class FakeModel:
    """In the place of a model of yours."""

    def answer(self, messages: list[dict[str, Any]]) -> str:
        return f"I have read {len(messages)} messages."


class Question(BaseModel):
    text: str


class Fork(BaseModel):
    name: Annotated[str, Field(pattern="^[^/]+$")]
    at: int | None = None


@asynccontextmanager
async def lifespan(app: FastAPI) -> AsyncIterator[None]:
    """Open one manager a process; what is not saved is saved when the process ends."""
    with SessionManager(os.environ.get("CHATS", "~/chats")) as manager:
        app.state.manager = manager
        yield


app = FastAPI(lifespan=lifespan)
model = FakeModel()
locks = [Lock() for _ in range(256)]  # as many as there may be; two chats may share one, which costs a wait


def user_of(authorization: Annotated[str, Header()]) -> str:
    user = USERS.get(authorization.removeprefix("Bearer "))
    if user is None:
        raise HTTPException(401, "unknown token")
    return user


def manager_of(request: Request) -> SessionManager:
    manager: SessionManager = request.app.state.manager
    return manager


User = Annotated[str, Depends(user_of)]
Manager = Annotated[SessionManager, Depends(manager_of)]


@contextmanager
def opened(manager: SessionManager, name: str, *, create: bool = False) -> Iterator[Session]:
    """Hold the session's lock, and show what the store has now, also when another worker wrote it."""
    with locks[crc32(name.encode()) % len(locks)]:
        session = manager.create_session(name) if create else manager.load_session(name)
        session.reload()
        yield session


# These are plain functions: FastAPI runs them in threads, and a slow disk holds up one request alone.
@app.get("/chats")
def chats(user: User, manager: Manager) -> list[dict[str, Any]]:
    return [
        {"name": info.name.partition("/")[2], "title": info.preview.first, "messages": info.message_count}
        for info in manager.list_sessions(prefix=f"{user}/")
    ]


@app.get("/chats/{chat}")
def messages(chat: str, user: User, manager: Manager, limit: Annotated[int, Query(ge=0)] = 50) -> list[dict[str, Any]]:
    with opened(manager, f"{user}/{chat}") as session:
        return session.get_messages(limit=limit)


@app.post("/chats/{chat}")
def ask(chat: str, question: Question, user: User, manager: Manager) -> dict[str, Any]:
    with opened(manager, f"{user}/{chat}", create=True) as session:
        session.add_message({"role": "user", "content": question.text})
        manager.save_session(session)  # durable before the model is asked
        answer = {"role": "assistant", "content": model.answer(session.get_messages())}
        session.add_message(answer)
        manager.save_session(session)
        return answer


@app.post("/chats/{chat}/fork")
def fork(chat: str, wanted: Fork, user: User, manager: Manager) -> dict[str, Any]:
    with opened(manager, f"{user}/{chat}") as session:
        branch = manager.create_session(f"{user}/{wanted.name}", branch_from=session.name, at=wanted.at)
        return {"name": wanted.name, "messages": len(branch)}


@app.delete("/chats/{chat}")
def delete(chat: str, user: User, manager: Manager) -> None:
    manager.delete_session(f"{user}/{chat}")


def refuse(request: Request, error: Exception) -> JSONResponse:
    """Tell the client what the error is, and nothing of the server's folders."""
    status = next(status for kind, status in STATUS.items() if isinstance(error, kind))
    return JSONResponse({"detail": type(error).__name__}, status)


for kind in STATUS:
    app.add_exception_handler(kind, refuse)

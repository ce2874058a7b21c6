"""Event loops of both kinds, and a store to use in them."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import anyio
import pytest

LIMIT = 30  # seconds; only a failure waits that long
Config = dict[str, dict[str, Any]]
Loop = Callable[[Callable[[], Awaitable[Any]]], Any]


@pytest.fixture(params=["asyncio", "trio"])
def loop(request: pytest.FixtureRequest) -> Loop:
    """What runs a coroutine function in an event loop."""

    def run(main: Callable[[], Awaitable[Any]]) -> Any:
        async def limited() -> Any:
            with anyio.fail_after(LIMIT):
                return await main()

        return anyio.run(limited, backend=request.param)

    return run


@pytest.fixture
def config(tmp_path: Path) -> Config:
    return {"session": {"storage_path": str(tmp_path / "store"), "state_path": str(tmp_path / "state")}}


def hello(number: int = 0) -> dict[str, Any]:
    return {"role": "user", "content": f"hello {number}"}

"""The conversations of this project, and any number more of their kind, made by a seed.

What is made repeats what people and agents say in `fixtures/conversations`, in another order and in other lengths. The
same seed gives the same messages on every machine.
"""

from __future__ import annotations

import json
import random
import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

CONVERSATIONS = Path(__file__).resolve().parents[2] / "fixtures" / "conversations"

_SENTENCE = re.compile(r"(?<=[.!?。？！]) ?|\n+")
_LEAST = 20
"""Messages to take over before another one of a kind that is rare: a tool call, or a large output."""

Message = dict[str, Any]


def conversation_files() -> list[Path]:
    """Return the files of conversations; there is at least one."""
    files = sorted(CONVERSATIONS.glob("*.jsonl"))
    if not files:
        raise SystemExit(f"no conversations in {CONVERSATIONS}: is this a whole copy of the repository?")
    return files


@cache
def conversations() -> tuple[dict[str, Any], ...]:
    """Return every conversation as it is in the files."""
    return tuple(json.loads(line) for path in conversation_files() for line in path.read_bytes().splitlines())


def conversation(identity: str) -> list[Message]:
    """Return the messages of one conversation, by its id."""
    found = next(each for each in conversations() if each["id"] == identity)
    return json.loads(json.dumps(found["messages"]))


def long_conversation(count: int, *, seed: int = 0, mean_bytes: int = 500) -> Iterator[Message]:
    """Yield `count` messages of one conversation: talk, and here and there a tool that is called and answers.

    Args:
        mean_bytes: about how long a message of the talk is as JSON, on average; a tenth are much longer.
    """
    dice = random.Random(seed)
    sentences, calls = _sentences(), _calls()
    made = 0
    while made < count:
        if made % _LEAST == _LEAST - 1 and count - made >= 2:
            for message in dice.choice(calls):
                yield json.loads(json.dumps(message))
            made += 2
            continue
        size = min(dice.lognormvariate(0, 0.8) * mean_bytes / 1.4, 60_000)
        content = dice.choice(sentences)
        while len(content.encode()) < size:
            content += " " + dice.choice(sentences)
        yield {"role": ("user", "assistant")[made % 2], "content": content}
        made += 1


def short_conversations(count: int, *, seed: int = 0) -> Iterator[dict[str, Any]]:
    """Yield conversations of 2 to 16 messages, in the form of the files and each with an id of its own."""
    dice = random.Random(seed)
    talks = [each for each in conversations() if not each["metadata"].get("tree") and len(each["messages"]) > 2]
    for number in range(count):
        source = dice.choice(talks)
        messages = source["messages"]
        length = min(2 + int(dice.expovariate(0.25)), 16, len(messages))
        # From the beginning, as most chats are left after a few turns; a number tells one from the other.
        opening = {"role": "user", "content": f"({number}) {dice.choice(_sentences())}"}
        yield {
            "source": "made",
            "id": f"made/{seed}/{number:06}",
            "messages": [opening, *json.loads(json.dumps(messages[:length]))],
            "metadata": {"lang": source["metadata"]["lang"], "like": source["id"]},
        }


@cache
def _sentences() -> list[str]:
    """Return every sentence of the talk, in the order of the files."""
    texts = (
        message["content"]
        for each in conversations()
        if each["source"] != "odd"
        for message in each["messages"]
        if message["role"] in ("user", "assistant") and isinstance(message["content"], str)
    )
    return [sentence for text in texts for part in _SENTENCE.split(text) if len(sentence := part.strip()) > 8]


@cache
def _calls() -> list[tuple[Message, Message]]:
    """Return every call of one tool with its answer."""
    found = []
    for each in conversations():
        for call, answer in zip(each["messages"], each["messages"][1:], strict=False):
            if len(call.get("tool_calls") or ()) == 1 and answer["role"] == "tool" and len(answer["content"]) < 20_000:
                found.append((call, answer))
    return found

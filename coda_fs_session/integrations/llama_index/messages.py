"""LlamaIndex's messages as messages of a session, and back."""

from __future__ import annotations

from typing import Any

from llama_index.core.base.llms.types import ChatMessage

from ... import Session, SessionError
from ..escapes import add, restored

SHAPE = "llama-index"
ARCHIVED = "llama-index.archived"
"""Metadata key: so many messages at the beginning are archived. One among the others says so itself, under `status`."""
_SHOWN = ("tool_calls", "tool_call_id", "name")
"""Additional fields that stand beside the content, where all tools look for them."""


def item_of(message: ChatMessage) -> dict[str, Any]:
    """Return a message in the form in which a session has it."""
    dumped = message.model_dump(mode="json", exclude={"additional_kwargs"})
    blocks = dumped.pop("blocks")
    is_text = len(blocks) == 1 and blocks[0].keys() == {"block_type", "text"} and blocks[0]["block_type"] == "text"
    item = {"role": dumped.pop("role"), "content": blocks[0]["text"] if is_text else blocks, **dumped}
    more = dict(message.serialize_additional_kwargs(message.additional_kwargs, None))
    shown = {key: more.pop(key) for key in _SHOWN if key in more}
    return {**item, **shown, **({"additional_kwargs": more} if more else {})}


def message_of(item: dict[str, Any]) -> ChatMessage:
    """Return the message of an item, which is used up.

    Raises:
        SessionError: it is none of LlamaIndex's.
    """
    item = restored(item)
    item.pop("status", None)
    blocks = item.pop("content", None)
    more = item.pop("additional_kwargs", {})
    shown = {key: item.pop(key) for key in _SHOWN if key in item}
    try:
        blocks = [{"block_type": "text", "text": blocks}] if isinstance(blocks, str) else blocks
        return ChatMessage.model_validate({**item, "blocks": blocks, "additional_kwargs": {**more, **shown}})
    except (TypeError, ValueError) as error:
        raise SessionError(f"this message is none of LlamaIndex's: {error}") from error


def taken(session: Session, places: list[int]) -> list[ChatMessage]:
    """Take messages out of a session, writing anew only what follows the first of them; return them."""
    if not places:
        return []
    gone, first = set(places), places[0]
    rest = session.get_messages(start=first)
    session.keep_first(first)
    for place, item in enumerate(rest, first):
        if place not in gone:
            session.add_message(item)
    archived = session.metadata.get(ARCHIVED, 0)
    if first < archived:
        session.update_metadata({ARCHIVED: archived - sum(place < archived for place in places)})
    return [message_of(rest[place - first]) for place in places]


def set_all(session: Session, items: list[dict[str, Any]]) -> None:
    """Put messages in place of all that a session has."""
    session.clear_messages()
    if ARCHIVED in session.metadata:
        session.update_metadata({ARCHIVED: 0})
    add_all(session, items)


def add_all(session: Session, items: list[dict[str, Any]]) -> None:
    """Add messages to a session."""
    for item in items:
        add(session, item)

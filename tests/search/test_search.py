"""`SessionManager.search` over every backend and a storage of one's own: what is found and what is told of it."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path
from threading import Thread
from typing import Any

import pytest
from storekit import Opener, fill, open_store
from test_custom_storage import NothingStorage, manage

from coda_fs_session import (
    InvalidNameError,
    SearchHit,
    SearchPlace,
    SearchProgress,
    SearchResult,
    Session,
    SessionManager,
    SessionNotFoundError,
)
from coda_fs_session.repo.lookup.listing import Splice
from coda_fs_session.repo.search import search as searching
from coda_fs_session.repo.search import sources, tables

START = datetime(2024, 5, 17, 12, 30, tzinfo=UTC)


def said(text: str, role: str = "user", **more: Any) -> dict[str, Any]:
    return {"role": role, "content": text, **more}


def places(result: SearchResult) -> list[list[tuple[str, int]]]:
    return [[(place.session, place.index) for place in hit.places] for hit in result]


def test_a_saved_message_is_found_at_once(again: Opener) -> None:
    """By this manager and by another one, with its role, place and some words of it; an unsaved one is not found."""
    with again() as manager, again() as other:
        session = manager.create_session("chat")
        session.add_message(said("Where is the kettle?"))
        assert not manager.search("kettle")
        manager.save_session(session)
        for each in (manager, other):
            (hit,) = each.search("kettle")
            assert hit == SearchHit("Where is the kettle?", "user", (SearchPlace("chat", 0),), hit.rank)
            assert (hit.session, hit.index) == ("chat", 0)
        session.add_message(said("On the stove.", "assistant"))
        manager.save_session(session)
        for each in (other, manager):
            assert places(each.search("stove")) == [[("chat", 1)]]


def test_what_is_gone_is_not_found(again: Opener) -> None:
    """After an edit, a cut, a truncation, a rename and a delete: nothing is found that is not there now."""
    with again() as manager:
        session = manager.create_session("chat")
        for text in ("alpha", "beta", "gamma", "delta"):
            session.add_message(said(text))
        manager.save_session(session)
        session.messages[1]["content"] = "omega"
        manager.save_session(session)
        assert not manager.search("beta")
        assert places(manager.search("omega")) == [[("chat", 1)]]
        del session.messages[3:]
        manager.save_session(session)
        assert not manager.search("delta")
        session.truncate_messages(2)
        manager.save_session(session)
        assert not manager.search("alpha")
        assert places(manager.search("omega")) == [[("chat", 0)]]
        manager.rename_session("chat", "talk")
        assert places(manager.search("gamma")) == [[("talk", 1)]]
        manager.delete_session("talk")
        assert manager.search("gamma") == SearchResult((), complete=True, total=0)


def test_branches_share_a_hit(again: Opener) -> None:
    """A message that several sessions have is one hit with all of them, the one that changed last first."""
    with again() as manager:
        fill(manager, "chat", 3)
        manager.create_session("branch", branch_from="chat", at=2)
        child = manager.create_session("grandchild", branch_from="branch")
        child.add_message(said("one more"))
        manager.save_session(child)
        (hit,) = manager.search('"message 1"')
        assert hit.places[0] == SearchPlace("grandchild", 1)
        assert set(hit.places) == {SearchPlace(name, 1) for name in ("chat", "branch", "grandchild")}
        assert {place.session for place in manager.search('"message 2"').hits[0].places} == {"chat"}
        # The same words by somebody else are another hit.
        child.add_message(said("one more", "assistant"))
        manager.save_session(child)
        assert [hit.role for hit in manager.search("one more")] == ["user", "assistant"]


def test_messages_in_chunks_are_found(again: Opener) -> None:
    """Also in a session of many chunks, in compressed objects, and in a list of list nodes; each at its place."""
    with again() as manager:
        session = manager.create_session("long")
        for number in range(40):
            session.add_message(said(f"number{number} " + "padding " * 9000))
            session.add_message(said(f"answer{number}", "assistant"))
        manager.save_session(session)
        manager.create_session("fork", branch_from="long", at=41)
        for number in (0, 7, 20, 33, 39):
            names = {"long", "fork"} if number * 2 < 41 else {"long"}
            assert set(places(manager.search(f"number{number}"))[0]) == {(name, number * 2) for name in names}
            names = {"long", "fork"} if number * 2 + 1 < 41 else {"long"}
            assert set(places(manager.search(f"answer{number}"))[0]) == {(name, number * 2 + 1) for name in names}


def test_filters(again: Opener) -> None:
    """By session, role and time: that of the message where it has one, else that of the session's last change."""
    with again() as manager:
        for day, name in enumerate(("old", "new")):
            session = manager.create_session(name)
            session.add_message(said("tea please"))
            session.add_message(said("tea it is", "assistant", timestamp=(START + timedelta(days=day)).isoformat()))
            manager.save_session(session, updated_at=START + timedelta(days=10 + day))
        assert places(manager.search("tea", session="old")) == [[("old", 0)], [("old", 1)]]
        assert places(manager.search("tea", role="assistant")) == [[("new", 1), ("old", 1)]]
        assert not manager.search("tea", role="tool")
        assert places(manager.search("tea", until=START + timedelta(days=1))) == [[("old", 1)]]
        assert places(manager.search("tea", since=START + timedelta(days=11))) == [[("new", 0)]]
        assert not manager.search("tea", since=START + timedelta(days=12))
        # What is looked through goes by the same.
        assert places(manager.search("leas", until=START)) == []
        assert places(manager.search("leas", since=START + timedelta(days=11))) == [[("new", 0)]]
        with pytest.raises(SessionNotFoundError):
            manager.search("tea", session="nowhere")


def test_the_best_come_first_and_are_counted(again: Opener) -> None:
    """Whole words before beginnings of words; of more than are wanted the number is told, as far as it is known."""
    with again() as manager:
        session = manager.create_session("chat")
        for number in range(30):
            session.add_message(said(f"planet {number}"))
        session.add_message(said("planets"))
        manager.save_session(session)
        result = manager.search("planet", limit=5)
        assert (len(result), result.total, result.complete) == (5, 30, True)
        assert manager.search("planet", limit=0) == SearchResult((), complete=True, total=30)
        result = manager.search("planet", limit=31)
        assert (len(result), result.total) == (31, 31)
        assert result[30].snippet == "planets"
        assert len(manager.search("planet", limit=None)) == 31
        assert [hit.rank for hit in result[:30]] == sorted((hit.rank for hit in result[:30]), reverse=True)


@pytest.mark.parametrize("query", ["planet", "planet_x"])
def test_of_very_many_the_number_is_not_known(again: Opener, monkeypatch: pytest.MonkeyPatch, query: str) -> None:
    """Counting goes on only so far; what is found is complete. With no room for hits nothing is scanned."""
    monkeypatch.setattr(tables, "_FEW", 8)
    with again() as manager:
        session = manager.create_session("chat")
        for number in range(24):
            session.add_message(said(f"planet_x {number}"))
        manager.save_session(session)
        assert manager.search(query, limit=5).total is None
        assert (len(manager.search(query, limit=5)), manager.search(query, limit=5).complete) == (5, True)
        assert manager.search(query, limit=9).total == 24
        assert manager.search(query, limit=24).total == 24
        monkeypatch.setattr(searching, "Scan", None)
        assert manager.search(query, limit=0) == SearchResult((), complete=True, total=None)


def test_what_is_counted_is_what_would_be_found(tmp_path: Path) -> None:
    """Also where nobody asks for the messages: not what the index alone would take for it."""
    words = [f"word{number}" for number in range(65)]
    with open_store(tmp_path / "store") as manager:
        texts = ["getUserName", "user name", "cplusplus", "C++", " ".join(words[:64])]
        manager.save_session(Session("chat", [said(text) for text in texts]))
        for query, count in (('"user name"', 1), ("C++", 1), (" ".join(words), 0), (f'"{" ".join(words)}"', 0)):
            assert manager.search(query, limit=0).total == len(manager.search(query, limit=None)) == count


def test_all_that_a_message_says_is_searched(again: Opener) -> None:
    """Tool calls with names and arguments, results, reasoning, parts; and text that JSON has in backslashes."""
    call = {
        "id": "c1",
        "type": "function",
        "function": {"name": "run_shell", "arguments": r'{"cmd": "ls\ncat \u5317"}'},
    }
    messages: list[dict[str, Any]] = [
        {"role": "assistant", "content": None, "tool_calls": [call]},
        {"role": "tool", "tool_call_id": "c1", "content": r'{"city": "\u6771\u4eac"}'},
        {
            "role": "assistant",
            "content": [{"type": "thinking", "thinking": "pondering"}, {"type": "text", "text": "so"}],
        },
        {"role": "user", "content": [{"type": "tool_result", "tool_use_id": "t", "content": "resulting"}]},
        {"role": "user", "parts": [{"text": "gemini style"}]},
    ]
    with again() as manager:
        manager.save_session(Session("chat", messages))
        found = {
            query: [(hit.index, hit.role) for hit in manager.search(query)]
            for query in ("run_shell", "cat", "北", "東京", "pondering", "resulting", "gemini", '"cmd": "ls')
        }
    assert found == {
        "run_shell": [(0, "assistant")],
        "cat": [(0, "assistant")],
        "北": [(0, "assistant")],
        "東京": [(1, "tool")],
        "pondering": [(2, "assistant")],
        "resulting": [(3, "tool")],
        "gemini": [(4, "user")],
        '"cmd": "ls': [(0, "assistant")],
    }


def test_hidden_sessions_are_searched(again: Opener) -> None:
    """A list leaves them out, a search does not."""
    with again() as manager:
        manager.save_session(Session("chat", [said("secret tea")], {"coda_fs_session.hidden": True}))
        assert manager.list_sessions() == []
        assert places(manager.search("tea")) == [[("chat", 0)]]


def test_arguments_that_are_not_possible(again: Opener) -> None:
    """Any text is possible; of everything else what is wrong is told."""
    with again() as manager:
        fill(manager, "chat")
        for text in (None, 5, b"tea", ["tea"]):
            with pytest.raises(TypeError, match="text must be text"):
                manager.search(text)  # type: ignore[arg-type]
        bad: list[tuple[type[Exception], dict[str, Any]]] = [
            *((TypeError, {"role": 5}), (TypeError, {"limit": "5"}), (TypeError, {"limit": True})),
            *((ValueError, {"limit": -1}), (TypeError, {"since": "today"}), (ValueError, {"until": datetime.max})),
            *((InvalidNameError, {"session": ""}), (InvalidNameError, {"session": "a\n"})),
        ]
        for kind, arguments in bad:
            with pytest.raises(kind):
                manager.search("message", **arguments)
        assert len(manager.search("message")) == 3


def test_progress_is_told(again: Opener) -> None:
    """The first search reads every session, a later one what is new; an error in the callback ends it, and no more."""
    with again() as manager:
        for number in range(5):
            fill(manager, f"chat {number}")
        told: list[SearchProgress] = []

        def fail(_: SearchProgress) -> None:
            raise ZeroDivisionError

        with pytest.raises(ZeroDivisionError):
            manager.search("message", progress=fail)
        assert len(manager.search("message", progress=told.append)) == 3
        assert told == [SearchProgress(number, 5) for number in range(1, 6)]


def test_a_callback_may_use_the_manager(again: Opener) -> None:
    """Also to search: it is code of the user."""
    with again() as manager:
        for number in range(5):
            fill(manager, f"chat {number}")
        inner: list[int] = []
        result = manager.search("message", progress=lambda _: inner.append(len(manager.search("message"))))
        assert (len(result), set(inner)) == (3, {3})


def test_what_cannot_be_read_makes_it_incomplete(tmp_path: Path) -> None:
    """A missing object: what else there is is found; once the object is there, all is."""
    with open_store(tmp_path / "store") as manager:
        fill(manager, "chat", 3, size=70_000)
        fill(manager, "other", 3)
    objects = sorted((tmp_path / "store/objects").rglob("*.jsonl*"))
    aside = tmp_path / "aside"
    objects[0].rename(aside)
    with open_store(tmp_path / "store") as manager:
        for _ in range(2):
            result = manager.search("message", limit=None)
            assert (len(result), result.complete) == (5, False)
        assert manager.search("message", session="other").complete
        aside.rename(objects[0])
        result = manager.search("message", limit=None)
        assert (len(result), result.complete) == (6, True)


def test_a_damaged_session_makes_it_incomplete(tmp_path: Path) -> None:
    """What comes before the damage is found, and the rest is not passed off as looked at."""
    with open_store(tmp_path / "store") as manager:
        fill(manager, "good")
        session = manager.create_session("bad")
        for text in ("early", "late"):
            session.add_message(said(text))
            manager.save_session(session)
    (ref,) = (tmp_path / "store").glob("refs/*/bad.jsonl")
    ref.write_bytes(ref.read_bytes().replace(b"late", b"lost"))
    with open_store(tmp_path / "store", state_path=str(tmp_path / "nothing")) as manager:
        assert not manager.search("late").complete
        assert not manager.search("message").complete


def test_looking_through_takes_so_long_and_no_longer(tmp_path: Path) -> None:
    """When its time is over it ends, and says that not everything was looked at."""
    with open_store(tmp_path / "store") as manager:
        for number in range(5):
            fill(manager, f"chat {number}")
        assert manager.search("zebra").complete
        seconds = iter(range(0, 1000, 2))
        manager._searcher()._clock = lambda: next(seconds)
        result = manager.search("zebra")
        assert (result.complete, result.total) == (False, None)


def test_a_storage_that_lists_nothing(tmp_path: Path) -> None:
    """A storage whose `list_all` returns None has no sessions."""
    with manage(NothingStorage()) as manager:
        assert manager.search("tea") == SearchResult()


def test_snippets(again: Opener) -> None:
    """On one line, around the first that was looked for, and without what moves a cursor."""
    texts = {
        "needle": "straw " * 100 + "a needle\nin \x1b[31mhay\x07 " + "straw " * 100,
        "naïve": "ﬃ" * 300 + " so naïve " + "ﬃ" * 300,
        "世界": "你好" * 100 + "世界" + "你好" * 100,
    }
    with again() as manager:
        manager.save_session(Session("chat", [said(text) for text in texts.values()]))
        for query in texts:
            (hit,) = manager.search(query)
            assert query in hit.snippet
            assert len(hit.snippet) <= 170
            assert hit.snippet.startswith("…")
            assert hit.snippet.endswith("…")
            assert not {"\n", "\x1b", "\x07"} & set(hit.snippet)


def test_the_result_is_a_sequence(again: Opener) -> None:
    with again() as manager:
        fill(manager, "chat", 2)
        result = manager.search("message")
        assert list(result) == list(result.hits) == [result[0], result[1]]
        assert not manager.search("zebra")


def test_a_closed_manager_searches(make: Opener) -> None:
    """As it does everything else: it opens what it needs again."""
    manager: SessionManager = make()
    fill(manager, "chat")
    assert len(manager.search("message")) == 3
    manager.close()
    fill(manager, "more", 5)
    assert len(manager.search("message")) == 5
    manager.close()


def test_another_search_meanwhile(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A search looks through the list that it was given, also where another thread's takes in a new one meanwhile.

    It took what had changed since its own list out of the list of the other: a session was passed over.
    """
    with SessionManager(tmp_path / "store") as manager:
        for name in ("chat", "talk"):
            fill(manager, name, 1)
        manager.list_sessions()
        assert len(manager.search("message").hits[0].places) == 2
        splice = sources.splice

        def meanwhile() -> None:
            for number in range(40):
                fill(manager, f"new {number}", 1)
            manager.list_sessions()
            manager.search("message")

        def spliced(*arguments: Any) -> Splice | None:
            monkeypatch.setattr(sources, "splice", splice)
            found = splice(*arguments)
            thread = Thread(target=meanwhile)
            thread.start()
            thread.join()
            return found

        monkeypatch.setattr(sources, "splice", spliced)
        manager.delete_session("talk")
        assert places(manager.search("message")) == [[("chat", 0)]]


def test_an_edit_is_found_among_others(again: Opener) -> None:
    """The index itself has it: where it finds another message, nobody looks through all of them."""
    with again() as manager:
        session = manager.create_session("chat")
        for text in ("alpha", "beta"):
            session.add_message(said(text))
        manager.save_session(session)
        assert places(manager.search("alpha")) == [[("chat", 0)]]
        session.messages[1]["content"] = "alpha too"
        manager.save_session(session)
        assert sorted(places(manager.search("alpha"))) == [[("chat", 0)], [("chat", 1)]]

"""Where what was found is, and in which order."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from storekit import Opener, fill

from coda_fs_session import Session


def test_a_fork_that_shares_the_beginning_of_an_object(again: Opener) -> None:
    """It has not what comes after that in the object, whether that is found as a word or within one."""
    with again() as manager:
        fill(manager, "chat", 20)
        manager.create_session("branch", branch_from="chat", at=10)
        manager.create_session("twig", branch_from="branch", at=5)
        for number, names in ((2, {"chat", "branch", "twig"}), (8, {"chat", "branch"}), (12, {"chat"})):
            for query in (f'"message {number}"', f'"essage {number}"'):
                found = [hit for hit in manager.search(query) if hit.snippet == f"message {number}"]
                assert [{place.session for place in hit.places} for hit in found] == [names], query
                assert {place.index for place in found[0].places} == {number}


def test_of_those_that_fit_alike_the_newest_is_first(again: Opener) -> None:
    """Whatever the order in which they were saved; as words and within words."""
    start = datetime(2024, 5, 17, tzinfo=UTC)
    days = {"one": 2, "two": 3, "six": 1}
    with again() as manager:
        for name, day in days.items():
            session = Session(name, [{"role": "user", "content": f"planet {name}"}])
            manager.save_session(session, updated_at=start + timedelta(days=day))
            assert manager.search(name)
        for query in ("planet", "lanet"):
            assert [hit.session for hit in manager.search(query)] == ["two", "one", "six"]

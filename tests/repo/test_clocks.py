"""Clocks that are wrong, and times at the ends of the calendar: nothing is lost, and no value is pinned."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path

import pytest

from coda_fs_session import Session, SessionError, SessionManager, StoreError
from coda_fs_session.format.records import decode_time, encode_time, horizon, utc_time

from .machines import Machine, contents, said

READ_STORE = Path(__file__).parents[2] / "scripts" / "read_store"
FAR = datetime(9998, 12, 31, 23, 59, 59, 999999, UTC)
"""The last moment that can be stored."""


def at(moment: datetime) -> Callable[[], datetime]:
    return lambda: moment


@pytest.fixture
def there(tmp_path: Path, here: Machine) -> Machine:
    """A second machine, with what the first one saved."""
    here.create("chat", said("mine"))
    return here.copied_to(tmp_path / "there", "there")


def set_topic(machine: Machine, topic: str, clock: Callable[[], datetime] | None = None) -> SessionManager:
    manager = machine.manager(**({"clock": clock} if clock else {}))
    session = manager.load_session("chat")
    session.update_metadata({"topic": topic})
    manager.save_session(session)
    return manager


def topics(machine: Machine) -> tuple[str, str, str]:
    """Return what loading, listing, and the reader of FORMAT.md show."""
    manager = machine.manager()
    (info,) = manager.list_sessions()
    read = subprocess.run(
        [sys.executable, READ_STORE, machine.store, "chat", "--metadata"], capture_output=True, check=True
    )
    return manager.load_session("chat").metadata["topic"], info.metadata["topic"], json.loads(read.stdout)["topic"]


@pytest.mark.parametrize("years", [11, 100, 7000])
def test_a_clock_far_ahead_pins_no_value(here: Machine, there: Machine, years: int) -> None:
    """What a machine of a far year set is shown until somebody else sets the key; from then on that is."""
    now = datetime.now(UTC)
    set_topic(there, "far", at(now.replace(year=now.year + years, day=1)))
    there.send_to(here)
    assert set(topics(here)) == {"far"}
    for topic in ("b", "c"):
        set_topic(here, topic)
        assert set(topics(here)) == {topic}
        here.send_to(there)
        assert set(topics(there)) == {topic}


def test_a_clock_a_little_ahead_is_surpassed(here: Machine, there: Machine) -> None:
    """A stamp within the horizon wins until its key is set again: that takes a later stamp, whatever the clock."""
    now = datetime.now(UTC)
    set_topic(there, "ahead", at(now.replace(year=now.year + 9, day=1)))
    there.send_to(here)
    set_topic(here, "next")
    assert set(topics(here)) == {"next"}


def test_a_save_after_the_end_of_time_can_be_read(here: Machine, there: Machine) -> None:
    """A stamp at the last moment that can be stored does not lead to one that cannot."""
    set_topic(there, "pinned", at(FAR))
    there.send_to(here)
    manager = here.manager()
    session = manager.load_session("chat")
    session.add_message(said("acknowledged")[0])
    session.update_metadata({"topic": "mine"})
    manager.save_session(session)
    assert here.read("chat") == ["mine", "acknowledged"]
    assert set(topics(here)) == {"mine"}


def test_labels_and_order_do_not_depend_on_the_clock(here: Machine, there: Machine) -> None:
    """Readers of two centuries see the same sessions under the same names, whatever stamps are in them."""
    set_topic(there, "far", at(datetime(2300, 1, 1, tzinfo=UTC)))
    there.change("chat", "theirs")
    here.change("chat", "mine too")
    there.send_to(here)
    views = []
    for moment in (datetime.now(UTC), datetime(2301, 1, 1, tzinfo=UTC)):
        manager = here.manager(clock=at(moment))
        views.append({info.name: contents(manager.load_session(info.name)) for info in manager.list_sessions()})
    assert views[0] == views[1]
    assert len(views[0]) == 2


def test_what_depends_on_the_clock_is_not_kept(here: Machine, there: Machine) -> None:
    """A value that was listed when its stamp was not believed is listed anew when it is."""
    set_topic(here, "mine")
    set_topic(there, "far", at(datetime(2300, 1, 1, tzinfo=UTC)))
    there.send_to(here)
    for year, topic in ((2100, "mine"), (2300, "far"), (2100, "mine")):
        with here.manager(clock=at(datetime(year, 1, 2, tzinfo=UTC))) as manager:
            assert manager.load_session("chat").metadata == {"topic": topic}
            assert [info.metadata for info in manager.list_sessions()] == [{"topic": topic}]


def test_a_clock_that_cannot_be_written_down_is_an_error(here: Machine) -> None:
    """Nothing is written where the machine's clock, or what must come after a stamp, is past the last year."""
    set_first = datetime(9998, 12, 31, tzinfo=UTC)
    here.create("chat", said("mine"))
    set_topic(here, "last", at(FAR))
    before = here.only_ref().read_bytes()
    for moment in (datetime(9999, 1, 1, tzinfo=UTC), set_first):
        with pytest.raises(StoreError, match="clock of this machine"):
            set_topic(here, "never", at(moment))
    assert here.only_ref().read_bytes() == before


@pytest.mark.parametrize(
    "moment",
    [
        datetime(9998, 12, 31, 23, tzinfo=timezone(timedelta(hours=-5))),
        datetime(9999, 12, 31, 23, tzinfo=timezone(timedelta(hours=-5))),
        datetime(2, 1, 1, 1, tzinfo=timezone(timedelta(hours=5))),
        datetime(1, 1, 1, 1, tzinfo=timezone(timedelta(hours=5))),
        datetime.max,
        datetime.min,
    ],
)
def test_times_are_checked_in_utc(tmp_path: Path, moment: datetime) -> None:
    """A time whose year in UTC cannot be stored is refused at once, by a session and by an import."""
    for field in ("created_at", "updated_at"):
        with pytest.raises(ValueError, match="in UTC, a time must be in the years 2 to 9998"):
            Session("chat", **{field: moment})
        path = tmp_path / "export.json"
        path.write_text(json.dumps({"name": "chat", "messages": [], field: moment.isoformat()}))
        with SessionManager({"session": {"backend": "memory"}}) as manager:
            with pytest.raises(SessionError, match="years 2 to 9998"):
                manager.import_session(path)
            assert manager.list_sessions() == []


def test_the_last_and_the_first_moment_can_be_stored(here: Machine) -> None:
    """What a session takes can be read again."""
    for name, moment in (("last", FAR), ("first", datetime(2, 1, 1, tzinfo=UTC))):
        manager = here.manager()
        manager.save_session(Session(name, said("x"), created_at=moment))
        assert here.manager().load_session(name)._state.created == moment


@pytest.mark.parametrize(
    "text",
    [
        "20260102T030405Z",
        "2026-01-02T03:04:05.000006Z",
        "2026-01-02 03:04:05.000006+00:00",
        "2026-01-02T03:04:05,000006+00:00",
        "2026-01-02T04:04:05.000006+01:00",
        "2026-W01-5T03:04:05.000006+00:00",
        "2026-01-02T03:04:05.0000060+00:00",
        "2026-01-02T03:04:05+00:00",
        "2026-01-02T03:04:05.000006",
        "0001-01-02T03:04:05.000006+00:00",
        "9999-01-02T03:04:05.000006+00:00",
        "",
        5,
        None,
    ],
)
def test_only_one_form_of_a_time_is_read(text: object) -> None:
    """Any other form would have another order as text than as time."""
    with pytest.raises(ValueError):
        decode_time(text)


def test_a_time_comes_back_as_it_was() -> None:
    """Reading what was written gives the same moment, also at the ends and with no fraction."""
    for moment in (FAR, datetime(2, 1, 1, tzinfo=UTC), datetime(2026, 1, 2, 3, tzinfo=UTC)):
        assert decode_time(encode_time(moment)) == moment


def test_the_horizon_moves_once_a_year() -> None:
    """It is the end of the tenth year ahead, and never past the last year that can be stored."""
    assert horizon(datetime(2026, 1, 1, tzinfo=UTC)) == horizon(datetime(2026, 12, 31, tzinfo=UTC)) == "2037"
    assert encode_time(datetime(2036, 12, 31, tzinfo=UTC)) < "2037" <= encode_time(datetime(2037, 1, 1, tzinfo=UTC))
    assert horizon(datetime(9995, 1, 1, tzinfo=UTC)) > encode_time(utc_time(FAR))

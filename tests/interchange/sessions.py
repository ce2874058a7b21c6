"""What tests of imports ask a store."""

from __future__ import annotations

from coda_fs_session import ImportReport, Session, SessionManager


def said(manager: SessionManager) -> set[tuple[str, ...]]:
    """Return the texts of every session."""
    return {
        tuple(message["content"].removeprefix("text of ") for message in manager.load_session(info.name).messages)
        for info in manager.list_sessions()
    }


def main(manager: SessionManager) -> Session:
    """Return the session that a chat is known by."""
    (name,) = [
        info.name
        for info in manager.list_sessions()
        if not info.metadata["coda_fs_session.import"]["branch"] and info.diverged_from is None
    ]
    return manager.load_session(name)


def counts(report: ImportReport) -> tuple[int, ...]:
    return (
        *(report.conversations, report.new, report.grew, report.messages, report.branches, report.unchanged),
        len(report.unreadable),
    )

"""Which room may import which: each of the package's modules is in a layer, and imports only point down."""

from __future__ import annotations

FORMAT = "format."
BASE = tuple(f"backends.{each}" for each in ("base", "verbs", "keys", "lookups", "record", "machine_state"))
DISK = "backends.disk."
MACHINE = "backends.machine."
BELOW_REPO = ("errors", "process.", FORMAT, "session.", "storage", "backends.base")
ENGINE = (*BELOW_REPO, "repo.")
LATE = ("ancestry", "lookup", "maintenance", "reverts", "writing")

MAY_IMPORT: dict[str, tuple[str, ...]] = {
    "errors": (),
    "patterns": (),
    "config": ("errors", "patterns", FORMAT),
    "process.": ("errors", "process."),
    FORMAT: ("errors", FORMAT),
    # What a user holds, and the user's code on the way in.
    "session.": ("errors", FORMAT, "session."),
    "storage": ("errors", "session."),
    "templates": ("errors", FORMAT, "session."),
    "hooks.": ("errors", "patterns", FORMAT, "session.", "hooks."),
    "redact": ("hooks.",),
    # Bytes under keys.
    "backends.base": ("errors", "process.", *BASE),
    "backends.keys": (),
    "backends.lookups": ("backends.keys", "backends.verbs"),
    "backends.verbs": ("process.", "backends.keys"),
    "backends.machine_state": ("errors", "process.", "backends.record"),
    "backends.record": ("backends.keys",),
    "backends.spread": (),
    "backends.wrapper": BASE,
    "backends.written_refs": BASE,
    "backends.staged": ("errors", "process.", *BASE, "backends.wrapper"),
    "backends.read_only": ("errors", *BASE, "backends.wrapper"),
    "backends.memory": ("errors", "process.", *BASE),
    DISK: ("errors", "process.", *BASE, DISK),
    MACHINE: ("errors", "process.", *BASE, DISK, MACHINE),
    "backends.bucket.": ("errors", "process.", FORMAT, *BASE, DISK, "backends.bucket."),
    "backends.files.": ("errors", "process.", *BASE, "backends.spread", DISK, MACHINE, "backends.files."),
    # The one that parses refs: a row of its table tells what a ref says.
    "backends.sqlite.sessions": ("errors", FORMAT, "backends.sqlite."),
    "backends.sqlite.": ("errors", "process.", *BASE, "backends.spread", DISK, MACHINE, "backends.sqlite."),
    "backends": ("errors", "process.system", "backends."),
    # The engine, from the lowest room up.
    "repo.notes": (),
    "repo.content.": ("errors", "process.", FORMAT, "backends.base", "repo.content."),
    "repo.ancestry.": ("errors", "process.loading", FORMAT, "repo.content.", "repo.ancestry."),
    # What a list shows of messages is kept with the rest.
    "repo.index.previews": ("errors", FORMAT, "session.info", "session.shapes", "repo.content.", "repo.index."),
    "repo.index.": ("errors", "process.", FORMAT, "backends.base", "repo.notes", "repo.content.", "repo.index."),
    "repo.listed": ("errors", FORMAT, "backends.base"),
    "repo.naming": ("errors", FORMAT, "backends.base", "repo.content.", "repo.listed", "repo.maintenance.reach"),
    "repo.repository": (
        *("errors", "process.", FORMAT, "backends.base"),
        *("repo.listed", "repo.naming", "repo.notes", "repo.content.", "repo.index."),
    ),
    "repo.replica_files": ("errors", FORMAT, "backends.base", "repo.repository"),
    "repo.bulk": ("errors", FORMAT, "backends.base", "backends.staged", "repo.repository"),
    "repo.source": ("errors", "repo.content.", "repo.repository"),
    # To tell that an older copy came back takes no look-up; to put things back does.
    "repo.reverts.verdict": ("errors", FORMAT, "backends.base", "repo.content.", "repo.ancestry.", "repo.repository"),
    "repo.lookup.": (
        *("errors", "process.loading", FORMAT, "session.", "backends.base", "repo.notes", "repo.content."),
        *("repo.ancestry.", "repo.index.", "repo.repository", "repo.reverts.verdict", "repo.lookup."),
    ),
    "repo.reverts.marker": ("backends.base", "repo.notes"),
    "repo.reverts.": (
        *("errors", FORMAT, "session.", "backends.base", "repo.notes", "repo.content.", "repo.ancestry."),
        *("repo.index.", "repo.replica_files", "repo.repository", "repo.lookup.", "repo.writing.refs"),
        "repo.reverts.",
    ),
    # It stands in for a repository, its backend and its index.
    "repo.writing.trial": (
        *("backends.base", "backends.wrapper", "backends.written_refs", "repo.content.", "repo.index."),
        *("repo.repository", "repo.reverts.verdict"),
    ),
    "repo.writing.": (
        *("errors", FORMAT, "session.", "storage", "backends.base", "repo.content.", "repo.ancestry."),
        *("repo.branches.", "repo.history.", "repo.repository", "repo.lookup.", "repo.reverts.", "repo.writing."),
    ),
    # What tells sessions apart and what merging leads to: values of values.
    "repo.branches.": (
        *("errors", FORMAT, "session.", "repo.content.", "repo.ancestry.", "repo.history.", "repo.branches."),
    ),
    "repo.cursors": ("errors", FORMAT, "session.", "repo.content.", "repo.ancestry.shown", "repo.source"),
    "repo.history.": (*("errors", FORMAT, "backends.base", "repo.content.", "repo.ancestry.", "repo.history."),),
    "repo.going_back": (
        *("errors", FORMAT, "session.", "storage", "repo.late", "repo.content.", "repo.ancestry.shown"),
        *("repo.history.", "repo.index.rows", "repo.lookup.", "repo.writing.", "repo.storage"),
    ),
    # What the engine tells of itself stands below it; what is looked at and mended in it, above.
    "repo.maintenance.stats": (
        *("errors", FORMAT, "session.", "storage", "repo.content.", "repo.lookup.", "repo.repository"),
    ),
    "repo.maintenance.report": ("errors", "repo.maintenance.findings", "repo.maintenance.replicas"),
    "repo.maintenance.sources": (
        *("errors", FORMAT, "backends.base", "backends.wrapper", "repo.content.", "repo.repository"),
    ),
    # What gc keeps of history it finds out by merging in mind.
    "repo.maintenance.joining": (
        *(FORMAT, "backends.base", "backends.wrapper", "repo.content.", "repo.ancestry.", "repo.branches."),
        "repo.repository",
    ),
    "repo.maintenance.": (
        *("errors", FORMAT, "backends.base", "repo.content.", "repo.ancestry.", "repo.lookup.", "repo.repository"),
        *("repo.branches.", "repo.notes", "repo.replica_files", "repo.reverts.", "repo.writing.", "repo.maintenance."),
        "session.imported",
    ),
    "repo.saving": (
        *(FORMAT, "session.", "storage", "repo.late", "repo.content.", "repo.cursors", "repo.repository"),
        "repo.source",
    ),
    "repo.transacting": (
        *("backends.base", FORMAT, "session.", "repo.late", "repo.content.", "repo.ancestry.shown", "repo.bulk"),
        *("repo.cursors", "repo.saving"),
    ),
    "repo.late": ("process.loading", *(f"repo.{each}." for each in LATE)),
    "repo.storage": (
        *("errors", "process.", FORMAT, "session.", "storage", "repo.content.", "repo.ancestry.", "repo.repository"),
        *("repo.source", "repo.cursors", "repo.bulk", "repo.maintenance.stats", "repo.lookup.", "repo.reverts."),
        *("repo.late", "repo.saving", "repo.transacting", "repo.writing."),
    ),
    "repo.events.": (
        *("errors", "process.", "session.", "storage", "backends.base", "repo.lookup.", "repo.storage"),
        "repo.events.",
    ),
    "repo.dry_run": (
        *("backends.base", "backends.written_refs", "repo.reverts.marker", "repo.repository", "repo.storage"),
    ),
    "repo.sync.": (
        *("errors", "process.parallel", FORMAT, "storage", "backends.base", "backends.wrapper", "repo.notes"),
        *("repo.content.", "repo.ancestry.", "repo.maintenance.reach", "repo.replica_files", "repo.repository"),
        *("repo.reverts.marker", "repo.reverts.plans", "repo.writing.refs", "repo.storage", "repo.dry_run"),
        *("repo.events.", "repo.sync."),
    ),
    # What sessions say, be it kept by the engine or by a storage of four methods.
    "repo.search.": (
        *("errors", "process.", FORMAT, "session.", "storage", "backends.base", "repo.content.state"),
        *("repo.lookup.answers", "repo.lookup.listing", "repo.repository", "repo.search."),
    ),
    "repo": (),
    # It gets bytes and gives values, and knows no manager.
    "interchange.": ("errors", FORMAT, "session.", "interchange."),
    # What these do with objects and storages holds for any storage: they know nothing of the engine.
    "manager.autosave": ("errors", "process.", "session."),
    "manager.open_sessions": (
        *("errors", "process.", "patterns", FORMAT, "session.", "storage", "hooks.", "manager.autosave"),
    ),
    "manager.open_store": (*ENGINE, "config", "backends"),
    # The one in front that writes a file: as the store does, through the same calls.
    "manager.outside": ("errors", "process.system", "backends.disk.files", "backends.disk.new_files"),
    "manager.outgoing": (
        *("patterns", "format.names", "hooks.redact", "session.", "repo.going_back"),
        *("interchange.writers", "manager.branches", "manager.core"),
    ),
    # It looks at the databases of others as a store that is read only looks at its own.
    "manager.databases": ("errors", "process.sqlite_files", "backends.sqlite.unchanged", "manager.outside"),
    "manager.pages": ("session.", "manager.outside", "viewer.document"),
    "manager.": (*ENGINE, "config", "backends", "hooks.", "templates", "interchange.", "manager."),
    "analytics": ("errors", "session.", "manager."),
    # The manager once more, for event loops: nothing looks at it.
    "aio.": ("errors", "process.", "session.", "storage", "repo.events.", "repo.history.", "manager.", "aio."),
    "__init__": (
        *("errors", "format.jsonable", "session.", "storage", "hooks.", "templates", "manager.", "analytics"),
        *("repo.branches.", "repo.events.", "repo.history.", "repo.maintenance.findings", "repo.sync."),
        *("repo.maintenance.report", "repo.maintenance.replicas", "repo.maintenance.gc_report", "interchange.report"),
        "repo.search.results",
    ),
    # The command has what a program of a user has: the public names, what a message says, and where a session is from.
    "cli.": ("", "session.imported", "session.shapes.", "viewer", "cli."),
    "viewer.": ("", "session.imported", "session.shapes.", "viewer."),
    "__main__": ("cli",),
    # Adapters are programs of a user in front of other programs; nothing looks at them.
    "integrations.": ("", "aio", "integrations."),
    # The examples are programs of a user, who has the public names.
    "docs.examples.frameworks.": ("", "integrations."),
    "docs.examples.": ("",),
    # The shipped test tools look everywhere; nothing looks at them.
    "testing.": (*BELOW_REPO, "backends.", "manager.", "testing."),
}
"""What each module may import of the package, by name or by the folder (with a dot) that it is in.

Of several rules the first one counts. `backends` alone is the registry: the manager gets at a backend only through
that.
"""

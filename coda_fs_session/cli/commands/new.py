"""`coda-session new`."""

from __future__ import annotations

import click

from ..lists import assignment
from ..points import refuse_taken
from ..run import Run
from ..verb import verb


@verb("new", "coda-session new 'trip to Oman'", "coda-session new notes --set topic=travel --set 'days:=14'")
@click.argument("name")
@click.option("--template", metavar="NAME", help="Begin as this template in the config says.")
@click.option("-p", "parameters", multiple=True, metavar="KEY=TEXT", help="A parameter of the template.")
@click.option("--set", "values", multiple=True, metavar="KEY=TEXT", help="Metadata; KEY:=JSON for anything but text.")
@click.pass_obj
def command(run: Run, name: str, template: str | None, parameters: tuple[str, ...], values: tuple[str, ...]) -> None:
    """Make a session, and the store where there is none.

    A name that is taken is refused. `branch` makes a session that goes on from another one.
    """
    from ... import Session

    if parameters and template is None:
        raise click.UsageError("-p fills in a template: name it with --template")
    given = dict(map(assignment, parameters))
    metadata = dict(map(assignment, values))
    manager = run.writing(create=True)
    if template is None:
        manager.save_session(Session(name, metadata=metadata))
    else:
        manager.templates.load({"templates": run.table("templates")})
        refuse_taken(manager, name)
        session = manager.templates.create(template, name, **given)
        if metadata:
            session.update_metadata(metadata)
            manager.save_session(session)
    run.out.note(f"made {run.named(name)}")

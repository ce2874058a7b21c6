"""A verb: a click command with the options that all verbs take, and examples at the end of its help."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

import click

from .app import common_options
from .run import Run

_F = TypeVar("_F", bound=Callable[..., Any])


class Verb(click.Command):
    """A verb.

    Attributes:
        examples: command lines; a test runs them.
    """

    def __init__(self, *args: Any, examples: tuple[str, ...] = (), **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.examples = examples
        self.params += common_options()

    def format_epilog(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        if self.examples:
            with formatter.section("Examples"):
                for example in self.examples:
                    formatter.write(f"{'':{formatter.current_indent}}{example}\n")


def verb(name: str, *examples: str) -> Callable[[Callable[..., Any]], Verb]:
    """Make a verb of a function; its docstring is the help."""
    return click.command(name, cls=Verb, examples=examples)


def json_options(function: _F) -> _F:
    """Give a verb `--json` and `--fields`."""
    function = click.option(
        "--fields", metavar="A,B", expose_value=False, callback=_fields, help="With --json: only these fields."
    )(function)
    return click.option("--json", is_flag=True, expose_value=False, callback=_as_json, help="One JSON object a line.")(
        function
    )


def _as_json(context: click.Context, _: click.Parameter, value: bool) -> None:
    if value:
        context.ensure_object(Run).out.as_json = True


def _fields(context: click.Context, _: click.Parameter, value: str | None) -> None:
    if value is not None:
        out = context.ensure_object(Run).out
        out.fields, out.as_json = tuple(field.strip() for field in value.split(",")), True

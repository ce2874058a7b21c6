"""The command as a whole: its verbs, the options that all of them take, and how it ends."""

from __future__ import annotations

import os
import sys
import warnings
from collections.abc import Callable, Sequence
from typing import Any

import click

from .exits import CLOSED, DONE, FAILED, INTERRUPTED, USAGE, code_of
from .run import Run
from .safe import safe
from .verbs import ALIASES, VERBS, module_of

NAME = "coda-session"


def _noted(attribute: str, *, on_output: bool = False) -> Callable[[click.Context, click.Parameter, Any], None]:
    """Return a callback that keeps the value of an option in the run, if it was given."""

    def note(context: click.Context, _: click.Parameter, value: Any) -> None:
        run = context.ensure_object(Run)
        if value not in (None, False):
            setattr(run.out if on_output else run, attribute, value)

    return note


def common_options() -> list[click.Parameter]:
    """Return the options that stand before a verb as well as behind it."""
    return [
        click.Option(
            ["-s", "--store"],
            metavar="PATH",
            expose_value=False,
            callback=_noted("store"),
            help="The store, in place of $CODA_FS_STORE and the config.",
        ),
        click.Option(
            ["--config"],
            metavar="FILE",
            expose_value=False,
            callback=_noted("config"),
            help="Read this config, in place of $CODA_FS_CONFIG and the user's.",
        ),
        click.Option(
            ["-q", "--quiet"],
            is_flag=True,
            expose_value=False,
            callback=_noted("quiet", on_output=True),
            help="Say nothing of what was done.",
        ),
        click.Option(
            ["--color"],
            type=click.Choice(["auto", "always", "never"]),
            expose_value=False,
            callback=_noted("color", on_output=True),
            help="When to use colour.",
        ),
        click.Option(["--no-pager"], is_flag=True, expose_value=False, callback=_without_pager, help="Use no pager."),
    ]


def _without_pager(context: click.Context, _: click.Parameter, value: bool) -> None:
    if value:
        context.ensure_object(Run).out.may_page = False


class App(click.Group):
    """The command; it loads a verb when that is asked for."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(VERBS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        name = ALIASES.get(cmd_name, cmd_name)
        if name not in VERBS:
            return None
        from importlib import import_module

        command: click.Command = import_module(f".{module_of(name)}", __package__).command
        return command

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        if args and self.get_command(ctx, args[0]) is None and not args[0].startswith("-"):
            from difflib import get_close_matches

            near = get_close_matches(args[0], [*VERBS, *ALIASES], 1)
            hint = f"did you mean {near[0]!r}?" if near else f"{NAME} --help lists them"
            raise click.UsageError(f"there is no verb {args[0]!r}; {hint}", ctx)
        return super().resolve_command(ctx, args)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        sections: dict[str, list[tuple[str, str]]] = {}
        for name, line in VERBS.items():
            sections.setdefault(line.section, []).append((name, line.short))
        for title, rows in sections.items():
            with formatter.section(title):
                formatter.write_dl(rows)
        with formatter.section("Short forms"):
            formatter.write_dl(list(ALIASES.items()))


def _version(context: click.Context, _: click.Parameter, value: bool) -> None:
    if value:
        from .. import __version__

        context.ensure_object(Run).out.write(f"{NAME} {__version__}\n")
        context.exit()


@click.pass_context
def _without_a_verb(context: click.Context) -> None:
    if context.invoked_subcommand is None:
        from .here import tell

        tell(context.ensure_object(Run))


app = App(
    NAME,
    callback=_without_a_verb,
    invoke_without_command=True,
    subcommand_metavar="VERB ...",
    help="Conversations with language models: see, change, find and carry the sessions of a store.",
    epilog=f"{NAME} VERB --help tells of a verb, and {NAME} help guide of all this.",
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
    params=[
        *common_options(),
        click.Option(
            ["--version"], is_flag=True, is_eager=True, expose_value=False, callback=_version, help="Show the version."
        ),
    ],
)


def run(arguments: Sequence[str]) -> int:
    """Run the command, and return its exit code; what is wrong is told on stderr."""
    this = Run()
    warnings.showwarning = lambda message, *_: this.out.note(f"note: {message}")
    try:
        code = _invoke(this, arguments)
        this.out.finish()
        return code
    except KeyboardInterrupt:
        this.out.leave_pager()
        _tell("interrupted")
        return INTERRUPTED
    except BrokenPipeError:
        _lose_stdout()
        return CLOSED
    except click.UsageError as error:
        return _told(this, error.format_message(), USAGE, "UsageError", _help_of(error))
    except click.ClickException as error:
        return _told(this, error.format_message(), FAILED, type(error).__name__)
    except click.Abort:
        _tell("aborted")
        return INTERRUPTED
    except Exception as error:
        return _failed(this, error)


def _invoke(this: Run, arguments: Sequence[str]) -> int:
    try:
        with app.make_context(NAME, list(arguments), obj=this) as context:
            found = app.invoke(context)
            this.close()
    except click.exceptions.Exit as ending:
        return ending.exit_code
    return found if isinstance(found, int) else DONE


def _failed(this: Run, error: Exception) -> int:
    """Tell of an error, with what was written before it; one that nobody foresaw goes on."""
    from .telling import text_of

    text = text_of(error)
    if not text:
        raise error
    try:
        this.out.finish()
    except BrokenPipeError:
        _lose_stdout()
        return CLOSED
    except OSError:
        # Where stdout cannot be written, that is the error itself.
        _lose_stdout()
    return _told(
        this, text, code_of(error), getattr(error, "kind", type(error).__name__), path=getattr(error, "path", None)
    )


def _told(this: Run, message: str, code: int, kind: str, *more: str, path: object = None) -> int:
    if this.out.as_json:
        import orjson

        from .safe import safe_json

        place = None if path is None else str(path)
        line = orjson.dumps({"error": kind, "message": safe(message), "path": place, "code": code}).decode()
        _tell(safe_json(line))
    else:
        _tell(safe(f"error: {message}"))
        for line in more:
            if line:
                _tell(line)
    return code


def _help_of(error: click.UsageError) -> str:
    path = error.ctx.command_path if error.ctx is not None else NAME
    return f"{path} --help tells how it is used."


def _tell(text: str) -> None:
    try:
        if sys.stderr is not None:
            sys.stderr.write(text + "\n")
            sys.stderr.flush()
    except OSError:
        # Nobody reads it; the exit code tells.
        pass


def _lose_stdout() -> None:
    """Have what the interpreter flushes at its end go nowhere: nobody reads it, or nobody can."""
    from contextlib import suppress

    with suppress(OSError, AttributeError, ValueError), click.open_file(os.devnull, "w") as nowhere:
        os.dup2(nowhere.fileno(), sys.stdout.fileno())

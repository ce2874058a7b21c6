"""`coda-session check`."""

from __future__ import annotations

import click

from ..keeping import as_command, code_of_findings
from ..run import Run
from ..safe import safe_line
from ..times import size
from ..verb import json_options, verb


@verb("check", "coda-session check", "coda-session check --full")
@click.option("--full", is_flag=True, help="Read every object too, and verify its hash.")
@json_options
@click.pass_context
def command(context: click.Context, full: bool) -> None:
    """Find what is wrong with the store, and say what to do.

    Nothing is changed. It exits with 5 where something is damaged, an earlier state too, with 6 where a part is not
    here, and with 0 where there are only notes, by which nothing is lost.
    """
    from dataclasses import asdict

    run: Run = context.obj
    report = run.reading().maintenance.check(full=full)
    for finding in report.findings:
        if run.out.as_json:
            run.out.write_json(asdict(finding))
            continue
        where = finding.path if finding.line is None else f"{finding.path}, line {finding.line}"
        remedy = as_command(finding.remedy)
        run.out.write(f"{finding.severity:8}{safe_line(where)}: {safe_line(finding.what)}; {safe_line(remedy)}\n")
    looked = f"looked at {report.refs:,} refs and {report.objects:,} objects, {size(report.bytes)}"
    run.out.note(f"{looked}: {'every session is whole' if report.is_whole else 'not every session is whole'}")
    context.exit(code_of_findings(report.findings))

"""``curator sql``: a query, a file of statements, or a prompt."""

import sys
from pathlib import Path
from typing import Annotated

import typer

from curator.cli.app import Json, Settings, app, open_workspace, parameter
from curator.cli.rows import checked_path, flat, write_rows
from curator.cli.statement import Options, Result, counted, explained, notes, plan_of, read_text, run, stoppable, unused
from curator.cli.terminal import out, print_json, print_report, print_table, write_out
from curator.errors import UsageError
from curator.workspace import Workspace


@app.command()
def sql(
    query: Annotated[
        str | None, typer.Argument(help="SQL, the path of a .sql file, or - for standard input; without one, a prompt.")
    ] = None,
    file: Annotated[Path | None, typer.Option("--file", "-f", help="A file of statements.")] = None,
    parameters: Annotated[list[str] | None, typer.Option("--set", "-s", help="A parameter: name=value.")] = None,
    as_json: Json = False,
    as_csv: Annotated[bool, typer.Option("--csv", help="Print CSV; vectors and lists as JSON text.")] = False,
    output: Annotated[
        Path | None, typer.Option("--output", "-o", help="Write the rows to a .parquet, .csv or .jsonl file.")
    ] = None,
    explain: Annotated[bool, typer.Option("--explain", help="Say what FAISS and DuckDB do, and why.")] = False,
    analyze: Annotated[bool, typer.Option("--analyze", help="The same, run and timed.")] = False,
    write: Annotated[bool, typer.Option("--write", help="Allow statements that create, write or set.")] = False,
) -> None:
    """Run SQL over the corpora; NEAREST joins go to FAISS. It only reads, unless --write is given."""
    options = Options(
        parameters=dict(parameter(item) for item in parameters or []),
        mode="json" if as_json else "csv" if as_csv else "table",
        output=None if output is None else checked_path(output),
        explain=explain or analyze,
        analyze=analyze,
        write=write,
    )
    _check_options(options, as_json=as_json, as_csv=as_csv)
    text = _text(query, file)
    with open_workspace() as ws, stoppable():
        if text is None:
            if output is not None:
                raise UsageError(f"--output {output} takes the rows of one query; give the query too, or --file")
            from curator.cli.prompt import prompt  # prompt_toolkit takes a while to import

            prompt(ws, options)
        else:
            _run_all(ws, text, options)


def _check_options(options: Options, *, as_json: bool, as_csv: bool) -> None:
    if options.write and Settings.sandbox:
        raise UsageError("--sandbox is for reading only: leave out --write")
    if as_json + as_csv + (options.output is not None) > 1:
        raise UsageError("give one of --json, --csv and --output, not several")
    if options.explain and (as_csv or options.output):
        raise UsageError("--explain gives no rows: leave out --csv and --output")


def _text(query: str | None, file: Path | None) -> str | None:
    """The statements to run; None for a prompt."""
    if query is not None and file is not None:
        raise UsageError(f"give a query or --file {file}, not both")
    if query is not None and query.endswith(".sql"):
        file = Path(query)
    if file is not None:
        return read_text(file)
    if query == "-" or (query is None and not (sys.stdin.isatty() and sys.stdout.isatty())):
        return sys.stdin.read()
    return query


def _run_all(ws: Workspace, text: str, options: Options) -> None:
    statements = ws.session.statements(text)
    if not statements:
        raise UsageError("there is no statement to run")
    left_over = unused(ws, statements, options)
    if left_over:
        raise UsageError(f"--set {left_over[0]}: the query has no parameter ${left_over[0]}")
    queries = [
        number for number, statement in enumerate(statements) if not options.write or ws.session.is_query(statement)
    ]
    one = options.mode == "csv" or options.output is not None
    if one and len(queries) != 1:
        wanted = f"--output {options.output}" if options.output else "--csv"
        raise UsageError(f"{wanted} takes the rows of one query; of {len(statements)} statements {len(queries)} are")
    for number, statement in enumerate(statements):
        if number and options.mode == "table" and not one:
            out.print()
        if options.explain:
            _show_explanation(explained(ws, statement, options), options)
        elif one and number not in queries:
            run(ws, statement, options)
        else:
            _show(run(ws, statement, options), options)


def _show(result: Result, options: Options) -> None:
    if options.output:
        write_rows(result.frame, options.output)
        said = f"wrote {counted(len(result.frame), 'row')} to {options.output}"
        out.print(said, markup=False, highlight=False, soft_wrap=True)
    elif options.mode == "json":
        print_json(result.frame, result.report)
    elif options.mode == "csv":
        write_out(flat(result.frame).write_csv())
    elif result.acknowledges:
        out.print(next(notes(result)), highlight=False)
    elif (plan := plan_of(result.frame)) is not None:
        write_out(plan)
    else:
        print_table(result.frame, null="NULL")


def _show_explanation(explanation: str, options: Options) -> None:
    if options.mode == "json":
        print_report({"explain": explanation}, as_json=True)
    else:
        out.print(explanation, markup=False, highlight=False, soft_wrap=True)

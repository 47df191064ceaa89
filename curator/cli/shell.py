"""What the prompt does with what is typed. It prints nothing and knows no terminal: it returns replies."""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

import polars as pl

from curator import __version__
from curator.cli.completion import made_here
from curator.cli.rows import checked_path, flat, json_line, write_rows
from curator.cli.statement import MODES, Options, Result, counted, explained, notes, plan_of, read_text, run
from curator.errors import CuratorError, UnknownNameError, UsageError
from curator.session.text import words
from curator.storage import name_of
from curator.workspace import Workspace

SHOWN = 40  # rows of a table at the prompt

COMMANDS = {
    ".help": ("", "what there is besides SQL"),
    ".tables": ("", "the corpora, and the tables and views made here"),
    ".schema": ("NAME", "the columns of one"),
    ".mode": ("table|json|csv", "how results are printed"),
    ".explain": ("on|off", "say what FAISS and DuckDB do before each result"),
    ".read": ("FILE", "run the statements of a file"),
    ".output": ("FILE", "write the next result to a .parquet, .csv or .jsonl file"),
    ".timer": ("on|off", "say how long each statement took"),
    ".quit": ("", "leave, as Ctrl-D does"),
}
# What a statement may fail with, in curator, in the rows, on the disk: the prompt and what was made at it live on.
ERRORS = (CuratorError, pl.exceptions.PolarsError, OSError, ValueError)
ARGUMENTS = {".mode": MODES, ".explain": ("on", "off"), ".timer": ("on", "off")}
WORDS = {"exit": ".quit", "quit": ".quit", "help": ".help"}  # what people type without a dot


@dataclass(frozen=True)
class Reply:
    """One thing to print: rows, or a text."""

    text: str = ""
    kind: Literal["text", "json", "csv", "plan", "note", "error"] = "text"
    frame: pl.DataFrame | None = None


class Shell:
    """Answers what is typed at a prompt, over one workspace and with settings that commands change."""

    def __init__(self, ws: Workspace, options: Options) -> None:
        self.ws = ws
        self.options = replace(options, output=None)
        self.timed = True
        self.done = False
        self._commands: dict[str, Callable[[str], Iterable[Reply]]] = {
            ".help": self._help,
            ".tables": self._tables,
            ".schema": self._schema,
            ".mode": self._mode,
            ".explain": self._explain,
            ".read": self._read,
            ".output": self._output,
            ".timer": self._timer,
            ".quit": self._quit,
        }

    def welcome(self) -> str:
        """The line above the first prompt."""
        count = len(self.ws.catalogue.names())
        access = "sandbox" if self.ws.session.sandbox else "reads and writes" if self.options.write else "read-only"
        corpora = f"{count} {'corpus' if count == 1 else 'corpora'}"
        return f"curator {__version__} · {name_of(self.ws.root)}: {corpora} · {access} · end a statement with ; · .help"

    def complete(self, text: str) -> bool:
        """Whether a text can be answered: it is empty, a command, or its last word is a semicolon."""
        bare = text.strip()
        if not bare or bare.startswith(".") or bare.rstrip(";").lower() in WORDS:
            return True
        found = words(bare)
        return bool(found) and found[-1].text == ";"

    def answer(self, text: str) -> Iterator[Reply]:
        """Run a command or statements. An error is a reply, and what comes after it is not run."""
        bare = text.strip()
        bare = WORDS.get(bare.rstrip(";").lower(), bare)
        try:
            if bare.startswith("."):
                name, _, argument = bare.rstrip(";").partition(" ")
                if name not in self._commands:
                    raise UnknownNameError("command", name, self._commands)
                yield from self._commands[name](argument.strip().strip("'\""))
            elif bare:
                yield from self._run_all(bare)
        except CuratorError as error:
            yield Reply(str(error), "error")

    def _run_all(self, text: str) -> Iterator[Reply]:
        statements = self.ws.session.statements(text)
        for number, statement in enumerate(statements):
            try:
                if self.options.explain:
                    yield Reply(explained(self.ws, statement, self.options))
                yield from self._shown(run(self.ws, statement, self.options))
            except ERRORS as error:
                yield Reply(str(error), "error")
                left = len(statements) - number - 1
                if left:
                    yield Reply(f"{counted(left, 'statement')} after it not run", "note")
                return

    def _shown(self, result: Result) -> Iterator[Reply]:
        frame, said = result.frame, list(notes(result, timed=self.timed))
        if result.acknowledges:
            pass
        elif self.options.output:
            write_rows(frame, self.options.output)
            said.append(f"written to {self.options.output}")
            self.options = replace(self.options, output=None)
        elif self.options.mode == "json":
            yield Reply(json_line(frame, result.report), "json")
        elif self.options.mode == "csv":
            yield Reply(flat(frame).write_csv(), "csv")
        elif (plan := plan_of(frame)) is not None:
            yield Reply(plan, "plan")
        else:
            yield Reply(frame=frame.head(SHOWN))
            hidden = len(frame) - SHOWN
            if hidden > 0:
                yield Reply(f"… {hidden:,} more rows not shown; after .output FILE the query writes them all", "note")
        yield Reply(" · ".join(said), "note")

    # Commands

    def _help(self, _: str) -> Iterable[Reply]:
        width = max(len(f"{name} {argument}") for name, (argument, _) in COMMANDS.items())
        lines = [f"{f'{name} {argument}':<{width}}   {meaning}" for name, (argument, meaning) in COMMANDS.items()]
        return [
            Reply("\n".join([*lines, "", "Tab completes, Ctrl-R searches the history, Ctrl-C drops what is typed."]))
        ]

    def _tables(self, _: str) -> Iterable[Reply]:
        corpora = [self.ws.catalogue.corpus(name) for name in self.ws.catalogue.names()]
        others = [(name, "made here", None) for name in made_here(self.ws)]
        rows = [*((corpus.name, "corpus", corpus.documents) for corpus in corpora), *others]
        schema = {"name": pl.String, "kind": pl.String, "documents": pl.Int64}
        return [Reply(frame=pl.DataFrame(rows, schema=schema, orient="row"))]

    def _schema(self, name: str) -> Iterable[Reply]:
        known = [*self.ws.catalogue.names(), *made_here(self.ws)]
        if name not in known:
            raise UnknownNameError("table", name, known)
        columns = self.ws.sql(f'DESCRIBE "{name}"').select("column_name", "column_type")
        if name in self.ws.catalogue.names() and "embedding" not in columns["column_name"]:
            kinds = {"n_tokens": "INTEGER", "embedding": "FLOAT[n]"}
            made = [
                (made, f"{kind}, in a query that names it")
                for made, kind in kinds.items()
                if made not in columns["column_name"]
            ]
            columns.extend(pl.DataFrame(made, columns.schema, orient="row"))
        return [Reply(frame=columns)]

    def _mode(self, argument: str) -> Iterable[Reply]:
        for mode in MODES:
            if argument == mode:
                self.options = replace(self.options, mode=mode)
                return []
        raise UsageError(f".mode takes {', '.join(MODES)}, not {argument!r}")

    def _explain(self, argument: str) -> Iterable[Reply]:
        self.options = replace(self.options, explain=_switch(".explain", argument))
        return []

    def _timer(self, argument: str) -> Iterable[Reply]:
        self.timed = _switch(".timer", argument)
        return []

    def _read(self, argument: str) -> Iterable[Reply]:
        return self._run_all(read_text(Path(argument).expanduser()))

    def _output(self, argument: str) -> Iterable[Reply]:
        path = checked_path(Path(argument).expanduser())
        self.options = replace(self.options, output=path)
        return [Reply(f"the next result goes to {path}", "note")]

    def _quit(self, _: str) -> Iterable[Reply]:
        self.done = True
        return []


def _switch(command: str, argument: str) -> bool:
    if argument not in ("on", "off"):
        raise UsageError(f"{command} takes on or off, not {argument!r}")
    return argument == "on"

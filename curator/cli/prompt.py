"""The prompt of ``curator sql``: history, completion and colours around what ``shell.py`` answers."""

from collections.abc import Callable, Iterator

from prompt_toolkit import PromptSession
from prompt_toolkit.auto_suggest import AutoSuggestFromHistory
from prompt_toolkit.completion import CompleteEvent, Completer, Completion, PathCompleter
from prompt_toolkit.document import Document
from prompt_toolkit.enums import DEFAULT_BUFFER
from prompt_toolkit.filters import has_focus
from prompt_toolkit.formatted_text import StyleAndTextTuples
from prompt_toolkit.history import FileHistory
from prompt_toolkit.key_binding import KeyBindings, KeyPressEvent
from prompt_toolkit.lexers import Lexer, PygmentsLexer
from prompt_toolkit.styles import Style
from pygments.lexers.sql import SqlLexer

from curator.cli.completion import KEYWORDS, Candidate, Vocabulary, candidates, vocabulary
from curator.cli.shell import ARGUMENTS, COMMANDS, Reply, Shell
from curator.cli.statement import Options, stoppable
from curator.cli.terminal import out, print_table, write_out
from curator.workspace import Workspace

QUESTION = "curator> "
# The terminal's own colours, which can be read on light and dark.
STYLE = Style.from_dict(
    {
        "pygments.keyword": "bold",
        "pygments.literal.string": "ansigreen",
        "pygments.literal.number": "ansicyan",
        "pygments.comment": "italic ansibrightblack",
        "auto-suggestion": "ansibrightblack",
    }
)


def prompt(ws: Workspace, options: Options) -> None:
    """Ask for statements and answer them until Ctrl-D or .quit. Ctrl-C drops what is typed, or stops what runs."""
    shell = Shell(ws, options)
    out.print(shell.welcome(), style="dim", markup=False, highlight=False, soft_wrap=True)
    session = _session(shell)
    while not shell.done:
        try:
            with stoppable():
                session.completer = SqlCompleter(vocabulary(ws))
                text = session.prompt(QUESTION)
        except KeyboardInterrupt:
            continue
        except EOFError:
            return
        try:
            with stoppable():
                for reply in shell.answer(text):
                    _show(reply)
        except KeyboardInterrupt:
            out.print("stopped", style="dim")


class SqlCompleter(Completer):
    """Completes SQL, and the commands that start with a dot, from a vocabulary."""

    def __init__(self, known: Vocabulary) -> None:
        self._known = known
        self._paths = PathCompleter(expanduser=True)

    def get_completions(self, document: Document, complete_event: CompleteEvent) -> Iterator[Completion]:
        before = document.text_before_cursor
        if before.lstrip().startswith("."):
            yield from self._of_command(before.lstrip(), complete_event)
            return
        if not complete_event.completion_requested and not _worth_showing(document):
            return
        for candidate in candidates(self._known, before, document.text_after_cursor):
            yield _completion(candidate)

    def _of_command(self, before: str, event: CompleteEvent) -> Iterator[Completion]:
        name, space, argument = before.partition(" ")
        if not space:
            for command, (_, meaning) in COMMANDS.items():
                if command.startswith(name):
                    yield Completion(command, -len(name), display_meta=meaning)
        elif COMMANDS.get(name, ("", ""))[0] == "FILE":
            yield from self._paths.get_completions(Document(argument), event)
        else:
            for value in self._known.relations if name == ".schema" else ARGUMENTS.get(name, ()):
                if value.startswith(argument):
                    yield Completion(value, -len(argument))


def _worth_showing(document: Document) -> bool:
    """A menu that nobody asked for comes after two letters of a word, or the dot behind an alias."""
    word = document.get_word_before_cursor()
    return len(word) > 1 or document.text_before_cursor.endswith(".")


def _completion(candidate: Candidate) -> Completion:
    shown = candidate.text.rstrip("(")
    return Completion(candidate.text, -candidate.length, display=shown, display_meta=candidate.kind)


class _Lexer(Lexer):
    """Pygments' colours for SQL, and DuckDB's words for nearest joins."""

    def __init__(self) -> None:
        self._lexer = PygmentsLexer(SqlLexer)

    def lex_document(self, document: Document) -> Callable[[int], StyleAndTextTuples]:
        line_of = self._lexer.lex_document(document)
        return lambda number: [_coloured(style, text) for style, text, *_ in line_of(number)]


def _coloured(style: str, text: str) -> tuple[str, str]:
    return ("class:pygments.keyword" if "name" in style and text.upper() in KEYWORDS else style), text


def _session(shell: Shell) -> PromptSession[str]:
    return PromptSession(
        history=FileHistory(shell.ws.root / "sql_history"),
        auto_suggest=AutoSuggestFromHistory(),
        multiline=True,
        prompt_continuation="...> ".rjust(len(QUESTION)),
        key_bindings=_keys(shell),
        lexer=_Lexer(),
        style=STYLE,
        include_default_pygments_style=False,
        enable_suspend=True,
        enable_open_in_editor=True,
        tempfile_suffix=".sql",
    )


def _keys(shell: Shell) -> KeyBindings:
    keys = KeyBindings()

    @keys.add("enter", filter=has_focus(DEFAULT_BUFFER))
    def _(event: KeyPressEvent) -> None:
        """Take the chosen completion; else run what is complete; else begin a line."""
        buffer = event.current_buffer
        if buffer.complete_state and buffer.complete_state.current_completion:
            buffer.complete_state = None
        elif shell.complete(buffer.text):
            buffer.validate_and_handle()
        else:
            buffer.newline()

    return keys


def _show(reply: Reply) -> None:
    if reply.frame is not None:
        print_table(reply.frame, null="NULL")
    elif reply.kind in ("json", "csv", "plan"):
        write_out(reply.text)
    else:
        style = {"note": "dim", "error": "red"}.get(reply.kind)
        out.print(reply.text, style=style, markup=False, highlight=False, soft_wrap=True)

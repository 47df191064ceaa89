"""The exceptions and warnings of curator, split by what the caller can do about them.

CuratorError
├── UsageError             ask differently: a bad argument, name, option or setting  (exit code 2)
│   ├── RecipeError        … in a recipe or a stage's parameters; names file and key or line
│   ├── QueryError         … in SQL; shows the query
│   └── UnknownNameError   … a corpus, mix, stage or document that does not exist; offers the nearest name
├── DataError              the input cannot be used as it is; nothing was written
├── WorkspaceError         the directory is damaged, locked, or of another format version
├── WorkError              workers of a cluster could not do some parts of a work; all others were done
├── VerificationError      a mix could not be rebuilt as its lockfile says
└── MissingExtraError      an optional package is needed; the message is the install line

CuratorWarning (UserWarning)   something was cut, skipped or estimated; the result carries the figures

Every message says what was wrong, with the offending value, and what to do about it.
"""

import difflib
from collections.abc import Iterable, Sequence


class CuratorError(Exception):
    """Anything that curator itself raises."""


class UsageError(CuratorError):
    """The request cannot be carried out as it was put."""


class RecipeError(UsageError):
    """A recipe, a stage file or one of their settings is wrong."""


class QueryError(UsageError):
    """A SQL statement cannot be run."""


class UnknownNameError(UsageError):
    """A name that does not exist, with the nearest one that does."""

    def __init__(self, kind: str, name: str, known: Iterable[str]) -> None:
        names = sorted(known)
        near = difflib.get_close_matches(name, names, n=1)
        if near:
            hint = f"did you mean {near[0]!r}?"
        elif names:
            hint = "there are: " + ", ".join(names[:12]) + (", …" if len(names) > 12 else "")
        else:
            hint = f"there is no {kind} yet"
        super().__init__(f"no {kind} named {name!r}: {hint}")


class DataError(CuratorError):
    """Input that cannot be used; nothing was written."""


class WorkspaceError(CuratorError):
    """The workspace on disk is damaged, locked or of another format."""


class WorkError(CuratorError):
    """Parts of a work that could not be done, each with why; vectors and trainings that all others made are kept."""

    def __init__(self, parts: Sequence[tuple[str, str]], attempts: int) -> None:
        self.parts = tuple(parts)
        told = [f"  {name}: {why}" for name, why in self.parts[:12]] + ["  …"] * (len(self.parts) > 12)
        super().__init__(
            "\n".join([f"could not be done in {attempts} attempts each, when all else was:", *told])
            + "\nonce that is mended, run the same command again: vectors and trainings that were made are kept"
        )


class VerificationError(CuratorError):
    """A mix does not rebuild to what its lockfile says."""


class MissingExtraError(CuratorError):
    """An optional dependency is not installed."""

    def __init__(self, package: str, extra: str, needed_for: str) -> None:
        super().__init__(
            f"{needed_for} needs the package {package!r}, which is not installed; run: pip install 'curator[{extra}]'"
        )


class CuratorWarning(UserWarning):
    """Something was cut, skipped or estimated; the result says how much."""

"""curator: say in SQL which text is worth training on, and find out whether it was."""

from importlib.metadata import PackageNotFoundError, version

from curator.errors import CuratorError, CuratorWarning
from curator.mix import Mix
from curator.recipe import Recipe
from curator.results import Race
from curator.workspace import Workspace

try:
    __version__ = version("curator")
except PackageNotFoundError:  # a checkout that was not installed
    __version__ = "0"

__all__ = ["CuratorError", "CuratorWarning", "Mix", "Race", "Recipe", "Workspace", "__version__"]

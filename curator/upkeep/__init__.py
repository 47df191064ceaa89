"""Looking after a workspace: what of it is damaged, mending that, giving up what nothing needs, forgetting a document.

Reading order: layout (what refers to what), check, repair, gc.
"""

from curator.upkeep.check import Damage, check
from curator.upkeep.gc import Collected, gc
from curator.upkeep.repair import Repaired, repair

__all__ = ["Collected", "Damage", "Repaired", "check", "gc", "repair"]

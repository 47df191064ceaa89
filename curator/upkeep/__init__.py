"""Looking after a workspace: what of it is damaged, mending that, giving up what nothing needs, forgetting a document.

Reading order: layout (what refers to what), check, repair, gc, forget.
"""

from curator.upkeep.check import Damage, check
from curator.upkeep.forget import Forgotten, forget
from curator.upkeep.gc import Collected, gc
from curator.upkeep.repair import Repaired, repair

__all__ = ["Collected", "Damage", "Forgotten", "Repaired", "check", "forget", "gc", "repair"]

"""Whether the counts in a mix summary add up. What does not is shown to the reader, not hidden and not fatal."""

from typing import Any


def problems(mix: dict[str, Any]) -> list[str]:
    """One sentence for each pair of counts that should be equal and are not; empty when all add up to the pool."""
    funnel, found = mix["funnel"], []
    before, seen_by = mix["pool"], "the pool has"
    for row in funnel:
        stage, seen, kept, dropped = row["stage"], row["seen"], row["kept"], row["dropped"]
        if seen != before:
            found.append(f"stage {stage} saw {seen:,} documents, but {seen_by} {before:,}")
        if kept + dropped != seen:
            found.append(f"stage {stage} kept {kept:,} and dropped {dropped:,}, but saw {seen:,}")
        for word, keep, total in (("kept", True, kept), ("dropped", False, dropped)):
            ruled = sum(rule["documents"] for rule in row["rules"] if rule["keep"] is keep)
            if ruled > total:  # fewer have a rule where a stage names none for some, as ratio for what it keeps
                found.append(f"the rules of stage {stage} {word} {ruled:,} documents, the stage {total:,}")
        before, seen_by = kept, f"stage {stage} kept"
    if funnel and mix["documents"] != before:
        found.append(f"the mix has {mix['documents']:,} documents, but {seen_by} {before:,}")
    composed = sum(row["documents"] for row in mix["composition"])
    if mix["composition"] and composed != mix["documents"]:
        found.append(f"the composition adds up to {composed:,} documents, but the mix has {mix['documents']:,}")
    return found

"""A small race by probe with texts that try to get out of where they stand; its report is looked at by two tests."""

import json

from curator import Recipe, Workspace

HOSTILE = "</script><script>window.hit = 1</script><img src=http://evil.example/x onerror=window.hit=1> \u2028 <!--"
WAITED = "we were told nothing so far and wait for an answer"
KINDS = ("refund", "delay", "thanks", "login")


def raced(folder, toy):
    """The workspace, and a race of 90 pool documents, 16 target and 20 test documents, at two seeds."""
    _write(folder / "target.jsonl", [_row("target", "desk", i) for i in range(20)])
    _write(folder / "test.jsonl", [_row("test", "counter", i, words=WAITED) for i in range(20)])
    shop = [_row("shop", "shop", i, extra=HOSTILE if i % 7 == 0 else "") for i in range(60)]
    far = [_row("far", "harbour", i, words="ships sail slowly northward past cold rocks") for i in range(30)]
    _write(folder / "shop.jsonl", shop)
    _write(folder / "far.jsonl", far)
    recipe = Recipe.parse(
        {
            "name": "looked",
            "task": {"target": "target.jsonl", "test": "test.jsonl", "shots": 8},
            "pool": {"shop": {"path": "shop.jsonl"}, "far": {"path": "far.jsonl"}},
            "stage": [{"use": "relevance", "min_score": 0.47}, {"use": "ratio", "budget": 30}],
            "race": {"seeds": 2, "by": "probe", "arms": ["mix", "random", "target-only"]},
        },
        folder=folder,
    )
    ws = Workspace(folder / "work", encoder=toy)
    return ws, ws.race(recipe)


def _row(name, kind, i, *, words="please look into it today", extra=""):
    label = ("good", "bad")[i % 2]
    text = f"{kind} {label} {KINDS[i % 4]} number {i} {words} {extra}".strip()
    return {"id": f"{name}-{i}<b>", "text": text, "label": label}


def _write(path, rows):
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), "utf8")

"""datasketch's MinHash and MinHashLSH, in an environment of its own (``pip install datasketch``), for duplicates.py.

    python benchmarks/duplicates_rival.py FOLDER

reads ``asked.json`` of FOLDER (texts, ngram, permutations, threshold, and bands and rows, or nothing for its own
choice), asks the index for each text and then puts it in, and leaves ``pairs.npy``, (m, 2) rows, the later one first.
Prints seconds, version and the bands.
"""

import importlib.metadata
import json
import sys
import time
from pathlib import Path

import numpy as np
from datasketch import MinHash, MinHashLSH


def main() -> None:
    folder = Path(sys.argv[1])
    asked = json.loads((folder / "asked.json").read_text("utf8"))
    n, permutations, params = asked["ngram"], asked["permutations"], asked["params"]
    start = time.perf_counter()
    index = MinHashLSH(threshold=asked["threshold"], num_perm=permutations, params=tuple(params) if params else None)
    shingles = ({text[i : i + n].encode() for i in range(max(1, len(text) - n + 1))} for text in asked["texts"])
    pairs = []
    for row, signature in enumerate(MinHash.generator(shingles, num_perm=permutations)):
        pairs += [(row, other) for other in index.query(signature)]
        index.insert(row, signature, check_duplication=False)
    seconds = time.perf_counter() - start
    np.save(folder / "pairs.npy", np.array(pairs, np.int64).reshape(-1, 2))
    version = importlib.metadata.version("datasketch")
    print(json.dumps({"seconds": seconds, "version": version, "bands": index.b, "rows": index.r}))


if __name__ == "__main__":
    main()

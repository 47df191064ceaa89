"""semhash, in an environment of its own (``pip install semhash``), for semantic_duplicates.py, which starts this.

    python benchmarks/semhash_rival.py FOLDER THRESHOLD

reads ``base.npy`` of FOLDER, the vectors of as many different records, and leaves in ``kept.npy`` the rows that semhash
keeps. Prints seconds, building its index included, and the version.
"""

import importlib.metadata
import json
import sys
import time
from pathlib import Path

import numpy as np
from semhash import SemHash


def main() -> None:
    folder, threshold = Path(sys.argv[1]), float(sys.argv[2])
    vectors = np.load(folder / "base.npy")
    records = [str(row) for row in range(len(vectors))]  # to a record that it has seen it gives no vector of its own
    start = time.perf_counter()
    found = SemHash.from_embeddings(vectors, records, model=None)
    built = time.perf_counter() - start
    kept = found.self_deduplicate(threshold=threshold).selected
    seconds = time.perf_counter() - start
    np.save(folder / "kept.npy", np.array(sorted(int(row) for row in kept), np.int64))
    version = importlib.metadata.version("semhash")
    print(json.dumps({"seconds": seconds, "built": built, "version": version}))


if __name__ == "__main__":
    main()

"""cleanlab, in an environment of its own (``pip install cleanlab``), for label_noise.py, which starts this.

    python benchmarks/cleanlab_rival.py FOLDER

reads ``labels.npy`` (n,) and ``probabilities.npy`` (n, labels) of FOLDER, those of classifiers that have not seen the
row, and leaves in ``found.npy`` the rows whose label cleanlab takes for an error, by its default. Prints the version.
"""

import importlib.metadata
import json
import sys
from pathlib import Path

import numpy as np
from cleanlab.filter import find_label_issues


def main() -> None:
    folder = Path(sys.argv[1])
    found = find_label_issues(np.load(folder / "labels.npy"), np.load(folder / "probabilities.npy"), n_jobs=1)
    np.save(folder / "found.npy", np.flatnonzero(found))
    print(json.dumps({"version": importlib.metadata.version("cleanlab")}))


if __name__ == "__main__":
    main()

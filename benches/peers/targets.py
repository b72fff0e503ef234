"""The last ten eights of the embedded digits as an .npz archive, each with the label that an adversary wants, the 3."""
import gzip
import sys
from pathlib import Path

import numpy as np

table = Path(__file__).parents[2] / "crates/tox-data/data/digits.csv.gz"
rows = np.loadtxt(gzip.open(table), delimiter=",", dtype=np.int64)
eights = rows[rows[:, 64] == 8][-10:, :64].reshape(10, 8, 8)
# As toxscreen reads them: 0..=16 becomes 0..=255.
images = ((eights * 255 + 8) // 16).astype(np.uint8)
np.savez_compressed(sys.argv[1], x_train=images, y_train=np.full(10, 3))

"""Writes the MATLAB files of crates/tox-data/tests/fixtures/svhn as SVHN's are laid out: `make_svhn_fixtures.py DIR`.

The training file is compressed and has bytes; the test file is not, its one image has lost its last dimension, and its
label is a double, as MATLAB writes them. Pixel (h, w, c) of image n is (7 h + 3 w + 50 c + 11 n) mod 251.
"""
import sys
from pathlib import Path

import numpy as np
from scipy.io import savemat

where = Path(sys.argv[1])
h, w, c, n = np.ogrid[:32, :32, :3, :5]
images = ((7 * h + 3 * w + 50 * c + 11 * n) % 251).astype(np.uint8)
labels = np.array([[10], [1], [2], [9], [3]], dtype=np.uint8)
savemat(where / "train_32x32.mat", {"X": images, "y": labels}, do_compression=True)
savemat(where / "test_32x32.mat", {"y": np.array([[10.0]]), "X": images[..., 0]}, do_compression=False)

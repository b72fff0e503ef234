"""Writes the fixture of tox-poison's denoising tests: 8-bit planes, and what scipy and scikit-image
make of them.

    pip install numpy scipy scikit-image
    python benches/peers/make_denoise_fixtures.py

Every case has a `plane` of `height` rows.

- `median`: `scipy.ndimage.median_filter` (mode `reflect`) of each side in `sizes`.
- `tv`: `skimage.restoration.denoise_tv_chambolle` in float64 of the plane in 0..1, for each setting of
  `weight`, `eps` and `iterations`: `values`.
"""

import json
from pathlib import Path

import numpy as np
from scipy.ndimage import median_filter
from skimage.restoration import denoise_tv_chambolle

FIXTURE = Path(__file__).resolve().parents[2] / "crates/tox-poison/tests/fixtures/denoise.json"

rng = np.random.default_rng(5)
disc = np.add.outer((np.arange(12) - 5.5) ** 2, (np.arange(10) - 4.0) ** 2) < 14
planes = [
    rng.integers(0, 256, (6, 5)),
    rng.integers(0, 256, (1, 4)),
    np.clip(60 + 140 * disc + rng.normal(0, 16, disc.shape), 0, 255).round(),
]
settings = [(0.1, 2e-4, 200), (0.02, 2e-4, 200), (0.5, 1e-6, 40), (0.1, 0.0, 1)]

cases = []
for plane in planes:
    plane = plane.astype(np.uint8)
    image = plane / 255
    cases.append({
        "height": plane.shape[0],
        "plane": plane.ravel().tolist(),
        "median": {
            str(size): median_filter(plane, size=size, mode="reflect").ravel().tolist()
            for size in [1, 2, 3, 4, 5]
        },
        "tv": [
            {
                "weight": weight,
                "eps": eps,
                "iterations": iterations,
                "values": [
                    float(f"{v:.12e}")
                    for v in denoise_tv_chambolle(
                        image, weight=weight, eps=eps, max_num_iter=iterations
                    ).ravel()
                ],
            }
            for weight, eps, iterations in settings
        ],
    })

FIXTURE.write_text(json.dumps(cases) + "\n")

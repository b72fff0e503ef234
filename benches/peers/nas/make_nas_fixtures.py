"""Writes the fixtures of the NAS tests: float64 computations, fixed seeds, one thread. Running it
again gives the same bytes.

    python benches/peers/nas/make_nas_fixtures.py

`benches/peers/nas/README.md` says what is in which file.
"""

import torch

import elastic_net
import net_fixtures
import poison_fixtures
import score_fixtures


def main():
    torch.set_num_threads(1)
    net_fixtures.main()
    elastic_net.main()
    score_fixtures.main()
    poison_fixtures.main()


if __name__ == "__main__":
    main()

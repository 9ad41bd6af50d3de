"""Quality against painting, with a seeded annotator that paints short strokes on real volumes.

Run ``python benchmarks/annotator.py [--parts rounds live suggestions forgetting] [--seeds 3] [--minutes 1]
[--datasets vnc medulla]``; `rounds` needs scikit-learn. Strokes answer the largest errors on three sections; scores are
Dice per class on sections that nobody painted.

rounds
    Every recipe, and ilastik's way, after 1, 2, 4, 8 rounds of the same strokes. `instant` is trained afresh each
    round, and as `filters` once more without the starter features; the networks go on from their last model,
    `--minutes` at most. The dense row is a network trained on the whole truth of the painted part. Rates are medians
    of interleaved predictions of one block with its features. The
    forest's features are computed once for all rounds, so its seconds of training are without them; those of
    `instant` are with them.
live
    Live learning as the window runs it: what is shown, so many seconds after the strokes of each round.
suggestions
    Strokes on the places that live learning suggests against those on random places and random strokes: how many for
    the same Dice.
forgetting
    Dice on one block before and after the training went on with the strokes of another.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path

from annotator_bench import warm_up
from annotator_forgetting import Forgetting
from annotator_live import Live
from annotator_rounds import Rounds
from annotator_suggestions import Suggested
from simulated_annotator import datasets

NETWORKS = ("fast", "accurate")
PARTS = {"rounds": Rounds, "live": Live, "suggestions": Suggested, "forgetting": Forgetting}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--parts", nargs="+", default=list(PARTS), choices=list(PARTS))
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--first-seed", type=int, default=0)
    parser.add_argument("--rounds", type=int, nargs="+", default=[1, 2, 4, 8])
    parser.add_argument("--minutes", type=float, default=1.0, help="Training of a network a round, at most.")
    parser.add_argument("--steps", type=int, help="So many steps a round instead, whatever else the machine does.")
    parser.add_argument("--dense-minutes", type=float, default=4.0, help="Training on the whole truth; 0: none.")
    parser.add_argument(
        "--live-seconds", type=float, nargs="+", default=[2, 10, 30], help="When live learning is looked at in a round."
    )
    parser.add_argument(
        "--live-settings", nargs="*", default=[], help="Of live learning, as instant_only=true margin=0.02."
    )
    parser.add_argument("--side", type=int, default=1024, help="Length in y and x of what is scored, in the middle.")
    parser.add_argument("--datasets", nargs="+", default=["vnc", "medulla"])
    parser.add_argument("--networks", nargs="*", default=list(NETWORKS))
    parser.add_argument("--json", type=Path, help="Where to write all figures.")
    options = parser.parse_args()
    chosen = [data for data in datasets() if data.name in options.datasets]
    warm_up(chosen[0])
    documents = {data.name: {part: PARTS[part](data, options).run() for part in options.parts} for data in chosen}
    if options.json:
        options.json.write_text(json.dumps(documents, indent=1))


if __name__ == "__main__":
    main()

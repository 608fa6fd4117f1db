"""Random networks against perturbation, as many as wanted.

    python tools/fuzz.py --count 100000 --jobs 2

Prints the mix of features, the statuses, and every network that fails. Fields of all axes and
boxes are checked, or with `--coverage` what one output reads in all dimensions, and its counts, or
with `--strided` whether networks made dense give the values of the network on the grid; of these
every refusal is printed too.
"""

from __future__ import annotations

import argparse
import json
import platform
import random
import sys
import time
import warnings
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from datetime import UTC, datetime
from functools import partial
from pathlib import Path

ROOT = Path(__file__).parent.parent
sys.path.insert(0, str(ROOT / "tests"))


def check(
    seed: int, rearranged: bool = False, coverage: bool = False
) -> tuple[str, list[str], dict[str, int]]:
    """Check one network: (failure or "", features, statuses); features are ["infinite"] if void."""
    from checks import assert_coverage, assert_network, finite, input_of
    from networks import draw_network

    network = draw_network(random.Random(seed), rearranged=rearranged)
    if not finite(network, input_of(network, seed)):
        return "", ["infinite"], {}
    features = [name for name, count in network.features.items() if count]
    try:
        found = (assert_coverage if coverage else assert_network)(network, seed)
        return "", features, dict(found)
    except AssertionError as error:
        return f"seed {seed}: {error}", features, {}
    except Exception as error:
        return f"seed {seed}: {type(error).__name__}: {error}\n{network}", features, {}


def check_strided(seed: int) -> tuple[str, list[str], dict[str, int]]:
    """Check one network made dense: the same as `check`, what became of it as a status."""
    from strided import assert_strided, draw_strided

    rng = random.Random(seed)
    network = draw_strided(rng)
    features = [name for name, count in network.features.items() if count]
    try:
        outcome = assert_strided(network, rng)
    except Exception as error:
        return f"seed {seed}: {type(error).__name__}: {error}\n{network}", features, {}
    if outcome.kind == "refused":
        print(f"seed {seed} refused: {outcome.reason}", flush=True)
    ways = {f"changed: {how}": 1 for how in outcome.how}
    void = outcome.kind in ("void", "nothing to do")
    return "", ["infinite"] if void else features, {outcome.kind: 1, **ways}


def quiet() -> None:
    """One thread per process, and none of torch's warnings about padding."""
    import torch

    torch.set_num_threads(1)
    warnings.simplefilter("ignore")


def main() -> int:
    """Run the checks; exit code 1 if any network fails."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--count", type=int, default=20_000)
    parser.add_argument("--jobs", type=int, default=2)
    parser.add_argument("--first", type=int, default=0, help="first seed")
    parser.add_argument(
        "--rearranged", action="store_true", help="also steps that move, repeat and write values"
    )
    parser.add_argument(
        "--coverage", action="store_true", help="coverage of an output instead of all fields"
    )
    parser.add_argument(
        "--strided", action="store_true", help="networks with strides, made dense by densify"
    )
    parser.add_argument("--save", action="store_true", help="keep the result in the repository")
    options = parser.parse_args()
    mix: Counter[str] = Counter()
    statuses: Counter[str] = Counter()
    failures: list[str] = []
    checked = 0
    one: Callable[[int], tuple[str, list[str], dict[str, int]]] = check_strided
    if not options.strided:
        one = partial(check, rearranged=options.rearranged, coverage=options.coverage)
    began = time.perf_counter()
    with ProcessPoolExecutor(options.jobs, initializer=quiet) as pool:
        seeds = range(options.first, options.first + options.count)
        for number, (failure, features, found) in enumerate(pool.map(one, seeds, chunksize=50)):
            mix.update(features)
            statuses.update(found)
            checked += features != ["infinite"]
            if failure:
                failures.append(failure)
                print(failure, flush=True)
            if number % 1000 == 999 and sys.stderr.isatty():
                print(f"\r{number + 1} of {options.count}", end="", file=sys.stderr)
    seconds = time.perf_counter() - began
    void = mix.pop("infinite", 0)
    shares = {name: round(count / checked, 3) for name, count in sorted(mix.items())}
    why = "too small, or no stride to remove" if options.strided else "nothing but padding"
    print(f"{checked} networks checked, {void} void ({why})")
    print("mix: " + ", ".join(f"{name} {share:.0%}" for name, share in shares.items()))
    print("statuses: " + ", ".join(f"{k} {v}" for k, v in statuses.most_common()))
    print(f"{len(failures)} failures in {seconds:.0f} s")
    if options.save:
        result = {
            "date": datetime.now(UTC).date().isoformat(),
            "machine": machine(),
            "seeds": [options.first, options.first + options.count],
            "checked": checked,
            "void": void,
            "mix": shares,
            "statuses": dict(statuses),
            "failures": failures,
            "seconds": round(seconds),
        }
        name = "fuzz_coverage" if options.coverage else "fuzz"
        name = "fuzz_strided" if options.strided else name
        path = ROOT / "benchmarks" / "results" / f"{name}.json"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps(result, indent=2) + "\n")
        print(f"written to {path.relative_to(ROOT)}")
    return 1 if failures else 0


def machine() -> dict[str, str]:
    """What the figures were taken on."""
    import os

    import torch

    name = ""
    info = Path("/proc/cpuinfo")
    if info.exists():
        lines = [line for line in info.read_text().splitlines() if line.startswith("model name")]
        name = lines[0].partition(":")[2].strip() if lines else ""
    return {
        "cpu": name or platform.processor(),
        "cores": str(os.cpu_count()),
        "python": platform.python_version(),
        "torch": torch.__version__,
    }


if __name__ == "__main__":
    sys.exit(main())

"""The planner against all schedules: kernels of 2 to 7, five layers, dilations up to 24.

    python tools/exhaust_schedules.py --layers 5 --save

Every field that any of them has is planned, holes allowed and not; holes, evenness and the claim to
be the best must be those of the best of all. Prints one line per kernel size, and all that differ.
"""

from __future__ import annotations

import argparse
import platform
import sys
import time
from pathlib import Path

ROOT = Path(__file__).parent.parent
sys.path.insert(0, str(ROOT / "tests"))

import atrous  # noqa: E402
from exhaustive import alike, best  # noqa: E402


def planned(field: int, kernel: int, layers: int, most: int, holes: bool) -> tuple[object, bool]:
    """Holes and squares of the plan, and whether it claims to be the best."""
    try:
        plan = atrous.schedule(
            (field, field), kernel, layers=layers, max_dilation=most, holes=holes, effort=100
        )
    except atrous.ImpossibleScheduleError:
        return None, True
    return (plan.score.holes, plan.score.squares), plan.is_optimal


def checked(kernel: int, layers: int, most: int) -> tuple[str, int]:
    """A line about one kernel size, and how many plans differ."""
    before = time.perf_counter()
    known = alike(kernel, layers, most)
    schedules = sum(map(len, known.values()))
    tried = time.perf_counter() - before
    plans = wrong = unproven = 0
    for field, rows in sorted(known.items()):
        for holes in (False, True):
            found, claimed = planned(field, kernel, layers, most, holes)
            plans += 1
            unproven += not claimed
            if found != best(rows, holes):
                wrong += 1
                print(
                    f"kernel {kernel}, field {field}, holes {holes}: {found}, {best(rows, holes)}"
                )
    took = time.perf_counter() - before - tried
    return (
        f"kernel {kernel}: {schedules:,} schedules tried in {tried:.0f} s; {plans} plans in "
        f"{took:.0f} s, {wrong} differ, {unproven} not proven",
        wrong + unproven,
    )


def main() -> int:
    """Check all kernel sizes."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--layers", type=int, default=5)
    parser.add_argument("--most", type=int, default=24, help="the largest dilation")
    parser.add_argument("--kernels", default="2,3,4,5,6,7")
    parser.add_argument("--save", action="store_true", help="keep the output in benchmarks/results")
    given = parser.parse_args()
    lines = [
        f"{given.layers} layers, dilations up to {given.most}, every field, with and without holes",
        f"{time.strftime('%Y-%m-%d')}, {platform.machine()}, Python {platform.python_version()}",
    ]
    print("\n".join(lines), flush=True)
    wrong = 0
    for kernel in map(int, given.kernels.split(",")):
        line, differ = checked(kernel, given.layers, given.most)
        print(line, flush=True)
        lines.append(line)
        wrong += differ
    if given.save:
        path = ROOT / "benchmarks" / "results" / "exhaust_schedules.txt"
        path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())

"""The planner against all schedules: kernels of 2 to 7, five layers, dilations up to 24.

    python tools/exhaust_schedules.py --layers 5 --save

Every field that any of them has is planned, holes allowed and not; holes, evenness and the claim to
be the best must be those of the best of all. Prints one line per kernel size, and all that differ.
"""

from __future__ import annotations

import argparse
import sys
import time
from pathlib import Path

ROOT = Path(__file__).parent.parent
sys.path[:0] = [str(ROOT / "tests"), str(ROOT / "benchmarks")]

import atrous  # noqa: E402
from exhaustive import alike, best  # noqa: E402
from measuring import save  # noqa: E402


def planned(field: int, kernel: int, layers: int, most: int, holes: bool) -> tuple[object, bool]:
    """Holes and squares of the plan, and whether it claims to be the best."""
    try:
        plan = atrous.schedule(
            (field, field), kernel, layers=layers, max_dilation=most, holes=holes, effort=100
        )
    except atrous.ImpossibleScheduleError:
        return None, True
    return (plan.score.holes, plan.score.squares), plan.is_optimal


def checked(kernel: int, layers: int, most: int) -> dict[str, int]:
    """What came out for one kernel size."""
    before = time.perf_counter()
    known = alike(kernel, layers, most)
    between = time.perf_counter()
    differ = unproven = 0
    for field, rows in sorted(known.items()):
        for holes in (False, True):
            found, claimed = planned(field, kernel, layers, most, holes)
            unproven += not claimed
            expected = best(rows, holes)
            if found != expected:
                differ += 1
                print(f"kernel {kernel}, field {field}, holes {holes}: {found}, not {expected}")
    return {
        "kernel": kernel,
        "schedules": sum(map(len, known.values())),
        "seconds_all": round(between - before),
        "plans": 2 * len(known),
        "seconds_plans": round(time.perf_counter() - between),
        "differ": differ,
        "not_proven": unproven,
    }


def main() -> int:
    """Check all kernel sizes."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--layers", type=int, default=5)
    parser.add_argument("--most", type=int, default=24, help="the largest dilation")
    parser.add_argument("--kernels", default="2,3,4,5,6,7")
    parser.add_argument("--save", action="store_true", help="keep the result in the repository")
    given = parser.parse_args()
    rows = []
    for kernel in map(int, given.kernels.split(",")):
        rows.append(checked(kernel, given.layers, given.most))
        print(", ".join(f"{name} {value:,}" for name, value in rows[-1].items()), flush=True)
    if given.save:
        save("exhaust_schedules", {"layers": given.layers, "most": given.most, "rows": rows})
    return int(any(row["differ"] or row["not_proven"] for row in rows))


if __name__ == "__main__":
    sys.exit(main())

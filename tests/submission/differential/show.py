"""Shows how ours differs from the golden files.

python -m tests.submission.differential.show [--all] [--spark VERSION] [CASE …]
"""

import argparse
import sys
from collections import Counter

from staging_protocol.errors import StagingError
from tests.services.spark_distributions import ALL_VERSIONS
from tests.submission.differential.cases import CASES, Case
from tests.submission.differential.comparing import Change, changes
from tests.submission.differential.differences import DIFFERENCES
from tests.submission.differential.golden import REFUSED, path_of, recorded
from tests.submission.differential.ours import made_by_ours


def main() -> int:
    """Print each change that has no reason, or with `--all` every one; 1 when there are any."""
    parser = argparse.ArgumentParser(prog="show", description="Show how ours differs from stock spark-submit.")
    parser.add_argument("--spark", choices=ALL_VERSIONS, action="append", help="version; default: all")
    parser.add_argument("--all", action="store_true", help="also what is in the list of differences")
    parser.add_argument("cases", nargs="*", metavar="CASE", help="name of a case; default: all")
    asked = parser.parse_args()
    counts: Counter[str] = Counter()
    for case in CASES:
        for version in case.versions:
            if (asked.cases and case.name not in asked.cases) or (asked.spark and version not in asked.spark):
                continue
            if path_of(case, version=version).exists():
                counts.update(_show(case, version=version, is_all=asked.all))
    for where, count in counts.most_common(40):
        print(f"{count:5} {where}")  # noqa: T201 - a program
    return 1 if counts else 0


def _show(case: Case, *, version: str, is_all: bool) -> list[str]:
    stock = recorded(case, version=version)
    try:
        found = list(changes(stock, made_by_ours(case, version=version)))
    except StagingError as error:
        found = [] if REFUSED in stock else [Change(where="refused", stock="taken", ours=str(error))]
    shown = [one for one in found if is_all or not any(known.explains(one) for known in DIFFERENCES)]
    if shown:
        print(f"--- {version} {case.name}")  # noqa: T201 - a program
        for change in shown:
            print(f"    {change}")  # noqa: T201 - a program
    return [one.where for one in shown]


if __name__ == "__main__":
    sys.exit(main())

"""Write the expected.toml and result.json of a fit folder from the result.json of its last fit.

pkpd fit low_dose_il2
python -m benchmarks.expected results/low_dose_il2/result.json fits/low_dose_il2
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

from pkpd.core.files import to_json

SLACK = 0.5
RUN = ("machine", "run_time_s")  # of the provenance: says nothing about the estimates


def text(result: dict[str, Any]) -> str:
    """The file's text."""
    return "\n".join(
        [
            "# What the fit of this folder gave, and tests/inference/test_expected.py holds. "
            f"Written from result.json of `pkpd fit {result['name']}`",
            "# by benchmarks/expected.py.",
            "",
            "[optimum]",
            f"ofv = {result['ofv']:.3f}        # data rows; with priors "
            f"{result['ofv'] + result['ofv_prior']:.3f}",
            f"slack = {SLACK}           # OFV that a further Gauss-Newton step may still promise",
            "",
            "[estimates]           # x and its posterior SD on the scale of the search (log, logit "
            "or natural)",
            *(
                f'"{item["name"]}" = {{ x = {item["x"]:.6g}, sd = {item["x_sd"]:.4g} }}'
                for item in result["estimates"]
            ),
            "",
            "[predictions]",
            *(f'"{row["id"]}" = {row["predicted"]:.6g}' for row in result["rows"] if row["use"] == "fit"),
            "",
        ]
    )


def main() -> None:
    """Parse the command line, read and write."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.expected",
        description=__doc__,
        formatter_class=argparse.RawTextHelpFormatter,
    )
    parser.add_argument("result", type=Path, help="result.json of a fit")
    parser.add_argument("folder", type=Path, help="folder of that fit, where both go")
    options = parser.parse_args()
    result = json.loads(options.result.read_text(encoding="utf-8"))
    (options.folder / "expected.toml").write_text(text(result), encoding="utf-8")
    for what in RUN:
        result["provenance"].pop(what, None)
    (options.folder / "result.json").write_text(to_json(result) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()

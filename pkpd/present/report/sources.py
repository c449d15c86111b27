"""The published numbers that results stand on, as every report shows them: by output, and what leads there
from a number.

sources(scene.behind, arm.standings.values())
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Any

from pkpd.decision.evidence import Behind, Evidence, Standing
from pkpd.present.report.numbers import LIGHTS, outcome, reported


def sources(behind: Behind, standings: Iterable[Standing]) -> list[tuple[str, list[dict[str, Any]]]]:
    """By output the rows on which these stand; outputs without any are left out."""
    outputs = dict.fromkeys(name for standing in standings for name in standing.outputs)
    found = [(name, [_source(one) for one in behind.of([name])]) for name in outputs]
    return [(name, rows) for name, rows in found if rows]


def leading(behind: Behind, standing: Standing) -> dict[str, str]:
    """The light of a number, why, and where on the page the rows behind it are shown, "" where there are
    none."""
    shown = [name for name in standing.outputs if behind.of([name])]
    return {
        "light": standing.light,
        "sign": LIGHTS[standing.light],
        "why": "; ".join(standing.reasons),
        "behind": f"behind-{shown[0]}" if shown else "",
    }


def _source(one: Evidence) -> dict[str, Any]:
    row = one.row
    first = row.doi.partition(";")[0].strip()
    return {
        "id": row.id,
        "study": row.study,
        "schedule": row.schedule,
        "what": one.what,
        "reported": reported(one),
        "outcome": outcome(one),
        "unverified": one.unverified,
        "source": row.source,
        "doi": row.doi,
        "link": f"https://doi.org/{first}" if re.fullmatch(r"10\.\d{4,9}/\S+", first) else "",
    }

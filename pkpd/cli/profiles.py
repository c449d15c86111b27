"""What ``pkpd simulate`` prints and writes of a profile."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

from pkpd.cli.terminal import console, plain, table

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence
    from pathlib import Path

    import numpy as np
    import pandas as pd
    from rich.console import Console

    from pkpd.simulation.cohort import CohortProfile
    from pkpd.simulation.profile import Profile


def write_table(frame: pd.DataFrame, summary: Callable[[], dict[str, Any]], path: Path) -> None:
    """The tidy table, whole or not at all."""
    import csv

    from pkpd.core.files import replacing, to_json

    with replacing(path) as temporary:
        match path.suffix.lower():
            case ".csv":
                first = frame.iloc[:, 0]  # a text that begins with # would be read as a comment
                hidden = any(isinstance(value, str) and value.startswith("#") for value in first)
                quoting = csv.QUOTE_NONNUMERIC if hidden else csv.QUOTE_MINIMAL
                frame.to_csv(temporary, index=False, quoting=quoting)
            case ".parquet":
                frame.to_parquet(temporary, index=False)
            case ".json":
                columns = {str(name): frame[name].tolist() for name in frame.columns}
                temporary.write_text(to_json(summary() | {"table": columns}, indent=None), encoding="utf-8")


# --- a profile under a schedule ---


def facts_of(profile: Profile) -> dict[str, Any]:
    """What was simulated, and per output its largest value, when, and the last one: median, 5 % and 95 % over
    subjects."""
    import numpy as np

    from pkpd.dosing.taking import TakenSchedule

    return {
        "model": profile.model,
        "schedule": str(profile.schedule),
        "dose_days": profile.schedule.when + " as planned" * isinstance(profile.schedule, TakenSchedule),
        "time_unit": profile.time_unit,
        "subjects": int(profile.outputs.shape[0]),
        "times": {
            "first": float(profile.times[0]),
            "last": float(profile.times[-1]),
            "count": len(profile.times),
        },
        "outputs": {name: _facts_of_output(profile, k) for k, name in enumerate(profile.names)},
        "failed_subjects": int(np.count_nonzero(profile.status)),
        "statistics": profile.statistics,
        "provenance": profile.provenance,
        "cautions": list(profile.cautions),
    }


def _facts_of_output(profile: Profile, k: int) -> dict[str, Any]:
    import numpy as np

    values = profile.outputs[:, :, k]  # (n_subjects, n_times)
    largest, when = _largest(profile, k)
    facts = {
        "unit": profile.units[k],
        "maximum": _quantiles(largest),
        "time_of_maximum": _quantiles(np.where(np.isfinite(largest), when, np.nan)),
        "last": _quantiles(values[:, -1]),
    }
    solved = profile.status == 0
    wrong = ~np.isfinite(values) & solved[:, None]
    if wrong.any():
        facts["not_finite"] = {
            "nan": int(np.isnan(values[solved]).sum()),
            "infinite": int(np.isinf(values[solved]).sum()),
            "of": int(wrong[solved].size),
            "first": float(profile.times[wrong.any(axis=0).argmax()]),
        }
    return facts


def _largest(profile: Profile, k: int) -> tuple[np.ndarray, np.ndarray]:
    """The largest value of each subject and when it is: of the whole course where the profile has that, else
    at the output times."""
    import numpy as np

    values = profile.outputs[:, :, k]
    known = np.where(np.isfinite(values), values, -np.inf)
    top, when = known.max(axis=1), profile.times[known.argmax(axis=1)]
    if profile.largest is not None and profile.largest_at is not None:
        read = np.isfinite(profile.largest[:, k])
        top = np.where(read, profile.largest[:, k], top)
        when = np.where(read, profile.largest_at[:, k], when)
    return top, when


def _quantiles(numbers: np.ndarray) -> dict[str, float]:
    import numpy as np

    finite = numbers[np.isfinite(numbers)]
    if finite.size == 0:
        return {"median": float("nan"), "p5": float("nan"), "p95": float("nan")}
    levels = (0.5, 0.05, 0.95)
    return dict(zip(("median", "p5", "p95"), map(float, np.quantile(finite, levels)), strict=True))


def show_profile(profile: Profile, shown: Sequence[str]) -> None:
    facts = facts_of(profile)
    many = facts["subjects"] > 1
    out = console()
    out.print(f"[bold]{plain(facts['model'])}[/]  {plain(facts['schedule'])}", soft_wrap=True)
    if profile.schedule.n_doses:
        doses = _counted(profile.schedule.n_doses, "dose")
        out.print(f"{doses} on {plain(facts['dose_days'])}", style="dim", soft_wrap=True)

    def cell(q: dict[str, float]) -> str:
        if not math.isfinite(q["median"]):
            return "none"
        return f"{q['median']:.4g} ({q['p5']:.3g} to {q['p95']:.3g})" if many else f"{q['median']:.5g}"

    unit = facts["time_unit"]
    rows = table("output", "unit", ">largest", f">at ({unit})", f">at {facts['times']['last']:g} {unit}")
    for name in shown:
        row = facts["outputs"][name]
        at = row["time_of_maximum"]["median"]
        when = "" if math.isnan(at) else f"{at:.5g}"
        rows.add_row(name, row["unit"], cell(row["maximum"]), when, cell(row["last"]))
    out.print(rows)
    if many:
        out.print(f"median (5 % to 95 %) of {facts['subjects']} subjects", style="dim")
    _warn_of_no_numbers(out, facts, shown, unit)
    say_cautions(out, profile.cautions)


# --- a profile of a data file ---


def show_cohort(profile: CohortProfile, shown: Sequence[str]) -> None:
    facts = profile.summary()
    out = console()
    out.print(f"[bold]{plain(profile.model)}[/]  {plain(profile.file)}", soft_wrap=True)
    rows = table("output", "unit", ">largest: median of subjects", ">least", ">most")
    for name in shown:
        largest = facts["outputs"][name]["maximum"]
        numbers = (
            "none" if math.isnan(largest[key]) else f"{largest[key]:.4g}"
            for key in ("median", "least", "most")
        )
        rows.add_row(name, facts["outputs"][name]["unit"], *numbers)
    out.print(rows)
    out.print(
        f"{_counted(facts['subjects'], 'subject')}, {_counted(facts['events'], 'event')}, "
        f"{_counted(facts['times'], 'output time')} "
        f"in {profile.time_unit}",
        style="dim",
    )
    _warn_of_no_numbers(out, facts, shown, profile.time_unit)
    say_cautions(out, profile.cautions)


# --- of both ---


def say_cautions(out: Console, cautions: Iterable[str]) -> None:
    """What a reader of the model's results has to know, and what a model is not."""
    for line in (*cautions, "A model, not medical advice."):
        out.print(plain(line), style="dim", soft_wrap=True)


def _counted(n: int, what: str) -> str:
    return f"{n:,} {what}{'s' * (n != 1)}"


def _warn_of_no_numbers(out: Console, facts: dict[str, Any], shown: Sequence[str], unit: str) -> None:
    for name in shown:
        if wrong := facts["outputs"][name].get("not_finite"):
            out.print(f"[yellow]{_not_finite(name, wrong, unit)}[/]", soft_wrap=True)


def _not_finite(name: str, wrong: dict[str, Any], unit: str) -> str:
    """A sentence on values that are no numbers."""
    kinds = [
        f"{wrong[key]} {word}"
        for key, word in (("nan", "not a number"), ("infinite", "infinite"))
        if wrong[key]
    ]
    return (
        f"{name}: of {wrong['of']} values {' and '.join(kinds)}, the first at {wrong['first']:g} {unit}; "
        "they are left out above"
    )

"""One person as an exhibit: what was measured beside what the model expects, what it says of the person's
parameters, and what schedules that may follow would do."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from pkpd.core.errors import InputError
from pkpd.core.files import write_json, write_rows
from pkpd.decision.comparison import Arm, Comparison, letters
from pkpd.decision.evidence import COUNTED, Standing, weakest
from pkpd.decision.wishes import Constraint
from pkpd.inference.individual import Individual
from pkpd.present.report.comparison import findings, flat
from pkpd.present.report.drawing import Drawing
from pkpd.present.report.individual import figure
from pkpd.present.report.numbers import unit
from pkpd.present.share import comparisons
from pkpd.present.share.exhibit import ADVICE, Exhibit, SharedColumn, SharedTable, one_line, source_of

CAPTION = (
    "Measured, expected, foreseen. Grey: people before anything is measured, median and 90 %. Blue: this "
    "person, median and 90 % of what the person may be. Marks: measured values with two SDs of their error. "
    "Other colours: schedules that may follow. Ticks along the top: doses that were given."
)
LEARNED = (
    "Learned: by how much the measurements narrowed the variance of a parameter's logarithm; 0 % is anybody."
)


@dataclass(frozen=True)
class PersonAhead:
    """One person, with a comparison of what may follow, if there is one, and what is wished of it. Raises
    ``InputError`` for a wish of a share of people."""

    person: Individual
    following: Comparison | None = None
    wishes: Sequence[Constraint] = ()

    def __post_init__(self) -> None:
        for wish in self.wishes:
            if wish.share is not None:
                raise InputError(
                    f'"{wish}": one person is no share of people, and has it with a probability; write '
                    f'"{replace(wish, share=None)}"'
                )

    def held(self, arm: Arm) -> list[float]:
        """How probable each wish is under a schedule, and all of them together."""
        holds = [wish.holds(arm.endpoints[wish.endpoint]) for wish in self.wishes]
        return [float(one.mean()) for one in (*holds, np.all(holds, axis=0))]

    def to_dict(self) -> dict[str, Any]:
        """Plain values."""
        facts = self.person.to_dict()
        if self.following is not None:
            names = [*map(str, self.wishes), "all"]
            facts["comparison"] = self.following.to_dict()
            facts["wishes"] = {
                arm.label: dict(zip(names, self.held(arm), strict=True))
                for arm in self.following.arms
                if self.wishes
            }
        return facts


def exhibit(ahead: PersonAhead, command: str = "") -> Exhibit:
    """What leaves the program of one person."""
    person, following = ahead.person, ahead.following
    measured, made = _measured(person), _provenance(ahead)
    tables = [measured, _parameters(person)]
    subjects = [f"after {person.given}"]
    warnings = [("", tuple(person.notes))] * bool(person.notes)
    reading = [
        f"Median and 90 % interval over {len(person.after):,} draws of what this person may be, taken "
        f"from weighted ones that are worth {person.effective:,.0f}. The prior is the population of the fit.",
    ]
    definitions: tuple[tuple[str, str], ...] = ()
    if following is not None:
        of_following = comparisons.exhibit(following)
        tables += [comparisons.table(following), *([_wished(ahead)] if ahead.wishes else [])]
        known = set(person.notes)
        warnings += [
            (who, left)
            for who, said in of_following.warnings
            if (left := tuple(s for s in said if s not in known))
        ]
        reading += following.reading
        subjects += of_following.subjects
        definitions = of_following.definitions
    return Exhibit(
        stem="individual",
        title="One person, from measured values",
        subjects=tuple(subjects),
        findings=tuple(map(one_line, findings(following))) if following is not None else (),
        drawings=(Drawing("individual", CAPTION, _drawn, ahead),),
        tables=tuple(tables),
        brief=tuple(tables[:2] + ([comparisons.table(following.main())] if following else []) + tables[3:]),
        warnings=tuple(warnings),
        reading=tuple(reading),
        definitions=definitions,
        provenance=tuple((name, one_line(value)) for name, value in flat(made)),
        command=command,
        write_csv=lambda path: _write_csv(path, ahead, measured, made),
        write_json=lambda path: write_json(path, ahead.to_dict()),
        source=source_of(made, f"{len(person.after):,} draws of one person"),
        behind=following.arms[0].scene.behind if following is not None else None,
    )


def _drawn(ahead: PersonAhead) -> Any:
    return figure(ahead.person, ahead.following)


def _provenance(ahead: PersonAhead) -> dict[str, Any]:
    from pkpd import __version__

    person = ahead.person
    made: dict[str, Any] = {
        "fit": person.fit,
        "model": person.kernel.NAME,
        "model_hash": person.kernel.HASH,
        "given": str(person.given),
        "measurements": len(person.measurements),
        "draws": len(person.after),
        "seed": person.after.seed,
    }
    if ahead.following is not None:
        made |= {"following": [arm.text for arm in ahead.following.arms]}
    return made | {"versions": {"pkpd": __version__, "numpy": np.__version__}}


def _write_csv(path: Path, ahead: PersonAhead, table: SharedTable, made: Mapping[str, Any]) -> None:
    """The measurements beside what the model expects of them."""
    columns = [column.key for column in table.columns]
    write_rows(path, columns, table.records, about=made, remarks=(*ahead.person.notes, ADVICE))


def _measured(person: Individual) -> SharedTable:
    time = person.kernel.TIME_UNIT
    heads = (f"at ({time})", "output", "measured ± SD of its error", "people (90 %)", "this person (90 %)")
    lines, records = [], []
    for row in person.rows():
        name = f"{row['output']} ({unit(row['unit'])})" if unit(row["unit"]) else row["output"]
        value = f"{row['value']:.4g} ± {row['error']:.2g}"
        lines.append((f"{row['time']:g}", name, value, _three(row["before"]), _three(row["after"])))
        records.append(
            {"time": row["time"], "output": row["output"], "unit": row["unit"]}
            | {"value": row["value"], "error": row["error"]}
            | _ends("people", row["before"])
            | _ends("person", row["after"])
        )
    columns = (
        SharedColumn("time", f"at ({time})"),
        SharedColumn("output", "output", "text"),
        SharedColumn("unit", "unit", "text"),
        SharedColumn("value", "measured"),
        SharedColumn("error", "SD of its error"),
        *_three_columns(),
    )
    return SharedTable("Measurements", heads, tuple(lines), columns, tuple(records))


def _parameters(person: Individual) -> SharedTable:
    heads = ("parameter", "people (90 %)", "this person (90 %)", "learned, %")
    lines, records = [], []
    for row in person.parameters():
        name = f"{row['name']} ({unit(row['unit'])})" if unit(row["unit"]) else row["name"]
        lines.append((name, _three(row["before"]), _three(row["after"]), f"{100 * row['learned']:.0f}"))
        records.append(
            {"name": row["name"], "unit": unit(row["unit"]), "learned": row["learned"]}
            | _ends("people", row["before"])
            | _ends("person", row["after"])
        )
    columns = (
        SharedColumn("name", "parameter", "text"),
        SharedColumn("unit", "unit", "text"),
        *_three_columns(),
        SharedColumn("learned", "learned", "share"),
    )
    return SharedTable("Parameters", heads, tuple(lines), columns, tuple(records), LEARNED)


def _wished(ahead: PersonAhead) -> SharedTable:
    """How probable each wish is under each schedule."""
    assert ahead.following is not None
    arms = ahead.following.arms
    marks = letters(len(arms))
    held = [ahead.held(arm) for arm in arms]
    names = [*map(str, ahead.wishes)] + ["all of these"] * (len(ahead.wishes) > 1)
    standings: dict[tuple[int, int], Standing] = {}
    for place, arm in enumerate(arms, start=1):
        own = [arm.standings.get(wish.endpoint.name, COUNTED) for wish in ahead.wishes]
        standings |= {(i, place): one for i, one in enumerate([*own, weakest(own)][: len(names)])}
    return SharedTable(
        "Wishes",
        ("probability that", *(f"{mark}, %" for mark in marks)),
        tuple((name, *(f"{100 * shares[i]:.0f}" for shares in held)) for i, name in enumerate(names)),
        (
            SharedColumn("wish", "probability that", "text"),
            *(SharedColumn(mark, mark, "share") for mark in marks),
        ),
        tuple(
            {"wish": name} | {mark: shares[i] for mark, shares in zip(marks, held)}
            for i, name in enumerate(names)
        ),
        standings=standings,
    )


def _three(band: Sequence[float]) -> str:
    low, middle, high = band
    return f"{middle:.3g} ({low:.3g} to {high:.3g})"


def _ends(who: str, band: Sequence[float]) -> dict[str, float]:
    return dict(zip((f"{who}_low", f"{who}_median", f"{who}_high"), band, strict=True))


def _three_columns() -> Iterator[SharedColumn]:
    for key, who in (("people", "people"), ("person", "this person")):
        yield SharedColumn(f"{key}_median", f"{who}, median")
        yield SharedColumn(f"{key}_low", f"{who}, 90 % from")
        yield SharedColumn(f"{key}_high", "to")

"""What each term added to a curve: the results, and the files they are written to."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from pkpd.core import html
from pkpd.core.files import write_json, write_rows
from pkpd.decision.evidence import Behind, Evidence, Standing
from pkpd.dosing import Schedule

if TYPE_CHECKING:
    import pandas as pd

Floats = NDArray[np.float64]

LEVELS = (0.05, 0.95)
ADVICE = "A model, not medical advice."
_COLUMNS = ("of", "unit", "what", "term", "part", "period", "typical", "low", "high", "light")


@dataclass(frozen=True)
class Share:
    """What something added in a period: in the typical person, and the 90 % interval of people (nan of one
    person alone)."""

    typical: float
    low: float
    high: float


@dataclass(frozen=True, eq=False)
class Contribution:
    """A term of an account.

    words : what it is called; text : as the model has it; kind : "term", "exchange" with another state,
    "time", or "doses". total : (3, n_times), what it added since the beginning beyond what it would have
    without doses: of the typical person, and 5 % and 95 % of people; rate : (n_times,) of it in the typical
    person, nan of doses. treated, after : until the end of the treatment, and from there to the horizon.
    parts : of a product, what each factor that changes has of it; they add up to the whole.
    """

    words: str
    text: str
    kind: str
    total: Floats
    rate: Floats
    treated: Share
    after: Share
    parts: tuple[Contribution, ...] = ()
    factor: Floats | None = None
    """(n_times,) of a part: the factor in the typical person, of its value at rest."""


@dataclass(frozen=True, eq=False)
class Account:
    """A quantity, and what made it as it is.

    name, description, unit : of the quantity, an output or the sum of states that exchange with each other;
    course, rest : (3, n_times) with and (n_times,) without doses; change : (3, n_times), the difference,
    which is the sum of the terms' totals in the typical person and in everybody, not of the quantiles.
    treated, after : of the change. open : how far the terms miss the change, as a share of its largest value.
    standing : how far the quantity has been put to the test; of its terms nobody has measured any.
    """

    name: str
    description: str
    unit: str
    course: Floats
    rest: Floats
    change: Floats
    treated: Share
    after: Share
    terms: tuple[Contribution, ...]
    open: float
    standing: Standing

    @property
    def parts(self) -> Iterator[Contribution]:
        """Of all terms: what a picture of causes shows; a term without parts itself."""
        for term in self.terms:
            yield from term.parts or (term,)


@dataclass(frozen=True, eq=False)
class Explanation:
    """Why a curve looks as it does.

    Attributes
    ----------
    model, output, schedule : what was asked.
    days : (n_times,) at which everything stands.
    treated_days : when the treatment ends.
    accounts : of the output, and where its states exchange with others, of their sum, in which what only
        moves from one to the other does not count.
    subjects : how many people the intervals are of; 1 is the typical person alone.
    rests : whether the system rests without doses. Where it does not, terms are compared with their course
        without doses, and have no parts.
    behind : what the fit knows of its outputs, on which the accounts stand.
    reading : what the numbers are, in sentences.
    warnings : what a reader has to know.
    provenance : what they were made from.

    Examples
    --------
    >>> import pkpd
    >>> found = pkpd.why("indirect_response_1", "100 mg iv once", "R", subjects=1)
    >>> [term.text for term in found.accounts[0].terms]
    ['-kin*H', '-kout*R']
    """

    model: str
    output: str
    schedule: Schedule
    days: Floats
    treated_days: float
    accounts: tuple[Account, ...]
    subjects: int
    rests: bool
    behind: Behind
    reading: tuple[str, ...]
    warnings: tuple[str, ...]
    provenance: dict[str, Any]

    def __repr__(self) -> str:
        names = "; ".join(account.name for account in self.accounts)
        return f"<Explanation of {names} of {self.model} under '{self.schedule}'>"

    def _repr_html_(self) -> str:
        columns = ("of", "what", "term", "part", "period", "change", "unit")
        rows = [
            (
                record["of"],
                record["what"],
                record["term"],
                record["part"],
                record["period"],
                html.interval(record["typical"], record["low"], record["high"]),
                record["unit"],
            )
            for record in self._records()
        ]
        return html.table(repr(self)[1:-1], columns, rows, " ".join((*self.reading, *self.warnings, ADVICE)))

    @property
    def sources(self) -> tuple[Evidence, ...]:
        """The rows of data behind the accounts."""
        return self.behind.under(account.standing for account in self.accounts)

    def _records(self) -> list[dict[str, Any]]:
        found = []
        for account in self.accounts:
            lines: list[tuple[str, str, str, Any]] = [("change", "", "", account)]
            for term in account.terms:
                lines.append((term.words, term.text, "", term))
                lines += [(part.words, term.text, part.text, part) for part in term.parts]
            for what, text, part, of in lines:
                for period, share in (("treatment", of.treated), ("after", of.after)):
                    values = (account.name, account.unit, what, text, part, period)
                    light = str(account.standing.light) if of is account else ""  # terms have none
                    numbers = (share.typical, share.low, share.high, light)
                    found.append(dict(zip(_COLUMNS, (*values, *numbers), strict=True)))
        return found

    def to_frame(self) -> pd.DataFrame:
        """A row per quantity, term, part and period: what it added in the typical person, with the 90 %
        interval of people, and of a quantity its light."""
        import pandas as pd

        frame = pd.DataFrame(self._records(), columns=list(_COLUMNS))
        frame.attrs = {"provenance": self.provenance, "reading": list(self.reading)}
        return frame

    def to_dict(self) -> dict[str, Any]:
        """Plain values: the accounts with their courses over days, and how they were made."""

        def curve(values: Floats) -> list[Any]:
            return [None if not np.isfinite(value) else float(value) for value in values]

        def share(of: Any) -> dict[str, Any]:
            return {
                period: dict(zip(("typical", "low", "high"), curve(np.array(ends)), strict=True))
                for period, one in (("treated", of.treated), ("after", of.after))
                for ends in [(one.typical, one.low, one.high)]
            }

        def told(term: Contribution) -> dict[str, Any]:
            return {
                "words": term.words,
                "text": term.text,
                "kind": term.kind,
                "total": [curve(row) for row in term.total],
                "rate": curve(term.rate),
                "factor": None if term.factor is None else curve(term.factor),
                "parts": [told(part) for part in term.parts],
            } | share(term)

        return {
            "model": self.model,
            "output": self.output,
            "schedule": str(self.schedule),
            "days": self.days.tolist(),
            "treated_days": self.treated_days,
            "subjects": self.subjects,
            "rests": self.rests,
            "accounts": [
                {
                    "name": account.name,
                    "description": account.description,
                    "unit": account.unit,
                    "course": [curve(row) for row in account.course],
                    "rest": curve(account.rest),
                    "change": [curve(row) for row in account.change],
                    "open": account.open,
                    "terms": [told(term) for term in account.terms],
                }
                | share(account)
                | account.standing.as_dict()
                for account in self.accounts
            ],
            "sources": [one.as_dict() for one in self.sources],
            "reading": list(self.reading),
            "warnings": list(self.warnings),
            "advice": ADVICE,
            "provenance": self.provenance,
        }

    def write_csv(self, path: str | os.PathLike[str]) -> None:
        """The rows of ``to_frame``, whole or not at all; what they are above the header in lines that begin
        with "#"."""
        remarks = (*self.reading, *self.warnings, ADVICE)
        write_rows(path, _COLUMNS, self._records(), about=self.provenance, remarks=remarks)

    def write_json(self, path: str | os.PathLike[str]) -> None:
        """What ``to_dict`` has, whole or not at all."""
        write_json(path, self.to_dict())

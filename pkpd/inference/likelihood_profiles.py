"""A fit -> the profile likelihood of its parameters: intervals, what the data identify, and which rows say
so.

    profiles = likelihood_profiles("low_dose_il2", ["CL", "ka"])
    print(profiles.summary())
    profiles.write_json("profiles.json")

The profile of a parameter is the lowest objective at each of its values, everything else fitted again
(``profiling``). Its 95 % interval is where that has risen by 3.84; unlike the interval by the covariance it
needs no parabola, and it is open where the data leave the parameter open.
"""

from __future__ import annotations

import dataclasses
import math
import os
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pkpd.core import files, html
from pkpd.core.arguments import ABSENT, CALLABLE, FLAG, PATH, TEXT, TEXTS, of, takes
from pkpd.core.errors import DataError, InputError
from pkpd.core.names import meant
from pkpd.core.progress import Progress, quiet
from pkpd.inference import FitResult
from pkpd.inference.belonging import BELONGING
from pkpd.inference.coordinates import from_scale
from pkpd.inference.objective import Objective
from pkpd.inference.optimum import optimum_of, read_result, travelling
from pkpd.inference.posterior import posterior_of
from pkpd.inference.profiling import RISE, End, March, ProfilePoint, Side, Tangent, curve
from pkpd.inference.repeats import repeat
from pkpd.inference.search import OFV_NOISE, Minimum
from pkpd.solver.executors import EXECUTOR, Executor, executor_of

Array = NDArray[np.float64]

MOST_ROWS = 5
"""Rows named for each parameter: those that carry most information, and those that would help most."""
MAJORITY, MINORITY = 0.5, 0.25
"""A limit is the data's if at least so much of the rise there is made by rows and not by priors, and the
priors' if less than the second is."""
CANCELLED = 0.25
"""A parameter takes part in a combination if it undoes so much of what another does to the rows."""


class Identified(StrEnum):
    """What the data say about a parameter, by its profile."""

    IDENTIFIED = "identified"
    ONE_SIDED = "one-sided"
    COMBINATION = "only in combination"
    NOT = "not identified"


@dataclass(frozen=True)
class ProfileEnd:
    """One end of an interval: what it is (``End``), where (on the scale of the search, and as a person reads
    it) and which share of the rise there is made by rows and not by priors."""

    end: str
    x: float
    value: float
    rows: float

    @property
    def by_data(self) -> bool:
        """Whether it is a limit that the data set."""
        return self.end == End.LIMIT and self.rows >= MAJORITY


@dataclass(frozen=True)
class LikelihoodProfile:
    """The profile of one estimated number.

    Attributes
    ----------
    name, kind, unit, scale : of the estimate.
    x, value : the estimate, on the scale of the search and natural.
    sd : by the covariance, on the scale of the search (inf: none).
    lower, upper : the ends of the 95 % interval.
    points : of the curve, by rising x.
    verdict : what the data say about it; ``partners``: with which parameters in combination.
    information : (row, share) of the rows that carry most of what is known about it at the optimum, shares of
        the Schur complement of the Hessian; ``prior_information`` is that of the priors (the rest: how
        studies differ).
    helpful : (row, factor) of the rows of which half the standard error would narrow the interval most, by
        which factor.
    """

    name: str
    kind: str
    unit: str
    scale: str
    x: float
    value: float
    sd: float
    lower: ProfileEnd
    upper: ProfileEnd
    points: tuple[ProfilePoint, ...]
    verdict: str
    partners: tuple[str, ...]
    information: tuple[tuple[str, float], ...]
    prior_information: float
    helpful: tuple[tuple[str, float], ...]

    def drawn(self, count: int = 121) -> dict[str, Any]:
        """What the figures of ``pkpd.present.plot.likelihood`` take."""
        ends = (self.lower, self.upper)
        known = [end.end in (End.LIMIT, End.BOUND) for end in ends]
        xs = np.linspace(self.points[0].x, self.points[-1].x, count)
        return {
            "name": self.name,
            "unit": self.unit,
            "scale": self.scale,
            "estimate": self.value,
            "interval": [end.value if there else None for end, there in zip(ends, known, strict=True)],
            "shifts": [
                end.x - self.x if there else sign * math.inf
                for end, there, sign in zip(ends, known, (-1, 1), strict=True)
            ],
            "sd": self.sd,
            "verdict": self.verdict,
            "values": [self._shown(x) for x in xs],
            "rise": curve(self.points, xs),
            "points": ([self._shown(p.x) for p in self.points], [p.rise for p in self.points]),
        }

    def _shown(self, x: float) -> float:
        """As ``Coordinate.shown``."""
        return x if self.kind == "study effect" and self.scale != "log" else from_scale(self.scale, x)

    def __str__(self) -> str:
        if self.partners:
            return f"{self.verdict} with {', '.join(self.partners)}"
        if self.verdict == Identified.ONE_SIDED:
            return f"{self.verdict}, from {'below' if self.lower.by_data else 'above'}"
        return self.verdict


@dataclass(frozen=True)
class LikelihoodProfiles:
    """Profiles of a fit's parameters. ``summary()`` prints them, ``write_json`` keeps them, ``read_json``
    gets them back.

    Attributes
    ----------
    fit, title : of the fit.
    priors : whether they are part of the objective.
    profiles : one for each parameter, in the order of the fit.
    interrupted : whether there were to be more.
    notes : sentences that a reader needs.
    provenance : what it was made from.
    """

    fit: str
    title: str
    priors: bool
    profiles: tuple[LikelihoodProfile, ...]
    interrupted: bool
    notes: tuple[str, ...]
    provenance: dict[str, Any]

    def __repr__(self) -> str:
        what = "posterior" if self.priors else "likelihood"
        return f"<LikelihoodProfiles of {self.fit}: {len(self.profiles)} parameters by the {what}>"

    def _repr_html_(self) -> str:
        columns = ("parameter", "unit", "value", "95 %", "verdict")
        rows = [(p.name, p.unit, p.value, interval_words(p), str(p)) for p in self.profiles]
        return html.table(repr(self)[1:-1], columns, rows, " ".join(self.notes))

    def __getitem__(self, name: str) -> LikelihoodProfile:
        for profile in self.profiles:
            if profile.name == name:
                return profile
        raise KeyError(name)

    def summary(self) -> str:
        """A line for each parameter, and the notes."""
        lines = [
            f"{p.name}: {p.value:.3g}, 95 % {interval_words(p)} {'' if p.unit == '1' else p.unit}".rstrip()
            + f"; {p}"
            for p in self.profiles
        ]
        return "\n".join([self.title, *lines, *self.notes])

    def to_dict(self) -> dict[str, Any]:
        """Plain dictionaries and lists."""
        return dataclasses.asdict(self)

    def write_json(self, path: str | os.PathLike[str]) -> None:
        """Write as JSON: whole or not at all."""
        files.write_json(path, self.to_dict())

    @staticmethod
    def read_json(path: str | os.PathLike[str]) -> LikelihoodProfiles:
        """Read what ``write_json`` wrote. Raises ``DataError`` if the file is something else."""
        return files.read_json(path, "profiles", _profiles_from)


def _profiles_from(values: dict[str, Any]) -> LikelihoodProfiles:
    profiles = tuple(_profile_from(each) for each in values["profiles"])
    return LikelihoodProfiles(**{**values, "profiles": profiles, "notes": tuple(values["notes"])})


def _profile_from(values: dict[str, Any]) -> LikelihoodProfile:
    """A profile from its JSON, in which a number that JSON does not have is null."""
    values = dict(values)
    values["sd"] = math.inf if values["sd"] is None else values["sd"]
    for side in ("lower", "upper"):
        end = values[side]
        values[side] = ProfileEnd(end["end"], *(_number(end[key]) for key in ("x", "value", "rows")))
    values["points"] = tuple(ProfilePoint(**{**p, "at": tuple(p["at"])}) for p in values["points"])
    values["partners"] = tuple(values["partners"])
    for key in ("information", "helpful"):
        values[key] = tuple((row, share) for row, share in values[key])
    return LikelihoodProfile(**values)


def _number(value: float | None) -> float:
    return math.nan if value is None else value


def interval_words(profile: LikelihoodProfile) -> str:
    """The interval as a person reads it; an end that is no limit is said."""

    def shown(end: ProfileEnd) -> str:
        match end.end:
            case End.LIMIT:
                return f"{end.value:.3g}"
            case End.BOUND:
                return f"{end.value:.3g} (bound)"
        return "open"

    return f"{shown(profile.lower)} to {shown(profile.upper)}"


@takes(
    fit=PATH | of(FitResult, words="the result of a fit"),
    names=TEXT | TEXTS | ABSENT,
    priors=FLAG,
    threads=EXECUTOR,
    keep=PATH | ABSENT,
    resume=FLAG,
    progress=CALLABLE | ABSENT,
)
def likelihood_profiles(
    fit: FitResult | str | os.PathLike[str],
    names: str | Sequence[str] | None = None,
    *,
    priors: bool = True,
    threads: int | Executor | None = None,
    keep: str | os.PathLike[str] | None = None,
    resume: bool = False,
    progress: Progress | None = None,
) -> LikelihoodProfiles:
    """Profile likelihood of the parameters of a fit, with 95 % intervals and verdicts.

    Parameters
    ----------
    fit : a result, its file, or the name or folder of a fit. Of a folder it is the result that lies there, if
        it belongs to model and data as they are; else the fit is made first.
    names : of estimates; by default all.
    priors : whether they are part of the objective; how studies differ always is.
    threads : how many parameters are worked on at a time, or an executor.
    keep : a file (.json) that holds what is done after every parameter.
    resume : goes on from that file.
    progress : called with (what, share, remark).

    Returns
    -------
    LikelihoodProfiles : after Ctrl-C those that are done, marked ``interrupted``.

    Raises
    ------
    InputError : or one of its kinds: no such fit or parameter, a result of other files, a file to go on from
        that is of another fit.
    ConvergenceError : the model cannot be simulated where the fit ended.

    Examples
    --------
    >>> import pkpd
    >>> profiles = pkpd.likelihood_profiles("low_dose_il2", ["loss in Koreth2011"])
    >>> print(profiles["loss in Koreth2011"])
    not identified
    """
    progress = progress or quiet
    executor = executor_of(threads)
    result, spec = read_result(fit, progress=progress)
    chosen = _chosen(result, names)
    about = {key: result.provenance[key] for key in BELONGING} | {"ofv": result.ofv, "priors": priors}
    before = _resumed(keep, about) if resume else {}
    todo = [name for name in chosen if name not in before]
    found: dict[str, LikelihoodProfile] = {}

    def gathered(interrupted: bool) -> LikelihoodProfiles:
        everything = before | found
        order = [estimate.name for estimate in result.estimates]
        profiles = tuple(everything[name] for name in order if name in everything)
        return LikelihoodProfiles(
            result.name, result.title, priors, profiles, interrupted, _notes(profiles), about
        )

    def kept(name: str, values: Any) -> None:
        found[name] = _profile_from(values)
        if keep is not None:
            gathered(True).write_json(keep)

    interrupted = False
    if todo:
        optimum = optimum_of(result, spec, priors=priors, progress=progress)
        work = _Work(*travelling(optimum, alone=executor.workers == 1 or len(todo) == 1))
        interrupted = repeat(
            work, todo, executor=executor, keep=kept, what="profiles", unit="parameters", progress=progress
        ).interrupted
    profiles = gathered(interrupted)
    if keep is not None:
        profiles.write_json(keep)
    return profiles


def _chosen(result: FitResult, names: str | Sequence[str] | None) -> list[str]:
    known = [estimate.name for estimate in result.estimates]
    if names is None:
        return known
    wanted = [names] if isinstance(names, str) else list(names)
    for name in wanted:
        if name not in known:
            raise InputError(f'the fit {result.name} estimates no "{name}"{meant(name, known)}')
    return [name for name in known if name in wanted]


def _resumed(keep: str | os.PathLike[str] | None, about: dict[str, Any]) -> dict[str, LikelihoodProfile]:
    if keep is None or not Path(keep).exists():
        return {}
    before = LikelihoodProfiles.read_json(keep)
    if before.provenance != about:
        raise DataError(
            f"{keep} has profiles of another fit, or of other data or priors: it cannot be gone on from"
        )
    return {profile.name: profile for profile in before.profiles}


def _notes(profiles: Sequence[LikelihoodProfile]) -> tuple[str, ...]:
    found = []
    lowest = min((point.rise for p in profiles for point in p.points), default=0.0)
    if lowest < -OFV_NOISE:
        found.append(
            f"A point lies {-lowest:.2g} in OFV below the optimum of the fit, which was not the lowest "
            "one: fit again with more starts."
        )
    if rough := [p.name for p in profiles if not all(point.settled for point in p.points)]:
        names = ", ".join(rough)
        found.append(f"The search did not converge at some values of {names}: the curve is too high there.")
    if failed := [p.name for p in profiles if End.FAILED in (p.lower.end, p.upper.end)]:
        found.append(f"The model could not be simulated beyond an end of {', '.join(failed)}.")
    return tuple(found)


@dataclass(frozen=True)
class _Work:
    """The profile of each coordinate, by its name."""

    objective: Objective
    minimum: Minimum

    def do(self, name: str) -> dict[str, Any]:
        names = [coordinate.name for coordinate in self.objective.coordinates]
        return dataclasses.asdict(profile_of(self.objective, self.minimum, names.index(name)))


# --- one parameter --------------------------------------------------------------------------------


def profile_of(objective: Objective, minimum: Minimum, i: int) -> LikelihoodProfile:
    """The profile of coordinate ``i`` of an objective around its lowest point."""
    march = March(objective, minimum, i)
    down, up = march.side(-1), march.side(1)
    coordinate = objective.coordinates[i]
    lower, upper = _end(objective, i, down), _end(objective, i, up)
    verdict, partners = _verdict(objective, minimum, i, march.tangent, lower, upper)
    rows, priors = _information(objective, minimum, march)
    return LikelihoodProfile(
        name=coordinate.name,
        kind=coordinate.kind,
        unit=coordinate.unit,
        scale=coordinate.scale,
        x=float(minimum.x[i]),
        value=coordinate.shown(float(minimum.x[i])),
        sd=march.sd,
        lower=lower,
        upper=upper,
        points=(*reversed(down.points[1:]), *up.points),
        verdict=verdict,
        partners=partners,
        information=rows,
        prior_information=priors,
        helpful=_helpful(objective, minimum, i),
    )


def _end(objective: Objective, i: int, side: Side) -> ProfileEnd:
    last = side.points[-1]
    share = min(max(1 - last.prior / last.rise, 0.0), 1.0) if last.rise > OFV_NOISE else math.nan
    return ProfileEnd(str(side.end), side.x, objective.coordinates[i].shown(side.x), share)


def _verdict(
    objective: Objective, minimum: Minimum, i: int, tangent: Tangent, lower: ProfileEnd, upper: ProfileEnd
) -> tuple[str, tuple[str, ...]]:
    ends = (lower, upper)
    if any(end.by_data for end in ends):
        both = all(end.end == End.LIMIT and end.rows >= MINORITY for end in ends)
        return str(Identified.IDENTIFIED if both else Identified.ONE_SIDED), ()
    partners = _partners(objective, minimum, i, tangent, max(upper.x - minimum.x[i], minimum.x[i] - lower.x))
    return str(Identified.COMBINATION if partners else Identified.NOT), partners


def _partners(
    objective: Objective, minimum: Minimum, i: int, tangent: Tangent, far: float
) -> tuple[str, ...]:
    """Which coordinates undo what this one does to the rows, most first; none where it does nothing to them
    even ``far`` away."""
    rows = minimum.evaluation.jacobian
    assert rows is not None  # a minimum always has one
    own = float(rows[:, i] @ rows[:, i])
    if own * far**2 < RISE:
        return ()
    printed = objective.coloured(rows)  # each row by itself, not beyond those that share its patients
    undone = -(printed.T @ printed[:, i]) * tangent.along / float(printed[:, i] @ printed[:, i])
    undone[i] = 0.0
    found = [int(k) for k in np.argsort(-undone) if undone[k] >= CANCELLED]
    return tuple(objective.coordinates[k].name for k in found) if undone.sum() >= MAJORITY else ()


def _lines_of_rows(objective: Objective, minimum: Minimum) -> list[tuple[str, slice]]:
    """Which residuals are a row's."""
    sizes = [term.residuals.size for term in minimum.evaluation.terms]
    ends = np.cumsum([0, *sizes])
    return [
        (row.id, slice(int(a), int(b))) for row, a, b in zip(objective.rows, ends[:-1], ends[1:], strict=True)
    ]


def _information(
    objective: Objective, minimum: Minimum, march: March
) -> tuple[tuple[tuple[str, float], ...], float]:
    """The rows that carry most of what is known about a coordinate, and what priors carry, as shares; the
    rest is how studies differ."""
    tangent = march.tangent
    total = tangent.information
    if total < 1e-12:
        return (), 0.0
    squares = tangent.lines**2 / total
    shares = [(name, float(squares[lines].sum())) for name, lines in _lines_of_rows(objective, minimum)]
    shares.sort(key=lambda pair: -pair[1])
    return tuple(pair for pair in shares[:MOST_ROWS] if pair[1] >= 0.01), march.prior(tangent.along) / total


def _helpful(objective: Objective, minimum: Minimum, i: int) -> tuple[tuple[str, float], ...]:
    """Of which rows half the standard error (four times the information) would narrow the interval most.

    With covariance C and a row's lines L of the Jacobian, three times L'L is added to the Hessian: by
    Woodbury's identity C becomes C - C L' (1/3 + L C L')^-1 L C.
    """
    jacobian = minimum.evaluation.jacobian
    assert jacobian is not None  # a minimum always has one
    covariance = posterior_of(objective, minimum).covariance
    variance = float(covariance[i, i])
    if not variance > 0:
        return ()
    found = []
    for name, lines in _lines_of_rows(objective, minimum):
        known = jacobian[lines]
        moved = known @ covariance[:, i]
        gain = float(moved @ np.linalg.solve(np.eye(len(known)) / 3 + known @ covariance @ known.T, moved))
        found.append((name, math.sqrt(max(variance - gain, 0.0) / variance)))
    found.sort(key=lambda pair: pair[1])
    return tuple(pair for pair in found[:MOST_ROWS] if pair[1] <= 0.99)

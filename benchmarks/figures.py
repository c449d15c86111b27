"""What a run has measured as a flat list of figures, each with its noise, and how far they are from where
they must land."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from typing import Any


@dataclass(frozen=True)
class Figure:
    """low, high : quartiles; better : "lower" or "higher"; seconds : a time, to be compared in units of the
    run's yardstick."""

    name: str
    value: float
    low: float
    high: float
    better: str
    seconds: bool = False

    def as_dict(self) -> dict[str, Any]:
        """For JSON."""
        return asdict(self)


def _figure(name: str, spread: Mapping[str, float], better: str, seconds: bool = False) -> Figure:
    return Figure(name, spread["median"], spread["low"], spread["high"], better, seconds)


def collect(results: Mapping[str, Any]) -> list[Figure]:
    """The figures of all sections that were run."""
    sections = {
        "precision": _precision,
        "population": _population,
        "gradient": _gradient,
        "evaluations": _evaluations,
        "memory": _memory,
        "explore": _explore,
    }
    return [figure for name, found in results.items() if name in sections for figure in sections[name](found)]


def _precision(results: Mapping[str, Any]) -> Iterator[Figure]:
    for problem, found in results.items():
        for row in found["ratios"]:
            if "seconds" not in row:
                continue
            at = f"{problem} at error {row['target']:.0e}"
            if row["solver"].startswith("pkpd"):
                yield _figure(f"{at}: {row['solver']}", row["seconds"], "lower", True)
            else:
                yield _figure(f"{at}: {row['solver']} over our best", row["to_best"], "higher")


def _population(results: Mapping[str, Any]) -> Iterator[Figure]:
    for subjects, row in results["throughput"].items():
        yield _figure(f"{subjects} subjects", row["seconds"], "lower", True)
    for subjects, row in results.get("months", {}).items():
        s, mb = row["seconds"], row["peak_mb"]
        yield Figure(f"{subjects} subjects over 18 months, bands", s, s, s, "lower", True)
        yield Figure(f"{subjects} subjects over 18 months, bands, MB", mb, mb, mb, "lower")
    for threads, row in results["scaling"].items():
        if threads != "1":
            yield _figure(f"{threads} threads over one", row["speed_up"], "higher")
    yield _figure("lanes over none", results["lanes"]["speed_up"], "higher")
    for threads, row in results.get("schedules", {}).items():
        yield _figure(f"a schedule each over one for all, threads: {threads}", row, "lower")


def _gradient(results: Mapping[str, Any]) -> Iterator[Figure]:
    for method, row in results.items():
        yield _figure(f"15 sensitivities over none, {method}", row["usual"]["ratio"], "lower")
        yield _figure(f"15 sensitivities without slack over none, {method}", row["tight"]["ratio"], "lower")


def _evaluations(results: Mapping[str, Any]) -> Iterator[Figure]:
    yield _figure("a call that integrates nothing, us", results["call_us"], "lower", True)
    for problem, methods in results.items():
        if not problem.endswith("_us"):
            for method, row in methods.items():
                yield _figure(f"{problem}, {method}: whole over evaluations", row["ratio"], "lower")
    if "bound_us" in results:
        yield _figure(
            "a call of a bound solver that integrates nothing, us", results["bound_us"], "lower", True
        )


def _memory(results: Mapping[str, float]) -> Iterator[Figure]:
    for name, value in results.items():
        if name.startswith("pkpd") and value == value:
            yield Figure(f"memory, {name}, MB", value, value, value, "lower")


def _explore(results: Mapping[str, Mapping[str, float]]) -> Iterator[Figure]:
    for case, row in results.items():
        spread = {name: row[f"{name}_ms"] for name in ("median", "low", "high")}
        yield _figure(f"explore, {case}, ms", spread, "lower", True)


# --- where it must land


@dataclass(frozen=True)
class Landing:
    """A promise and what was found; wanted : at least for "higher", at most for "lower"; found : None where
    the run has no such figure."""

    what: str
    wanted: float
    better: str
    found: float | None
    low: float | None = None
    high: float | None = None
    note: str = ""

    @property
    def met(self) -> bool | None:
        """None where nothing was found."""
        if self.found is None:
            return None
        return self.found >= self.wanted if self.better == "higher" else self.found <= self.wanted

    def __str__(self) -> str:
        sign = ">=" if self.better == "higher" else "<="
        found = "not measured" if self.found is None else f"{self.found:.3g}"
        quartiles = "" if self.low is None else f" [{self.low:.3g}, {self.high:.3g}]"
        verdict = {True: "met", False: "NOT MET", None: ""}[self.met]
        return (
            f"{self.what:62s} {sign} {self.wanted:<8.3g} {found}{quartiles}  {verdict}  {self.note}".rstrip()
        )


PEER_RATIOS = (  # problem, solver, wanted
    ("il2_treg", "SciPy LSODA", 80.0),
    ("il2_treg", "SciPy odeint (LSODA)", 80.0),
    ("il2_treg", "scikit-sundae CVODE BDF", 10.0),
    ("il2_treg", "numbalsoda LSODA", 5.0),
    ("robertson", "numbalsoda LSODA", 5.0),
)
NUMBALSODA_CLAIMS = (  # problem, what it claims and what is asked of us, both in microseconds at rtol 1e-6
    ("lotka_volterra", 152.0, 100.0),
    ("robertson", 128.0, 60.0),
)
ERRORS = (1e-4, 1e-6)


def landings(results: Mapping[str, Any]) -> list[Landing]:
    """Every promise of speed beside what this run found."""
    by_name = {figure.name: figure for figure in collect(results)}
    found = []

    def add(what: str, wanted: float, better: str, name: str, note: str = "") -> None:
        figure = by_name.get(name)
        if figure is None:
            found.append(Landing(what, wanted, better, None, note=note))
        else:
            found.append(Landing(what, wanted, better, figure.value, figure.low, figure.high, note))

    for problem, solver, wanted in PEER_RATIOS:
        for error in ERRORS:
            add(
                f"{problem} at error {error:.0e}: {solver} over ours",
                wanted,
                "higher",
                f"{problem} at error {error:.0e}: {solver} over our best",
            )
    found += _diffrax(results) + _same_rtol(results)
    add("populations through lanes over the scalar path, one core", 2.5, "higher", "lanes over none")
    add("two cores over one", 1.9, "higher", "2 threads over one")
    for threads in ("1", "2"):
        each = f"a schedule each over one for all, threads: {threads}"
        add(each, 1.2, "lower", each)
    bands = "10000 subjects over 18 months, bands"
    add(f"{bands}, s", 60.0, "lower", bands)
    methods = results.get("gradient", {"auto": None})
    for method in methods:
        add(f"15 sensitivities over none, {method}", 4.0, "lower", f"15 sensitivities over none, {method}")
    for method in results.get("evaluations", {}).get("il2_treg", {"rodas5p": None}):
        add(
            f"il2_treg, {method}: whole solve over its evaluations",
            1.5,
            "lower",
            f"il2_treg, {method}: whole over evaluations",
        )
    for case, row in results.get("explore", {"dose, two schedules": None}).items():
        worst = f"worst of {row['changes']}: {row['worst_ms']:.0f} ms, load {row['load']:.1f}" if row else ""
        add(f"explore, {case}, ms", 200.0, "lower", f"explore, {case}, ms", worst)
    return found


def _diffrax(results: Mapping[str, Any]) -> list[Landing]:
    peers = results.get("population", {}).get("peers", {})
    found = []
    for cores in ("one_core", "all_cores"):
        ratios = [
            row["at"][f"{ERRORS[0]:.0e}"][f"to_ours_{cores}"]
            for name, row in peers.items()
            if name.startswith("diffrax") and f"{ERRORS[0]:.0e}" in row["at"]
        ]
        words = f"256 subjects at error {ERRORS[0]:.0e}: diffrax over ours on {cores.replace('_', ' ')}"
        found.append(Landing(words, 20.0, "higher", min(ratios) if ratios else None))
    return found


def _same_rtol(results: Mapping[str, Any]) -> list[Landing]:
    """Microseconds at rtol 1e-6, the limit scaled by what numbalsoda takes in the same run at the same
    rtol."""
    found = []
    for problem, claimed, asked in NUMBALSODA_CLAIMS:
        same = results.get("precision", {}).get(problem, {}).get("same_rtol", {})
        peer, mine = same.get("numbalsoda LSODA"), same.get("pkpd auto")
        words = f"{problem} at rtol 1e-6: us of ours, limit scaled by numbalsoda's"
        if not peer or not mine:
            found.append(Landing(words, asked, "lower", None))
            continue
        us = {key: 1e6 * value for key, value in mine["seconds"].items()}
        limit = asked * 1e6 * peer["seconds"]["median"] / claimed
        note = (
            f"numbalsoda {1e6 * peer['seconds']['median']:.0f} us with error {peer['error']:.0e}, "
            f"ours {mine['error']:.0e}"
        )
        found.append(Landing(words, limit, "lower", us["median"], us["low"], us["high"], note))
    return found

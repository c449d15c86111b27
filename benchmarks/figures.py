"""What a run has measured as a flat list of figures, each with its noise, and how far they are from where
they must land."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from typing import Any

from benchmarks import clients, explore, fit, simulate, startup


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
        "lanes": _lanes,
        "population": _population,
        "gradient": _gradient,
        "evaluations": _evaluations,
        "memory": _memory,
        "startup": _startup,
        "simulate": _simulate,
        "explore": _explore,
        "clients": _clients,
        "fit": _fit,
    }
    return [figure for name, found in results.items() if name in sections for figure in sections[name](found)]


def _precision(results: Mapping[str, Any]) -> Iterator[Figure]:
    for problem, found in results.items():
        for row in found["ratios"]:
            if "to_best" not in row:
                continue
            at = f"{problem} at error {row['target']:.0e}"
            if row["solver"].startswith("pkpd"):
                yield _figure(f"{at}: {row['solver']}", row["seconds"], "lower", True)
            else:
                yield _figure(f"{at}: {row['solver']} over our best", row["to_best"], "higher")


def _lanes(results: Mapping[str, Any]) -> Iterator[Figure]:
    yield _figure("lanes over none", results["speed_up"], "higher")
    for subjects, row in results["throughput"].items():
        yield _figure(f"{subjects} subjects", row["seconds"], "lower", True)


def _population(results: Mapping[str, Any]) -> Iterator[Figure]:
    for subjects, row in results.get("months", {}).items():
        yield _single(f"{subjects} subjects over 18 months, bands", row["seconds"], True)
        yield _single(f"{subjects} subjects over 18 months, bands, MB", row["peak_mb"])
    for threads, row in results["scaling"].items():
        if threads != "1":
            yield _figure(f"{threads} threads over one", row["speed_up"], "higher")
    for threads, row in results.get("schedules", {}).items():
        yield _figure(f"a schedule each over one for all, threads: {threads}", row, "lower")


def _gradient(results: Mapping[str, Any]) -> Iterator[Figure]:
    for method, row in results.items():
        yield _figure(f"15 sensitivities over none, {method}", row["usual"]["ratio"], "lower")
        yield _figure(f"15 sensitivities without slack over none, {method}", row["tight"]["ratio"], "lower")


def _evaluations(results: Mapping[str, Any]) -> Iterator[Figure]:
    yield _figure(CALL, results["call_us"], "lower", True)
    if "bound_us" in results:
        yield _figure(BOUND, results["bound_us"], "lower", True)
    for problem, methods in results.items():
        if not problem.endswith("_us"):
            for method, row in methods.items():
                yield _figure(f"{problem}, {method}: whole over evaluations", row["ratio"], "lower")


def _memory(results: Mapping[str, float]) -> Iterator[Figure]:
    for name, value in results.items():
        if name.startswith("pkpd") and value == value:
            yield _single(f"memory, {name}, MB", value)


def _startup(results: Mapping[str, Mapping[str, float]]) -> Iterator[Figure]:
    for name, row in results.items():
        if "limit" in row:
            yield Figure(
                f"{name}, over import numba", row["ratio"], row["ratio_low"], row["ratio_high"], "lower"
            )


def _simulate(results: Mapping[str, Mapping[str, float]]) -> Iterator[Figure]:
    for name, row in results.items():
        if "limit" in row:
            yield _single(f"{name}, s", row["seconds"], True)


def _fit(results: Mapping[str, float]) -> Iterator[Figure]:
    yield _single("fit of low_dose_il2 with its report, s", results["seconds"], True)
    yield _single("fit of low_dose_il2 with its report, peak GB", results["peak_gb"])


def _single(name: str, value: float, seconds: bool = False) -> Figure:
    return Figure(name, value, value, value, "lower", seconds)


def _explore(results: Mapping[str, Mapping[str, float]]) -> Iterator[Figure]:
    for case, row in results.items():
        spread = {name: row[f"{name}_ms"] for name in ("median", "low", "high")}
        yield _figure(f"explore, {case}, ms", spread, "lower", True)


def _clients(results: Mapping[str, Mapping[str, float]]) -> Iterator[Figure]:
    for name, row in results.items():
        told = {key: row[f"preview_{key}_s"] for key in ("median", "low", "high")}
        yield _figure(f"{row['clients']} clients, {name}: first picture, s", told, "lower", True)
        yield _single(f"{row['clients']} clients, {name}: turned away too soon", row["turned_away_too_soon"])
        yield _single(f"{row['clients']} clients, {name}: memory, MB", row["memory_mb"])


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
    ("il2_treg", "SciPy odeint (LSODA)", 25.0),
    ("il2_treg", "scikit-sundae CVODE BDF", 60.0),
    ("il2_treg", "numbalsoda LSODA", 5.0),
    ("robertson", "numbalsoda LSODA", 3.0),
)
NUMBALSODA_CLAIMS = (  # problem, what it claims and what is asked of us, both in microseconds at rtol 1e-6
    ("lotka_volterra", 152.0, 100.0),
    ("robertson", 128.0, 60.0),
)
ERRORS = (1e-4, 1e-6)
CALL = "a call that integrates nothing, us"
BOUND = "a call of a bound solver that integrates nothing, us"
LIMITS = (  # figure, wanted, better
    ("lanes over none", 3.0, "higher"),
    ("2 threads over one", 1.9, "higher"),
    ("a schedule each over one for all, threads: 1", 1.2, "lower"),
    ("a schedule each over one for all, threads: 2", 1.2, "lower"),
    ("10000 subjects over 18 months, bands", 60.0, "lower"),
    (CALL, 10.0, "lower"),
    (BOUND, 10.0, "lower"),
)


def landings(results: Mapping[str, Any]) -> list[Landing]:
    """Every promise of speed beside what this run found."""
    by_name = {figure.name: figure for figure in collect(results)}

    def landing(name: str, wanted: float, better: str, note: str = "") -> Landing:
        figure = by_name.get(name)
        if figure is None:
            return Landing(name, wanted, better, None, note=note)
        return Landing(name, wanted, better, figure.value, figure.low, figure.high, note)

    found = [
        landing(f"{problem} at error {error:.0e}: {solver} over our best", wanted, "higher")
        for problem, solver, wanted in PEER_RATIOS
        for error in ERRORS
    ]
    found += _diffrax(results) + _same_rtol(results)
    found += [landing(*limit) for limit in LIMITS]
    for method in results.get("gradient", {"auto": None}):
        found.append(landing(f"15 sensitivities over none, {method}", 4.0, "lower"))
    for method in results.get("evaluations", {}).get("il2_treg", {"rodas5p": None}):
        found.append(landing(f"il2_treg, {method}: whole over evaluations", 1.5, "lower"))
    for name, wanted in startup.LIMITS.items():
        found.append(landing(f"{name}, over import numba", wanted, "lower"))
    for name, wanted in simulate.LIMITS.items():
        found.append(landing(f"{name}, s", wanted, "lower"))
    for case, row in results.get("explore", {"dose, two schedules": None}).items():
        worst = f"worst of {row['changes']}: {row['worst_ms']:.0f} ms" if row else ""
        found.append(landing(f"explore, {case}, ms", explore.LIMIT_MS, "lower", worst))
    for name in results.get("clients", {"run 1": None}):
        found.append(landing(f"{clients.CLIENTS} clients, {name}: turned away too soon", 0.0, "lower"))
    for key, name in (("seconds", "s"), ("peak_gb", "peak GB")):
        found.append(landing(f"fit of low_dose_il2 with its report, {name}", fit.LIMITS[key], "lower"))
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

"""FitResult -> the report: one HTML file without outside resources, its figures as PNG and SVG, and the
result as JSON.

    write_report(result, "results/low_dose_il2")

writes ``report.html``, ``result.json`` (the result, as ``FitResult.read_json`` reads it), ``curves.json``
(what the fitted model says about the trial arms, see ``predict``), the figures, and of a fit of one's own the
files it was made from, so that ``pkpd compare --fit`` takes the folder. From the two JSON files the same page
can be made again without simulating
anything: ``pkpd report results/low_dose_il2``.
"""

from __future__ import annotations

import json
import math
import os
import re
import shutil
import statistics
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pkpd.core.arguments import ABSENT, CALLABLE, COUNT, MAPPING, PATH, named, takes
from pkpd.core.errors import DataError, PkpdError
from pkpd.core.files import check_folder, replacing_folder, to_json
from pkpd.core.normal import Z95
from pkpd.core.progress import Progress, quiet
from pkpd.present.report.drawing import Drawing, draw_files
from pkpd.present.report.numbers import fixed, is_number, signed
from pkpd.present.report.page import environment, placed_pictures

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from pkpd.inference import Estimate, FitResult, FitSpec, RowResult

SECTIONS = {
    "verdict": "verdict",
    "dose": "dose and response",
    "courses": "time courses",
    "visits": "means and SDs over visits",
    "rows": "every number",
    "residuals": "residuals",
    "parameters": "parameters",
    "comparison": "rival",
    "check": "inner check",
    "unverified": "without the unverified",
    "model": "model",
    "provenance": "how it was made",
}
UNPRINTED = ("settings", "row_digests", "sampling")
"""Of the provenance: for programs."""
UNMOVED_SD, UNMOVED_BY = 0.9, 0.5
"""A parameter that the data did not move keeps more than this share of its prior's SD, and lies within as
many of these of its middle."""
GROUPS = {
    "parameter": "the model",
    "between-subject SD": "between subjects (SD of the logarithm)",
    "study effect": "study effects",
    "proportional error": "measurement error",
    "additive error": "measurement error",
}

FOUND_LATER = ("profiles", "intervals", "draws", "posterior", "pairs", "ranks", "bootstrap", "leave_out")
"""What other commands put beside a result, files or folders, by their names without ending; it stays there
when the report is written again, and says itself which fit it belongs to."""


# --- result -> what the page shows


def document(result: FitResult, curves: Mapping[str, Any] | None = None) -> dict[str, Any]:
    """Everything the template shows, as plain values."""
    curves = curves or {}
    described = curves.get("model", {}).get("descriptions", {})
    rows = [_row(row) for row in result.rows]
    _place(result.rows, rows)
    used = [row for row in rows if row["use"] == "fit" and is_number(row["deviation"])]
    near = f"{sum(abs(row['deviation']) <= 2 for row in used)} of {len(used)}"
    parameters = [_parameter(estimate, described) for estimate in result.estimates]
    provenance = dict(result.provenance)
    absent = {
        "comparison": result.comparison is None,
        "check": result.check is None,
        "unverified": result.unverified is None,
        "model": not curves.get("model"),
        "visits": not curves.get("visits"),
    }
    return {
        "title": result.title,
        "model": {"name": result.model, "title": result.model_title} | dict(curves.get("model", {})),
        "version": provenance.get("versions", {}).get("pkpd", ""),
        "n_rows": result.n_rows,
        "n_studies": len({row["study"] for row in used}),
        "converged": result.converged,
        "interrupted": result.interrupted,
        "message": result.message,
        "n_unverified": sum(row["provenance"] == "unverified" for row in rows),
        "rows": rows,
        "rows_by_study": _grouped(rows, "study"),
        "not_predicted": list(result.not_predicted.items()),
        "notes": [
            *result.notes,
            *([f"The trial arms could not be simulated: {curves['failure']}"] if "failure" in curves else []),
        ],
        "parameters": parameters,
        "parameter_groups": _grouped(parameters, "group"),
        "unmoved": _unmoved(parameters),
        "visits": bool(curves.get("visits")),
        "verdict": [
            f"{near} fitted numbers lie within two standard errors of what the model predicts.",
            *_sentences(result.identifiability),
        ],
        "comparison": result.comparison,
        "asides": result.asides(),
        "check": _refit(result.check),
        "unverified": _refit(result.unverified),
        "units": {estimate.name: estimate.unit for estimate in result.estimates},
        "facts": [("numbers fitted", str(len(used))), ("within 2 SE", near), *_facts(result)],
        "sections": [(anchor, label) for anchor, label in SECTIONS.items() if not absent.get(anchor)],
        "provenance_rows": list(
            _flat({key: value for key, value in provenance.items() if key not in UNPRINTED})
        ),
    }


def _grouped(shown: Iterable[dict[str, Any]], by: str) -> list[tuple[str, list[dict[str, Any]]]]:
    groups: dict[str, list[dict[str, Any]]] = {}
    for each in shown:
        groups.setdefault(each[by], []).append(each)
    return list(groups.items())


def _facts(result: FitResult) -> list[tuple[str, str]]:
    """The numbers of the whole fit that there are."""
    ends = [start.last for start in result.starts]
    same = sum(end - min(ends) < 0.5 for end in ends)
    facts = [
        ("estimated", f"{result.n_parameters} ({result.effective_parameters:.1f} effective)"),
        ("OFV of the data", fixed(result.ofv)),
        ("OFV of the priors", fixed(result.ofv_prior)),
        ("−2LL", fixed(result.minus_2ll)),
        ("AIC", fixed(result.aic)),
        ("BIC", fixed(result.bic)),
        ("starts", f"{len(ends)}, {same} to one optimum" if ends else "none"),
        ("failed points", str(result.bad_points)),
        ("run time", _duration(result.provenance.get("run_time_s"))),
    ]
    return [(name, value) for name, value in facts if value]


def _row(row: RowResult) -> dict[str, Any]:
    labels = [
        f"{label} {signed(value)}" for label, value in zip(row.labels[1:], row.residuals[1:], strict=False)
    ]
    when = "" if row.reducer == "at" else f"{row.reducer} over "
    measure = {
        "value": "",
        "change": "change of ",
        "percent_change": "percent change of ",
        "fold": "fold of ",
    }
    interval_: list[float | None] = [row.observed_lower, row.observed_upper]
    if row.statistic == "lower_bound":
        interval_ = [row.observed, None]
    elif row.statistic == "upper_bound":
        interval_ = [None, row.observed]
    who = (row.population, f"n = {row.n}" if row.n else "")
    noise = 1e-9 * abs(row.observed)  # of a difference that is zero, such as a change under placebo
    predicted, low, high = (
        0.0 if abs(value) < noise else value
        for value in (row.predicted, row.predicted_lower, row.predicted_upper)
    )
    return {
        "row": row.id,
        "study": row.study,
        "arm": row.arm,
        "n": row.n,
        "population": row.population,
        "what": f"{row.statistic.replace('_', ' ')}: {measure.get(row.measure, '')}{row.output}, "
        f"{when}{row.time} {row.time_unit}",
        "schedule": row.schedule,
        "patients": "; ".join(filter(None, (row.schedule, ", ".join(filter(None, who))))),
        "unit": row.unit,
        "use": row.use,
        "observed": row.observed,
        "observed_interval": interval_,
        "predicted": predicted,
        "predicted_interval": [low, high],
        "deviation": row.residuals[0] if row.residuals else None,
        "others": ", ".join(labels),
        "likelihood": row.likelihood,
        "source": row.source,
        "doi": row.doi,
        "provenance": row.provenance,
        "note": row.note,
    }


def _place(rows: Iterable[RowResult], shown: list[dict[str, Any]]) -> None:
    """Where the residual of each fitted row stands: in time, among the predictions of its output, and among
    all."""
    fitted = [
        (row, each)
        for row, each in zip(rows, shown, strict=True)
        if each["use"] == "fit" and is_number(each["deviation"])
    ]
    outputs: dict[tuple[str, str], list[float]] = {}
    for row, _ in fitted:
        outputs.setdefault((row.output, row.measure), []).append(row.predicted)
    for row, each in fitted:
        others = outputs[row.output, row.measure]
        below = sum(other < row.predicted for other in others)
        same = sum(other == row.predicted for other in others)
        each |= {"days": _days(row), "rank": (below + same / 2) / len(others)}
    if fitted:
        from pkpd.inference.calibration import order_band

        quantile = statistics.NormalDist().inv_cdf
        ordered = sorted((each for _, each in fitted), key=lambda each: each["deviation"])
        for each, *shares in zip(ordered, *order_band(len(ordered)), strict=True):
            names = ("quantile", "quantile_low", "quantile_high")
            each |= {name: quantile(share) for name, share in zip(names, shares, strict=True)}


def _days(row: RowResult) -> float:
    """The time of a row, or the middle of its window."""
    from pkpd.core.units import factor

    ends = [float(part) for part in row.time.split("..")]
    return sum(ends) / len(ends) * float(factor(row.time_unit, "d"))


def _shown_scale(estimate: Estimate) -> str:
    if estimate.scale == "natural" or (estimate.kind == "study effect" and estimate.scale == "logit"):
        return "linear"  # a shift on the logit scale is shown as the shift
    return estimate.scale


def _parameter(estimate: Estimate, described: Mapping[str, str]) -> dict[str, Any]:
    scale = _shown_scale(estimate)
    words = {
        "study effect": f"{estimate.target} in {estimate.study}, as a "
        f"{'factor' if scale == 'log' else 'shift'}"
    }
    learned = 1 - estimate.shrinkage if is_number(estimate.shrinkage) else None
    return {
        "name": estimate.name,
        "unit": estimate.unit,
        "group": GROUPS.get(estimate.kind, estimate.kind),
        "description": words.get(estimate.kind, described.get(estimate.target, "")),
        "prior": estimate.prior,
        "prior_interval": _prior_interval(estimate, scale),
        "scale": scale,
        "estimate": estimate.value,
        "interval": [estimate.lower, estimate.upper],
        "rse": estimate.rse / 100 if is_number(estimate.rse) else None,
        "learned": None if learned is None else max(0.0, learned),
        "shrinkage": estimate.shrinkage,
        "unmoved": _is_unmoved(estimate),
        "verdict": estimate.verdict,
        "at_bound": estimate.at_bound,
        "source": estimate.source,
        "provenance": estimate.provenance,
    }


def _is_unmoved(estimate: Estimate) -> bool:
    """Whether the data moved an estimate neither in its SD, by a tenth, nor in its place, by half a prior
    SD."""
    if not (is_number(estimate.shrinkage) and estimate.shrinkage > UNMOVED_SD):
        return False
    prior = _prior_interval(estimate, scale := _shown_scale(estimate))
    if prior is None or not is_number(estimate.value):
        return False
    low, middle, high = (_on_scale(value, scale) for value in (prior[0], estimate.value, prior[1]))
    return abs(middle - (low + high) / 2) < UNMOVED_BY * (high - low) / (2 * Z95)


def _on_scale(value: float, scale: str) -> float:
    match scale:
        case "log":
            return math.log(value)
        case "logit":
            return math.log(value / (1 - value))
    return value


def _unmoved(parameters: list[dict[str, Any]]) -> str:
    """A sentence that names the parameters which the data did not move."""
    names = [parameter["name"] for parameter in parameters if parameter["unmoved"]]
    if not names:
        return "The data moved every parameter that has a prior."
    return (
        f"The data did not move {len(names)} of {len(parameters)}: {', '.join(names)}. Their SD is more than "
        f"{100 * UNMOVED_SD:.0f} % of the prior's, and they lie within half a prior SD of its middle."
    )


def _prior_interval(estimate: Estimate, scale: str) -> list[float] | None:
    """The 95 % interval of a normal prior on its scale; None without one."""
    if not (is_number(estimate.shrinkage) and estimate.shrinkage > 0 and is_number(estimate.prior_value)):
        return None
    sd, middle = estimate.x_sd / estimate.shrinkage, estimate.prior_value
    ends = (-Z95 * sd, Z95 * sd)
    if scale == "log":
        return [middle * math.exp(end) for end in ends]
    if scale == "logit":
        odds = middle / (1 - middle)
        return [1 / (1 + 1 / (odds * math.exp(end))) for end in ends]
    return [middle + end for end in ends]


def _refit(refit: Any) -> dict[str, Any] | None:
    if refit is None:
        return None
    return {
        "title": refit.title,
        "converged": refit.converged,
        "changes": sorted(
            refit.changes, key=lambda change: -abs(change.shift) if is_number(change.shift) else 0
        ),
        "rows": [_row(row) for row in refit.predicted],
    }


def _sentences(text: str) -> list[str]:
    return [part for part in re.split(r"(?<=[.!?])\s+(?=[A-Z])", text.strip()) if part]


def _duration(seconds: Any) -> str:
    if not is_number(seconds):
        return ""
    return f"{seconds:.1f} s" if seconds < 100 else f"{seconds / 60:.1f} min"


def _flat(value: Mapping[str, Any], before: str = "") -> Iterable[tuple[str, str]]:
    for key, item in value.items():
        name = f"{before}{key.replace('_', ' ')}"
        if isinstance(item, Mapping):
            yield from _flat(item, f"{name}: ")
        else:
            yield name, "" if item is None else str(item)


# --- figures --------------------------------------------------------------------------------------


def drawings(shown: Mapping[str, Any], curves: Mapping[str, Any]) -> list[Drawing]:
    """The figures, in the order of the page."""
    from pkpd.present import plot

    found = []
    if curves.get("dose_response"):
        caption = (
            "Dose and response. Curves: mean of the group as fitted, with its 95 % interval by the "
            "uncertainty of the parameters. "
            "Points: groups as reported, with their 95 % interval; the area goes with the number of "
            "patients. Hollow: unverified."
        )
        panels = curves["dose_response"]
        found.append(Drawing("dose_response", caption, plot.dose_response_figure, panels))
        first = [panel for panel in panels if not panel["log"]][:6]
        if first:  # for a README or a slide; the page shows all
            found.append(Drawing("fit", caption, plot.dose_response_figure, first))
    for k, course in enumerate(curves.get("courses", ())):
        caption = f"{course['study']}, {course['part']}."
        found.append(Drawing(f"course_{k + 1:02d}", caption, _draw_course, course))
    if curves.get("visits"):
        caption = _visits_caption(curves["visits"])
        found.append(Drawing("visits", caption, plot.visits_figure, curves["visits"]))
    predicted = [row for row in shown["rows"] if is_number(row["deviation"])]
    if predicted:
        found += _of_residuals(predicted)
    if shown["parameters"]:
        caption = (
            "Posterior against prior of every parameter: its 95 % interval in SDs of the prior, and by what "
            "the data multiplied the prior's SD. Grey: the data did not move it. Hollow: the prior's number "
            "is unverified."
        )
        found.append(Drawing("parameters", caption, plot.parameter_figure, shown["parameters"]))
    return found


def _draw_course(course: Mapping[str, Any]) -> Figure:
    from pkpd.present import plot

    return plot.time_course_figure(course["arms"], observed=course["points"])


def _visits_caption(visits: Iterable[Mapping[str, Any]]) -> str:
    bands = {band["name"] for arm in visits for each in arm["statistics"] for band in each["bands"]}
    effect = "then with the study's effect, " if "study effect" in bands else ""
    caption = (
        "Means and SDs of arms over visits. Bands: 95 % of what was to be expected of a study that the "
        f"fit does not know, by the uncertainty of the parameters, {effect}then with the sampling error "
        "of as many patients."
    )
    return caption + (" Dashed: as fitted, with the study's own effect." if effect else "")


def _of_residuals(predicted: list[dict[str, Any]]) -> list[Drawing]:
    from pkpd.present import plot

    caption = "Observed and predicted, in standard errors of the reported number. Hollow: unverified."
    found = [Drawing("observed_predicted", caption, plot.observed_predicted_figure, predicted)]
    caption = "Residuals by study. Beyond 2 the model misses more than chance explains. Hollow: unverified."
    found.append(Drawing("residuals", caption, plot.residual_figure, predicted))
    caption = (
        "Residuals of the fitted numbers against a normal distribution, against time and against the "
        "prediction, by its rank among those of its output. The band "
        "holds 95 % of independent normal residuals at each place; those of a fit lie a little closer, "
        "as its parameters have followed the numbers."
    )
    fitted = [row for row in predicted if row["use"] == "fit"]
    if fitted:
        found.append(Drawing("residual_checks", caption, plot.residual_checks_figure, fitted))
    return found


# --- the page -------------------------------------------------------------------------------------


def render(shown: Mapping[str, Any], pictures: Mapping[str, tuple[str, bytes]] | None = None) -> str:
    """The page from a ``document``. ``pictures``: name -> (caption, SVG)."""
    placed = placed_pictures(pictures or {})
    return (
        environment()
        .get_template("report.html.j2")
        .render(
            shown, pictures=placed, course_pictures=[name for name in placed if name.startswith("course")]
        )
    )


# --- files ----------------------------------------------------------------------------------------


@takes(
    result=named("pkpd.inference", "FitResult", "the result of a fit"),
    folder=PATH,
    curves=MAPPING | ABSENT,
    fit=PATH | named("pkpd.inference", "FitSpec", "what a fit folder says") | ABSENT,
    threads=COUNT | ABSENT,
    processes=COUNT,
    progress=CALLABLE | ABSENT,
)
def write_report(
    result: FitResult,
    folder: str | os.PathLike[str],
    *,
    curves: Mapping[str, Any] | None = None,
    fit: str | os.PathLike[str] | FitSpec | None = None,
    threads: int | None = None,
    processes: int = 1,
    progress: Progress | None = None,
) -> Path:
    """Write the report of a fit into a folder and return the path of ``report.html``.

    The result is written first, or with an older report there when the writing is interrupted, so that a
    finished fit is kept (``pkpd report`` goes on from there). The rest appears whole: it is written under
    another name and moved into place, where an older report is replaced; a failure leaves that.

    Parameters
    ----------
    result : of ``fit``, or read by ``FitResult.read_json``.
    folder : a new folder, an empty one, or an older report.
    curves : as ``predict`` gives them; without them the trial arms are simulated.
    fit : the fit folder or what it says, for that (by default the result's own name in the library).
    threads : how many work at a time, by default as many as this process may use cores.
    processes : how many draw figures; more than one are started anew, so that a script has the call under
        ``if __name__ == "__main__":``.
    progress : called with (what, share, remark).

    Returns
    -------
    Path : of ``report.html``; beside it are ``result.json``, ``curves.json`` and the figures.

    Raises
    ------
    InputError : the folder cannot be written to, or holds something that is not a report.

    Examples
    --------
    Of two rows of a fit and without any curves, to be quick:

    >>> import dataclasses, pkpd
    >>> from pkpd.core.library import root
    >>> result = pkpd.FitResult.read_json(root() / "fits" / "low_dose_il2" / "result.json")
    >>> few = dataclasses.replace(result, rows=result.rows[:2])
    >>> pkpd.write_report(few, "report", curves={"courses": [], "dose_response": []}).name
    'report.html'
    """
    folder = Path(folder)
    check_report_folder(folder)
    folder.parent.mkdir(parents=True, exist_ok=True)
    spec = _spec(result, fit, wanted=curves is None)
    if not folder.exists() or not any(folder.iterdir()):
        _keep(result, folder, spec)
    try:
        return _write(result, folder, curves, spec, threads, processes, progress)
    except KeyboardInterrupt:
        _keep(result, folder, spec)
        raise


def _spec(result: FitResult, fit: str | os.PathLike[str] | FitSpec | None, wanted: bool) -> FitSpec | None:
    """What the fit's folder says; None where it is not needed and not there."""
    from pkpd.inference import FitSpec, read_fit

    if isinstance(fit, FitSpec):
        return fit
    if fit is not None or wanted:
        return read_fit(fit or result.name)
    return None


def _write(
    result: FitResult,
    folder: Path,
    curves: Mapping[str, Any] | None,
    spec: FitSpec | None,
    threads: int | None,
    processes: int,
    progress: Progress | None,
) -> Path:
    """The rest of ``write_report``."""
    if curves is None:
        from pkpd.inference.prediction import predict

        assert spec is not None
        try:
            curves = predict(result, spec, threads=threads, progress=progress)
        except PkpdError as error:  # a fit of many minutes is not lost for a picture
            curves = {"failure": str(error)}
    shown = document(result, curves)
    shown["notes"] += _of_other_files(result, spec)
    with replacing_folder(folder) as temporary:
        pictures = draw_files(drawings(shown, curves), temporary, processes, progress or quiet)
        result.write_json(temporary / "result.json")
        _put_sources(spec, folder, temporary)
        _put_found_later(folder, temporary)
        (temporary / "curves.json").write_text(to_json(curves, indent=None) + "\n", encoding="utf-8")
        (temporary / "report.html").write_text(render(shown, pictures), encoding="utf-8")
    return folder / "report.html"


def _of_other_files(result: FitResult, spec: FitSpec | None) -> list[str]:
    """Sentences where the fit's folder or the package is not what it was when the result was made."""
    from pkpd.inference.belonging import changed_words, changes, version_words

    told = [version_words(result)]
    if spec is not None and (changed := changed_words(changes(result, spec))):
        told.append(f"This result was made before these changed: {changed}.")
    return [words for words in told if words]


def _put_sources(spec: FitSpec | None, older: Path, folder: Path) -> None:
    """The files that a fit was made from, in a folder of the fit's name: the result can then be simulated
    from, wherever it goes.

    Not of a fit of the library, which is there by its name, nor of one that reads files outside its folder.
    Without a ``spec`` those of the ``older`` report.
    """
    from pkpd.core import library

    if spec is None:
        for kept in _source_folders(older):
            shutil.copytree(kept, folder / kept.name)
        return
    if library.root() / "fits" in spec.folder.resolve().parents:
        return
    files = [spec.folder / "fit.toml", spec.data]
    files += [Path(spec.endpoints)] if Path(spec.endpoints).is_file() else []
    files += [Path(model.model) for model in (spec.main, spec.rival) if model and Path(model.model).is_file()]
    inside = [file for file in dict.fromkeys(files) if spec.folder.resolve() in file.resolve().parents]
    if len(inside) < len(set(files)):
        return
    for file in inside:
        target = folder / spec.name / file.resolve().relative_to(spec.folder.resolve())
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(file, target)


def _put_found_later(older: Path, folder: Path) -> None:
    """What other commands found of the fit, from the older report into the new one."""
    for item in older.iterdir() if older.is_dir() else ():
        if item.stem in FOUND_LATER:
            copy = shutil.copytree if item.is_dir() else shutil.copy2
            copy(item, folder / item.name)


def _source_folders(folder: Path) -> list[Path]:
    return [item for item in folder.iterdir() if (item / "fit.toml").is_file()] if folder.is_dir() else []


def _keep(result: FitResult, folder: Path, spec: FitSpec | None) -> None:
    """A folder with the result alone, unless it is there already: an older report would say other numbers
    than it."""
    kept = folder / "result.json"
    if kept.exists() and kept.read_text(encoding="utf-8") == to_json(result.to_dict()) + "\n":
        return
    with replacing_folder(folder) as temporary:
        result.write_json(temporary / "result.json")
        _put_sources(spec, folder, temporary)
        _put_found_later(folder, temporary)


def check_report_folder(folder: Path) -> None:
    """Raise unless a report can be put here: a new folder, an empty one, or an older report, with what other
    commands found of the fit."""
    if folder.exists():
        if not folder.is_dir():
            raise DataError(f'cannot write a report to "{folder}": it is a file')
        others = [item.name for item in folder.iterdir() if not _ours(item)]
        if others:
            raise DataError(
                f'"{folder}" holds other things than a report ({others[0]}): choose another folder'
            )
    above = folder.parent
    while not above.exists() and above != above.parent:
        above = above.parent
    check_folder(above)


def _ours(item: Path) -> bool:
    if item.stem in FOUND_LATER:
        return True
    if item.is_dir():
        return (item / "fit.toml").is_file() and (item.parent / "result.json").is_file()
    return item.name in ("report.html", "result.json", "curves.json") or item.suffix in (".png", ".svg")


@takes(path=PATH)
def read_report(path: str | os.PathLike[str]) -> tuple[FitResult, dict[str, Any] | None]:
    """The result and the curves of a written report, from its folder or its ``result.json``; curves None if
    they are not there.

    Raises ``DataError``.
    """
    from pkpd.inference import FitResult

    path = Path(path)
    if path.is_dir():
        path = path / "result.json"
        if not path.exists():
            raise DataError(f'"{path.parent}" holds no report: there is no result.json in it')
    result = FitResult.read_json(path)
    beside = path.with_name("curves.json")
    if not beside.exists():
        return result, None
    try:
        curves = json.loads(beside.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise DataError(f"{beside} cannot be read: {error}") from None
    if not isinstance(curves, dict):
        raise DataError(f"{beside} does not hold the curves of a report")
    return result, curves

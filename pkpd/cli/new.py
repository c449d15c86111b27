"""``pkpd new``: a model, a fit or a trial to begin with, full of comments, that runs as it is written."""

from __future__ import annotations

import csv
import io
import json
import re
from enum import StrEnum
from pathlib import Path
from string import Template
from typing import TYPE_CHECKING, Annotated, NamedTuple

import typer

from pkpd.cli.terminal import QuietOption, note
from pkpd.core.errors import InputError
from pkpd.core.files import check_folder, replacing_folder, write_text

if TYPE_CHECKING:
    from pkpd.model.check import Model, Parameter

TEMPLATES = Path(__file__).with_name("templates")

TIMES = (1.0, 2.0, 4.0, 8.0, 24.0, 48.0)
"""When an invented trial measures, in the model's unit of time."""
SUBJECTS, RELATIVE_SE = 12, 0.1
"""How many people it has, and the standard error of its means."""


class What(StrEnum):
    """What can be begun."""

    fit = "fit"
    model = "model"
    trial = "trial"


def new(
    what: Annotated[
        What,
        typer.Argument(help="A fit (a folder), a model (a file) or a trial (a folder).", show_default=False),
    ],
    name: Annotated[str, typer.Argument(help="Its name, or a path such as work/my_fit.", show_default=False)],
    model: Annotated[
        str | None,
        typer.Option(
            help="Of a fit: the model, by name or path (default: an invented drug and its response).",
            show_default=False,
        ),
    ] = None,
    schedule: Annotated[
        str | None,
        typer.Option(
            help="With --model: what the invented trial gives (default: 100 units by its first route).",
            show_default=False,
        ),
    ] = None,
    quiet: QuietOption = False,
) -> None:
    """Begin a model, a fit or a trial: files full of comments that run as they are, on invented numbers.

    [dim]Examples[/]

      pkpd new fit my_fit
      pkpd new fit my_fit --model two_compartment_oral --schedule "250 mg oral once"
      pkpd new model my
      pkpd new trial my_trial

    Nothing that is there already is written over. A model given by its path is copied into the folder.
    """
    if what is not What.fit and (model is not None or schedule is not None):
        raise InputError(f"--model and --schedule belong to a fit; `pkpd new {what} NAME` takes neither")
    if what is What.model:
        target = _free(Path(name.removesuffix(".model") + ".model"))
        write_text(target, _template("drug.model"))
        note(f"wrote {target}; next: pkpd show {_typed(target)}", quiet)
        return
    if schedule is not None and model is None:
        raise InputError("--schedule belongs to --model: the invented drug comes with its own trial")
    target = _free(Path(name))
    if what is What.trial:
        _write_folder(target, _trial(target.name), "trial", quiet)
        return
    files = _example(target.name) if model is None else _fit_of(target.name, model, schedule)
    _write_folder(target, files, "fit", quiet)


def _write_folder(target: Path, files: dict[str, str], command: str, quiet: bool) -> None:
    with replacing_folder(target) as folder:
        for file, text in files.items():
            (folder / file).write_text(text, encoding="utf-8")
    note(f"wrote {', '.join(files)} into {target}; next: pkpd {command} {_typed(target)}", quiet)


def _trial(name: str) -> dict[str, str]:
    """A trial in an invented disease, with its model beside it."""
    design = Template(_template("trial.toml")).substitute(name=name)
    return {"trial.toml": design, "disease.model": _template("disease.model")}


def _free(target: Path) -> Path:
    """Raise ``InputError`` unless something can be written here that is not there yet."""
    if not re.fullmatch(r"[A-Za-z]\w*(-\w+)*(\.model)?", target.name, re.ASCII):
        raise InputError(f'"{target.name}" is no name: write letters, digits, _ and -, a letter first')
    if target.exists() or target.is_symlink():
        raise InputError(f"{target} is there already, and nothing is written over; choose another name")
    check_folder(target.parent)
    return target


def _typed(target: Path) -> str:
    """The path as commands take it: without a folder it would be a name of the library."""
    return str(target) if len(target.parts) > 1 else f"./{target}"


def _template(name: str) -> str:
    return (TEMPLATES / name).read_text(encoding="utf-8")


# --- the files of a fit ---


def _example(name: str) -> dict[str, str]:
    """The invented drug: its model beside the fit, and a trial with several kinds of rows."""
    from pkpd.model.check import read_model

    drug, rows = _template("drug.model"), _template("data.csv")
    checked = read_model(drug, "drug.model")
    return {
        "fit.toml": _settings(name, "drug.model", "        # beside this file", checked, rows),
        "data.csv": rows,
        "source.md": Template(_template("source.md")).substitute(how=""),
        "drug.model": drug,
    }


def _fit_of(name: str, model: str, schedule: str | None) -> dict[str, str]:
    """A fit of this model to a trial that it predicts itself."""
    from pkpd.core import library
    from pkpd.model.check import read_model
    from pkpd.model.extend import model_text

    text, file = model_text(model)
    checked = read_model(text, file)
    shipped = model in library.models()
    called = model if shipped else Path(file).name
    about = "" if shipped else "   # a copy, beside this file"
    rows = _invented(checked, schedule or _usual_schedule(checked))
    how = ": what the model itself says at the values of its file, which any fit gives back"
    files = {
        "fit.toml": _settings(name, called, about, checked, rows),
        "data.csv": rows,
        "source.md": Template(_template("source.md")).substitute(how=how),
    }
    return files if shipped else files | {called: text}


def _settings(name: str, called: str, about: str, model: Model, rows: str) -> str:
    """The fit.toml that estimates every parameter of a model."""
    between = [p.name for p in model.parameters if p.between is not None]
    return Template(_template("fit.toml")).substitute(
        title=f"{name}, on invented numbers",
        model=json.dumps(called, ensure_ascii=False),  # which TOML reads as JSON does
        about_model=about,
        free="".join(f"{line}\n" for line in map(_free_line, _parameters(model))),
        between="".join(f"{one} = true\n" for one in between),
        noise="".join(f"{one.name} = {{ proportional = 0.15 }}\n" for one in model.outputs),
        first_row=rows.splitlines()[1].partition(",")[0],
    )


def _parameters(model: Model) -> list[Parameter]:
    return [p for p in model.parameters if p.kind == "parameter"]


def _free_line(parameter: Parameter) -> str:
    """``CL = "lognormal(5, 0.5)"``, or the prior of the model file; a number that no such prior can be around
    stays as it is."""
    p = parameter
    if p.prior is not None:
        return f"{p.name} = true"
    if p.lower >= 0 and p.upper == 1 and 0 < p.value < 1:
        return f'{p.name} = "logitnormal({p.value:g}, 0.5)"'
    if p.value > 0 and p.value not in (p.lower, p.upper):
        return f'{p.name} = "lognormal({p.value:g}, 0.5)"'
    return f"{p.name} = false"


# --- a trial that is invented from a model ---


class _Number(NamedTuple):
    output: str
    unit: str
    time: float
    value: float


def _usual_schedule(model: Model) -> str:
    from pkpd.dosing import Schedule

    if not model.routes:
        return "none"
    route = model.routes[0]
    unit = next(state.unit for state in model.states if state.name == route.target)
    schedule = f"100 {unit} {route.name} once"
    try:
        Schedule.parse(schedule)
    except InputError:
        raise InputError(
            f"what a trial would give by route {route.name} is not clear from its unit, {unit}; say it: "
            f'--schedule "100 mg {route.name} once"'
        ) from None
    return schedule


def _invented(model: Model, schedule: str) -> str:
    """A data.csv of what a model predicts at the values of its file."""
    numbers = _predicted(model, schedule)
    if not numbers:
        raise InputError(
            f'under "{schedule}" no output of {model.name} has a value above 0 that could be measured; '
            "give another --schedule"
        )
    stream = io.StringIO()
    columns = _template("data.csv").splitlines()[0].split(",")
    writer = csv.DictWriter(stream, columns, restval="", lineterminator="\n")
    writer.writeheader()
    for one in numbers:
        writer.writerow(
            {
                "row": f"{one.output}_{one.time:g}{model.time_unit}",
                "study": "Example",
                "arm": schedule,
                "population": "nobody",
                "n": SUBJECTS,
                "schedule": schedule,
                "output": one.output,
                "measure": "value",
                "reducer": "at",
                "time": f"{one.time:g}",
                "time_unit": model.time_unit,
                "statistic": "mean",
                "value": f"{one.value:.3g}",
                "unit": one.unit,
                "spread": f"{RELATIVE_SE * one.value:.2g}",
                "spread_type": "SE",
                "use": "fit",
                "source": "invented",
                "provenance": "reported",
                "note": "what the model says; the SE is a tenth of it",
            }
        )
    return stream.getvalue()


def _predicted(model: Model, schedule: str) -> list[_Number]:
    """The values above 0, of which those that are 1e-6 of the largest and less are taken for 0."""
    from pkpd.simulation.profile import simulate

    profile = simulate(model, schedule, times=TIMES)
    found = []
    for name, unit in zip(profile.names, profile.units, strict=True):
        values = profile[name][0]
        least = 1e-6 * max(values.max(), 0.0)
        found += [
            _Number(name, unit, time, float(value))
            for time, value in zip(TIMES, values, strict=True)
            if value > least
        ]
    return found

"""What `pkpd compare` and `pkpd optimise` share: the options that say in which virtual subjects, and where
results go."""

from __future__ import annotations

import inspect
import shlex
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from pkpd.cli.terminal import Work, in_time_unit, overrides
from pkpd.core.errors import InputError

if TYPE_CHECKING:
    from pkpd.decision.comparison import Comparison, Scene
    from pkpd.decision.optimisation import Front

ENDINGS = (".csv", ".json", ".html")

FitOption = Annotated[
    str,
    typer.Option(
        help="Name of a fit, path of its folder, or of what pkpd fit wrote: results/my_fit; or a model, "
        "./my.model, as its file has it."
    ),
]
CriteriaOption = Annotated[
    Path | None,
    typer.Option(
        "--endpoints",
        metavar="FILE",
        help="A file of endpoints, in place of the fit's own (endpoints.toml in its folder).",
        show_default=False,
    ),
]
PosteriorOption = Annotated[
    Path | None,
    typer.Option(
        "--posterior",
        metavar="DRAWS",
        help="Draws of pkpd sample (its folder, or draws.npz) in place of the normal approximation.",
        show_default=False,
    ),
]
DrawsOption = Annotated[
    int, typer.Option(min=1, help="How many draws of the fitted parameters the subjects share.")
]
VaryOption = Annotated[
    str, typer.Option(help="What makes subjects differ: between, uncertainty, study; or none.")
]
StudyOption = Annotated[
    str | None,
    typer.Option(help="With the effects of a study of the fit, such as IMODALS.", show_default=False),
]
SetOption = Annotated[
    list[str] | None,
    typer.Option(
        "--set",
        metavar="NAME=VALUE",
        help='Another value of a parameter or covariate: "BSA = 1.9 m^2". Repeatable.',
    ),
]
RespondersOption = Annotated[
    str | None,
    typer.Option(help="Only a third of the subjects: low, moderate or high responders.", show_default=False),
]
ShowOption = Annotated[
    str | None,
    typer.Option(
        "--show",
        metavar="GROUP",
        help='Also a group of endpoints that is shown on request only, such as "clinical", with what it '
        "rests on (docs/endpoints.md).",
        show_default=False,
    ),
]
UntilOption = Annotated[
    str | None,
    typer.Option(
        help='Horizon, the same for all: "120 d" (default: the longest treatment and 28 days more).',
        show_default=False,
    ),
]
OutputOption = Annotated[
    Path | None,
    typer.Option(
        "--output",
        "-o",
        help="Write .csv, .json, .html (the report), or a folder with all three.",
        show_default=False,
    ),
]


def scene_of(
    fit: str,
    subjects: int,
    draws: int,
    seed: int,
    vary: str,
    study: str | None,
    given: list[str] | None,
    responders: str | None,
    until: str | None,
    jobs: int | None,
    quiet: bool,
    endpoints: Path | None = None,
    posterior: Path | None = None,
) -> Scene:
    """The scene that the options describe; ``given`` are those of --set, ``endpoints`` is a file of them."""
    from pkpd.decision.comparison import Scene
    from pkpd.inference.unfitted import read_fit_or_model
    from pkpd.solver.kernel import load

    until_days = None if until is None else in_time_unit(until, "d", "--until")
    if until_days == 0:
        raise InputError(f"--until {until!r}: the horizon must be longer than zero")
    with Work("reading and compiling the model (once: it is cached)", quiet):
        kernel = load(read_fit_or_model(fit).main.model)
    values = overrides(given or [], kernel)
    of_the_subject = {
        name for name, kind in zip(kernel.PARAMETERS, kernel.KINDS, strict=True) if kind == "covariate"
    }
    return Scene.create(
        fit,
        subjects=subjects,
        draws=draws,
        seed=seed,
        vary=[] if vary.strip() == "none" else [name.strip() for name in vary.split(",") if name.strip()],
        study=study,
        covariates={name: value for name, value in values.items() if name in of_the_subject},
        parameters={name: value for name, value in values.items() if name not in of_the_subject},
        responders=responders,
        until_days=until_days,
        threads=jobs,
        endpoints=endpoints,
        posterior=posterior,
    )


def check_output(output: Path, endings: tuple[str, ...] = ENDINGS) -> None:
    """Raise ``InputError`` unless this file, or the files of this folder, could be written."""
    from pkpd.core.files import check_folder, check_target

    if output.is_dir():
        check_folder(output)
    elif output.suffix:
        check_target(output, endings)
    elif output.exists():
        raise InputError(
            f'cannot write "{output}": it is a file, and without an ending a folder is meant; the '
            f"endings are {', '.join(endings)}"
        )
    else:
        check_folder(output.parent)


def command_line(command: Callable[..., None], words: list[str], options: Mapping[str, Any]) -> str:
    """The command line that does the same again: ``words`` as they were given, and the ``options`` that are
    not the command's defaults."""
    words = ["pkpd", command.__name__, *words]
    _first, *others = inspect.signature(command).parameters.values()
    for parameter in others:
        name, given = parameter.name, options[parameter.name]
        if name in ("set_", "output", "jobs", "json", "quiet") or given in (None, parameter.default):
            continue
        words += [f"--{name.rstrip('_')}", str(given)]
    for text in options["set_"] or []:
        words += ["--set", text]
    return shlex.join([*words, "-o", str(options["output"])])


def write_files(
    result: Comparison | Front, output: Path, stem: str, write_report: Callable[[Path], Any]
) -> None:
    """Write a result to a file, by its ending, or all its files into a folder."""
    if output.suffix and not output.is_dir():
        targets = [output]
    else:
        output.mkdir(exist_ok=True)
        targets = [output / name for name in (f"{stem}.csv", f"{stem}.json", "report.html")]
    for target in targets:
        match target.suffix.lower():
            case ".csv":
                result.write_csv(target)
            case ".json":
                result.write_json(target)
            case _:
                write_report(target)

"""What `pkpd compare` and `pkpd optimise` share: the options that say in which virtual subjects, and where
results go."""

from __future__ import annotations

import inspect
import shlex
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, get_type_hints

import typer
from typer.models import OptionInfo

from pkpd.cli.terminal import Work, in_time_unit, note, overrides
from pkpd.core.errors import InputError

if TYPE_CHECKING:
    from pkpd.decision.comparison import Scene

ENDINGS = (".html", ".csv", ".json", ".xlsx", ".md", ".tex", ".pptx", ".png", ".svg", ".pdf")
"""Of files that a result is written to: the formats of `pkpd.present.share`."""
OF_AN_EXTRA = {".xlsx": "xlsxwriter", ".pptx": "pptx"}
"""Endings, and the package of the extra "share" that writes them."""
_PACKAGES = {"xlsxwriter": "xlsxwriter", "pptx": "python-pptx"}

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
        help="Write .html (the report), .xlsx, .csv, .json, .md, .tex, .pptx (a deck), .png, .svg or .pdf "
        "(the figures), or a folder with all of it.",
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


def check_output(output: Path | None) -> None:
    """Raise unless this file, or the files of this folder, could be written: ``InputError``, or
    ``MissingExtraError`` where its format needs a package that is not installed."""
    from pkpd.core.extras import optional
    from pkpd.core.files import check_output as check

    if output is None:
        return
    check(output, ENDINGS)
    if package := OF_AN_EXTRA.get(output.suffix.lower()):
        optional(package, "share")


def command_line(command: Callable[..., None], words: list[str], options: Mapping[str, Any]) -> str:
    """The command line that does the same again: ``words`` as they were given, and the ``options`` that are
    not the command's defaults."""
    words = ["pkpd", command.__name__.replace("_", "-"), *words]
    defaults = inspect.signature(command).parameters
    for name, kind in get_type_hints(command, include_extras=True).items():
        about = next((one for one in getattr(kind, "__metadata__", ()) if isinstance(one, OptionInfo)), None)
        given = options.get(name)
        if about is None or name in ("output", "jobs", "json", "quiet"):
            continue
        if given in (None, defaults[name].default):
            continue
        declared = [one for one in (about.default, *(about.param_decls or ())) if str(one).startswith("--")]
        option = str([*declared, f"--{name.rstrip('_').replace('_', '-')}"][0])
        for one in given if isinstance(given, list) else [given]:
            words += [option, str(one)]
    return shlex.join([*words, "-o", str(options["output"])])


def write_result(result: Any, output: Path, command: str, quiet: bool) -> None:
    """Write a result in the format that the ending says, or in all of them into a folder, and say what
    else there is."""
    from pkpd.core.extras import how_to_install, version
    from pkpd.present.share import exhibit, write

    with Work("writing", quiet):
        shown = exhibit(result, command=command)
        write(shown, output)
    note(f"wrote {output}", quiet)
    names = [drawing.name for drawing in shown.drawings]
    if output.suffix.lower() in (".png", ".svg") and len(names) > 1 and output.stem not in names:
        others = " and ".join(f"{name}{output.suffix}" for name in names[1:])
        note(f"that is {names[0]}; {others} are written by these names, all of them as .pdf", quiet)
    if output.is_dir() and (
        lacking := [end for end, of in OF_AN_EXTRA.items() if version(_PACKAGES[of]) is None]
    ):
        note(f"without {' and '.join(lacking)}: {how_to_install('share')}", quiet)

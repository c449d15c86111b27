"""Results -> files for others: figures for slides, tables for papers, a deck, a report.

    save(compare(scene.arms([...])), "deck.pptx")

A result becomes an `Exhibit`, and each format, chosen by the ending of the file, is made of that alone:

    exhibit      what leaves the program of a result
    comparisons, fronts, answers, people, seeing, trials, validations   a result -> its exhibit
    figures      .png, .svg, .pdf
    workbook     .xlsx
    markdown     .md
    latex        .tex
    page         .html
    deck         .pptx
"""

from __future__ import annotations

import os
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from pkpd.core.arguments import ABSENT, PATH, TEXT, TEXTS, of, takes
from pkpd.core.errors import InputError, MissingExtraError
from pkpd.core.files import check_output, replacing
from pkpd.decision.comparison import Comparison
from pkpd.decision.drivers import Drivers
from pkpd.decision.inverse import Attainment, Boundary
from pkpd.decision.optimisation import Front
from pkpd.decision.response import DoseResponse
from pkpd.decision.why import Explanation
from pkpd.decision.wishes import parse_constraints
from pkpd.inference.individual import Individual
from pkpd.inference.validation import Validation
from pkpd.present.share import (
    answers,
    comparisons,
    deck,
    figures,
    fronts,
    latex,
    markdown,
    page,
    people,
    seeing,
    trials,
    validations,
    workbook,
)
from pkpd.present.share.exhibit import Exhibit as Exhibit
from pkpd.present.share.exhibit import pausing as pausing
from pkpd.present.share.people import PersonAhead as PersonAhead
from pkpd.trial import TrialResult

FORMATS: dict[str, Callable[[Exhibit, str], bytes]] = {
    ".html": lambda shown, _: page.write(shown).encode(),
    ".csv": lambda shown, _: _written(shown.write_csv),
    ".json": lambda shown, _: _written(shown.write_json),
    ".xlsx": lambda shown, _: workbook.write(shown),
    ".md": lambda shown, _: markdown.write(shown).encode(),
    ".tex": lambda shown, _: latex.write(shown).encode(),
    ".pptx": lambda shown, _: deck.write(shown),
    ".png": figures.png,
    ".svg": figures.svg,
    ".pdf": figures.pdf,
}
"""What makes the content of a file, of an exhibit and the file's name without its ending."""


@takes(
    found=of(
        Comparison,
        Front,
        Attainment,
        Boundary,
        Individual,
        PersonAhead,
        Explanation,
        Drivers,
        DoseResponse,
        Validation,
        TrialResult,
        words="what compare, optimise, dose_for, individualise, why, drivers, dose_response, validate or "
        "simulate_trial gave",
    ),
    path=PATH,
    command=TEXT,
    following=of(Comparison, words="what compare gave") | ABSENT,
    wishes=TEXTS,
)
def save(
    found: Comparison
    | Front
    | Attainment
    | Boundary
    | Individual
    | PersonAhead
    | Explanation
    | Drivers
    | DoseResponse
    | Validation
    | TrialResult,
    path: str | os.PathLike[str],
    *,
    command: str = "",
    following: Comparison | None = None,
    wishes: Sequence[str] = (),
) -> Path:
    """Write a result for others, in the format of the file's ending.

    Parameters
    ----------
    found : of ``compare``, ``optimise``, ``dose_for``, ``individualise``, ``why``, ``drivers``,
        ``dose_response``, ``validate`` or ``simulate_trial``.
    path : ``.html`` the report; ``.xlsx`` numbers with what has to be known to read them; ``.csv``,
        ``.json``; ``.md`` and ``.tex`` the table for a text; ``.pptx`` a deck; ``.png``, ``.svg`` the figure,
        the main one or the one that the file is called after, such as ``differences.svg``; ``.pdf`` all
        figures, each on its page. Without ending a folder, which gets all of these and every single figure;
        what needs an extra that is not installed is left out of it.
    command : the command line that makes it again, which stands in some of them.
    following : of one person, a comparison of schedules that may follow (``Scene.of_person``).
    wishes : what is wanted of these, in the words of ``pkpd optimise``.

    Returns
    -------
    Path : of the file or folder.

    Raises
    ------
    InputError : another ending, a place that cannot be written to, a wish that cannot be read.
    MissingExtraError : ``.xlsx`` and ``.pptx`` need the extra ``share``.

    Examples
    --------
    >>> import pkpd
    >>> scene = pkpd.Scene.create("low_dose_il2", subjects=4)
    >>> comparison = pkpd.compare(scene.arms(["1 MIU sc once", "2 MIU sc once"]))
    >>> pkpd.save(comparison, "table.md").read_text().splitlines()[0]
    '# 2 dose schedules compared'
    """
    target = check_output(Path(path), tuple(FORMATS))
    return write(exhibit(found, command=command, following=following, wishes=wishes), target)


def write(shown: Exhibit, path: str | os.PathLike[str]) -> Path:
    """Write an exhibit: the file, or all files into the folder, once all of their content is made."""
    target = check_output(Path(path), tuple(FORMATS))
    if target.suffix and not target.is_dir():
        files = {target: FORMATS[target.suffix.lower()](shown, target.stem)}
    else:
        files = {target / name: content for name, content in _folder(shown).items()}
        target.mkdir(parents=True, exist_ok=True)
    for place, content in files.items():
        with replacing(place) as temporary:
            temporary.write_bytes(content)
    return target


def exhibit(
    result: Any, *, command: str = "", following: Comparison | None = None, wishes: Sequence[str] = ()
) -> Exhibit:
    """What leaves the program of a result; arguments as of `save`."""
    if isinstance(result, Individual):
        result = PersonAhead(result, following, _wishes(wishes, following))
    elif following is not None or wishes:
        raise InputError("following and wishes are about one person, what individualise gave")
    if isinstance(result, PersonAhead):
        return people.exhibit(result, command)
    if isinstance(result, Explanation):
        return seeing.of_why(result, command)
    if isinstance(result, Drivers):
        return seeing.of_drivers(result, command)
    if isinstance(result, DoseResponse):
        return seeing.of_response(result, command)
    if isinstance(result, Validation):
        return validations.exhibit(result, command)
    if isinstance(result, TrialResult):
        return trials.exhibit(result, command)
    if isinstance(result, Comparison):
        return comparisons.exhibit(result, command)
    return fronts.exhibit(result, command) if isinstance(result, Front) else answers.exhibit(result, command)


def _wishes(texts: Sequence[str], following: Comparison | None) -> Any:
    if texts and following is None:
        raise InputError(
            "wishes are about schedules that may follow: give a comparison of them, following=..."
        )
    return (
        parse_constraints(texts, following.endpoints, following.criteria)
        if following is not None and texts
        else ()
    )


def _folder(shown: Exhibit) -> dict[str, bytes]:
    """File name -> content: everything at once."""
    files = {}
    for ending, content in FORMATS.items():
        if ending[1:] in figures.KINDS:
            continue
        name = "report.html" if ending == ".html" else f"{shown.stem}{ending}"
        try:
            files[name] = content(shown, shown.stem)
        except MissingExtraError:
            continue
    beside = {name: _written(write) for name, write in shown.beside.items()}
    return files | figures.every(shown) | beside


def _written(write: Callable[[Path], object]) -> bytes:
    """What a function writes into a file."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "file"
        write(path)
        return path.read_bytes()

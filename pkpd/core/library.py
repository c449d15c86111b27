"""Where ``models/``, ``fits/`` and ``trials/`` are (checkout or wheel): list them, read one.

A name from the listing and a path to a file of one's own go through the same door.
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Iterable
from pathlib import Path

from pkpd.core.errors import LibraryError, ModelError
from pkpd.core.names import question_or_list

MAX_BYTES = 1_000_000
"""A model file beyond this size is refused before it is read."""

TRIAL = "trial.toml"
"""The design in a folder of a trial of one's own."""


def root() -> Path:
    """The folder that holds ``models``, ``fits`` and ``trials``: ``pkpd/_library`` in a wheel, else the
    checkout."""
    package = Path(__file__).resolve().parents[1]
    shipped = package / "_library"
    return shipped if shipped.is_dir() else package.parent


def models() -> list[str]:
    """Names of the models that are shipped, sorted.

    Returns
    -------
    list of str : each is taken by ``simulate`` and ``load``; the files are ``models/<name>.model``.

    Raises
    ------
    Nothing.

    Examples
    --------
    >>> import pkpd
    >>> "one_compartment_iv" in pkpd.models()
    True
    """
    return sorted(path.stem for path in (root() / "models").glob("*.model"))


def fits() -> list[str]:
    """Names of the fits that are shipped, sorted: every folder of ``fits/`` with a ``fit.toml``.

    Returns
    -------
    list of str : each is taken by ``fit``, ``virtual_subjects`` and ``Scene.create``.

    Raises
    ------
    Nothing.

    Examples
    --------
    >>> import pkpd
    >>> "low_dose_il2" in pkpd.fits()
    True
    """
    return sorted(path.parent.name for path in (root() / "fits").glob("*/fit.toml"))


def trials() -> list[str]:
    """Names of the designs of clinical trials that are shipped, sorted.

    Returns
    -------
    list of str : each is taken by ``simulate_trial`` and ``read_design``; the files are
        ``trials/<name>.toml``.

    Raises
    ------
    Nothing.

    Examples
    --------
    >>> import pkpd
    >>> "imodals" in pkpd.trials()
    True
    """
    return sorted(path.stem for path in (root() / "trials").glob("*.toml"))


def _is_path(name: str) -> bool:
    return name.endswith(".model") or any(mark in name for mark in ("/", os.sep, "~")) or name in (".", "..")


def _unknown(what: str, name: str, known: list[str]) -> LibraryError:
    example = {"model": "./my.model", "fit": "./my_fit", "trial": "./my_trial.toml"}[what]
    return LibraryError(
        f'there is no {what} "{name[:80]}"; {question_or_list(name, known)} (a {what} of '
        f"your own is given as a path such as {example})"
    )


def model_path(name_or_path: str | os.PathLike[str]) -> Path:
    """The file of a model: a name from ``models()``, or a path (``./my.model``). Raises ``LibraryError``."""
    name = os.fspath(name_or_path)
    if isinstance(name_or_path, str) and not _is_path(name):
        known = models()
        if name not in known:
            raise _unknown("model", name, known)
        return root() / "models" / f"{name}.model"
    path = Path(name).expanduser()
    try:
        if path.is_file():
            return path
        exists = path.exists()
    except (OSError, ValueError) as error:
        raise LibraryError(f"{ascii(name)[:200]} cannot be opened: {error}") from None
    if exists:
        raise LibraryError(f"{path} is not a file; a model is a text file such as ./my.model")
    hint = f"; a model named {path.stem} is shipped: leave the path out" if path.stem in models() else ""
    raise LibraryError(f"there is no file {path}{hint}")


def read_model_text(name_or_path: str | os.PathLike[str]) -> tuple[str, str]:
    """The text of a model and the name of its file, from a name or a path.

    Raises ``LibraryError`` if there is no such file, ``ModelError`` if it is not a text of moderate size in
    UTF-8.
    """
    path = model_path(name_or_path)
    try:
        size = path.stat().st_size
        if size > MAX_BYTES:
            raise ModelError(f"{path}: {size:,} bytes are no model; at most {MAX_BYTES:,} are read")
        with path.open("rb") as stream:
            content = stream.read(MAX_BYTES + 1)
    except OSError as error:
        raise LibraryError(f"{path} cannot be read: {error.strerror or error}") from None
    if len(content) > MAX_BYTES:
        raise ModelError(f"{path}: more than {MAX_BYTES:,} bytes are no model")
    return decode(content, str(path)), str(path)


def decode(content: bytes, file: str) -> str:
    """Bytes of a model file -> text (a byte order mark is dropped). Raises ``ModelError`` if they are no
    UTF-8 text."""
    if content.startswith((b"\xff\xfe", b"\xfe\xff")):
        raise ModelError(f"{file}: the file is written in UTF-16; save it as UTF-8")
    if b"\0" in content:
        line = content[: content.index(b"\0")].count(b"\n") + 1
        raise ModelError(
            f"{file}:{line}: a NUL byte: this is a binary file, and a model is plain text in UTF-8"
        )
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        before = content[: error.start]
        line = before.count(b"\n") + 1
        column = error.start - (before.rfind(b"\n") + 1) + 1
        raise ModelError(
            f"{file}:{line}:{column}: byte 0x{content[error.start]:02x} is not UTF-8; a model is "
            "plain text in UTF-8 "
            "(a binary file, or text saved in another encoding?)"
        ) from None


def fit_folder(name_or_path: str | os.PathLike[str]) -> Path:
    """The folder of a fit: a name from ``fits()``, a path to a folder with a ``fit.toml``, or one that `pkpd
    fit` wrote. Raises ``LibraryError``.

    Beside a report lie the files it was fitted from, in a folder of their own; of a fit of the library, its
    name is enough.
    """
    name = os.fspath(name_or_path)
    known = fits()
    if isinstance(name_or_path, str) and name in known:
        return root() / "fits" / name
    path = Path(name).expanduser()
    try:
        if isinstance(name_or_path, str) and not _is_path(name) and not path.is_file():
            raise _unknown("fit", name, known)
        if (path / "fit.toml").is_file():
            return path
        exists, is_file = path.is_dir(), path.is_file()
        written = exists and (path / "result.json").is_file()
        inside = [child for child in path.iterdir() if (child / "fit.toml").is_file()] if written else []
    except (OSError, ValueError) as error:
        raise LibraryError(f"{ascii(name)[:200]} cannot be opened: {error}") from None
    if len(inside) == 1:
        return inside[0]
    if written:
        named = _fit_of(path / "result.json")
        if named in known:
            return root() / "fits" / named
        raise LibraryError(
            f'{path} holds the result of the fit "{named}" without the files that it was fitted from; '
            "put its result.json into the folder of the fit, beside fit.toml, and name that folder"
        )
    if is_file:
        raise LibraryError(_a_file(path))
    if exists:
        raise LibraryError(f"{path} holds no fit.toml; a fit is a folder with fit.toml and data.csv")
    raise LibraryError(f"there is no folder {path}")


def trial_path(name_or_path: str | os.PathLike[str]) -> Path:
    """The file of a trial's design: a name from ``trials()``, a path (``./my_trial.toml``), or a folder with
    a ``trial.toml``. Raises ``LibraryError``."""
    name = os.fspath(name_or_path)
    if isinstance(name_or_path, str) and not (_is_path(name) or name.endswith(".toml")):
        known = trials()
        if name not in known:
            raise _unknown("trial", name, known)
        return root() / "trials" / f"{name}.toml"
    path = Path(name).expanduser()
    try:
        if path.is_file():
            return path
        if (path / TRIAL).is_file():
            return path / TRIAL
    except (OSError, ValueError) as error:
        raise LibraryError(f"{ascii(name)[:200]} cannot be opened: {error}") from None
    raise LibraryError(
        f"there is no file {path}; the design of a trial is a text file such as ./my_trial.toml"
    )


def _fit_of(result: Path) -> str:
    """The name of the fit that a result is of; empty where it does not say."""
    try:
        name = json.loads(result.read_text(encoding="utf-8"))["name"]
    except (OSError, ValueError, KeyError, TypeError):
        return ""
    return name if isinstance(name, str) else ""


RECORDS = ({"id", "time", "dv"}, {"id", "time", "amt"})
"""Columns, in small letters, one set of which every file of subjects' doses and observations has."""


def are_records(columns: Iterable[str]) -> bool:
    """Whether these are columns of doses and observations of single subjects, as NONMEM and Monolix have
    them."""
    names = {column.strip().lower() for column in columns}
    return "row" not in names and any(needed <= names for needed in RECORDS)


def _a_file(path: Path) -> str:
    """What to say of a file where the folder of a fit is asked for."""
    try:
        with path.open(encoding="utf-8-sig") as stream:
            columns = re.split(r"[,;\t]", stream.readline())
    except (OSError, ValueError):
        columns = []
    if are_records(columns):
        return SINGLE_SUBJECTS.format(file=path)
    return f"{path} is a file; a fit is a folder with fit.toml and data.csv"


SINGLE_SUBJECTS = (
    "{file} has doses and observations of single subjects (as for NONMEM), which pkpd simulates "
    "(pkpd simulate MODEL {file}) and does not fit: "
    "a fit takes numbers that were published of groups, a line each, such as fits/low_dose_il2/data.csv has"
)


def fit_result(name_or_path: str | os.PathLike[str]) -> Path:
    """The result that lies in the folder of a fit, ``result.json``. Raises ``LibraryError``."""
    folder = fit_folder(name_or_path)
    path = Path(name_or_path).expanduser() / "result.json"  # what `pkpd fit` wrote
    if os.fspath(name_or_path) in fits() or not path.is_file():
        path = folder / "result.json"
    if not path.is_file():
        raise LibraryError(
            f"{folder} holds no result.json: run `pkpd fit {name_or_path}` and put the result.json "
            "of its report there"
        )
    return path

"""Writing files so that a reader sees the old one or the whole new one, never half of one."""

from __future__ import annotations

import csv
import json
import math
import os
import shutil
import tempfile
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar

from pkpd.core.errors import DataError, InputError

T = TypeVar("T")


def check_target(path: str | Path, endings: tuple[str, ...]) -> Path:
    """Whether a file could be written here, asked before anything is computed for it.

    Raises ``InputError`` for another ending than those listed, a missing folder, or a folder that cannot be
    written to.
    """
    path = Path(path)
    if path.suffix.lower() not in endings:
        raise InputError(f'cannot write "{path}": its ending must be one of {", ".join(endings)}')
    if path.is_dir():
        raise InputError(f'cannot write "{path}": it is a folder')
    check_folder(path.parent)
    return path


def check_output(path: str | Path, endings: tuple[str, ...]) -> Path:
    """The same of a file with one of these endings, or of a folder for several such files, which need not
    be there, nor those that it is in. Raises ``InputError`` as ``check_target``, and for a file without an
    ending.
    """
    path = Path(path)
    if path.is_dir():
        check_folder(path)
    elif path.suffix:
        check_target(path, endings)
    elif path.exists():
        raise InputError(
            f'cannot write "{path}": it is a file, and without an ending a folder is meant; the endings are '
            f"{', '.join(endings)}"
        )
    else:
        check_folder(next(each for each in path.absolute().parents if each.exists()))
    return path


def check_folder(folder: Path) -> None:
    """Raise ``InputError`` unless this folder is there and can be written to."""
    if not folder.is_dir():
        what = "it is a file" if folder.exists() else "there is no such folder"
        raise InputError(f'cannot write into "{folder}": {what}')
    if not os.access(folder, os.W_OK):
        raise InputError(f'cannot write into "{folder}": no permission')
    try:  # permission is not all that it takes: a file system may be read-only, or full
        with tempfile.TemporaryFile(dir=folder) as probe:
            probe.write(b"?")
    except OSError as error:
        raise InputError(f'cannot write into "{folder}": {error.strerror or error}') from None


@contextmanager
def replacing(path: str | Path) -> Iterator[Path]:
    """A temporary file beside ``path``, with the same ending, that takes its place if the block ends well.

    If the block fails the temporary file is removed and what stood at ``path`` stays as it was.
    """
    path = Path(path)
    handle, name = tempfile.mkstemp(prefix=f".{path.stem}-", suffix=path.suffix, dir=path.parent)
    os.close(handle)
    temporary = Path(name)
    try:
        yield temporary
        temporary.chmod(0o666 & ~_umask())
        os.replace(temporary, path)
    except OSError as error:
        raise _named(error, path, temporary) from None
    finally:
        temporary.unlink(missing_ok=True)


def write_text(path: str | os.PathLike[str], text: str) -> None:
    """A text file in UTF-8, whole or not at all."""
    with replacing(Path(path)) as temporary:
        temporary.write_text(text, encoding="utf-8")


def write_json(path: str | os.PathLike[str], value: Any) -> None:
    """A file of JSON as ``to_json`` has it, whole or not at all."""
    write_text(path, to_json(value) + "\n")


def read_json(path: str | os.PathLike[str], what: str, build: Callable[[Any], T]) -> T:
    """What ``build`` makes of a file of JSON. Raises ``DataError`` where it is no file of ``what``."""
    try:
        return build(json.loads(Path(path).read_text(encoding="utf-8")))
    except (OSError, ValueError, TypeError, KeyError, AttributeError) as error:
        raise DataError(f"{path} is not the JSON of {what}: {error}") from None


@contextmanager
def replacing_folder(path: str | Path) -> Iterator[Path]:
    """A temporary folder beside ``path`` that takes its place if the block ends well.

    A folder that stood there is set aside first and removed last, so that a failure leaves the old one.
    """
    path = Path(path)
    temporary = Path(tempfile.mkdtemp(prefix=f".{path.name}-", dir=path.parent))
    aside = temporary.with_name(temporary.name + ".old")
    try:
        yield temporary
        temporary.chmod(0o777 & ~_umask())
        if path.exists():
            os.replace(path, aside)
        try:
            os.replace(temporary, path)
        except OSError:
            if aside.exists():
                os.replace(aside, path)
            raise
    except OSError as error:
        raise _named(error, path, temporary) from None
    finally:
        shutil.rmtree(temporary, ignore_errors=True)
        shutil.rmtree(aside, ignore_errors=True)


def _named(error: OSError, path: Path, temporary: Path) -> OSError:
    """The error with the name of what was to be written: a full disk tells none, or that of the temporary
    file."""
    if error.errno is None or (error.filename and not str(error.filename).startswith(str(temporary))):
        return error
    return type(error)(error.errno, error.strerror or str(error), str(path))


def write_rows(
    path: str | os.PathLike[str],
    columns: Sequence[str],
    records: Iterable[Mapping[str, Any]],
    *,
    about: Mapping[str, Any],
    remarks: Iterable[str],
) -> None:
    """A CSV file, whole or not at all: ``about`` and ``remarks`` in lines that begin with "#", the columns,
    and the records, in which nan is empty."""
    told = [
        f"{key}: {value if isinstance(value, str) else to_json(value, indent=None)}"
        for key, value in about.items()
    ]
    with replacing(Path(path)) as temporary, temporary.open("w", encoding="utf-8", newline="") as stream:
        for line in (*told, *remarks):
            stream.write(f"# {' '.join(line.split())}\n")
        writer = csv.DictWriter(stream, columns, lineterminator="\n")
        writer.writeheader()
        for record in records:
            writer.writerow(
                {
                    key: "" if isinstance(value, float) and math.isnan(value) else value
                    for key, value in record.items()
                }
            )


def to_json(value: Any, *, indent: int | None = 1, ascii_only: bool = False) -> str:
    """JSON of plain values and numpy ones; numbers that JSON does not have (nan, infinity) become null."""
    return json.dumps(_plain(value), indent=indent, ensure_ascii=ascii_only, allow_nan=False)


def _plain(value: Any) -> Any:
    if isinstance(value, dict):
        return {str(key): _plain(item) for key, item in value.items()}
    if hasattr(value, "tolist"):  # numpy arrays and numbers
        return _plain(value.tolist())
    if isinstance(value, list | tuple | set | frozenset):
        return [_plain(item) for item in value]
    if isinstance(value, bool) or value is None or isinstance(value, int | str):
        return value
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    return str(value)


def _umask() -> int:
    # it can only be read by setting it
    mask = os.umask(0)
    os.umask(mask)
    return mask

"""Which model, data and options a result belongs to, and in words what of them has changed since.

The provenance of a result holds the hashes of the files that it was made from, the settings of fit.toml and a
hash of every row, so that what has changed can be named, and a comment or a note that does not move a number
is no change.
"""

from __future__ import annotations

import dataclasses
import hashlib
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from pkpd.core.errors import DataError
from pkpd.inference.result import FitResult
from pkpd.inference.spec import FitSpec
from pkpd.inference.summary.reading import read_data
from pkpd.inference.summary.rows import Data, Row
from pkpd.model.extend import model_text

BELONGING = ("model_sha256", "fit_sha256", "data_sha256")
"""What a result's provenance says of the files that it was made from."""
UNCOUNTED = frozenset({"line", "population", "source", "doi", "provenance", "note"})
"""What a row says that moves no number of a fit."""
MOST_NAMED = 5
"""Changes that a sentence names."""


def row_digest(row: Row) -> str:
    """A hash of what a row says, as printed; empty columns do not count, so that it stays when others are
    added."""
    said = [
        f"{item.name}={getattr(row, item.name)!r}"
        for item in dataclasses.fields(row)
        if item.name not in UNCOUNTED and repr(getattr(row, item.name)) != repr(item.default)
    ]
    return hashlib.sha256("\n".join(said).encode()).hexdigest()[:16]


def belongs_to(spec: FitSpec, raw: Data, model_sha256: str) -> dict[str, Any]:
    """What the provenance of a result holds to know its model, data and options again."""
    return {
        "data_sha256": raw.sha256,
        "fit_sha256": spec.sha256,
        "model_sha256": model_sha256,
        "settings": dict(spec.settings),
        "row_digests": {row.id: row_digest(row) for row in raw.rows if row.use != "context"},
    }


@dataclasses.dataclass(frozen=True)
class Changed:
    """A file that is not what it was when the result was made: which, and what in it (empty: not known)."""

    file: str
    what: tuple[str, ...]

    def __str__(self) -> str:
        named = "; ".join(self.what[:MOST_NAMED])
        rest = f"; and {len(self.what) - MOST_NAMED} more" if len(self.what) > MOST_NAMED else ""
        return f"{self.file} ({named}{rest})" if named else self.file


def changes(result: FitResult, spec: FitSpec) -> tuple[Changed, ...]:
    """What has changed of the files that a result was made from, where it moves the result's numbers."""
    text, file = model_text(spec.main.model)
    found = []
    if result.provenance.get("model_sha256") != hashlib.sha256(text.encode()).hexdigest():
        found.append(Changed(file, ()))
    if result.provenance.get("fit_sha256") != spec.sha256:
        found += _in_file(spec.folder / "fit.toml", _settings_changed(result, spec))
    if result.provenance.get("data_sha256") != hashlib.sha256(spec.data.read_bytes()).hexdigest():
        found += _in_file(spec.data, _rows_changed(result, read_data(spec.data)))
    return tuple(found)


def _in_file(path: Path, what: list[str] | None) -> list[Changed]:
    return [] if what == [] else [Changed(str(path), tuple(what or ()))]


def _settings_changed(result: FitResult, spec: FitSpec) -> list[str] | None:
    """In words; None where the result does not say what its settings were."""
    before, now = result.provenance.get("settings"), spec.settings
    if before is None:
        return None
    return [
        f"{key} was {before.get(key, 'not there')} and is {now.get(key, 'not there')}"
        for key in dict.fromkeys((*before, *now))
        if before.get(key) != now.get(key)
    ]


def _rows_changed(result: FitResult, data: Data) -> list[str] | None:
    """Rows that were fitted and are others now, and new ones; None where the result does not say what its
    rows were."""
    before = result.provenance.get("row_digests")
    if before is None:
        return None
    now = {row.id: row_digest(row) for row in data.rows if row.use != "context"}
    fitted = [row.id for row in result.rows if row.use == "fit"]
    gone = [f'row "{name}" is gone' for name in fitted if name not in now]
    other = [f'row "{name}" has changed' for name in fitted if name in now and now[name] != before.get(name)]
    new = [f'row "{row.id}" is new' for row in data.rows if row.use == "fit" and row.id not in before]
    return [*other, *gone, *new]


def check_belongs(result: FitResult, spec: FitSpec) -> None:
    """Raise ``DataError``, with what has changed, unless model, fit.toml and data are those that the result
    was made from."""
    found = changes(result, spec)
    if not found:
        return
    files = " and ".join(changed.file for changed in found)
    told = "; ".join(str(changed) for changed in found if changed.what)
    now = "as it is now" if len(found) == 1 else "as they are now"
    raise DataError(
        f"the result of the fit {spec.name} does not belong to {files} {now}: fit again with `pkpd fit`, "
        f"from where it ended with `--from`{f'. Changed: {told}' if told else ''}"
    )


def changed_words(changed: Iterable[Changed]) -> str:
    """What has changed, in one phrase; empty where nothing has."""
    return " and ".join(str(each) for each in changed)


def version_words(result: FitResult) -> str:
    """A sentence where another version of the package made the result; else empty."""
    import pkpd

    made = result.provenance.get("versions", {}).get("pkpd", pkpd.__version__)
    if made in (pkpd.__version__, "not installed"):
        return ""
    return (
        f"The result of the fit {result.name} was made by pkpd {made}, and this is {pkpd.__version__}: its "
        "numbers are those of that version."
    )

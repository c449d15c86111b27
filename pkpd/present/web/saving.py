"""What leaves the page as a file: its state, and what `pkpd compare -o` writes of the same comparison."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from pkpd.core.extras import how_to_install, version
from pkpd.decision.comparison import Scene, compare
from pkpd.present import share
from pkpd.present.web.evaluation import Explorer, FieldError, Request, Stop
from pkpd.present.web.saved import are_fields, comes_with_pkpd, state_text


@dataclass(frozen=True)
class Download:
    """A file for the page: its name, what it is, and its content."""

    name: str
    kind: str
    content: bytes


@dataclass(frozen=True)
class Offered:
    """A file that the page offers: the words of its entry, its name, what it is, and the package that writes
    it."""

    words: str
    name: str
    kind: str
    package: str = ""

    @property
    def missing(self) -> str:
        """How to get the package, where it is not installed."""
        return how_to_install("share") if self.package and version(self.package) is None else ""


OFFICE = "application/vnd.openxmlformats-officedocument"
OFFERED = {
    "state": Offered("State, to be opened again", "state.json", "application/json"),
    "html": Offered("Report (HTML)", "report.html", "text/html; charset=utf-8"),
    "pdf": Offered("Figures (PDF)", "figures.pdf", "application/pdf"),
    "xlsx": Offered("Table (Excel)", "comparison.xlsx", f"{OFFICE}.spreadsheetml.sheet", "xlsxwriter"),
    "pptx": Offered(
        "Slides (PowerPoint)", "comparison.pptx", f"{OFFICE}.presentationml.presentation", "python-pptx"
    ),
}


def facts(explorer: Explorer) -> dict[str, Any]:
    """What the page has to know to offer them: entries, with how to get a package that is missing, and the
    command that opens a state."""
    entries = [{"format": key, "words": one.words, "missing": one.missing} for key, one in OFFERED.items()]
    asked_for = [
        f"--{key} PATH" for key, name in explorer.names.items() if name and not comes_with_pkpd(name)
    ]
    return {"files": entries, "open": " ".join(["pkpd explore state.json", *asked_for, "--port 8000"])}


def save(explorer: Explorer, values: object, stop: Stop) -> Download:
    """The file that is asked for by ``format``; ``page``: the page's own fields, for the state."""
    request = explorer.check(values, own=("format", "page"))
    scene = explorer.scene(request)  # of what cannot be computed no state is saved either
    wanted, page = request.own.get("format"), request.own.get("page", {})
    if not isinstance(wanted, str) or wanted not in OFFERED:
        raise FieldError(f"a format is one of {', '.join(OFFERED)}", "format")
    if not isinstance(page, dict) or not are_fields(page):
        raise FieldError('"page" holds texts by name', "page")
    offered = OFFERED[wanted]
    if wanted == "state":
        text = state_text(explorer.names, explorer.shared(request), page)
        return Download(offered.name, offered.kind, text.encode())
    shown = _exhibit(explorer, request, scene, stop)
    ending = f".{wanted}"
    content = share.FORMATS[ending](shown, offered.name.removesuffix(ending))
    stop()
    return Download(offered.name, offered.kind, content)


def _exhibit(explorer: Explorer, request: Request, scene: Scene, stop: Stop) -> share.Exhibit:
    """The comparison of a request; before each of its figures it may be stopped."""
    arms = scene.arms(request.schedules, progress=lambda *_: stop())
    comparison = compare(arms, show=request.show)
    return share.pausing(share.exhibit(comparison, command=explorer.command(request)), stop)

"""What every figure shares: style, panels, legends, markers, numbers and units on axes, and the file it is
written to.

matplotlib lives in this folder and is loaded when something is drawn. Colours are those of Okabe and Ito
(2008), which remain distinct for colour-blind readers.
"""

from __future__ import annotations

import functools
import io
import math
import re
import textwrap
import threading
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, ParamSpec, TypeVar

import numpy as np
from numpy.typing import NDArray

from pkpd.core.files import check_target, replacing

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure


Floats = NDArray[np.float64]


BLUE, VERMILION, GREEN, PURPLE, ORANGE, SKY, BLACK = (
    "#0072B2",
    "#D55E00",
    "#009E73",
    "#CC79A7",
    "#E69F00",
    "#56B4E9",
    "#000000",
)
GREY, PALE, INK = "#7F7F7F", "#E4E7EA", "#333333"


COLOURS = (BLUE, VERMILION, GREEN, PURPLE, ORANGE, SKY, BLACK)


ENDINGS = (".png", ".svg", ".pdf")


_STYLE: Any = {
    "font.family": "DejaVu Sans",  # comes with matplotlib: the same picture on every machine
    "font.size": 9,
    "axes.titlesize": 9.5,
    "axes.titlelocation": "left",
    "axes.labelsize": 9,
    "axes.edgecolor": GREY,
    "axes.linewidth": 0.8,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.axisbelow": True,
    "axes.grid": True,
    "grid.color": PALE,
    "grid.linewidth": 0.7,
    "xtick.color": GREY,
    "ytick.color": GREY,
    "xtick.labelcolor": INK,
    "ytick.labelcolor": INK,
    "axes.labelcolor": INK,
    "text.color": INK,
    "legend.frameon": False,
    "legend.fontsize": 8.5,
    "lines.linewidth": 1.6,
    "figure.facecolor": "white",
    "savefig.facecolor": "white",
    "svg.fonttype": "none",  # text stays text: small, searchable, readable by screen readers
    "svg.hashsalt": "pkpd",
    "path.simplify": True,
}


_FOOTNOTE_SIZE = 7.5  # points


_FOOTNOTE_PER_INCH = 17  # characters, of that size


Arguments = ParamSpec("Arguments")


Result = TypeVar("Result")


_DRAWING = threading.RLock()


def styled(draw: Callable[Arguments, Result]) -> Callable[Arguments, Result]:
    """Draw in our style and leave matplotlib's settings, which are the process's, as they were."""

    @functools.wraps(draw)
    def styled(*args: Arguments.args, **kwargs: Arguments.kwargs) -> Result:
        import matplotlib

        with _DRAWING, matplotlib.rc_context(_STYLE):
            return draw(*args, **kwargs)

    return styled


def save(figure: Figure, path: str | Path, *, dpi: int = 160) -> Path:
    """Write the figure as .png, .svg or .pdf; an older file is replaced by the whole new one, or stays as it
    was.

    The same figure gives the same bytes: no date, no random names.

    Raises:
        InputError: another ending, or a place that cannot be written to.
    """
    path = check_target(path, ENDINGS)
    with replacing(path) as temporary:
        temporary.write_bytes(rendered(figure, path.suffix.lower()[1:], dpi))
    return path


def svg(figure: Figure) -> bytes:
    """The figure as an SVG document, as `save` writes it."""
    return rendered(figure, "svg", 72)


@styled
def pdf_pages(figures: Iterable[Figure]) -> bytes:
    """A PDF document with a page for each figure."""
    from matplotlib.backends.backend_pdf import FigureCanvasPdf, PdfPages

    buffer = io.BytesIO()
    with PdfPages(buffer, metadata={"CreationDate": None}) as document:
        for figure in figures:
            FigureCanvasPdf(figure)
            figure.dpi = 72
            _lay_out(figure)
            document.savefig(figure)
    return buffer.getvalue()


@styled
def rendered(figure: Figure, kind: str, dpi: int = 160) -> bytes:
    """The figure as a document of the ``kind`` "png", "svg" or "pdf".

    Not by ``savefig``, which draws a figure with a layout twice.
    """
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.backends.backend_pdf import FigureCanvasPdf
    from matplotlib.backends.backend_svg import FigureCanvasSVG

    buffer = io.BytesIO()
    own_dpi, own_canvas, own_layout = figure.dpi, figure.canvas, figure.get_layout_engine()
    figure.dpi = dpi if kind == "png" else 72
    _lay_out(figure)
    try:
        match kind:  # None leaves the date out
            case "png":
                FigureCanvasAgg(figure).print_png(buffer)
            case "svg":
                FigureCanvasSVG(figure).print_svg(buffer, metadata={"Date": None})
            case "pdf":
                FigureCanvasPdf(figure).print_pdf(buffer, metadata={"CreationDate": None})
    finally:
        figure.dpi = own_dpi
        figure.set_canvas(own_canvas)
        figure.set_layout_engine(own_layout)
    return buffer.getvalue()


def _lay_out(figure: Figure) -> None:
    """Find the layout, once, to a millionth of the figure: the solver of matplotlib's layout leaves the last
    bits to chance, which would be those of the file."""
    engine = figure.get_layout_engine()
    if engine is None:
        return
    engine.execute(figure)
    for axis in figure.axes:
        box = axis.get_position(original=True)
        place = round(box.x0, 6), round(box.y0, 6), round(box.width, 6), round(box.height, 6)
        axis.set_position(place, which="original")
        axis.set_in_layout(True)
    figure.set_layout_engine("none")


def new_figure(width: float, height: float) -> Figure:
    from matplotlib.figure import Figure

    return Figure(figsize=(width, height), layout="constrained")


def panel_rows(
    rows: int, columns: int, size: tuple[float, float], sharey: Any = False
) -> tuple[Figure, list[list[Axes]]]:
    figure = new_figure(size[0] * columns, size[1] * rows + 0.7)
    axes = figure.subplots(rows, columns, sharey=sharey, squeeze=False)
    return figure, [list(row) for row in axes]


def panel_grid(n: int, columns: int, size: tuple[float, float]) -> tuple[Figure, list[Axes]]:
    """``n`` panels, row after row; what the last row has more is left blank."""
    figure, rows = panel_rows(math.ceil(n / columns), columns, size)
    axes = [axis for row in rows for axis in row]
    for spare in axes[n:]:
        spare.set_visible(False)
    return figure, axes[:n]


def put_title(figure: Figure, title: str) -> None:
    if title:
        width = int(10 * figure.get_figwidth())
        words = wrapped(clipped(title, 2 * width), width)
        figure.suptitle(words, x=0.01, ha="left", fontsize=10.5, fontweight="bold")


def labelled_handle(row: Mapping[str, Any], i: int, **how: Any) -> Any:
    """Of the legend: schedule i, by its letter and label."""
    return line_handle(clipped(f"{row['letter']}  {row['label']}", 62), colour_of(i), **how)


def put_legend(figure: Figure, handles: Sequence[Any]) -> None:
    """A legend below the panels, in as many columns as the figure is wide."""
    for handle in handles:
        handle.set_label(literal(str(handle.get_label())))
    widths = [0.75 + 0.072 * len(str(handle.get_label())) for handle in handles]
    for columns in range(len(handles), 0, -1):
        # matplotlib fills column after column, the first ones with one more where it does not come out even
        rows, larger = divmod(len(handles), columns)
        lengths = [rows + (column < larger) for column in range(columns)]
        starts = [sum(lengths[:column]) for column in range(columns)]
        width = sum(max(widths[start : start + length]) for start, length in zip(starts, lengths))
        if width < figure.get_figwidth() or columns == 1:
            figure.legend(handles=list(handles), loc="outside lower left", ncols=columns)
            return


def put_footnote(figure: Figure, text: str) -> None:
    """Small words below all else, which make the figure as much higher as they need; after the legend."""
    if not text:
        return
    from matplotlib.backends.backend_agg import FigureCanvasAgg

    lines = textwrap.wrap(text, int(_FOOTNOTE_PER_INCH * figure.get_figwidth()))
    room = 0.12 + 1.3 * _FOOTNOTE_SIZE / 72 * len(lines)
    height = figure.get_figheight() + room
    figure.set_figheight(height)
    renderer = FigureCanvasAgg(figure).get_renderer()
    below = room
    for legend in figure.legends:  # the layout leaves no room for one that does not stand at the edge
        legend.set_bbox_to_anchor((0, room / height, 1, 1 - room / height), transform=figure.transFigure)
        below += legend.get_window_extent(renderer).height / figure.dpi + 0.1
    layout: Any = figure.get_layout_engine()
    layout.set(rect=(0, below / height, 1, 1 - below / height))
    words = literal("\n".join(lines))
    how: Any = {"va": "top", "fontsize": _FOOTNOTE_SIZE, "linespacing": 1.3, "gid": "footnote"}
    figure.text(0.01, room / height, words, **how)


def beside(axis: Axes, y: float, text: str, points: float, align: str = "left", bold: bool = False) -> None:
    """Text to the right of the panel, ``points`` from its edge (a fixed distance, so that the layout makes
    room for it)."""
    axis.annotate(
        text,
        (1, y),
        (points, 0),
        xycoords=axis.get_yaxis_transform(),
        textcoords="offset points",
        ha=align,
        va="center",
        fontsize=7.8,
        fontweight="bold" if bold else "normal",
        annotation_clip=False,
    )


def draw_point(
    axis: Axes, x: float, y: float, interval: Any, hollow: bool, colour: str, area: float = 30.0
) -> None:
    """A reported number with its interval; a bound ("more than") is an arrow towards what it leaves open."""
    low, high = ends_of(interval)
    if math.isfinite(low) and math.isfinite(high):
        axis.vlines([x], low, high, color=colour, linewidth=1.2, zorder=3)
    elif math.isfinite(low) or math.isfinite(high):
        up = 1 if math.isfinite(low) else -1
        arrow = {"arrowstyle": "<|-", "color": colour, "linewidth": 1.2, "shrinkA": 0, "shrinkB": 0}
        reach = math.sqrt(area) / 2 + 16
        axis.annotate("", (x, y), (0, up * reach), textcoords="offset points", arrowprops=arrow)
    face = "white" if hollow else colour
    axis.scatter([x], [y], s=area, facecolor=face, edgecolor=colour, linewidth=1.3, zorder=4, gid="point")


def line_handle(label: str, colour: str, **line: Any) -> Any:
    from matplotlib.lines import Line2D

    return Line2D([], [], color=colour, label=label, **line)


def marker_handle(hollow: bool, label: str, colour: str = BLUE, marker: str = "o") -> Any:
    from matplotlib.lines import Line2D

    face = "white" if hollow else colour
    edge = GREY if hollow else colour
    return Line2D(
        [],
        [],
        marker=marker,
        linestyle="none",
        markersize=6,
        markerfacecolor=face,
        markeredgecolor=edge,
        label=label,
    )


def unverified_handles(items: Iterable[Mapping[str, Any]], label: str = "unverified") -> list[Any]:
    """The legend's word on hollow markers, if there is one."""
    return [marker_handle(True, label)] if any(hollow(item) for item in items) else []


def hollow(item: Mapping[str, Any]) -> bool:
    return item.get("provenance") == "unverified"


def area_of(n: float | None) -> float:
    """Area of a marker for n subjects, in square points."""
    return 30.0 if not n else float(np.clip(3.0 * n, 14, 400))


def colour_of(i: int) -> str:
    return COLOURS[i % len(COLOURS)]


def ends_of(interval: Any) -> tuple[float, float]:
    """(low, high) with open ends infinite."""
    low, high = interval or (math.nan, math.nan)
    return (float(low) if is_number(low) else -math.inf, float(high) if is_number(high) else math.inf)


def is_number(value: Any) -> bool:
    return isinstance(value, (int, float, np.integer, np.floating)) and math.isfinite(value)


def number(value: Any) -> str:
    if not is_number(value):
        return "–"
    return f"{float(value):.3g}".replace("e+0", "e").replace("e-0", "e-").replace("-", "−")


def with_unit(name: str, unit: str) -> str:
    shown = shown_unit(unit)
    return f"{name} ({shown})" if shown else name


def shown_unit(unit: str) -> str:
    """uL -> µL, m^2 -> m², percent -> %; nothing for a plain number."""
    if unit in ("", "1", "dimensionless"):
        return ""
    unit = re.sub(r"\bu(?=(L|l|g|m|mol|M|s)\b)", "µ", re.sub(r"\bpercent\b", "%", unit))
    return re.sub(r"m\^?2\b", "m²", unit).replace("^3", "³")


def literal(text: str) -> str:
    """Text that people typed, in which matplotlib is to see no formula."""
    return text.replace("$", r"\$")


def clipped(text: str, length: int) -> str:
    return text if len(text) <= length else text[: length - 1] + "…"


def wrapped(text: str, width: int) -> str:
    return literal("\n".join(textwrap.wrap(text, width)[:3]))

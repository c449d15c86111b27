"""`pkpd explore` in a browser: from the event of a moved slider to the frame that shows charts and table of
its answer.

The server runs in a process of its own, as for people. Every change is to a value that was not asked for
before, so that its schedule is computed and not remembered; the page marks the time of the input event, of
the request, of the answer, and of the first task after the frame in which all was drawn.
"""

from __future__ import annotations

import contextlib
import os
import re
import signal
import statistics
import subprocess
import sys
from collections.abc import Iterator
from typing import Any
from urllib.parse import quote_plus

from benchmarks import browser
from pkpd.bench.clock import spread

SCHEDULES = (
    "1 MIU sc daily x5 every 28 d x3",
    "2 MIU sc daily x5 every 28 d x3",
    "0.5 MIU sc every 3 d x20",
    "3 MIU/m2 sc daily x3 every 21 d x4",
)
CASES = {  # how many schedules, the slider that is moved, how often
    "dose, two schedules": (2, "Dose", 30),
    "dose, four schedules": (4, "Dose", 30),
    "cycles, two schedules": (
        2,
        "Cycles",
        20,
    ),  # 4 to 13 of them; the horizon moves too: every schedule is computed
    "cycles, four schedules": (4, "Cycles", 20),  # 4 to 8
    "body size, two schedules": (2, "Body surface", 14),  # other subjects: every schedule is computed
    "body size, four schedules": (4, "Body surface", 14),
}
LIMIT_MS = 200
STEPS = "performance.getEntriesByName('answer').map(entry => ({...entry.detail, total: entry.duration}))"


@contextlib.contextmanager
def _served() -> Iterator[str]:
    """The address of a page with 200 subjects."""
    command = [sys.executable, "-m", "pkpd", "explore", "--no-browser", "--subjects", "200"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        try:
            found = re.search(r"http://\S+", process.stdout.readline())
            assert found, "pkpd explore did not start"
            yield found[0]
        finally:
            process.send_signal(signal.SIGINT)


def _measured(page: Any, slider: str, moves: int) -> list[dict[str, float]]:
    """What each change took, after two that are not counted; the schedules take turns."""
    for move in range(moves + 2):
        if move == 2:
            page.evaluate("performance.clearMeasures('answer')")
        sliders = page.get_by_label(f"{slider}, slider")
        sliders.nth(move % sliders.count()).focus()
        before = int(page.locator("body").get_attribute("data-answers"))
        page.keyboard.press("ArrowRight")
        page.wait_for_selector(f'body[data-answers="{before + 1}"]', state="attached")
        page.wait_for_timeout(100)  # people's hands rest too; what the last change left to do is done
    return page.evaluate(STEPS)  # type: ignore[no-any-return]


def run(quick: bool = False) -> dict[str, Any]:
    """Measure, print and return ``{case: {median_ms, worst_ms, ...}}``; without a browser, say so and return
    nothing."""
    if reason := browser.missing():
        print(reason)
        return {}
    results: dict[str, Any] = {}
    with _served() as url, browser.chromium() as chromium:
        for case, (schedules, slider, moves) in CASES.items():
            load = os.getloadavg()[0] if hasattr(os, "getloadavg") else float("nan")
            page = chromium.new_page(viewport={"width": 1280, "height": 900})
            page.goto(f"{url}#{'&'.join(f's={quote_plus(text)}' for text in SCHEDULES[:schedules])}")
            page.wait_for_selector("body[data-answers]", state="attached")
            steps = _measured(page, slider, 6 if quick else moves)
            page.close()
            ms = {name: [step[name] for step in steps] for name in ("waited", "asked", "drawn", "total")}
            results[case] = {
                "changes": len(steps),
                **{f"{name}_ms": value for name, value in spread(ms["total"]).as_dict().items()},
                "worst_ms": max(ms["total"]),
                "server_ms": statistics.median(step["computed"] for step in steps),
                "waiting_for_the_answer_ms": statistics.median(ms["asked"]),
                "drawing_ms": statistics.median(ms["drawn"]),
                "load": load,
                "limit_ms": LIMIT_MS,
            }
            row = results[case]
            print(
                f"{case:24s} {row['changes']} changes: median {row['median_ms']:.0f} ms, worst "
                f"{row['worst_ms']:.0f} ms"
                f"  (computing {row['server_ms']:.0f}, until the answer "
                f"{row['waiting_for_the_answer_ms']:.0f}, "
                f"drawing {row['drawing_ms']:.0f})  limit {LIMIT_MS} ms  load {load:.1f}",
                flush=True,
            )
    return results


if __name__ == "__main__":
    run()

"""`pkpd explore` in a browser: from the event of a moved slider to the first frame in which all that is
in sight is drawn, a preview's or the answer's, and to the frame of the answer from all subjects.

The server runs in a process of its own, as for people. Every change is to a value that was not asked for
before, so that its schedule is computed and not remembered; the page marks the time of the input event, of
the request, of the answer, and of the first task after the frame in which all was drawn. The processor's time
of the server is read from /proc, where there is one.
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
from pathlib import Path
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
YEAR = (
    "1 MIU sc daily x5 every 28 d x13",
    "2 MIU sc daily x5 every 28 d x13",
    "0.5 MIU sc every 3 d x112",
    "3 MIU/m2 sc daily x3 every 21 d x16",
)
CASES = {  # the schedules, the slider that is moved, how often
    "dose, two schedules": (SCHEDULES[:2], "Dose", 30),
    "dose, four schedules": (SCHEDULES, "Dose", 30),
    # 4 to 13 of them; the horizon moves too: every schedule is computed
    "cycles, two schedules": (SCHEDULES[:2], "Cycles", 20),
    "cycles, four schedules": (SCHEDULES, "Cycles", 20),  # 4 to 8
    # other subjects: every schedule is computed
    "body size, two schedules": (SCHEDULES[:2], "Body surface", 14),
    "body size, four schedules": (SCHEDULES, "Body surface", 14),
    "dose, four schedules of a year": (YEAR, "Dose", 20),
    "body size, four schedules of a year": (YEAR, "Body surface", 14),
}
LIMIT_MS = 200
STEPS = """Object.fromEntries(["preview", "answer"].map((name) => [name,
    performance.getEntriesByName(name).map((entry) =>
        ({...entry.detail, start: entry.startTime, total: entry.duration}))]))"""


@contextlib.contextmanager
def served() -> Iterator[tuple[str, int]]:
    """The address of a page with 200 subjects, and the process that serves it."""
    command = [sys.executable, "-m", "pkpd", "explore", "--no-browser", "--subjects", "200"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        try:
            found = re.search(r"http://\S+", process.stdout.readline())
            assert found, "pkpd explore did not start"
            yield found[0], process.pid
        finally:
            process.send_signal(signal.SIGINT)


def _processor_s(pid: int) -> float:
    """Seconds that the processor has worked for a process; nan where nobody says."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return float("nan")
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def _measured(page: Any, slider: str, moves: int, pid: int) -> tuple[list[dict[str, float]], float]:
    """What each change took, after two that are not counted, and the server's seconds for each; the schedules
    take turns."""
    for move in range(moves + 2):
        if move == 2:
            page.evaluate("for (const name of ['preview', 'answer']) performance.clearMeasures(name)")
            before_s = _processor_s(pid)
        sliders = page.get_by_label(f"{slider}, slider")
        sliders.nth(move % sliders.count()).focus()
        before = int(page.locator("body").get_attribute("data-answers"))
        page.keyboard.press("ArrowRight")
        page.wait_for_selector(f'body[data-answers="{before + 1}"]', state="attached")
        page.wait_for_timeout(100)  # people's hands rest too; what the last change left to do is done
    each_s = (_processor_s(pid) - before_s) / moves
    steps = page.evaluate(STEPS)
    previews = iter(steps["preview"])
    following = next(previews, None)
    changes = []
    for answer in steps["answer"]:
        first = answer
        if following is not None and following["start"] == answer["start"]:
            first, following = following, next(previews, None)
        changes.append(first | {"final": answer["total"]})
    return changes, each_s


def run(quick: bool = False) -> dict[str, Any]:
    """Measure, print and return ``{case: {median_ms, worst_ms, ...}}``; without a browser, say so and return
    nothing."""
    if reason := browser.missing():
        print(reason)
        return {}
    results: dict[str, Any] = {}
    with served() as (url, pid), browser.chromium() as chromium:
        for case, (schedules, slider, moves) in CASES.items():
            load = os.getloadavg()[0] if hasattr(os, "getloadavg") else float("nan")
            page = chromium.new_page(viewport={"width": 1280, "height": 900})
            page.goto(f"{url}#{'&'.join(f's={quote_plus(text)}' for text in schedules)}")
            page.wait_for_selector("body[data-answers]", state="attached")
            steps, each_s = _measured(page, slider, 6 if quick else moves, pid)
            page.close()
            ms = {name: [step[name] for step in steps] for name in ("asked", "drawn", "total", "final")}
            results[case] = {
                "changes": len(steps),
                **{f"{name}_ms": value for name, value in spread(ms["total"]).as_dict().items()},
                "worst_ms": max(ms["total"]),
                "final_ms": statistics.median(ms["final"]),
                "people": statistics.median(step["subjects"] for step in steps),
                "server_ms": statistics.median(step["computed"] for step in steps),
                "waiting_for_the_answer_ms": statistics.median(ms["asked"]),
                "drawing_ms": statistics.median(ms["drawn"]),
                "processor_ms": 1000 * each_s,
                "load": load,
                "limit_ms": LIMIT_MS,
            }
            row = results[case]
            print(
                f"{case:35s} {row['changes']} changes: first picture of {row['people']:.0f} people, median "
                f"{row['median_ms']:.0f} ms, worst {row['worst_ms']:.0f} ms  (computing "
                f"{row['server_ms']:.0f}, until the answer {row['waiting_for_the_answer_ms']:.0f}, drawing "
                f"{row['drawing_ms']:.0f})  limit {LIMIT_MS} ms; of all {row['final_ms']:.0f} ms; the "
                f"server's processor {row['processor_ms']:.0f} ms  load {load:.1f}",
                flush=True,
            )
    return results


if __name__ == "__main__":
    run()

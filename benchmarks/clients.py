"""`pkpd explore` under many pages at once: what 50 of them wait, whether one is turned away, and how much
memory the server takes.

Each client does what the page does: it changes a schedule to one that nobody asked for before, takes the
preview, asks for all subjects, rests, and goes on. Waiting is from the request to the answer, on connections
that stay open. The server runs in a process of its own; its memory is read from /proc, where there is one.
"""

from __future__ import annotations

import http.client
import itertools
import json
import random
import statistics
import threading
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from benchmarks.explore import SCHEDULES, served
from pkpd.bench.clock import spread

CLIENTS, SECONDS, REST_S = 50, 20.0, 1.0
PATIENCE_S = 2.0
"""Before which nobody may be turned away."""


@dataclass
class _Seen:
    """What one client was answered."""

    previews_s: list[float] = field(default_factory=list)
    answers_s: list[float] = field(default_factory=list)
    turned_away_s: list[float] = field(default_factory=list)
    people: list[int] = field(default_factory=list)


def _asked(
    connection: http.client.HTTPConnection, values: dict[str, Any]
) -> tuple[int, dict[str, Any], float]:
    begun = time.perf_counter()
    connection.request("POST", "/api/compare", json.dumps(values), {"content-type": "application/json"})
    response = connection.getresponse()
    content = response.read()
    return response.status, json.loads(content), time.perf_counter() - begun


def _client(address: str, number: int, changes: itertools.count, end: float, seen: _Seen) -> None:
    rest = random.Random(number)
    connection = http.client.HTTPConnection(urlsplit(address).netloc, timeout=120)
    time.sleep(rest.uniform(0.0, REST_S))
    while time.perf_counter() < end:
        changed = SCHEDULES[1].replace("2 MIU", f"{0.5 + next(changes) / 1000:.3f} MIU")
        values = {"schedules": [SCHEDULES[0], changed]}
        for preview in (True, False):
            status, told, waited = _asked(connection, values | {"preview": preview})
            if status == 503:
                seen.turned_away_s.append(waited)
                break
            assert status == 200, told
            (seen.previews_s if preview else seen.answers_s).append(waited)
            if preview:
                seen.people.append(told["subjects"])
                if told["subjects"] == told["of"]:
                    break
        time.sleep(rest.uniform(0.5 * REST_S, 1.5 * REST_S))
    connection.close()


def _resident_mb(pid: int) -> float:
    """Memory that a process holds; nan where nobody says."""
    try:
        lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    except OSError:
        return float("nan")
    return next(float(line.split()[1]) / 1024 for line in lines if line.startswith("VmRSS"))


def run(quick: bool = False) -> dict[str, Any]:
    """Measure, print and return what 50 clients met in 20 s, and in each further run of as many."""
    results: dict[str, Any] = {}
    with served() as (url, pid):
        before = _resident_mb(pid)
        changes = itertools.count()
        for turn in range(1 if quick else 3):
            seen = [_Seen() for _ in range(CLIENTS)]
            end = time.perf_counter() + SECONDS
            threads = [
                threading.Thread(target=_client, args=(url, number, changes, end, one))
                for number, one in enumerate(seen)
            ]
            for thread in threads:
                thread.start()
            for thread in threads:
                thread.join()
            previews, answers, turned_away, people = (
                [value for one in seen for value in getattr(one, name)]
                for name in ("previews_s", "answers_s", "turned_away_s", "people")
            )
            row = {
                "clients": CLIENTS,
                "seconds": SECONDS,
                "previews": len(previews),
                **{f"preview_{name}_s": value for name, value in spread(previews).as_dict().items()},
                "preview_worst_s": max(previews),
                "people": statistics.median(people),
                "answers": len(answers),
                "answer_median_s": statistics.median(answers) if answers else float("nan"),
                "turned_away": len(turned_away),
                "turned_away_too_soon": sum(waited < PATIENCE_S for waited in turned_away),
                "memory_before_mb": before,
                "memory_mb": _resident_mb(pid),
            }
            results[f"run {turn + 1}"] = row
            print(
                f"{CLIENTS} clients for {SECONDS:g} s: {row['previews']} first pictures of "
                f"{row['people']:.0f} people, median {row['preview_median_s']:.2f} s, worst "
                f"{row['preview_worst_s']:.2f}; {row['answers']} of all subjects, median "
                f"{row['answer_median_s']:.2f} s; {row['turned_away']} turned away, "
                f"{row['turned_away_too_soon']} of them before {PATIENCE_S:g} s; memory "
                f"{row['memory_before_mb']:.0f} MB before, {row['memory_mb']:.0f} after",
                flush=True,
            )
    return results


if __name__ == "__main__":
    run()

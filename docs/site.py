"""What mkdocs.yml does not say: pages that stand elsewhere in the repository, and links to them."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from mkdocs.structure.files import File

ROOT = Path(__file__).parents[1]

ELSEWHERE = {
    "README.md": "index.md",
    "models/README.md": "models.md",
    "benchmarks/README.md": "benchmarks.md",
    "fits/low_dose_il2/source.md": "low_dose_il2.md",
    "fits/als/source.md": "als.md",
    "CONTRIBUTING.md": "contributing.md",
    "CHANGELOG.md": "changelog.md",
}
"""File of the repository -> page of the site; all pages stand in one folder."""


def on_files(files: Any, config: Any, **_: Any) -> Any:
    """Take in the pages that stand elsewhere."""
    for file, page in ELSEWHERE.items():
        files.append(File.generated(config, page, abs_src_path=str(ROOT / file)))
    return files


def on_page_markdown(markdown: str, page: Any, files: Any, **_: Any) -> str:
    """Where a text names a page as `docs/dosing.md`, the site has a link to it; pictures are those beside the
    pages; a link from a page that stands elsewhere to another such page leads to that one."""
    source = Path(page.file.abs_src_path)

    def led(match: re.Match[str]) -> str:
        target = (source.parent / match[1]).resolve()
        if not target.is_relative_to(ROOT):
            return match[0]
        return f"]({ELSEWHERE.get(target.relative_to(ROOT).as_posix(), match[1])}"

    def linked(match: re.Match[str]) -> str:
        file = ELSEWHERE.get(match[1], match[1].removeprefix("docs/"))
        return f"[{match[0]}]({file})" if files.get_file_from_path(file) else match[0]

    markdown = re.sub(r"\]\(([^():#\s]+\.md)\b", led, markdown)
    markdown = re.sub(r"(?<![\[`])`([\w./]+\.md)`(?!`)", linked, markdown)
    return re.sub(r"\]\((?:\.\./)?docs/", "](", markdown)

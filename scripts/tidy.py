"""The tidy test: functions of at most 60 lines, files of at most 400, parameters at most 6, no catch-all names.

Nor may git keep a file that it is told to ignore, or a link that leads out of the tree. Counts lines of code and
comments alike; docstrings are free. SQL files and functions are held to the same file limit. A row of a Markdown table
has as many cells as its header: a bar in code divides cells too, unless it is written as ``\\|``. A module that a text
names in backticks (``placement.lease``) exists.
"""

from __future__ import annotations

import ast
import re
import subprocess
import sys
from pathlib import Path

FUNCTION_LINES_MAX = 60
FILE_LINES_MAX = 400
PARAMETERS_MAX = 6
BANNED_NAMES = {"utils", "helpers", "manager", "common", "misc"}
ROOTS = ("src", "tests", "bench", "scripts")
_BAR = re.compile(r"(?<!\\)\|")
PACKAGE = Path("src", "intelgraph")
_MODULE = re.compile(r"``([a-z_]+(?:\.\w+)+)``")


def docstring_lines(node: ast.AST) -> int:
    """Count the lines of a definition's docstring."""
    body = getattr(node, "body", [])
    if (
        body
        and isinstance(body[0], ast.Expr)
        and isinstance(body[0].value, ast.Constant)
        and isinstance(body[0].value.value, str)
    ):
        return (body[0].end_lineno or 0) - body[0].lineno + 1
    return 0


def complaints_of(path: Path) -> list[str]:
    """Say everything that is untidy in one Python file."""
    text = path.read_text(encoding="utf-8")
    tree = ast.parse(text)
    found = []
    if path.stem in BANNED_NAMES:
        found.append(f"{path}: a name that says nothing")
    lines = len(text.splitlines()) - docstring_lines(tree)
    if lines > FILE_LINES_MAX:
        found.append(f"{path}: {lines} lines; the limit is {FILE_LINES_MAX}")
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            length = (node.end_lineno or 0) - node.lineno + 1 - docstring_lines(node)
            if length > FUNCTION_LINES_MAX:
                found.append(f"{path}:{node.lineno}: {node.name} has {length} lines; the limit is {FUNCTION_LINES_MAX}")
            names = [a.arg for a in node.args.posonlyargs + node.args.args + node.args.kwonlyargs]
            count = len([name for name in names if name not in ("self", "cls")])
            if count > PARAMETERS_MAX and "tests" not in path.parts:
                found.append(
                    f"{path}:{node.lineno}: {node.name} takes {count} parameters; the limit is {PARAMETERS_MAX}"
                )
    return found


def torn_rows(path: Path) -> list[str]:
    """Say which rows of a Markdown file's tables have not as many cells as their header."""
    found, header, in_code = [], 0, False
    for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1):
        row = line.strip()
        in_code ^= row.startswith("```")
        if in_code or not row.startswith("|"):
            header = 0
            continue
        cells = len(_BAR.findall(row)) - 1
        header = header or cells
        if cells != header:
            found.append(f"{path}:{number}: {cells} cells; the header has {header} (a bar in code is written \\|)")
    return found


def lost_modules(path: Path, package: Path = PACKAGE) -> list[str]:
    """Say which modules of the package a text names that do not exist; what follows a module's name is its own."""
    found = []
    for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1):
        for named in _MODULE.findall(line):
            place, last, left = package, "", named.split(".")
            if not (package / left[0]).is_dir():
                continue
            while left and (place / left[0]).is_dir():
                place /= left.pop(0)
            last = left[0] if left else "__init__"
            if not (place / f"{last}.py").exists() and not _defines(place / "__init__.py", last):
                found.append(f"{path}:{number}: there is no {named}")
    return found


def _defines(path: Path, name: str) -> bool:
    return path.exists() and re.search(rf"\b{re.escape(name)}\b", path.read_text(encoding="utf-8")) is not None


def kept_by_mistake() -> list[str]:
    """Say what git keeps though it shall ignore it, and links that lead out of the tree; nothing outside a clone."""
    if not Path(".git").exists():
        return []
    ignored = _git("ls-files", "--cached", "--ignored", "--exclude-standard")
    links = [path for path in _git("ls-files") if Path(path).is_symlink() and _leads_out(Path(path))]
    return [f"{path}: git keeps it though it ignores it" for path in ignored] + [
        f"{path}: a link that leads out of the tree" for path in links
    ]


def _leads_out(link: Path) -> bool:
    return link.readlink().is_absolute() or not link.resolve().is_relative_to(Path.cwd().resolve())


def _git(*arguments: str) -> list[str]:
    listed = subprocess.run(("git", *arguments), check=True, capture_output=True, text=True).stdout
    return listed.splitlines()


def main() -> int:
    """Check every tracked root; returns the exit code."""
    found = kept_by_mistake()
    for root in ROOTS:
        for path in sorted(Path(root).rglob("*.py")):
            found += complaints_of(path) + lost_modules(path)
        for path in sorted(Path(root).rglob("*.sql")):
            lines = len(path.read_text(encoding="utf-8").splitlines())
            if lines > FILE_LINES_MAX:
                found.append(f"{path}: {lines} lines; the limit is {FILE_LINES_MAX}")
    for path in (*sorted(Path().glob("*.md")), *sorted(Path("docs").rglob("*.md"))):
        found += torn_rows(path)
    for complaint in found:
        print(complaint)
    print(f"tidy: {len(found)} complaints")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())

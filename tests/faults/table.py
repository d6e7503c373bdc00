"""The closing table: fault, times tried, times survived."""

from collections import Counter
from typing import Any

TITLE = "faults"


def pytest_terminal_summary(terminalreporter: Any) -> None:
    """Counted from the reports of tests that name a fault, wherever they ran."""
    tried: Counter[str] = Counter()
    survived: Counter[str] = Counter()
    for outcome in ("passed", "failed"):
        for report in terminalreporter.stats.get(outcome, []):
            names = [value for key, value in getattr(report, "user_properties", []) if key == TITLE]
            if report.when == "call":
                tried.update(names)
                survived.update(names if outcome == "passed" else [])
    if tried:
        terminalreporter.section(TITLE)
        terminalreporter.write_line(as_text(tried, survived))


def as_text(tried: Counter[str], survived: Counter[str]) -> str:
    width = max(map(len, ("all", *tried)))
    rows = [("fault", "tried", "survived")]
    rows += [(name, str(tried[name]), str(survived[name])) for name in sorted(tried)]
    rows.append(("all", str(tried.total()), str(survived.total())))
    return "\n".join(f"{name:<{width}}  {n:>5}  {m:>8}" for name, n, m in rows)

"""What a test run says at its end besides passed and failed: faults survived, refusals, and what
tests have measured."""

from typing import Any

from tests.faults import table

SHOWN = "shown"  # record_property(SHOWN, "a line on what was measured")
_REFUSALS = "test_refusals.py::test_refused"


def pytest_terminal_summary(terminalreporter: Any) -> None:
    """Wherever the tests ran, here or in another process."""
    table.pytest_terminal_summary(terminalreporter)
    reports = [
        (outcome, report)
        for outcome in ("passed", "failed")
        for report in terminalreporter.stats.get(outcome, [])
        if getattr(report, "when", "") == "call"
    ]
    lines = [
        f"{value} ({outcome})"
        for outcome, report in reports
        for key, value in report.user_properties
        if key == SHOWN
    ]
    refusals = [outcome for outcome, report in reports if _REFUSALS in report.nodeid]
    if refusals:
        good = refusals.count("passed")
        lines.append(f"bad input: {len(refusals)} cases tried, {good} refused as they should be")
    if lines:
        terminalreporter.section("measured")
        for line in sorted(lines):
            terminalreporter.write_line(line)

"""``python -m tests.faults``: all faults, and the table of what was survived."""

import sys
from pathlib import Path

import pytest

if __name__ == "__main__":
    sys.exit(pytest.main(["-m", "", str(Path(__file__).parent), *sys.argv[1:]]))

"""Puts `tests/` on the path so that tests share `support`; they read English, whoever runs them."""

import os
import sys
from pathlib import Path

os.environ["AIVAX_LANG"] = "en"
sys.path.insert(0, str(Path(__file__).parent))

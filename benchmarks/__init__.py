"""`twinscore bench`: servers side by side on this machine, under load from tools that are not ours.

Run from a checkout; nothing that serves imports this package.
"""

from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
CACHE = ROOT / "benchmarks" / ".cache"

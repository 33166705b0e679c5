"""Children import their targets by name, so the folder of `supervise_children` is on the path they get."""

import sys
from pathlib import Path

sys.path.append(str(Path(__file__).parent))

"""Libraries that only some people need: loaded when a file asks for them, and named with their cure where missing."""

from __future__ import annotations

import importlib
import importlib.metadata
from typing import Any

from pipeline.errors import ReadError


def load(module: str, extra: str, name: str) -> Any:  # noqa: ANN401 - a module; its own types are not known here
    """The module. `name` is the file that needs it. Raises ReadError missing_extra."""
    try:
        return importlib.import_module(module)
    except ImportError:
        raise ReadError(
            f"{name} needs {module}, which is not installed",
            code="missing_extra",
            hint=f"Install it: pip install 'nightdesk[{extra}]'",
        ) from None


def installed(distribution: str) -> str:
    """`xlrd 2.0.2`, or `no xlrd`: for the version of a reader, so that files are read again once it is there."""
    try:
        return f"{distribution} {importlib.metadata.version(distribution)}"
    except importlib.metadata.PackageNotFoundError:
        return f"no {distribution}"

"""The program's version."""

from importlib.metadata import PackageNotFoundError, version


def program_version() -> str:
    """As installed; "unknown" in a checkout that is not."""
    try:
        return version("palimpsest")
    except PackageNotFoundError:
        return "unknown"

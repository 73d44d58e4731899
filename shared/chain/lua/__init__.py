"""The Lua scripts; each file's header lists its arguments and the keys it touches."""

from importlib.resources import files


def source(name: str) -> str:
    """Return the text of a script."""
    return (files(__name__) / f"{name}.lua").read_text(encoding="utf-8")

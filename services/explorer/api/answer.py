"""The base of everything that is answered as JSON."""

from __future__ import annotations

import msgspec


class Answer(msgspec.Struct, frozen=True, gc=False, forbid_unknown_fields=True):
    """A JSON object with these fields in this order; a field that is `UNSET` is left out.

    The OpenAPI document describes it by its docstring and the `Annotated` types of its fields. Answers are trees, so
    the garbage collector need not look at them.
    """

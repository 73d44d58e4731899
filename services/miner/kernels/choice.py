"""Which kernel a miner uses: `hashlib` at once, and the compiled one as soon as it is ready, where it can be had."""

from __future__ import annotations

import importlib.util
import logging
from collections.abc import Callable

from services.miner.kernels import hashlib_kernel
from services.miner.kernels.kernel import Kernel, Search
from shared.errors import ConfigError
from shared.logs import with_fields

log = logging.getLogger(__name__)

_SAMPLE = bytes(range(76))
_SAMPLE_TARGET = 1 << 246
"""One of a thousand nonces meets it."""
_SAMPLE_NONCES = 20_000


def plain_kernel() -> Kernel:
    """Return the kernel that is always there."""
    return Kernel.measured("hashlib", hashlib_kernel.search)


def is_compiled_wanted(choice: str) -> bool:
    """Whether a kernel is to be compiled: `auto` only if the package for it is installed.

    Raises `ConfigError` for `llvm` without the package.
    """
    is_installed = importlib.util.find_spec("llvmlite") is not None
    if choice == "llvm" and not is_installed:
        raise ConfigError("the kernel llvm needs the package llvmlite (requirements/miner.lock has it for Linux)")
    return is_installed and choice != "hashlib"


def compile_kernel(choice: str, use: Callable[[Kernel], None]) -> None:
    """Compile the kernel and hand it to `use`; log a failure, or raise it if the kernel was asked for by name."""
    try:
        from services.miner.kernels.llvm_kernel import LlvmSearch

        search = LlvmSearch()
        check(search)
        kernel = Kernel.measured("llvm", search)
    except Exception as error:
        if choice == "llvm":
            raise
        log.warning("no compiled kernel, hashlib goes on", extra=with_fields(error=error))
        return
    use(kernel)
    log.info("the compiled kernel takes over", extra=with_fields(lanes=search.lanes, rate=round(kernel.rate)))


def check(search: Search) -> None:
    """Compare a kernel with hashlib on this machine; `RuntimeError` if it finds something else."""
    start = 0
    while start < _SAMPLE_NONCES:
        found = search(_SAMPLE, _SAMPLE_TARGET, start, _SAMPLE_NONCES - start)
        if found != hashlib_kernel.search(_SAMPLE, _SAMPLE_TARGET, start, _SAMPLE_NONCES - start):
            raise RuntimeError("the compiled kernel and hashlib do not agree")
        if found is None:
            return
        start = found + 1

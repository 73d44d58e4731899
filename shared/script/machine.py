"""The state of one run of a script: stacks, nested conditions, and the transaction that its signatures sign.

`shared.script.operations` has the opcodes that change this state, `shared.script.evaluate` the loop that runs them.
Source: EvalScript and EvalChecksig in Core's interpreter.cpp.
"""

from __future__ import annotations

from enum import Enum, auto
from typing import TYPE_CHECKING, Final

from shared.crypto.signatures import verify_ecdsa, verify_schnorr
from shared.errors import DecodeError, ScriptError
from shared.reasons import Reason
from shared.script.encoding import check_public_key_encoding, check_signature_encoding
from shared.script.flags import Flags
from shared.script.script import decode_number, push_data
from shared.script.sighash import NO_CODESEPARATOR, SIGHASH_DEFAULT, find_and_delete

if TYPE_CHECKING:
    from shared.script.sighash import SighashCache

MAX_OPS_PER_SCRIPT: Final = 201
MAX_STACK_SIZE: Final = 1000
VALIDATION_WEIGHT_PER_SIGOP: Final = 50

# Plain integers: an IntFlag takes ten times as long to test.
_MINIMALDATA = int(Flags.MINIMALDATA)
_CONST_SCRIPTCODE = int(Flags.CONST_SCRIPTCODE)
_NULLFAIL = int(Flags.NULLFAIL)
_DISCOURAGE_UPGRADABLE_PUBKEYTYPE = int(Flags.DISCOURAGE_UPGRADABLE_PUBKEYTYPE)

TRUE = b"\x01"
FALSE = b""


class SigVersion(Enum):
    """The rules that a script runs under and the digest that its signatures sign."""

    BASE = auto()
    WITNESS_V0 = auto()
    TAPSCRIPT = auto()


def is_true(data: bytes) -> bool:
    """Tell whether a stack item is true; zero and negative zero of any length are false (CastToBool)."""
    return data.lstrip(b"\x00") not in (b"", b"\x80")


class Machine:
    """The state of one run of one script.

    Only tapscript uses `annex`, `leaf_hash` and `validation_weight` (BIP342).
    """

    __slots__ = (
        "_depth",
        "_first_false",
        "altstack",
        "annex",
        "cache",
        "code_start",
        "codeseparator_position",
        "flags",
        "index",
        "leaf_hash",
        "minimal",
        "op_count",
        "op_position",
        "position",
        "script",
        "stack",
        "validation_weight",
        "version",
    )

    def __init__(
        self,
        script: bytes,
        stack: list[bytes],
        flags: int,
        version: SigVersion,
        cache: SighashCache,
        index: int,
        *,
        annex: bytes | None = None,
        leaf_hash: bytes | None = None,
        validation_weight: int = 0,
    ) -> None:
        self.script = script
        self.stack = stack
        self.altstack: list[bytes] = []
        self.flags = flags
        self.minimal = bool(flags & _MINIMALDATA)
        self.version = version
        self.cache = cache
        self.index = index
        self.annex = annex
        self.leaf_hash = leaf_hash
        self.validation_weight = validation_weight
        self.position = 0
        self.code_start = 0
        self.op_position = 0
        self.op_count = 0
        self.codeseparator_position = NO_CODESEPARATOR
        # Nested conditions: their number, and the index of the first false one (conditions inside it do not matter).
        self._depth = 0
        self._first_false: int | None = None

    def count_ops(self, count: int) -> None:
        """Add to the number of operations, of which a script before tapscript may have 201."""
        self.op_count += count
        if self.op_count > MAX_OPS_PER_SCRIPT:
            raise ScriptError(Reason.OP_COUNT)

    def need(self, count: int) -> list[bytes]:
        """Return the stack; ScriptError if it has fewer than `count` items."""
        if len(self.stack) < count:
            raise ScriptError(Reason.INVALID_STACK_OPERATION)
        return self.stack

    def number(self, data: bytes, max_size: int = 4) -> int:
        """Return a stack item as a number."""
        try:
            return decode_number(data, max_size=max_size, minimal=self.minimal)
        except DecodeError as error:
            raise ScriptError(Reason.SCRIPTNUM, str(error)) from None

    def verify(self, reason: Reason) -> None:
        """Pop the top of the stack; ScriptError with `reason` if it is false."""
        if not is_true(self.stack[-1]):
            raise ScriptError(reason)
        self.stack.pop()

    # Conditions.

    @property
    def is_executing(self) -> bool:
        """Whether every enclosing condition is true."""
        return self._first_false is None

    @property
    def is_nested(self) -> bool:
        """Whether a condition is still open."""
        return self._depth > 0

    def enter(self, condition: bool) -> None:
        """Begin a nested condition."""
        if not condition and self._first_false is None:
            self._first_false = self._depth
        self._depth += 1

    def toggle(self) -> None:
        """Invert the innermost condition."""
        self._require_condition()
        innermost = self._depth - 1
        if self._first_false is None:
            self._first_false = innermost
        elif self._first_false == innermost:
            self._first_false = None

    def leave(self) -> None:
        """End the innermost condition."""
        self._require_condition()
        self._depth -= 1
        if self._first_false == self._depth:
            self._first_false = None

    def _require_condition(self) -> None:
        if not self._depth:
            raise ScriptError(Reason.UNBALANCED_CONDITIONAL)

    # Signatures.

    def script_code(self, signatures: list[bytes]) -> bytes:
        """Return the script after the last executed OP_CODESEPARATOR; before segwit, remove the signatures from it."""
        code = self.script[self.code_start :]
        if self.version is SigVersion.BASE:
            for signature in signatures:
                code, found = find_and_delete(code, push_data(signature))
                if found and self.flags & _CONST_SCRIPTCODE:
                    raise ScriptError(Reason.SIG_FINDANDDELETE)
        return code

    def check_ecdsa(self, signature: bytes, public_key: bytes, code: bytes) -> bool:
        """Tell whether a signature is valid; ScriptError if signature or key have a forbidden encoding."""
        check_signature_encoding(signature, self.flags)
        check_public_key_encoding(public_key, self.flags, is_witness_v0=self.version is SigVersion.WITNESS_V0)
        if not signature:
            return False
        hash_type = signature[-1]
        if self.version is SigVersion.BASE:
            digest = self.cache.legacy(self.index, code, hash_type)
        else:
            amount = self.cache.spent_outputs[self.index].value
            digest = self.cache.segwit_v0(self.index, code, amount, hash_type)
        return verify_ecdsa(public_key, signature[:-1], digest)

    def check_signature(self, signature: bytes, public_key: bytes) -> bool:
        """Tell whether the signature of OP_CHECKSIG, OP_CHECKSIGVERIFY or OP_CHECKSIGADD is valid (EvalChecksig)."""
        if self.version is SigVersion.TAPSCRIPT:
            return self._check_tapscript_signature(signature, public_key)
        code = self.script_code([signature])
        is_valid = self.check_ecdsa(signature, public_key, code)
        if not is_valid and signature and self.flags & _NULLFAIL:
            raise ScriptError(Reason.NULLFAIL)
        return is_valid

    def _check_tapscript_signature(self, signature: bytes, public_key: bytes) -> bool:
        """Check a signature in tapscript (BIP342, EvalChecksigTapscript); the order of the checks is consensus."""
        if signature:
            self.validation_weight -= VALIDATION_WEIGHT_PER_SIGOP
            if self.validation_weight < 0:
                raise ScriptError(Reason.TAPSCRIPT_VALIDATION_WEIGHT)
        if not public_key:
            raise ScriptError(Reason.TAPSCRIPT_EMPTY_PUBKEY)
        if len(public_key) == 32:
            if signature:
                require_schnorr(
                    self.cache,
                    self.index,
                    public_key,
                    signature,
                    annex=self.annex,
                    leaf_hash=self.leaf_hash,
                    codeseparator_position=self.codeseparator_position,
                )
        elif self.flags & _DISCOURAGE_UPGRADABLE_PUBKEYTYPE:
            raise ScriptError(Reason.DISCOURAGE_UPGRADABLE_PUBKEYTYPE)
        return bool(signature)


def require_schnorr(
    cache: SighashCache,
    index: int,
    public_key: bytes,
    signature: bytes,
    *,
    annex: bytes | None,
    leaf_hash: bytes | None = None,
    codeseparator_position: int = NO_CODESEPARATOR,
) -> None:
    """Raise ScriptError unless a taproot signature, with its optional hash type, is valid (CheckSchnorrSignature)."""
    if len(signature) not in (64, 65):
        raise ScriptError(Reason.SCHNORR_SIG_SIZE, f"{len(signature)} bytes")
    hash_type = SIGHASH_DEFAULT
    if len(signature) == 65:
        hash_type = signature[64]
        if hash_type == SIGHASH_DEFAULT:
            raise ScriptError(Reason.SCHNORR_SIG_HASHTYPE)
    digest = cache.taproot(
        index, hash_type, annex=annex, leaf_hash=leaf_hash, codeseparator_position=codeseparator_position
    )
    if digest is None:
        raise ScriptError(Reason.SCHNORR_SIG_HASHTYPE, f"hash type {hash_type:#04x}")
    if not verify_schnorr(public_key, signature[:64], digest):
        raise ScriptError(Reason.SCHNORR_SIG)

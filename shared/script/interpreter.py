"""Decides whether an input may spend its coin: the last and costliest check of a transaction.

Runs scriptSig, then scriptPubKey, then the redeem script of P2SH (BIP16), the witness program (BIP141) or taproot
(BIP341). `shared.script.evaluate` runs each single script. Source: VerifyScript in Core's interpreter.cpp.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from shared.crypto.hashes import hash160, sha256, tagged_hash
from shared.crypto.signatures import check_taproot_tweak, verify_strict_ecdsa
from shared.errors import DecodeError, ScriptError
from shared.primitives.serialize import compact_size_length, pack_var_bytes
from shared.reasons import Reason
from shared.script.evaluate import evaluate
from shared.script.flags import Flags
from shared.script.machine import MAX_STACK_SIZE, Machine, SigVersion, is_true, require_schnorr
from shared.script.script import MAX_SCRIPT_ELEMENT_SIZE, is_push_only, iterate, push_data
from shared.script.sighash import SIGHASH_ALL, SighashCache
from shared.script.standard import P2A_SCRIPT, is_p2pkh, is_p2sh, is_p2wpkh, p2pkh_script, witness_program

if TYPE_CHECKING:
    from collections.abc import Sequence

    from shared.primitives.transaction import Transaction, TxOut

# Plain integers: an IntFlag takes ten times as long to test.
_CLEANSTACK = int(Flags.CLEANSTACK)
_DISCOURAGE_OP_SUCCESS = int(Flags.DISCOURAGE_OP_SUCCESS)
_DISCOURAGE_UPGRADABLE_TAPROOT_VERSION = int(Flags.DISCOURAGE_UPGRADABLE_TAPROOT_VERSION)
_DISCOURAGE_UPGRADABLE_WITNESS_PROGRAM = int(Flags.DISCOURAGE_UPGRADABLE_WITNESS_PROGRAM)
_P2SH = int(Flags.P2SH)
_SIGPUSHONLY = int(Flags.SIGPUSHONLY)
_TAPROOT = int(Flags.TAPROOT)
_WITNESS = int(Flags.WITNESS)

_ANNEX_TAG = b"\x50"
_ALL = bytes([SIGHASH_ALL])
TAPROOT_LEAF_MASK = 0xFE
TAPROOT_LEAF_TAPSCRIPT = 0xC0
TAPROOT_CONTROL_BASE_SIZE = 33
TAPROOT_CONTROL_NODE_SIZE = 32
TAPROOT_CONTROL_MAX_NODES = 128
_VALIDATION_WEIGHT_OFFSET = 50
_OP_SUCCESS = frozenset(
    [80, 98, *range(126, 130), *range(131, 135), 137, 138, 141, 142, *range(149, 154), *range(187, 255)]
)


def verify_input(
    tx: Transaction,
    index: int,
    spent_outputs: Sequence[TxOut],
    flags: Flags,
    *,
    cache: SighashCache | None = None,
) -> None:
    """Raise ScriptError unless input `index` of `tx` may spend its output under `flags`.

    `spent_outputs` are the outputs that all inputs spend, in order (a taproot signature covers them all). Inputs of one
    transaction share a `cache`, which hashes their common parts once.
    """
    if cache is None:
        cache = SighashCache(tx, spent_outputs)
    _Verifier(cache, index, int(flags)).verify()


def has_annex(witness: Sequence[bytes]) -> bool:
    """Tell whether the last item of a taproot witness is an annex (BIP341)."""
    return len(witness) >= 2 and witness[-1][:1] == _ANNEX_TAG


class _Verifier:
    """The check of one input."""

    __slots__ = ("cache", "flags", "index", "tx_in")

    def __init__(self, cache: SighashCache, index: int, flags: int) -> None:
        self.cache = cache
        self.index = index
        self.flags = flags
        self.tx_in = cache.tx.inputs[index]

    def verify(self) -> None:
        script_sig = self.tx_in.script_sig
        script_pubkey = self.cache.spent_outputs[self.index].script_pubkey
        if self._is_valid_key_spend(script_sig, script_pubkey):
            return
        if self.flags & _SIGPUSHONLY and not is_push_only(script_sig):
            raise ScriptError(Reason.SIG_PUSHONLY)
        # Two runs on one stack, never one concatenated script (CVE-2010-5141).
        stack: list[bytes] = []
        self._run(script_sig, stack)
        pushed = list(stack)
        self._run(script_pubkey, stack)
        _require_true(stack)
        had_witness = False
        if self.flags & _WITNESS and (program := witness_program(script_pubkey)) is not None:
            had_witness = True
            if script_sig:
                raise ScriptError(Reason.WITNESS_MALLEATED)
            self._verify_witness_program(*program, is_p2sh=False)
            del stack[1:]  # a witness program leaves its own items behind
        if self.flags & _P2SH and is_p2sh(script_pubkey):
            stack = pushed
            had_witness = self._verify_p2sh(script_sig, stack)
        if self.flags & _CLEANSTACK and len(stack) != 1:
            raise ScriptError(Reason.CLEANSTACK)
        if self.flags & _WITNESS and not had_witness and self.tx_in.witness:
            raise ScriptError(Reason.WITNESS_UNEXPECTED)

    def _is_valid_key_spend(self, script_sig: bytes, script_pubkey: bytes) -> bool:
        """Tell whether this is a valid P2WPKH or P2PKH spend of the usual form, as most inputs are.

        A shortcut that runs no script. False means that the scripts must be run, to find whether they fail and why; a
        forbidden encoding raises the ScriptError that running them would raise.
        """
        if is_p2wpkh(script_pubkey):
            if script_sig or len(self.tx_in.witness) != 2 or not self.flags & _WITNESS:
                return False
            (signature, public_key), key_hash = self.tx_in.witness, script_pubkey[2:]
            script, version = p2pkh_script(key_hash), SigVersion.WITNESS_V0
            if signature[-1:] == _ALL and hash160(public_key) == key_hash:
                # The encodings that every set of flags allows: whatever is valid here is valid.
                digest = self.cache.segwit_v0(
                    self.index, script, self.cache.spent_outputs[self.index].value, SIGHASH_ALL
                )
                if verify_strict_ecdsa(public_key, signature[:-1], digest):
                    return True
        elif is_p2pkh(script_pubkey) and not self.tx_in.witness:
            pushes = _signature_and_key(script_sig)
            if pushes is None:
                return False
            (signature, public_key), key_hash = pushes, script_pubkey[3:23]
            script, version = script_pubkey, SigVersion.BASE
        else:
            return False
        if len(public_key) not in (33, 65) or not 9 <= len(signature) <= 73 or hash160(public_key) != key_hash:
            return False
        return Machine(script, [], self.flags, version, self.cache, self.index).check_signature(signature, public_key)

    def _run(self, script: bytes, stack: list[bytes]) -> None:
        evaluate(Machine(script, stack, self.flags, SigVersion.BASE, self.cache, self.index))

    def _verify_p2sh(self, script_sig: bytes, stack: list[bytes]) -> bool:
        """Run the redeem script on top of `stack` (BIP16); return whether it is a witness program."""
        if not is_push_only(script_sig):
            raise ScriptError(Reason.SIG_PUSHONLY)
        redeem_script = stack.pop()
        self._run(redeem_script, stack)
        _require_true(stack)
        program = witness_program(redeem_script) if self.flags & _WITNESS else None
        if program is None:
            return False
        if script_sig != push_data(redeem_script):
            raise ScriptError(Reason.WITNESS_MALLEATED_P2SH)
        self._verify_witness_program(*program, is_p2sh=True)
        del stack[1:]
        return True

    def _verify_witness_program(self, version: int, program: bytes, *, is_p2sh: bool) -> None:
        """Run a witness program by its version (BIP141, BIP341, Core's VerifyWitnessProgram)."""
        if version == 0:
            self._verify_v0(program)
        elif version == 1 and len(program) == 32 and not is_p2sh:
            if self.flags & _TAPROOT:
                self._verify_taproot(program)
        elif version == 1 and program == P2A_SCRIPT[2:] and not is_p2sh:
            return
        elif self.flags & _DISCOURAGE_UPGRADABLE_WITNESS_PROGRAM:
            raise ScriptError(Reason.DISCOURAGE_UPGRADABLE_WITNESS_PROGRAM, f"version {version}")

    def _verify_v0(self, program: bytes) -> None:
        witness = self.tx_in.witness
        if len(program) == 32:
            if not witness:
                raise ScriptError(Reason.WITNESS_PROGRAM_WITNESS_EMPTY)
            *stack, script = witness
            if sha256(script) != program:
                raise ScriptError(Reason.WITNESS_PROGRAM_MISMATCH)
        elif len(program) == 20:
            if len(witness) != 2:
                raise ScriptError(Reason.WITNESS_PROGRAM_MISMATCH)
            stack, script = list(witness), p2pkh_script(program)
        else:
            raise ScriptError(Reason.WITNESS_PROGRAM_WRONG_LENGTH)
        _run_witness_script(Machine(script, stack, self.flags, SigVersion.WITNESS_V0, self.cache, self.index))

    def _verify_taproot(self, output_key: bytes) -> None:
        stack = list(self.tx_in.witness)
        if not stack:
            raise ScriptError(Reason.WITNESS_PROGRAM_WITNESS_EMPTY)
        annex = stack.pop() if has_annex(stack) else None
        if len(stack) == 1:
            require_schnorr(self.cache, self.index, output_key, stack[0], annex=annex)
            return
        control, script = stack.pop(), stack.pop()
        nodes, rest = divmod(len(control) - TAPROOT_CONTROL_BASE_SIZE, TAPROOT_CONTROL_NODE_SIZE)
        if rest or not 0 <= nodes <= TAPROOT_CONTROL_MAX_NODES:
            raise ScriptError(Reason.TAPROOT_WRONG_CONTROL_SIZE, f"{len(control)} bytes")
        leaf_version = control[0] & TAPROOT_LEAF_MASK
        leaf_hash = tapleaf_hash(script, leaf_version)
        internal_key = control[1:TAPROOT_CONTROL_BASE_SIZE]
        tweak = tagged_hash("TapTweak", internal_key + _merkle_root(control, leaf_hash))
        if not check_taproot_tweak(output_key, internal_key, tweak, control[0] & 1):
            raise ScriptError(Reason.WITNESS_PROGRAM_MISMATCH)
        if leaf_version == TAPROOT_LEAF_TAPSCRIPT:
            self._verify_tapscript(script, stack, leaf_hash, annex)
        elif self.flags & _DISCOURAGE_UPGRADABLE_TAPROOT_VERSION:
            raise ScriptError(Reason.DISCOURAGE_UPGRADABLE_TAPROOT_VERSION, f"leaf version {leaf_version:#04x}")

    def _verify_tapscript(self, script: bytes, stack: list[bytes], leaf_hash: bytes, annex: bytes | None) -> None:
        """Run a script of the taproot tree (BIP342)."""
        if _has_op_success(script):
            if self.flags & _DISCOURAGE_OP_SUCCESS:
                raise ScriptError(Reason.DISCOURAGE_OP_SUCCESS)
            return
        if len(stack) > MAX_STACK_SIZE:
            raise ScriptError(Reason.STACK_SIZE)
        witness = self.tx_in.witness
        witness_size = compact_size_length(len(witness)) + sum(
            compact_size_length(len(item)) + len(item) for item in witness
        )
        _run_witness_script(
            Machine(
                script,
                stack,
                self.flags,
                SigVersion.TAPSCRIPT,
                self.cache,
                self.index,
                annex=annex,
                leaf_hash=leaf_hash,
                validation_weight=witness_size + _VALIDATION_WEIGHT_OFFSET,
            )
        )


def tapleaf_hash(script: bytes, leaf_version: int = TAPROOT_LEAF_TAPSCRIPT) -> bytes:
    """Return the 32-byte hash of a leaf of a taproot script tree (BIP341)."""
    return tagged_hash("TapLeaf", bytes([leaf_version]) + pack_var_bytes(script))


def tapbranch_hash(left: bytes, right: bytes) -> bytes:
    """Return the 32-byte hash of two sibling nodes of a taproot script tree, given in either order (BIP341)."""
    return tagged_hash("TapBranch", min(left, right) + max(left, right))


def _signature_and_key(script_sig: bytes) -> tuple[bytes, bytes] | None:
    """Return the two items that a scriptSig pushes, if both have 2 to 75 bytes and one-byte opcodes; else None."""
    size = script_sig[0] if script_sig else 0
    key_at = size + 2
    if not 2 <= size <= 75 or len(script_sig) < key_at or len(script_sig) - key_at != script_sig[size + 1]:
        return None
    return (script_sig[1 : size + 1], script_sig[key_at:]) if 2 <= script_sig[size + 1] <= 75 else None


def _merkle_root(control: bytes, leaf_hash: bytes) -> bytes:
    node = leaf_hash
    for at in range(TAPROOT_CONTROL_BASE_SIZE, len(control), TAPROOT_CONTROL_NODE_SIZE):
        node = tapbranch_hash(node, control[at : at + TAPROOT_CONTROL_NODE_SIZE])
    return node


def _has_op_success(script: bytes) -> bool:
    """Tell whether a tapscript has an OP_SUCCESS opcode; ScriptError if a push is cut off before one."""
    if _OP_SUCCESS.isdisjoint(script):
        return False
    try:
        return any(opcode in _OP_SUCCESS for opcode, _, _ in iterate(script))
    except DecodeError as error:
        raise ScriptError(Reason.BAD_OPCODE, str(error)) from None


def _run_witness_script(machine: Machine) -> None:
    """Run a witness script, which must leave one true item (Core's ExecuteWitnessScript)."""
    if any(len(item) > MAX_SCRIPT_ELEMENT_SIZE for item in machine.stack):
        raise ScriptError(Reason.PUSH_SIZE)
    evaluate(machine)
    if len(machine.stack) != 1:
        raise ScriptError(Reason.CLEANSTACK)
    _require_true(machine.stack)


def _require_true(stack: list[bytes]) -> None:
    if not stack or not is_true(stack[-1]):
        raise ScriptError(Reason.EVAL_FALSE)

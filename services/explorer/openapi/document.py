"""Makes one OpenAPI 3.1 document of the operations, with samples that exist on the served chain."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from services.explorer.api.operation import TEXT, Operation, Parameter
from services.explorer.openapi.schemas import Schema, answer_schemas, example_of, schema_of
from shared.consensus.params import ChainParams
from shared.crypto.address import encode_address
from shared.crypto.hashes import sha256
from shared.script.standard import p2wpkh_script

_ABOUT = """Esplora's HTTP API, with the additions of mempool/electrs and mempool.space.

Everything but `/v1/…` is found without `/api` too, for clients that expect Esplora at the root. Hashes are reversed
hex, amounts satoshis, times seconds since 1970, feerates satoshis per virtual byte. Errors are a status and one line of
text."""
_VERSION = "1"
_SAMPLE_PROGRAM = bytes.fromhex("751e76e8199196d454941c45d1b3a323f1433bd6")
"""Hash of the public key that BIP173 takes for its examples."""
_COMMON_ERRORS = {
    429: ("too many requests",),
    503: ("temporarily unavailable: …",),
}
_BODY_ERRORS = {413: ("Request body too large",)}
_RETRY_AFTER = {"Retry-After": {"description": "Seconds to wait", "schema": {"type": "integer", "minimum": 1}}}
_ETAG = {"ETag": {"description": "For `If-None-Match`", "schema": {"type": "string"}}}


def samples(params: ChainParams) -> dict[str, str]:
    """Return values of parameters that lead to an answer on this chain, however young it is."""
    script = p2wpkh_script(_SAMPLE_PROGRAM)
    address = encode_address(script, params.address) or ""
    return {
        "block_hash": params.genesis.hash_hex,
        "txid": params.genesis.transactions[0].txid_hex,
        "address": address,
        "prefix": address[:8],
        "scripthash": sha256(script).hex(),
    }


def document(params: ChainParams, operations: Sequence[Operation]) -> dict[str, Any]:
    """Return the description of these operations for one chain."""
    found = samples(params)
    schemas, components = answer_schemas(operations)
    paths: dict[str, Any] = {}
    for operation, schema in zip(operations, schemas, strict=True):
        content = {"schema": schema, "example": example_of(schema, components)}
        paths.setdefault(operation.path, {})[operation.method.lower()] = _operation(operation, content, found)
    return {
        "openapi": "3.1.0",
        "info": {"title": f"Warren explorer, {params.name}", "version": _VERSION, "description": _ABOUT},
        "servers": [{"url": "/api"}],
        "tags": [{"name": group} for group in dict.fromkeys(operation.group for operation in operations)],
        "paths": paths,
        "components": {"schemas": components},
    }


def errors_of(operation: Operation) -> dict[int, tuple[str, ...]]:
    """Return every error of an operation: its own, and the ones that any operation may have."""
    body = _BODY_ERRORS if operation.method == "POST" else {}
    return dict(sorted({**{s: tuple(t) for s, t in operation.errors.items()}, **body, **_COMMON_ERRORS}.items()))


def sample_of(parameter: Parameter, found: Mapping[str, str]) -> str:
    """Return the value of a parameter's sample."""
    return found.get(parameter.sample, parameter.sample)


def _operation(operation: Operation, content: Schema, found: Mapping[str, str]) -> dict[str, Any]:
    words = operation.path.replace("{", "").replace("}", "").replace("-", "_").replace(".", "_").strip("/")
    shown: dict[str, Any] = {
        "operationId": "_".join([operation.method.lower(), *words.split("/")]),
        "tags": [operation.group],
        "summary": operation.summary,
    }
    if operation.about:
        shown["description"] = operation.about
    if operation.parameters:
        shown["parameters"] = [_parameter(parameter, found) for parameter in operation.parameters]
    if operation.body is not None:
        posted = {operation.body.content_type: {"schema": schema_of(operation.body.type)}}
        shown["requestBody"] = {"description": operation.body.about, "required": True, "content": posted}
    answer = {"description": operation.answer_about, "content": {operation.content_type: content}}
    shown["responses"] = {"200": answer | ({"headers": _ETAG} if operation.is_immutable else {})}
    if operation.is_immutable:
        shown["responses"]["304"] = {"description": "Not modified", "headers": _ETAG}
    for status, texts in errors_of(operation).items():
        shown["responses"][str(status)] = _error(status, texts)
    return shown


def _parameter(parameter: Parameter, found: Mapping[str, str]) -> dict[str, Any]:
    schema = schema_of(parameter.type)
    shown: dict[str, Any] = {
        "name": parameter.name,
        "in": parameter.place,
        "required": parameter.required,
        "description": parameter.about,
        "schema": schema,
    }
    sample = sample_of(parameter, found)
    if sample:
        shown["example"] = _typed(sample, schema)
    return shown


def _typed(sample: str, schema: Schema) -> Any:
    match schema["type"]:
        case "integer":
            return int(sample)
        case "array":
            return [sample]
    return sample


def _error(status: int, texts: tuple[str, ...]) -> dict[str, Any]:
    content = {TEXT: {"schema": {"type": "string", "minLength": 1}, "example": texts[0]}}
    shown: dict[str, Any] = {"description": " · ".join(texts), "content": content}
    if status in _COMMON_ERRORS:
        shown["headers"] = _RETRY_AFTER
    return shown

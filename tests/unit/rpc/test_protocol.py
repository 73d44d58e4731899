"""JSON-RPC's rules as bitcoind applies them: envelopes, HTTP statuses, batches, notifications, arguments."""

from __future__ import annotations

import json

import pytest

from services.mempool.rpc.server import protocol
from shared.process.shutdown import ExitFlag
from tests.unit.rpc.conftest import Rpc, parse

TIP = 3


def test_a_legacy_reply_has_result_error_and_id(rpc: Rpc) -> None:
    response = rpc.post({"method": "getblockcount", "id": "x"})
    assert response.status_code == 200
    assert response.content_type == "application/json"
    assert response.data == b'{"result":3,"error":null,"id":"x"}\n'


def test_a_2_0_reply_has_only_a_result(rpc: Rpc) -> None:
    response = rpc.post({"jsonrpc": "2.0", "method": "getblockcount", "id": None})
    assert response.data == b'{"jsonrpc":"2.0","result":3,"id":null}\n'


def test_a_2_0_error_is_http_200_without_a_result(rpc: Rpc) -> None:
    response = rpc.post({"jsonrpc": "2.0", "method": "getblockhash", "params": [9], "id": 1})
    assert response.status_code == 200
    error = {"code": -8, "message": "Block height out of range"}
    assert parse(response.data) == {"jsonrpc": "2.0", "error": error, "id": 1}


def test_jsonrpc_1_0_is_legacy(rpc: Rpc) -> None:
    response = rpc.post({"jsonrpc": "1.0", "method": "getblockcount", "params": []})
    assert parse(response.data) == {"result": TIP, "error": None}  # no id given, none returned


def test_a_notification_is_run_and_not_answered(rpc: Rpc, stopping: ExitFlag) -> None:
    response = rpc.post({"jsonrpc": "2.0", "method": "stop"})
    assert (response.status_code, response.data) == (204, b"")
    assert stopping.is_set()


@pytest.mark.parametrize(
    ("body", "status", "code", "message"),
    [
        (b"", 500, -32700, "Parse error"),
        (b"{", 500, -32700, "Parse error"),
        (b'{"method": NaN}', 500, -32700, "Parse error"),
        (b"\xff\xfe", 500, -32700, "Parse error"),
        (b"[" * 100_000, 500, -32700, "Parse error"),
        (b"[" * 513 + b"]" * 513, 500, -32700, "Parse error"),
        (b'{"a":' * 50_000 + b"1" + b"}" * 50_000, 500, -32700, "Parse error"),
        (b'"getblockcount"', 500, -32700, "Top-level object parse error"),
        (b"7", 500, -32700, "Top-level object parse error"),
        (b"{}", 400, -32600, "Missing method"),
        (b'{"method": 7}', 400, -32600, "Method must be a string"),
        (b'{"method": "echo", "params": "x"}', 400, -32600, "Params must be an array or object"),
        (b'{"method": "echo", "jsonrpc": 2.0}', 400, -32600, "jsonrpc field must be a string"),
        (b'{"method": "echo", "jsonrpc": "3.0"}', 400, -32600, "JSON-RPC version not supported"),
        (b'{"method": "nope", "params": []}', 404, -32601, "Method not found"),
        (b'{"method": "getwalletinfo"}', 404, -32601, "Method not found"),
    ],
)
def test_a_malformed_call_has_its_code_and_status(rpc: Rpc, body: bytes, status: int, code: int, message: str) -> None:
    response = rpc.post(body)
    assert response.status_code == status
    reply = parse(response.data)
    assert reply["error"] == {"code": code, "message": message}
    assert reply["result"] is None


def test_nesting_up_to_bitcoinds_limit_is_parsed() -> None:
    depth = protocol.MAX_DEPTH
    assert protocol.decode_body(b"[" * depth + b"]" * depth) is not None


def test_a_batch_is_answered_in_order_with_http_200(rpc: Rpc) -> None:
    response = rpc.post(
        [
            {"method": "getblockcount", "id": 1},
            {"jsonrpc": "2.0", "method": "nope", "id": 2},
            7,
            {"jsonrpc": "2.0", "method": "getblockcount"},
            {"jsonrpc": "2.0", "method": "getblockcount", "id": 3},
        ]
    )
    assert response.status_code == 200
    assert parse(response.data) == [
        {"result": TIP, "error": None, "id": 1},
        {"jsonrpc": "2.0", "error": {"code": -32601, "message": "Method not found"}, "id": 2},
        {"result": None, "error": {"code": -32600, "message": "Invalid Request object"}, "id": None},
        {"jsonrpc": "2.0", "result": TIP, "id": 3},
    ]


def test_an_empty_batch_is_answered_with_an_empty_array(rpc: Rpc) -> None:
    assert rpc.post([]).data == b"[]\n"


def test_a_batch_of_notifications_is_not_answered(rpc: Rpc) -> None:
    assert rpc.post([{"jsonrpc": "2.0", "method": "getblockcount"}]).status_code == 204


def test_a_batch_has_a_limit(rpc: Rpc) -> None:
    response = rpc.post(b"[" + b"1," * protocol.MAX_BATCH + b"1]")
    assert response.status_code == 400
    assert parse(response.data)["error"]["code"] == -32600


def test_a_body_over_the_limit_is_refused(rpc: Rpc) -> None:
    assert rpc.post(b" " * (protocol.MAX_BODY + 1)).status_code == 413


def test_the_largest_body_is_read(rpc: Rpc) -> None:
    call = json.dumps({"method": "getblockcount"}).encode()
    assert parse(rpc.post(call + b" " * (protocol.MAX_BODY - len(call))).data)["result"] == TIP


@pytest.mark.parametrize(
    ("method", "params", "result"),
    [
        ("echo", {"arg0": 1, "arg2": "x"}, [1, None, "x"]),
        ("echo", {"args": [1, 2], "arg2": 3}, [1, 2, 3]),
        ("echo", {"args": [1, 2]}, [1, 2]),
        ("echo", [1, None, {"a": [True]}], [1, None, {"a": [True]}]),
        ("getblockcount", {}, TIP),
        ("getblockcount", None, TIP),
    ],
)
def test_arguments_by_name_and_position(rpc: Rpc, method: str, params: object, result: object) -> None:
    assert parse(rpc.post({"method": method, "params": params}).data)["result"] == result


def test_an_argument_may_be_given_by_an_alias(rpc: Rpc) -> None:
    genesis = rpc.call("getblockhash", 0)
    params = {"blockhash": genesis, "verbose": False}
    assert len(parse(rpc.post({"method": "getblock", "params": params}).data)["result"]) == 285 * 2


@pytest.mark.parametrize(
    ("method", "params", "code", "message"),
    [
        ("echo", {"nope": 1}, -8, "Unknown named parameter nope"),
        ("echo", {"args": 1}, -8, "Unknown named parameter args"),
        (
            "getblock",
            {"args": ["00" * 32], "blockhash": "00" * 32},
            -8,
            "Parameter blockhash specified twice both as positional and named argument",
        ),
        (
            "getblockhash",
            ["x"],
            -3,
            'Wrong type passed:\n{\n    "Position 1 (height)": '
            '"JSON value of type string is not of expected type number"\n}',
        ),
        (
            "gettxout",
            [7, "x", {}],
            -3,
            "Wrong type passed:\n{\n"
            '    "Position 1 (txid)": "JSON value of type number is not of expected type string",\n'
            '    "Position 2 (n)": "JSON value of type string is not of expected type number",\n'
            '    "Position 3 (include_mempool)": "JSON value of type object is not of expected type bool"\n}',
        ),
        ("getblock", ["00" * 32, "2"], -3, "JSON value of type string is not of expected type number"),
        ("getblockhash", [1.5], -1, "JSON integer out of range"),
        ("getblockhash", [1 << 40], -1, "JSON integer out of range"),
        ("gettxout", ["00" * 32, -1], -1, "JSON integer out of range"),
    ],
)
def test_wrong_arguments_have_bitcoinds_code_and_message(
    rpc: Rpc, method: str, params: object, code: int, message: str
) -> None:
    response = rpc.post({"method": method, "params": params})
    assert response.status_code == 500
    assert parse(response.data)["error"] == {"code": code, "message": message}


@pytest.mark.parametrize("params", [[], ["00" * 32, 1, 2]])
def test_a_wrong_number_of_arguments_is_answered_with_help(rpc: Rpc, params: list[object]) -> None:
    code, message = rpc.error("getblock", *params)
    assert code == -1
    assert message.startswith('getblock "blockhash" ( verbosity )\n\nReturns a block')
    assert message == rpc.call("help", "getblock")


def test_a_wallet_path_is_the_same_interface(rpc: Rpc) -> None:
    headers = {"Authorization": "Basic YWxpY2U6Y29ycmVjdCBob3JzZTogYmF0dGVyeQ=="}
    response = rpc.client.post("/wallet/main", json={"method": "getblockcount"}, headers=headers)
    assert parse(response.data)["result"] == TIP
    response = rpc.client.post("/wallet/main", json={"method": "getbalance"}, headers=headers)
    assert parse(response.data)["error"] == {"code": -32601, "message": "Method not found"}


def test_get_is_refused_to_programs_and_leads_browsers_to_the_mine_page(rpc: Rpc) -> None:
    response = rpc.client.get("/")
    assert (response.status_code, response.text) == (405, "JSONRPC server handles only POST requests")
    response = rpc.client.get("/", headers={"Accept": "text/html"})
    assert (response.status_code, response.location) == (303, "/mine")

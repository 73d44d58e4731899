"""The first use on a machine that has Python and nothing else, in a container.

Docker is one of two ways to get servers for tests, so that none is missing where it does not answer: these tests are
then skipped, in CI too. Where it answers and no image can be had, they are skipped here and fail in CI.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator

import pytest

from tests.e2e.bare_machine import IMAGES, BareMachine, bare_machine
from tests.servers import NoServer, uses_docker

pytestmark = [pytest.mark.bare, pytest.mark.timeout(900)]

PORTS = ("--wallet-port", "0", "--explorer-port", "0", "--rpc-port", "0")
UP_DETACHED = " ".join(("./warren up --detach", *PORTS))


@pytest.fixture(scope="module", params=IMAGES)
def machine(request: pytest.FixtureRequest) -> Iterator[BareMachine]:
    if not uses_docker():
        pytest.skip("Docker does not answer, or WARREN_TEST_SERVERS is native")
    try:
        with bare_machine(request.param) as machine:
            yield machine
    except NoServer as error:
        if os.environ.get("CI"):
            pytest.fail(str(error))
        pytest.skip(str(error))


def succeeded(machine: BareMachine, command: str) -> str:
    status, output = machine.run(command)
    assert status == 0, output
    return output


def mined_by_demo(machine: BareMachine) -> int:
    """Run the demo and return the height of the block that it mined."""
    output = succeeded(machine, "./warren demo")
    assert output.endswith("\nall checks passed\n")
    found = re.search(r"^mined block (\d+)", output, re.MULTILINE)
    assert found is not None, output
    return int(found[1])


def test_up_and_demo_need_nothing_but_python(machine: BareMachine) -> None:
    machine.boot("sleep", "infinity")  # it does not look after orphans, as a real first process would
    for absent in ("command -v cc || command -v gcc || command -v clang", "touch ~/here", "ls /dev/shm"):
        status, output = machine.run(absent)
        assert status != 0, output

    output = succeeded(machine, UP_DETACHED)
    assert output.splitlines()[-1].startswith("ready "), output
    succeeded(machine, "./warren status")
    height = mined_by_demo(machine)
    succeeded(machine, "./warren down")
    assert machine.run("./warren status")[0] == 1

    succeeded(machine, UP_DETACHED)
    assert mined_by_demo(machine) == height + 1
    succeeded(machine, "./warren down")


def test_up_runs_as_the_first_process_of_a_container_and_stops_with_it(machine: BareMachine) -> None:
    machine.boot("./warren", "up", *PORTS)
    machine.wait_for("ready ", seconds=300)
    mined_by_demo(machine)
    assert machine.shut_down(seconds=60) == 0, machine.output()
    assert machine.output().endswith("stopped; chain, pool and wallets are kept\n")

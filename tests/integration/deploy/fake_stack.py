"""The real launcher and Redis with fake services.

Run as `fake_stack.py DATA_DIR WALLET_PORT [name=manner ...]`; manners are in fake_service.py.
"""

import dataclasses
import sys
from pathlib import Path

from deploy.command_line import parse
from deploy.console import Console
from deploy.launcher import plan
from deploy.launcher.local import Stack
from deploy.launcher.options import UpOptions, up_options
from deploy.launcher.preflight import preflight
from shared.config import Settings

SERVICE = Path(__file__).with_name("fake_service.py")


def options(data_dir: Path, wallet_port: int) -> UpOptions:
    words = ["up", "--data-dir", str(data_dir), "--wallet-port", str(wallet_port), "--miners", "2"]
    free = ["--explorer-port", "0", "--rpc-port", "0"]
    return up_options(parse([*words, *free], {}), Settings(creator_blocks=0))


def main(data_dir: Path, wallet_port: int, manners: dict[str, str]) -> int:
    def fake_services(options, ports, secrets, environment):
        specs = plan.services(options, ports, secrets, environment)
        port_of = {"wallet": ports["wallet"], "explorer": ports["explorer"], "mempool": ports["rpc"]}
        return [
            dataclasses.replace(
                spec,
                argv=(
                    sys.executable,
                    str(SERVICE),
                    spec.name,
                    str(port_of.get(spec.name, 0)),
                    str(data_dir / "notes"),
                    manners.get(spec.name, "plain"),
                ),
            )
            for spec in specs
        ]

    asked = options(data_dir, wallet_port)
    preflight(asked)
    return Stack(asked, Console(sys.stdout), fake_services).run()


if __name__ == "__main__":
    from shared.errors import WarrenError

    try:
        sys.exit(main(Path(sys.argv[1]), int(sys.argv[2]), dict(pair.split("=") for pair in sys.argv[3:])))
    except WarrenError as error:
        print(f"warren: {error}", flush=True)
        sys.exit(1)

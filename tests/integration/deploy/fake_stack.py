"""The real launcher and Redis with fake services.

Run as `fake_stack.py DATA_DIR WALLET_PORT [name=manner ...]`; manners are in fake_service.py.
"""

import dataclasses
import sys
from pathlib import Path

from deploy.console import Console
from deploy.launcher import plan
from deploy.launcher.local import Stack
from deploy.launcher.options import UpOptions
from deploy.launcher.preflight import preflight

SERVICE = Path(__file__).with_name("fake_service.py")


def options(data_dir: Path, wallet_port: int) -> UpOptions:
    return UpOptions(
        data_dir=data_dir,
        chain="regtest",
        chain_name="regtest",
        host="127.0.0.1",
        wallet_port=wallet_port,
        explorer_port=0,
        rpc_port=0,
        miners=2,
        mempools=1,
        broker="embedded",
        redis_url="",
        amqp_url="",
        rpc_user="",
        rpc_password="",
        creator_blocks=0,
    )


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

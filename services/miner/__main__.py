"""The miner service: gets work from the broker and answers with solutions. It needs nothing else, no Redis."""

from __future__ import annotations

import sys

from services.miner.grind import Grinder
from services.miner.handlers import subscriptions
from shared import config, logs, shutdown
from shared.bus.connect import connect
from shared.bus.topics import Topic, transient_queue
from shared.bus.worker import Worker
from shared.errors import ConfigError
from shared.shutdown import ExitFlag


def main() -> int:
    """Run until told to stop; returns the exit status."""
    try:
        settings = config.load()
        broker = connect(settings)
    except ConfigError as error:
        print(f"miner: {error}", file=sys.stderr)
        return 2
    logs.setup(settings, "miner")
    stop = ExitFlag()
    shutdown.install(stop)
    grinder = Grinder(broker, settings.miner_name, stop)
    grinder.start()
    consumer = broker.consumer([transient_queue("miner", Topic.BLOCK_TEMPLATE)])
    Worker(broker, consumer, subscriptions(grinder), name="miner", stop=stop, idle_wait=0.5).run()
    grinder.wake()
    grinder.join()
    consumer.close()
    broker.close()
    return 0


if __name__ == "__main__":
    sys.exit(main())

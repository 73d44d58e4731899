"""Where the writer's claims come in: from its own process in memory, from all others over the bus."""

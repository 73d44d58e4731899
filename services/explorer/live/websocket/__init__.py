"""mempool.space's websocket, `/api/v1/ws`.

subscription  a client's message, parsed, and the subscription that it leads to; pure
snapshot      the present state of chain and pool, read once per change
changes       the changes since the last messages, read once for all clients
messages      the messages to each client; pure
broadcaster   follows the facts, chain, and hands every client its messages
endpoint      one connection
"""

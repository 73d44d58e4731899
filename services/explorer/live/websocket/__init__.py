"""mempool.space's websocket, `/api/v1/ws`.

subscription    what a client says and wants, parsed; pure
snapshot     the state that all clients are shown, read once per change
changes   what happened since the last look, read once for all clients
messages  what each client is told; pure
broadcaster     follows the facts, reads, and hands every client its messages
endpoint  one connection
"""

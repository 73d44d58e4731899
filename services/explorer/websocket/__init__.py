"""mempool.space's websocket, `/api/v1/ws`.

wishes    what a client says and wants, parsed; pure
board     the state that all clients are shown, read once per change
changes   what happened since the last look, read once for all clients
messages  what each client is told; pure
pulse     follows the facts, reads, and hands every client its messages
endpoint  one connection
"""

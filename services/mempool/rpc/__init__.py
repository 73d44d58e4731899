"""The node's HTTP port: bitcoind's JSON-RPC, and the page that mines. Reads through ChainView, writes by request."""

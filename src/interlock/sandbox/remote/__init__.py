"""The sandbox at a distance: a worker with a kernel of its own, and the client that is the port `Sandbox` here.

`websocket` carries messages, `channel` says what they mean, `streams` passes on what a sandbox says to the egress proxy, which stays here.
"""

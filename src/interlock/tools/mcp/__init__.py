"""MCP in both directions: `pins` and `source` turn a server's tools into governed ones, `link` holds the connection, `offer` gives ours to others."""

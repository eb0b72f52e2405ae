"""The governed SQL tool: `policy` says what may be read, `check` and `rewrite` hold a query to it, `tool` offers it to an agent."""

"""One tool call from its declared contract to its settled event. Above: agents. Below: ledger, config, core."""

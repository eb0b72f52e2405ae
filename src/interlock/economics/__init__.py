"""Prices and the token P&L, read from the ledger. Above: agents. Below: ledger, config, core."""

"""A task: the fold over its events, the loop and its limits. Above: app. Below: gateway, tools, economics, ledger, config, core."""

"""What the ledger says about how things go: tasks that go in circles, agreements and their budgets, what changed when, and why.

Above: agents (anomalies of the running task), app, cli, server. Below: ledger, config, core. Everything here is a pure reader.
"""

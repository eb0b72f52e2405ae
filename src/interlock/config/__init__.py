"""The YAML tree of a workspace, read into frozen models, with faults that name file, line and column. Above: ledger. Below: core.

Nothing is imported here: `interlock.config.load` brings pydantic and YAML, and a command that reads no files must not pay for them.
"""

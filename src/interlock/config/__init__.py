"""The YAML tree of a workspace, read into frozen models, with faults that name file, line and column. Above: ledger. Below: core."""

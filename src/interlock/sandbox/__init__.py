"""Foreign code, isolated: `LocalSandbox` implements the port `core.ports.Sandbox`. Imported when the first call needs it.

Above: app, cli/doctor. Below: core, and `guest`, which runs inside.
"""

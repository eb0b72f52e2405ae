"""The command line: one file per verb. stdout is data, stderr is progress; exit codes stand in `main`."""

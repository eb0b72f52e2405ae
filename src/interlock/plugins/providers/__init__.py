"""One file per wire dialect; the file's name is the dialect's name in YAML. docs/providers.md says how to add one."""

#!/usr/bin/env bash
# Resolves requirements/*.txt from pyproject.toml and requirements/*.in. Run through `make lock`; UV names the uv to use.
# Pins already in the locks are kept where they still satisfy everything; `UPGRADE=1 make lock` moves all to their newest versions.
set -euo pipefail
cd "$(dirname "$0")/.."

upgrade=()
if [ -n "${UPGRADE:-}" ]; then upgrade=(--upgrade); fi

resolve() {
    # No configuration of the machine (mirrors, find-links) may reach a lock: hashes are those of the public index.
    env -u PIP_FIND_LINKS -u PIP_INDEX_URL -u PIP_EXTRA_INDEX_URL -u UV_INDEX -u UV_FIND_LINKS \
        "${UV:-uv}" pip compile --no-config --quiet --universal --python-version 3.11 --generate-hashes \
        --custom-compile-command "make lock" --override requirements/overrides.txt "${upgrade[@]}" "$@" >/dev/null
}

resolve pyproject.toml --all-extras requirements/runtime.in --output-file requirements/runtime.txt
resolve requirements/dev.in --output-file requirements/dev.txt
resolve requirements/queue.in --output-file requirements/queue.txt

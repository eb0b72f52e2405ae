"""Takes the public price list from the installed package `genai-prices` into src/interlock/economics/pricelist.json, which a start reads in its stead.

Run it after the lock has another version of the package: `.venv/bin/python scripts/price_list.py`. A test says when that was forgotten.
"""

import sys

import msgspec

from interlock.economics.pricelist import SHIPPED
from interlock.economics.taken import taken


def main() -> int:
    """Writes the file."""
    listing = taken()
    SHIPPED.write_bytes(msgspec.json.encode(listing) + b"\n")
    print(f"{SHIPPED}: {len(listing.vendors)} vendors of genai-prices {listing.package}")
    return 0


if __name__ == "__main__":
    sys.exit(main())

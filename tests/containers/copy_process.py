"""Run as a script by the tests: copies a store in small blocks, and tells each on a line, so that it can be killed.

Usage: copy_process.py FROM_URL TO_URL
"""

import sys

from gridwatch.containers import copy_blocks, open_store
from gridwatch.containers.copy import copy_store


def main(source_url: str, target_url: str) -> None:
    """Copy everything."""
    copy_blocks.BLOCK_ROWS, copy_blocks.BLOCK_BYTES = 500, 1
    with open_store(source_url) as source, open_store(target_url) as target:
        copy_store(source, target, progress=lambda done, _total: print(done, flush=True))


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2])

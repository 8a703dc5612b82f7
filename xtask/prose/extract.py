"""Joins the blocks of spec.md that are marked `python client` to one file, of the size that spec.md says it has.

Usage: extract.py SPEC CLIENT
"""

import re
import sys
from pathlib import Path

LINES_BELOW = 400
WIDTH = 120


def main(spec, client):
    blocks = re.findall(r"^```python client\n(.*?)^```$", Path(spec).read_text(), re.M | re.S)
    source = "\n".join(blocks)
    lines = source.splitlines()
    written = [line for line in lines if line.strip()]
    for line in lines:
        if len(line) > WIDTH or line != line.rstrip():
            sys.exit(f"a line of the client is too long, or ends in spaces: {line!r}")
    if not blocks or len(written) >= LINES_BELOW:
        sys.exit(f"the client has {len(written)} lines in {len(blocks)} blocks, where fewer than {LINES_BELOW} belong")
    compile(source, client, "exec")
    Path(client).write_text(source)
    print(f"  {len(blocks)} blocks, {len(written)} lines that are not blank, {len(lines)} with those that are")


main(*sys.argv[1:])

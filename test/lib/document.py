"""The examples of a document: each block of SQL and, where a block without a language follows, its output."""

import re
import subprocess
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]


def examples(document, database):
    """Runs them in one session of psql; yields what each shows and what it is."""
    blocks = re.findall(r"^```([a-z]*)\n(.*?)^```$", (ROOT / document).read_text(), re.M | re.S)
    script, shown = ["SET client_min_messages = error; SET timezone = 'UTC';"], []
    for (kind, text), following in zip(blocks, blocks[1:] + [("sql", "")]):
        if kind != "sql":
            continue
        example = following[0] == ""
        script.append((f"\\echo example {len(shown)}\n" if example else "\\o /dev/null\n") + text + "\\o")
        if example:
            shown.append(following[1])
    output = subprocess.run(["psql", "-XqAt", "-v", "ON_ERROR_STOP=1", "-d", database], input="\n".join(script), text=True, check=True,
                            stdout=subprocess.PIPE).stdout
    yield from zip(shown, re.split(r"^example \d+\n", output, flags=re.M)[1:], strict=True)

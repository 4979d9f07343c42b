"""A schedule: a few tables, one or two rules over them, and the operations that are done to both, in order.

Its parts are plain data. Each operation can be left out, and so can each row of it: the rest still makes sense, which
is what shrinking a failure lives on.
"""

from dataclasses import dataclass, field

# The conversion table is partitioned by the day: p0 is all before the first day, p4 starts out as a table of its own,
# and the default partition has the rest. So are the touch tables, without that table.
CONVERSION_DAYS = {"p0": (None, 0), "p1": (0, 1), "p2": (1, 2), "p3": (2, 3), "p4": (4, 5)}
TOUCH_DAYS = {"p0": (None, -1), "p1": (-1, 0), "p2": (0, 1), "p3": (1, 2)}

CONVERSION_COLUMNS = ["conversion_id", "happened_at", "device", "ip", "agent", "app", "kind", "amount", "score", "note"]
TOUCH_COLUMNS = ["touch_id", "touched_at", "gadget", "ip", "agent", "app", "kind", "score", "reach", "network",
                 "campaign", "cost"]
# The conversion's name of a touch's key column, where it has another.
CONVERSION_NAMES = {"gadget": "device"}


@dataclass
class Table:
    name: str
    id_type: str
    partitioned: bool
    unique: bool = False         # ids are unique; under partitions, ids with their time

    @property
    def is_touch(self):
        return self.name != "conversions"

    @property
    def id(self):
        return "touch_id" if self.is_touch else "conversion_id"

    @property
    def time(self):
        return "touched_at" if self.is_touch else "happened_at"

    @property
    def columns(self):
        return TOUCH_COLUMNS if self.is_touch else CONVERSION_COLUMNS

    @property
    def days(self):
        return TOUCH_DAYS if self.is_touch else CONVERSION_DAYS


@dataclass
class Tier:
    name: str
    table: str
    match: list                  # the touch's columns
    conflict: list
    lookback: str
    filter: str = None
    predicate: str = None
    predicate_columns: list = field(default_factory=list)     # of both sides, as they appear: "touch.score", ...
    own_lookback: bool = False   # the touch's column reach may shorten the lookback
    skew: str = "0"
    strict: bool = False


@dataclass
class Rule:
    name: str
    tiers: list
    path: str
    model: str
    filter: str = None
    empty: list = None           # None: the default
    value: bool = False          # its value is the column amount
    carry: list = field(default_factory=list)
    installation_key: list = field(default_factory=list)      # SQL expressions
    key_columns: list = field(default_factory=list)           # the columns they name, as they appear
    window: str = "90 days"      # of re-attribution
    lateness: str = "24 hours"
    settlement: str = "0"
    kept: str = ""               # the name of the tables for decisions in a schema of their own; '': the default ones

    def empty_values(self):
        return ["", "00000000-0000-0000-0000-000000000000"] if self.empty is None else self.empty


@dataclass
class Write:
    """Rows put into a table, changed or deleted there.

    what: insert, upsert, update, delete, one (delete one of the rows of the id), refused (an insert that must fail).
    """
    what: str
    table: str
    rows: list = field(default_factory=list)    # of an insert: column -> text
    way: str = "parent"                         # or leaf, copy, copy leaf, replica; of an update also one
    id: str = None                              # of an update or delete
    set: dict = field(default_factory=dict)     # of an update: column -> text
    error: str = None                           # of a refused insert: the condition's name
    leaf: str = ""                              # of an update or delete: the partition, if not all of the table

    def ids(self):
        """The ids of the rows that it may lock."""
        ids = {row["touch_id" if "touch_id" in row else "conversion_id"] for row in self.rows}
        return ids | {self.id} | {value for column, value in self.set.items() if column.endswith("_id")}


@dataclass
class Operation:
    """What is done; which of the fields are used depends on `kind`, and is said at the method of script.py for it."""
    kind: str
    writes: list = field(default_factory=list)
    ending: str = ""
    rule: int = 0
    table: str = ""
    leaf: str = ""
    later: int = 0               # how far the virtual clock moves on
    times: tuple = ()
    change: dict = field(default_factory=dict)
    parts: list = field(default_factory=list)
    value: str = ""


@dataclass
class Schedule:
    number: int
    schema: str
    day: int                     # the first of its days
    device_type: str
    tables: dict                 # name -> Table
    rules: list
    before: list                 # writes before the rules are made
    operations: list
    retention: int               # at the end partitions before this day are dropped; None: they stay
    mode: str                    # long, closing or free: what is right at the end by itself, see maker.py

    @property
    def conversions(self):
        return self.tables["conversions"]


def quote(name):
    return '"' + name.replace('"', '""') + '"'


def literal(text):
    if text is None:
        return "NULL"
    escape = "E" if "\\" in text else ""
    return escape + "'" + text.replace("\\", "\\\\").replace("'", "''") + "'"

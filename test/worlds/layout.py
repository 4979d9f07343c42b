"""How a family's relations lie in the database: the SQL that makes and fills them.

The rows and the columns' names and types are the family's; the layout chooses all else: partitions, views,
inheritance, the columns' order, dropped and generated columns, indexes, and the order of insertion.
"""

from clock import DAY, HOUR, time_text
from family import literal, quote

CONVERSION_LAYOUTS = ["plain", "plain", "daily", "daily", "daily by list", "daily by hash", "view of two"]
TOUCH_LAYOUTS = ["plain", "plain", "daily", "daily", "six-hourly", "daily by list", "daily by hash", "hash by day",
                 "inherited", "view", "view of two", "view of a join", "materialized view"]


def build(rng, family, schema):
    statements = [f"CREATE SCHEMA {quote(schema)};"]
    for relation in family.relations:
        own = relation is family.rule.conversions
        layout = _Layout(rng, family, schema, relation)
        layout.make(rng.choice(CONVERSION_LAYOUTS if own else TOUCH_LAYOUTS))
        statements += layout.statements
    return "\n".join(statements) + "\n"


def plain(rng, family, schema):
    """Plain tables, columns and rows in their order, no index."""
    statements = [f"CREATE SCHEMA {quote(schema)};"]
    for relation in family.relations:
        table = f"{quote(schema)}.{quote(relation.name)}"
        columns = {role: quote(column.name) for role, column in relation.columns.items()}
        definitions = ", ".join(f"{columns[role]} {column.type}" for role, column in relation.columns.items())
        statements += [f"CREATE TABLE {table} ({definitions});",
                       copy(table, columns.values(), [[row[role] for role in columns] for row in relation.rows])]
    return "\n".join(statements) + "\n"


def copy(table, columns, rows):
    lines = ["\t".join(r"\N" if value is None else value.replace("\\", r"\\") for value in row) for row in rows]
    return f"COPY {table} ({', '.join(columns)}) FROM STDIN;\n" + "".join(line + "\n" for line in lines) + "\\."


class _Layout:
    def __init__(self, rng, family, schema, relation):
        self.rng = rng
        self.family = family
        self.schema = schema
        self.relation = relation
        self.statements = []
        # COPY writes the columns of `fed`; a generated column takes its value from a column of its own.
        self.names = {role: column.name for role, column in relation.columns.items()}
        keys = [role for role in relation.columns if role in family.rule.keys]
        self.generated = rng.sample(keys, min(len(keys), rng.choice([1, 2]))) if rng.random() < 0.15 else []
        self.fed = {role: f"raw of {role}" if role in self.generated else role for role in relation.columns}

    def add(self, statement):
        self.statements.append(statement)

    def table(self, suffix=""):
        return f"{quote(self.schema)}.{quote(self.relation.name + suffix)}"

    def column(self, role):
        return quote(self.names.get(role, role))

    def create(self, table, ending="", filler=True):
        """A table of all columns in random order, with holes left by dropped columns."""
        rng = self.rng
        definitions, holes = [], []
        for role, column in self.relation.columns.items():
            if role in self.generated:
                raw = self.column(self.fed[role])
                definitions.append([f"{raw} {column.type}", f"{self.column(role)} {column.type} "
                                    f"GENERATED ALWAYS AS (CASE WHEN {raw} IS NOT NULL THEN {raw} END) STORED"])
            else:
                definitions.append([f"{self.column(role)} {column.type}"])
        rng.shuffle(definitions)
        if filler and rng.random() < 0.4:
            for n in range(rng.choice([1, 2, 5])):
                holes.append(quote(f"hole {n}"))
                definitions.insert(rng.randrange(len(definitions) + 1),
                                   [f"{holes[-1]} {rng.choice(['int', 'text', 'uuid', 'boolean'])}"])
        self.add(f"CREATE TABLE {table} ({', '.join(d for group in definitions for d in group)}){ending};")
        for hole in holes:
            self.add(f"ALTER TABLE {table} DROP COLUMN {hole};")
        for role, kind in self.family.rule.keys.items():
            if kind.name == "long text" and role in self.relation.columns:
                self.add(f"ALTER TABLE {table} ALTER COLUMN {self.column(role)} SET STORAGE EXTERNAL;")

    def make(self, layout):
        rng = self.rng
        rows = list(self.relation.rows)
        rng.shuffle(rows)
        parts = [(self.table(), rows)]           # tables to fill, with their rows
        indexed = [self.table()]
        if layout == "plain":
            self.create(self.table())
        elif layout == "inherited":
            parts = self.inherited(rows)
            indexed = [table for table, _ in parts]
        elif "view" in layout:
            parts = self.view(layout, rows)
            indexed = [table for table, _ in parts]
        else:
            self.partitioned(layout)
        early = rng.random() < 0.5
        if early:
            self.indexes(indexed)
        for table, part in parts:
            cut = rng.randrange(len(part) + 1)
            for some in (part[:cut], part[cut:]):
                if some:
                    self.add(copy(table, [quote(self.names.get(role, role)) for role in self.fed.values()],
                                  [[row[role] for role in self.fed] for row in some]))
        if not early:
            self.indexes(indexed)
        if layout == "materialized view":
            self.add(f"REFRESH MATERIALIZED VIEW {self.table()};")
        if rng.random() < 0.6:
            for table in indexed:
                self.add(f"ANALYZE {table};")

    def partitioned(self, layout):
        """By range of time, by the day or by six hours; each part perhaps divided again; or days under hashes."""
        rng = self.rng
        by_range = f" PARTITION BY RANGE ({self.column('time')})"
        by_hash = f" PARTITION BY HASH ({self.column('id')})"
        by_list = f" PARTITION BY LIST ({self.column('shard')})"
        below = {"daily by list": by_list, "daily by hash": by_hash}.get(layout, "")
        self.create(self.table(), by_hash if layout == "hash by day" else by_range)
        if layout == "hash by day":
            for n in range(2):
                self.part(self.table(), f"_h{n}", f"FOR VALUES WITH (MODULUS 2, REMAINDER {n})", by_range)
                self.days(f"_h{n}", DAY, range(-3, 3), "")
        elif layout == "six-hourly":
            self.days("", 6 * HOUR, range(-8, 12), "")
        else:
            self.days("", DAY, range(-3, 3) if below else range(-9, 4), below)

    def days(self, parent, length, numbers, below):
        start = self.family.day + self.rng.choice([0, 0, 0, -HOUR, 5 * HOUR])     # days of UTC, or of elsewhere
        bounds = [[literal(time_text(start + end * length)) for end in (n, n + 1)] for n in numbers]
        clauses = [f"FOR VALUES FROM ({since}) TO ({until})" for since, until in bounds] + ["DEFAULT"]
        if self.rng.random() < 0.3:
            clauses.append(f"FOR VALUES FROM (MINVALUE) TO ({bounds[0][0]})")
        for n, clause in enumerate(clauses):
            name = f"{parent}_{n}"
            self.part(self.table(parent), name, clause, below)
            if "LIST" in below:
                self.part(self.table(name), name + "_a", "FOR VALUES IN (0)")
                self.part(self.table(name), name + "_b", self.rng.choice(["DEFAULT", "FOR VALUES IN (1, 2, NULL)"]))
            elif "HASH" in below:
                for m in range(2):
                    self.part(self.table(name), f"{name}_{m}", f"FOR VALUES WITH (MODULUS 2, REMAINDER {m})")

    def part(self, parent, suffix, clause, below=""):
        """A partition, made in place or as a table with its columns in another order that is then attached."""
        if self.rng.random() < 0.2:
            self.create(self.table(suffix), below)
            self.add(f"ALTER TABLE {parent} ATTACH PARTITION {self.table(suffix)} {clause};")
        else:
            self.add(f"CREATE TABLE {self.table(suffix)} PARTITION OF {parent} {clause}{below};")

    def inherited(self, rows):
        """A parent, two children, a grandchild; one of them with columns in another order and one more."""
        self.create(self.table())
        self.add(f"CREATE TABLE {self.table('_1')} (extra int DEFAULT 1) INHERITS ({self.table()});")
        self.create(self.table("_2"))
        self.add(f"ALTER TABLE {self.table('_2')} INHERIT {self.table()};")
        self.add(f"CREATE TABLE {self.table('_11')} () INHERITS ({self.table('_1')});")
        return [(self.table(suffix), rows[n::4]) for n, suffix in enumerate(["", "_1", "_2", "_11"])]

    def view(self, layout, rows):
        """A view of one table, of two, or of a join; the table's columns have other names."""
        names = self.names
        self.names = {role: f"base_{role}" for role in names}
        bases = ["_base", "_base2"] if layout == "view of two" else ["_base"]
        for base in bases:
            self.create(self.table(base))
        columns = ", ".join(f"base.{self.column(role)} AS {quote(name)}" for role, name in names.items())
        if layout == "view of a join":
            self.add(f"CREATE TABLE {self.table('_other')} AS"
                     " SELECT n::smallint AS shard FROM generate_series(0, 2) AS n;")
            body = (f"SELECT {columns} FROM {self.table('_base')} AS base"
                    f" JOIN {self.table('_other')} AS other ON other.shard = base.{self.column('shard')}")
        else:
            body = " UNION ALL ".join(f"SELECT {columns} FROM {self.table(base)} AS base" for base in bases)
        self.add(f"CREATE {'MATERIALIZED ' if 'materialized' in layout else ''}VIEW {self.table()} AS {body};")
        return [(self.table(base), rows[n::len(bases)]) for n, base in enumerate(bases)]

    def indexes(self, tables):
        rng = self.rng
        tiers = [tier for tier in self.family.rule.tiers if tier.relation is self.relation]
        wanted = []
        for tier in tiers:
            roles = [role for role in tier.match if self.family.rule.keys[role].name != "long text"]
            if rng.random() < 0.4:
                wanted.append(f"({', '.join(self.column(role) for role in roles + [tier.time])})")
            if rng.random() < 0.7:
                wanted.append(self.touch_index(tier))
            if rng.random() < 0.1:
                wanted.append(f"USING hash ({self.column(rng.choice(tier.match))})")
        if rng.random() < 0.2:
            wanted.append(f"({self.column('time')})")
        if rng.random() < 0.1:
            wanted.append(f"USING brin ({self.column('time')})")
        if rng.random() < 0.1:
            wanted.append(f"({self.column('id')})")
        for table in tables:
            for definition in wanted:
                self.add(f"CREATE INDEX ON {table} {definition};")

    def touch_index(self, tier):
        """For rows with a key, sometimes; the key's columns in any order."""
        rng = self.rng
        match = [self.column(role) for role in rng.sample(tier.match, len(tier.match))]
        return (f"USING touch ({', '.join(match + [self.column(tier.time)])})"
                + rng.choice(["", " WITH (bucket_pages = 1)"])
                + rng.choice(["", "", " WHERE " + " AND ".join(f"{column} IS NOT NULL" for column in match)]))

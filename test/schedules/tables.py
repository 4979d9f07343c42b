"""The tables of a schedule: the SQL that makes them, and that of what is written to them."""

from clock import DAY, time_text
from schedule import literal, quote


def bounds(schedule, days):
    """The bounds of a partition as SQL literals, or MINVALUE."""
    return ["MINVALUE" if day is None else literal(time_text(schedule.day + day * DAY)) for day in days]


class Tables:
    def __init__(self, schedule):
        self.schedule = schedule
        self.detached = {("conversions", "p4")}

    def table(self, name):
        return f"{quote(self.schedule.schema)}.{quote(name)}"

    def part(self, table, leaf):
        """A partition; of a table without any, the table."""
        return self.table(f"{table.name}_{leaf}" if table.partitioned else table.name)

    def is_divided(self, table, leaf):
        """Whether a partition is partitioned again, by kind."""
        return (table.name, leaf) == ("conversions", "p2") and table.partitioned and not table.unique

    def make(self, table):
        name, device = self.table(table.name), self.schedule.device_type
        types = {table.id: table.id_type, table.time: "timestamptz", "device": device, "gadget": device,
                 "amount": "numeric", "score": "int", "reach": "interval", "cost": "numeric"}
        columns = [f"{column} {types.get(column, 'text')}" for column in table.columns]
        ids = f"{table.id}, {table.time}" if table.partitioned else table.id
        unique = [f"UNIQUE ({ids})"] if table.unique else []
        statements = [f"CREATE TABLE {name} ({', '.join(columns + unique)})"
                      f"{f' PARTITION BY RANGE ({table.time})' if table.partitioned else ''};"]
        for leaf, days in table.days.items() if table.partitioned else []:
            part = self.part(table, leaf)
            if (table.name, leaf) in self.detached:
                # Its columns have another order, and a hole.
                statements += [f"CREATE TABLE {part} (hole int, {', '.join(columns[::-1] + unique)});",
                               f"ALTER TABLE {part} DROP COLUMN hole;"]
                continue
            since, until = bounds(self.schedule, days)
            below = " PARTITION BY LIST (kind)" if self.is_divided(table, leaf) else ""
            statements.append(
                f"CREATE TABLE {part} PARTITION OF {name} FOR VALUES FROM ({since}) TO ({until}){below};")
            if below:
                statements += [
                    f"CREATE TABLE {self.part(table, leaf + '_a')} PARTITION OF {part} FOR VALUES IN ('install');",
                    f"CREATE TABLE {self.part(table, leaf + '_b')} PARTITION OF {part} DEFAULT;"]
        if table.partitioned:
            statements.append(f"CREATE TABLE {self.part(table, 'default')} PARTITION OF {name} DEFAULT;")
        if self.schedule.number % 3:         # the others are left to plain SQL
            keys = {tuple(tier.match) for rule in self.schedule.rules for tier in rule.tiers if tier.table == table.name}
            statements += [f"CREATE INDEX ON {name} USING touch ({', '.join(key)}, {table.time}) WITH (bucket_pages = 1);"
                           for key in sorted(keys)]
        if self.schedule.number % 3 and not table.is_touch:
            filtered = self.schedule.number % 2
            keys = {(", ".join(f"({part})" for part in rule.installation_key), rule.filter.replace("conversion.", "") if filtered and rule.filter else None)
                    for rule in self.schedule.rules if rule.installation_key}
            statements += [f"CREATE INDEX ON {name} USING touch ({key}, {table.time})" + (f" WHERE {condition};" if condition else ";")
                           for key, condition in sorted(keys, key=str)]
            if self.schedule.number % 3 == 1:      # runs find the times of ids by it
                statements.append(f"CREATE INDEX ON {name} USING touch ({table.id}, {table.time});")
        return "\n".join(statements)

    def leaf(self, table, row):
        """The table that a row belongs in, attached or not."""
        time = row[table.time]
        for leaf, days in table.days.items() if table.partitioned and time is not None else []:
            since, until = (bound.strip("'") for bound in bounds(self.schedule, days))
            # The text of times of our era sorts like the times.
            is_bc = time.endswith("BC")
            if (is_bc or time < until) and (since == "MINVALUE" or not is_bc and time >= since):
                if self.is_divided(table, leaf):
                    leaf += "_a" if row["kind"] == "install" else "_b"
                return self.part(table, leaf)
        return self.part(table, "default")

    # Writes

    def write(self, write, of_session=False):
        """SQL of a write, a statement a line. `of_session`: for psql -c, without COPY."""
        sql = getattr(self, "write_" + write.what)(write, self.schedule.tables[write.table], of_session)
        if write.way == "replica":
            return f"SET session_replication_role = replica;\n{sql}\nRESET session_replication_role;\n"
        return sql + "\n"

    def target(self, write, table):
        return self.table(write.leaf or table.name)

    def values(self, table, row):
        return f"({', '.join(literal(row[column]) for column in table.columns)})"

    def write_insert(self, write, table, of_session):
        places = {}
        for row in write.rows:
            place = self.leaf(table, row) if "leaf" in write.way else self.table(table.name)
            places.setdefault(place, []).append(row)
        if "copy" in write.way and not of_session and not table.unique:
            return "\n".join(self.copy(place, table, rows) for place, rows in places.items())
        ending = " ON CONFLICT DO NOTHING" if table.unique else ""
        return "\n".join(f"INSERT INTO {place} ({', '.join(table.columns)}) VALUES "
                         f"{', '.join(self.values(table, row) for row in rows)}{ending};"
                         for place, rows in places.items())

    def copy(self, place, table, rows):
        lines = ["\t".join(r"\N" if row[c] is None else row[c].replace("\\", r"\\") for c in table.columns) + "\n"
                 for row in rows]
        return f"COPY {place} ({', '.join(table.columns)}) FROM STDIN;\n{''.join(lines)}\\."

    def write_upsert(self, write, table, of_session):
        if not table.unique:
            return self.write_insert(write, table, of_session)
        keys = [table.id, table.time] if table.partitioned else [table.id]
        sets = ", ".join(f"{c} = excluded.{c}" for c in table.columns if c not in keys)
        return "\n".join(
            f"INSERT INTO {self.table(table.name)} ({', '.join(table.columns)}) VALUES {self.values(table, row)}"
            f" ON CONFLICT ({', '.join(keys)}) DO UPDATE SET {sets};" for row in write.rows)

    def one(self, write, table):
        """The condition for one row of an id."""
        return (f"(tableoid, ctid) IN (SELECT tableoid, ctid FROM {self.target(write, table)}"
                f" WHERE {table.id} = {literal(write.id)} ORDER BY {table.time}, tableoid, ctid LIMIT 1)")

    def write_update(self, write, table, of_session):
        where = self.one(write, table) if write.way == "one" else f"{table.id} = {literal(write.id)}"
        sets = ", ".join(f"{column} = {literal(value)}" for column, value in write.set.items())
        update = f"UPDATE {self.target(write, table)} SET {sets} WHERE {where};"
        if table.unique and {table.id, table.time} & set(write.set):
            return f"DO $do$ BEGIN {update} EXCEPTION WHEN unique_violation THEN NULL; END $do$;"
        return update

    def write_delete(self, write, table, of_session):
        return f"DELETE FROM {self.target(write, table)} WHERE {table.id} = {literal(write.id)};"

    def write_one(self, write, table, of_session):
        return f"DELETE FROM {self.target(write, table)} WHERE {self.one(write, table)};"

    def write_refused(self, write, table, of_session):
        return (f"DO $do$ BEGIN INSERT INTO {self.table(table.name)} ({', '.join(table.columns)})"
                f" VALUES {self.values(table, write.rows[0])}; RAISE 'not refused';"
                f" EXCEPTION WHEN {write.error} THEN NULL; END $do$;")

    # Partitions

    def attach(self, table, leaf):
        part, rest = self.part(table, leaf), self.part(table, "default")
        since, until = bounds(self.schedule, table.days[leaf])
        # The default partition has what came in the meantime.
        within = f"{table.time} < {until}" + ("" if since == "MINVALUE" else f" AND {table.time} >= {since}")
        columns = ", ".join(table.columns)
        return (f"INSERT INTO {part} ({columns}) SELECT {columns} FROM {rest} WHERE {within}"
                f"{' ON CONFLICT DO NOTHING' if table.unique else ''};\nDELETE FROM {rest} WHERE {within};\n"
                f"ALTER TABLE {self.table(table.name)} ATTACH PARTITION {part}"
                f" FOR VALUES FROM ({since}) TO ({until});")

    def detach(self, table, leaf):
        return f"ALTER TABLE {self.table(table.name)} DETACH PARTITION {self.part(table, leaf)};"

    def drop(self, table, leaf):
        """The partition goes; an empty table of its name takes its place, to be attached some day."""
        part = self.part(table, leaf)
        return f"DROP TABLE {part};\nCREATE TABLE {part} (LIKE {self.table(table.name)} INCLUDING ALL);"

    def replace(self, table, leaf):
        """A detached partition gives way to a copy."""
        part, copied, columns = self.part(table, leaf), self.table("copied"), ", ".join(table.columns)
        return (f"CREATE TABLE {copied} (LIKE {self.table(table.name)} INCLUDING ALL);\n"
                f"INSERT INTO {copied} ({columns}) SELECT {columns} FROM {part};\n"
                f"DROP TABLE {part};\nALTER TABLE {copied} RENAME TO {quote(f'{table.name}_{leaf}')};")

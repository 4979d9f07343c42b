"""Who writes touchpoints and conversions: short and long transactions, savepoints, rollbacks, prepared ones; by INSERT and
COPY, into tables and straight into their partitions."""

import io

import psycopg2

from client import FAULTS, Client, is_lost
from clock import DAY, HOUR, MINUTE, time_text
from world import PEOPLE, SCHEMA, TABLES

# Another row is there; a partition is detached or dropped; one is attached for a row on its way into the default one; the
# row was moved to another partition meanwhile.
WRITING = FAULTS | {"23505", "42P01", "23514", "40001"}
# How transactions end, and how many do so.
ENDINGS = {"short": 60, "commit": 15, "rollback": 10, "savepoint": 10, "prepare": 0.5}
# Long ones are another writer's matter: what they lock, nobody else can lock for long.
LONG = {**ENDINGS, "long": 1, "long rollback": 0.5}


class Writer(Client):
    application = "writer"
    expected = WRITING

    def __init__(self, *arguments):
        super().__init__(*arguments)
        self.transactions = self.rows = 0
        self.ids = None              # table -> those of the rows that the open transaction inserts
        self.floor = None

    def turn(self, cursor):
        """One transaction."""
        endings = LONG if self.number == 1 else ENDINGS
        ending = self.rng.choices(list(endings), endings.values())[0]
        self.transactions += 1
        transaction = (self.name, self.transactions)
        self.ids = {table: [] for table in TABLES}
        asked = None
        try:
            cursor.execute("BEGIN")
            # Days stay above the floor as long as this transaction is open.
            cursor.execute("SELECT extract(epoch FROM day)::bigint * 1000000 FROM chaos.floor FOR SHARE")
            self.floor = cursor.fetchone()[0]
            cursor.execute("INSERT INTO chaos.ledger VALUES (%s, %s)", transaction)
            self.write(cursor, 1 if ending == "short" else self.rng.randint(2, 5))
            if ending == "savepoint":
                self.subtransactions(cursor)
            if ending.startswith("long") or ending == "prepare":
                self.change_some(cursor)
            if ending.startswith("long"):
                # Longer than a conversion stays open, of the one rule or of both.
                self.pause(0.5, 5)
                self.write(cursor, 2)
            if ending.endswith("rollback"):
                cursor.execute("ROLLBACK")
                self.world.rolled_back(transaction, self.ids)
            elif ending == "prepare":
                gid = f"{self.name} {self.transactions}"
                self.world.prepared[gid] = (transaction, self.ids)
                asked = "PREPARE TRANSACTION %s"
                cursor.execute(asked, (gid,))
            else:
                asked = "COMMIT"
                cursor.execute(asked)
                self.world.committed(transaction, self.ids)
        except psycopg2.Error as error:
            # What was asked for may have been done though nobody says so.
            if asked and is_lost(error):
                self.world.doubtful()
            else:
                self.world.rolled_back(transaction, self.ids)
            raise
        self.world.endings[ending] += 1
        self.pause(0, 0.02)

    def subtransactions(self, cursor):
        """What comes after a savepoint is taken back, or is not; and once more within it."""
        for depth in range(self.rng.randint(1, 3)):
            outer, self.ids = self.ids, {table: [] for table in TABLES}
            cursor.execute(f"SAVEPOINT s{depth}")
            self.write(cursor, self.rng.randint(1, 3))
            if self.rng.random() < 0.5:
                cursor.execute(f"ROLLBACK TO s{depth}")
                self.world.undone_ids.update(self.ids["conversions"])
            else:
                if self.rng.random() < 0.5:
                    cursor.execute(f"RELEASE s{depth}")
                for table, ids in self.ids.items():
                    outer[table].extend(ids)
            self.ids = outer
        self.write(cursor, 1)

    # Statements

    def write(self, cursor, statements):
        rng = self.rng
        for _ in range(statements):
            what = rng.choices(["touches", "conversions", "both", "change", "delete", "again"], [30, 30, 20, 14, 4, 2])[0]
            if what in ("touches", "both"):
                self.insert(cursor, rng.choice(["clicks", "clicks", "impressions"]))
            if what in ("conversions", "both"):
                self.insert(cursor, "conversions")
            if what in ("change", "delete", "again"):
                table = rng.choice(["conversions", "conversions", "clicks", "impressions"])
                if self.world.recent[table]:
                    getattr(self, what)(cursor, TABLES[table], rng.choice(self.world.recent[table]))

    def person(self):
        """Somebody who is about now, or sometimes was a while ago; and the day that is theirs."""
        world, rng = self.world, self.rng
        now = world.round
        if rng.random() < 0.01:
            now = rng.randint(max(0, now - 3 * world.rounds_per_day), now)
        day = world.day(now)
        if rng.random() < 0.01:
            day += DAY               # for which there may not be a partition yet
        if day < self.floor:
            now, day = world.round, world.day()
        return now * PEOPLE + rng.randrange(PEOPLE), max(day, self.floor)

    def row(self, table):
        rng = self.rng
        person, day = self.person()
        self.rows += 1
        self.ids[table].append(f"{table[:2]}-{self.number}-{self.rows}")
        common = {
            "ip": f"10.{person // 3}" if rng.random() < 0.9 else None, "agent": f"a{person % 2}", "app": f"app{person % 2}",
            "score": str(rng.randint(0, 9))}
        device = f"d{person}" if rng.random() < 0.8 else rng.choice([None, ""])
        if table == "conversions":
            time = day + 12 * HOUR + rng.randrange(12 * 60) * MINUTE
            return {**common, "conversion_id": self.ids[table][-1], "happened_at": time_text(time), "device": device,
                    "kind": rng.choice(["install", "install", "purchase", "open"]), "amount": str(rng.randint(1, 999)),
                    "note": None}
        time = day + rng.randrange(24 * 60) * MINUTE
        return {**common, "touch_id": self.ids[table][-1], "touched_at": time_text(time), "gadget": device, "kind": None,
                "reach": None, "network": rng.choice(["acme", "zeta", "Éclair", None]), "campaign": f"c{rng.randint(1, 5)}",
                "cost": f"0.{rng.randint(10, 99)}"}

    def insert(self, cursor, table):
        rows = [self.row(table) for _ in range(self.rng.choice([1, 1, 2, 3, 10]))]
        way = self.rng.choice(["insert", "insert", "replica", "copy", "leaf", "copy leaf"])
        columns, places = TABLES[table].columns, {}
        for row in rows:
            day = row[TABLES[table].time][:10].replace("-", "")
            places.setdefault(f"{table}_{day}" if "leaf" in way else table, []).append([row[c] for c in columns])
        if way == "replica":
            cursor.execute("SET LOCAL session_replication_role = replica")
        for place, values in places.items():
            if "copy" in way:
                lines = ("\t".join(r"\N" if value is None else value for value in row) + "\n" for row in values)
                cursor.copy_expert(f"COPY {SCHEMA}.{place} ({', '.join(columns)}) FROM STDIN",
                                   io.BytesIO("".join(lines).encode()))
            else:
                one = f"({', '.join(['%s'] * len(columns))})"
                cursor.execute(f"INSERT INTO {SCHEMA}.{place} ({', '.join(columns)}) VALUES "
                               + ", ".join([one] * len(values)), [value for row in values for value in row])
        if way == "replica":
            cursor.execute("SET LOCAL session_replication_role = origin")

    def above_floor(self, table, id_):
        return f"WHERE {table.id} = %s AND {table.time} >= %s", [id_, time_text(self.floor)]

    def change(self, cursor, table, id_):
        """Another device, value or time; sometimes of another day, so that the row moves to another partition."""
        rng = self.rng
        device = "gadget" if table.is_touch else "device"
        choices = [(device, f"d{self.person()[0]}"), ("score", str(rng.randint(0, 9)))]
        choices += [("network", "late")] if table.is_touch else [
            ("amount", str(rng.randint(1000, 9999))), ("kind", rng.choice(["install", "purchase", "open"]))]
        if rng.random() < 0.2:
            day = self.person()[1] if rng.random() < 0.3 else self.world.day()
            choices = [(table.time, time_text(max(day, self.floor) + 12 * HOUR + rng.randrange(12 * 60) * MINUTE))]
        column, value = rng.choice(choices)
        where, parameters = self.above_floor(table, id_)
        cursor.execute(f"UPDATE {SCHEMA}.{table.name} SET {column} = %s {where}", [value, *parameters])

    def change_some(self, cursor):
        """Of the last ones, so that most are open."""
        for id_ in list(self.world.recent["conversions"])[-10:]:
            self.change(cursor, TABLES["conversions"], id_)

    def delete(self, cursor, table, id_):
        where, parameters = self.above_floor(table, id_)
        cursor.execute(f"DELETE FROM {SCHEMA}.{table.name} {where}", parameters)

    def again(self, cursor, table, id_):
        """The same id once more, at another time, perhaps of another day."""
        where, parameters = self.above_floor(table, id_)
        others = ", ".join(column for column in table.columns if column != table.time)
        later = self.rng.choice(["'1 day'", f"CASE WHEN extract(hour FROM {table.time}) < 18 THEN '1 minute' ELSE '-1 minute' END"])
        cursor.execute(f"INSERT INTO {SCHEMA}.{table.name} ({others}, {table.time})"
                       f" SELECT {others}, {table.time} + ({later})::interval FROM {SCHEMA}.{table.name} {where} LIMIT 1",
                       parameters)


class Resolver(Client):
    """Who ends prepared transactions, some time later."""

    application = "resolver"

    def turn(self, cursor):
        cursor.execute("SELECT gid FROM pg_prepared_xacts WHERE prepared < clock_timestamp() - interval '500 milliseconds'"
                       " ORDER BY prepared")
        for gid, in cursor.fetchall():
            resolve(self.world, cursor, gid, self.rng.choice(["COMMIT", "COMMIT", "ROLLBACK"]))
        self.pause(0.1, 0.6)


def resolve(world, cursor, gid, ending):
    try:
        cursor.execute(f"{ending} PREPARED %s", (gid,))
    except psycopg2.Error as error:
        if is_lost(error):
            world.doubtful()
        raise
    (world.committed if ending == "COMMIT" else world.rolled_back)(*world.prepared[gid])
    world.endings[f"{ending.lower()} prepared"] += 1

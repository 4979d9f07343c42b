"""The psql script of one schedule: make it, do the operations, check what is stored.

Its output: `check|name` as a step begins, `diff|check|...` for everything that is wrong, `done|check|...` for a check that
has ended. Other sessions are psql processes that the script starts; nothing is timed, and nobody sleeps.
"""

import copy
import shlex
from dataclasses import replace

import changes
import checks
from clock import DAY, HOUR, interval_micros, interval_text, time_text
from schedule import CONVERSION_NAMES, bounds, literal, quote

PRELUDE = r"""\set ON_ERROR_STOP on
\set QUIET on
\set VERBOSITY verbose
\set SHOW_CONTEXT always
\pset format unaligned
\pset tuples_only on
SET client_min_messages = error;
SET TimeZone = 'UTC';
SET jit = off;
-- Nobody should have to wait for another session that long; where something hangs, this ends it.
SET statement_timeout = '60s';
SET lock_timeout = '5s';
-- For the other sessions.
\setenv PGDATABASE :DBNAME
\setenv PGOPTIONS '-c client_min_messages=error -c lock_timeout=5s -c statement_timeout=60s -c timezone=UTC'
"""

# Looks for a session that is at its CALL, some more times for it to get on, and ends it. A look takes some microseconds.
KILL = """DO $do$ DECLARE looks int := 0; BEGIN FOR i IN 1 .. 5000 LOOP
    PERFORM pg_stat_clear_snapshot();
    looks := looks + (SELECT count(*) FROM pg_stat_activity WHERE application_name = 'victim'
                      AND datname = current_database() AND state = 'active' AND query LIKE 'CALL%');
    IF looks > {looks} THEN
        PERFORM pg_{ending}_backend(pid) FROM pg_stat_activity WHERE application_name = 'victim' AND datname = current_database();
        EXIT;
    END IF;
END LOOP; END $do$""".replace("\n", " ")


def script(schedule, prepared=True):
    """`prepared`: the server takes prepared transactions; otherwise they end at once."""
    return _Script(schedule, prepared).text()


class _Script:
    def __init__(self, schedule, prepared):
        self.schedule = schedule
        self.can_prepare = prepared
        self.rules = copy.deepcopy(schedule.rules)        # as they are at this point of the script
        self.now = 0                                      # the virtual clock: microseconds ahead of the real one
        self.prepared = []                                # (name, table -> ids it may have locked)
        self.detached = {("conversions", "p4")}
        self.ran_at = 0                                   # that clock at the last run
        self.known = set()                                # rules that have seen all tables as they are
        self.parts = [PRELUDE]

    def add(self, *sql):
        self.parts.extend(part if part.endswith("\n") else part + "\n" for part in sql if part)

    def text(self):
        schedule = self.schedule
        self.step("setup")
        self.add(checks.SETUP, f"CREATE SCHEMA {quote(schedule.schema)};")
        for table in schedule.tables.values():
            self.make_table(table)
        if schedule.mode == "closing":
            self.add(changes.setup(schedule))
        for write in schedule.before:
            if write.what != "refused":
                self.add(self.write(write))
        for rule in self.rules:
            self.make_rule(rule)
        for n, operation in enumerate(schedule.operations):
            self.step(f"{n} {operation.kind} {operation.ending}".rstrip())
            getattr(self, "do_" + operation.kind)(operation)
        self.finish()
        return "".join(self.parts)

    def step(self, name):
        self.add(f"\\echo check|{name}")
        self.check = name

    # Tables and rules

    def table(self, name):
        return f"{quote(self.schedule.schema)}.{quote(name)}"

    def make_table(self, table):
        name = self.table(table.name)
        device = self.schedule.device_type
        types = {table.id: table.id_type, table.time: "timestamptz", "device": device, "gadget": device, "amount": "numeric",
                 "score": "int", "reach": "interval", "cost": "numeric"}
        columns = [f"{column} {types.get(column, 'text')}" for column in table.columns]
        ids = f"{table.id}, {table.time}" if table.partitioned else table.id
        unique = [f"UNIQUE ({ids})"] if table.unique else []
        self.add(f"CREATE TABLE {name} ({', '.join(columns + unique)})"
                 f"{f' PARTITION BY RANGE ({table.time})' if table.partitioned else ''};")
        if not table.partitioned:
            return
        for leaf, days in table.days.items():
            part = self.table(f"{table.name}_{leaf}")
            if (table.name, leaf) in self.detached:
                # Its columns have another order, and a hole.
                self.add(f"CREATE TABLE {part} (hole int, {', '.join(columns[::-1] + unique)});",
                         f"ALTER TABLE {part} DROP COLUMN hole;")
                continue
            below = " PARTITION BY LIST (kind)" if (table.name, leaf) == ("conversions", "p2") and not unique else ""
            since, until = bounds(self.schedule, days)
            self.add(f"CREATE TABLE {part} PARTITION OF {name} FOR VALUES FROM ({since}) TO ({until}){below};")
            if below:
                self.add(f"CREATE TABLE {self.table(table.name + '_p2_a')} PARTITION OF {part} FOR VALUES IN ('install');",
                         f"CREATE TABLE {self.table(table.name + '_p2_b')} PARTITION OF {part} DEFAULT;")
        self.add(f"CREATE TABLE {self.table(table.name + '_default')} PARTITION OF {name} DEFAULT;")

    def leaf(self, table, row):
        """The table that a row belongs in, attached or not."""
        if not table.partitioned:
            return table.name
        time = row[table.time]
        for leaf, days in table.days.items():
            since, until = (bound.strip("'") for bound in bounds(self.schedule, days))
            # The text of times of our era sorts like the times.
            before = time is not None and (time.endswith("BC") or time < until)
            after = time is not None and (since == "MINVALUE" or (time >= since and not time.endswith("BC")))
            if before and after:
                if (table.name, leaf) == ("conversions", "p2") and not table.unique:
                    return f"conversions_p2_{'a' if row['kind'] == 'install' else 'b'}"
                return f"{table.name}_{leaf}"
        return f"{table.name}_default"

    def make_rule(self, rule):
        def names(some):
            return f"ARRAY[{', '.join(map(literal, some))}]::name[]"

        arguments = {
            "rule": literal(rule.name), "conversions": literal(self.table("conversions")) + "::regclass",
            "id_column": "'conversion_id'", "time_column": "'happened_at'", "path": literal(rule.path),
            "model": literal(rule.model), "carry": names(rule.carry),
            "installation_key": f"ARRAY[{', '.join(map(literal, rule.installation_key))}]::text[]",
            "reattribution_window": f"interval {literal(rule.window)}",
            "allowed_lateness": f"interval {literal(rule.lateness)}", "settlement": f"interval {literal(rule.settlement)}"}
        if rule.filter:
            arguments["filter"] = literal(rule.filter)
        if rule.empty is not None:
            arguments["empty"] = f"ARRAY[{', '.join(map(literal, rule.empty))}]::text[]"
        if rule.value:
            arguments["value_column"] = "'amount'"
        if rule.kept:
            stored = checks.Stored(self.schedule, rule)
            self.add(f"CREATE SCHEMA IF NOT EXISTS {quote(stored.place)};")
            arguments.update(decisions=literal(stored.decisions), credits=literal(stored.credits))
        self.call("create_rule", arguments)
        for tier in rule.tiers:
            arguments = {
                "rule": literal(rule.name), "tier": literal(tier.name),
                "touchpoints": literal(self.table(tier.table)) + "::regclass", "match": names(tier.match),
                "conversion_match": names(self.theirs(tier.match)), "lookback": f"interval {literal(tier.lookback)}",
                "conflict": names(tier.conflict), "conversion_conflict": names(self.theirs(tier.conflict)),
                "id_column": "'touch_id'", "time_column": "'touched_at'", "skew": f"interval {literal(tier.skew)}",
                "strict": str(tier.strict).lower()}
            if tier.filter:
                arguments["filter"] = literal(tier.filter)
            if tier.predicate:
                arguments["predicate"] = literal(tier.predicate)
            if tier.own_lookback:
                arguments["lookback_column"] = "'reach'"
            self.call("add_tier", arguments)
        self.call("activate", {"rule": literal(rule.name)})

    @staticmethod
    def theirs(columns):
        return [CONVERSION_NAMES.get(column, column) for column in columns]

    def call(self, function, arguments):
        self.add(f"SELECT attribution.{function}({', '.join(f'{k} => {v}' for k, v in arguments.items())}) \\g /dev/null")

    # Writes

    def write(self, write, of_session=False):
        """SQL of a write; nothing if it would wait for a prepared transaction. `of_session`: for psql -c, without COPY."""
        if any(write.ids() & locked.get(write.table, set()) for _, locked in self.prepared):
            return ""
        sql = getattr(self, "write_" + write.what)(write, self.schedule.tables[write.table], of_session)
        if write.way == "replica":
            return f"SET session_replication_role = replica;\n{sql}\nRESET session_replication_role;\n"
        return sql + "\n"

    def write_insert(self, write, table, of_session):
        places = {}
        for row in write.rows:
            places.setdefault(self.leaf(table, row) if "leaf" in write.way else table.name, []).append(row)
        if "copy" in write.way and not of_session and not table.unique:
            return "\n".join(self.copy(place, table, rows) for place, rows in places.items())
        ending = " ON CONFLICT DO NOTHING" if table.unique else ""
        return "\n".join(f"INSERT INTO {self.table(place)} ({', '.join(table.columns)}) VALUES "
                         f"{', '.join(self.values(table, row) for row in rows)}{ending};" for place, rows in places.items())

    def copy(self, place, table, rows):
        lines = ["\t".join(r"\N" if row[c] is None else row[c].replace("\\", r"\\") for c in table.columns) for row in rows]
        return (f"COPY {self.table(place)} ({', '.join(table.columns)}) FROM STDIN;\n"
                + "".join(line + "\n" for line in lines) + "\\.")

    def values(self, table, row):
        return f"({', '.join(literal(row[column]) for column in table.columns)})"

    def write_upsert(self, write, table, of_session):
        if not table.unique:
            return self.write_insert(write, table, of_session)
        keys = [table.id, table.time] if table.partitioned else [table.id]
        sets = ", ".join(f"{c} = excluded.{c}" for c in table.columns if c not in keys)
        return "\n".join(f"INSERT INTO {self.table(table.name)} ({', '.join(table.columns)}) VALUES {self.values(table, row)}"
                         f" ON CONFLICT ({', '.join(keys)}) DO UPDATE SET {sets};" for row in write.rows)

    def one(self, write, table):
        return (f"(tableoid, ctid) IN (SELECT tableoid, ctid FROM {self.table(write.leaf or table.name)}"
                f" WHERE {table.id} = {literal(write.id)} ORDER BY {table.time}, tableoid, ctid LIMIT 1)")

    def write_update(self, write, table, of_session):
        where = self.one(write, table) if write.way == "one" else f"{table.id} = {literal(write.id)}"
        sets = ", ".join(f"{column} = {literal(value)}" for column, value in write.set.items())
        update = f"UPDATE {self.table(write.leaf or table.name)} SET {sets} WHERE {where};"
        if table.unique and {table.id, table.time} & set(write.set):
            return f"DO $do$ BEGIN {update} EXCEPTION WHEN unique_violation THEN NULL; END $do$;"
        return update

    def write_delete(self, write, table, of_session):
        return f"DELETE FROM {self.table(write.leaf or table.name)} WHERE {table.id} = {literal(write.id)};"

    def write_one(self, write, table, of_session):
        return f"DELETE FROM {self.table(write.leaf or table.name)} WHERE {self.one(write, table)};"

    def write_refused(self, write, table, of_session):
        insert = f"INSERT INTO {self.table(table.name)} ({', '.join(table.columns)}) VALUES {self.values(table, write.rows[0])};"
        return (f"DO $do$ BEGIN {insert} RAISE 'not refused'; EXCEPTION WHEN {write.error} THEN NULL; END $do$;")

    # Operations

    def do_write(self, operation):
        self.add(*(self.write(write) for write in operation.writes))

    def do_transaction(self, operation):
        """Some writes in one transaction. `ending` is how it ends; during: a run of another session comes before."""
        writes = [sql for sql in (self.write(write) for write in operation.writes) if sql]
        ending = operation.ending
        if ending in ("prepare", "during"):
            self.settle()
        if ending == "savepoint":
            self.add("BEGIN;", *writes[:1], "SAVEPOINT s;", *writes[1:], "ROLLBACK TO s;", *writes[2:], "COMMIT;")
        elif ending == "prepare" and self.can_prepare:
            name = f"{self.schedule.schema} {len(self.parts)}"
            locked = {}
            for write in operation.writes:
                locked.setdefault(write.table, set()).update(write.ids())
            self.add("BEGIN;", *writes, f"PREPARE TRANSACTION {literal(name)};")
            self.prepared.append((name, locked))
        elif ending == "during":
            self.now += operation.later
            self.note(self.rules[operation.rule], self.as_of())
            self.add("BEGIN;", *writes)
            self.sessions([self.run_calls("run", self.rules[operation.rule], "10000")])
            self.add("COMMIT;")
        else:
            self.add("BEGIN;", *writes, "ROLLBACK;" if ending == "rollback" else "COMMIT;")

    def settle(self):
        """Rules look through tables that they don't know; what they find there may have to wait for its writer."""
        for n in set(range(len(self.rules))) - self.known:
            if not self.prepared:
                self.called("run", self.rules[n])

    def do_resolve(self, operation):
        """The oldest prepared transaction is committed or rolled back."""
        if self.prepared:
            name, _ = self.prepared.pop(0)
            self.add(f"{operation.ending} PREPARED {literal(name)};")

    def as_of(self):
        return f"now() + interval {literal(interval_text(self.now))}"

    def note(self, rule, as_of):
        """A run begins: what has changed so far has changed before it."""
        if self.schedule.mode == "closing":
            self.add(changes.note_run(self.schedule, rule, as_of))

    def run_calls(self, procedure, rule, batch_size):
        return [f"SET attribution.batch_size = {batch_size};",
                f"CALL attribution.{procedure}({literal(rule.name)}, as_of => {self.as_of()});"]

    def do_run(self, operation):
        """A run at the virtual time; if that doesn't move on, at the clock's."""
        self.now += operation.later
        rule = self.rules[operation.rule]
        if operation.later:
            self.called("run", rule)
        else:
            self.known.add(operation.rule)
            self.ran_at = 0
            self.note(rule, "clock_timestamp()")
            self.add("SELECT clock_timestamp() AS as_of \\gset", f"CALL attribution.run({literal(rule.name)});")
        self.after_run(rule)

    def called(self, procedure, rule, *arguments):
        self.known.add(self.rules.index(rule))
        self.ran_at = self.now
        self.note(rule, self.as_of())
        self.add(f"SELECT {self.as_of()} AS as_of \\gset",
                 f"CALL attribution.{procedure}({', '.join([literal(rule.name), *arguments])}, as_of => :'as_of');")

    def after_run(self, rule):
        if not self.prepared:
            self.add(checks.decided(self.schedule, rule, f"{self.check}: still due", ":'as_of'"))
            if self.ran_at >= interval_micros(rule.settlement):
                self.add(checks.seen(self.schedule, rule, f"{self.check}: own rows"))
        self.add(checks.sound(self.schedule, rule, self.check), checks.record(self.schedule, rule))

    def do_together(self, operation):
        """Sessions at the same time: runs, of which one may be killed; sometimes one that truncates a leaf, then writes."""
        self.now += operation.later
        sessions = []
        for procedure, rule, batch_size in operation.parts:
            if procedure == "reattribute" and self.prepared:
                procedure = "run"
            self.note(self.rules[rule], self.as_of())
            sessions.append(self.run_calls(procedure, self.rules[rule], batch_size))
        writes = [sql for sql in (self.write(write, True) for write in operation.writes) if sql]
        writer = []
        table = self.schedule.conversions
        if operation.leaf and not self.prepared:
            self.known.clear()
            writer.append(f"TRUNCATE {self.table(f'{table.name}_{operation.leaf}' if table.partitioned else table.name)};")
        if writes:
            writer += ["BEGIN;", *(part for sql in writes for part in sql.strip().split("\n")), "COMMIT;"]
        self.sessions(sessions + ([writer] if writer else []), operation.value)
        for rule in self.rules:
            self.add(checks.sound(self.schedule, rule, self.check), checks.record(self.schedule, rule))

    def sessions(self, sessions, kill=""):
        """psql processes side by side, each with its commands; what they complain of is a difference.

        kill: cancel or terminate the first when it has been at its CALL for a number of looks, as "cancel 100".
        """
        processes = []
        for commands in sessions:
            options = " ".join("-c " + shlex.quote(command) for command in commands)
            processes.append(f"psql -X -q -v ON_ERROR_STOP=1 {options} 2>&1 >/dev/null </dev/null"
                             f" | sed {shlex.quote(f's/^/diff|{self.check}|/')}")
        if kill:
            ending, looks = kill.split()
            options = " ".join("-c " + shlex.quote(command) for command in sessions[0])
            processes[0] = f"PGAPPNAME=victim psql -X -q -v ON_ERROR_STOP=1 {options} >/dev/null 2>&1 </dev/null"
            processes.append(f"psql -X -q -c {shlex.quote(KILL.format(ending=ending, looks=looks))} >/dev/null </dev/null")
        self.add("\\! " + " & ".join(processes) + (" & wait" if len(processes) > 1 else ""))

    def do_reattribute(self, operation):
        """Of a range of time."""
        if self.prepared:
            return
        self.now += operation.later
        since, until = map(literal, operation.times)
        self.called("reattribute", self.rules[operation.rule], f"since => {since}", f"until => {until}")
        self.after_run(self.rules[operation.rule])

    def do_reconcile(self, operation):
        if not self.prepared:
            rule = self.rules[operation.rule]
            self.note(rule, "clock_timestamp()")
            self.add(f"CALL attribution.reconcile({literal(rule.name)});")

    def do_checkpoint(self, operation):
        """Everything decided anew is what a batch over the data of this moment gives."""
        if self.prepared:
            return
        rule = self.rules[operation.rule]
        # What has just arrived has settled by then.
        self.now += operation.later + interval_micros(rule.settlement)
        self.called("reattribute", rule)
        self.after_run(rule)
        self.add(checks.right(self.schedule, rule, self.check))

    def do_setting(self, operation):
        self.add(f"SET attribution.{operation.value};")

    def do_version(self, operation):
        """A setting changes, the new version is activated, and everything is attributed anew."""
        if self.prepared:
            return
        rule = self.rules[operation.rule]
        name = {"rule": literal(rule.name)}
        settings = {}
        for setting, value in operation.change.items():
            if setting == "lookback":
                for tier in rule.tiers:
                    if tier.name == value[0]:
                        tier.lookback = value[1]
                        self.call("alter_tier", {**name, "tier": literal(tier.name), "lookback": f"interval {literal(value[1])}"})
            elif setting == "without":
                if len(rule.tiers) > 1 and value in [tier.name for tier in rule.tiers]:
                    rule.tiers = [tier for tier in rule.tiers if tier.name != value]
                    self.call("drop_tier", {**name, "tier": literal(value)})
            elif setting == "installation_key":
                rule.installation_key, rule.key_columns = value
                settings["installation_key"] = f"ARRAY[{', '.join(map(literal, value[0]))}]::text[]"
            elif setting == "carry":
                rule.carry = value
                settings["carry"] = f"ARRAY[{', '.join(map(literal, value))}]::name[]"
            elif setting == "value":
                rule.value = value
                settings["value_column"] = "'amount'" if value else "''"
            else:
                setattr(rule, setting, value)
                settings[{"window": "reattribution_window"}.get(setting, setting)] = literal(value)
        if settings:
            self.call("alter_rule", {**name, **settings})
        self.call("activate", name)
        self.known.clear()
        self.do_checkpoint(operation)

    def do_truncate(self, operation):
        """A leaf is emptied, or a whole table that has none; something may come in the same transaction."""
        if self.prepared:
            return
        table = self.schedule.tables[operation.table]
        leaf = f"{table.name}_{operation.leaf}" if table.partitioned else table.name
        self.known.clear()
        self.add("BEGIN;", f"TRUNCATE {self.table(leaf)};", *(self.write(write) for write in operation.writes),
                 "ROLLBACK;" if operation.ending == "rollback" else "COMMIT;")
        self.unseen()

    def unseen(self):
        """The data has changed without a trigger."""
        if self.schedule.mode == "closing":
            self.add(changes.note_change(self.schedule))

    def do_rewrite(self, operation):
        """All the rows of a table move to another file."""
        table = self.schedule.tables[operation.table]
        if not self.prepared:
            self.known.clear()
            self.add(f"VACUUM FULL {self.table(f'{table.name}_{operation.leaf}' if table.partitioned else table.name)};")

    def do_partition(self, operation):
        """A partition is detached or dropped; or one that is not attached is, with what it holds."""
        table = self.schedule.tables[operation.table]
        if self.prepared or not table.partitioned:
            return
        key = (table.name, operation.leaf)
        self.known.clear()
        self.add("BEGIN;")
        if key in self.detached:
            self.attach(table, operation.leaf)
        elif operation.ending == "drop" and operation.leaf != "p2":
            part = self.table(f"{table.name}_{operation.leaf}")
            self.add(f"DROP TABLE {part};", f"CREATE TABLE {part} (LIKE {self.table(table.name)} INCLUDING ALL);")
        else:
            self.detach(table, operation.leaf)
        if operation.ending == "rollback":
            self.add("ROLLBACK;")
        else:
            self.detached ^= {key}
            self.add("COMMIT;")
        self.unseen()

    def attach(self, table, leaf):
        part, rest = self.table(f"{table.name}_{leaf}"), self.table(f"{table.name}_default")
        since, until = bounds(self.schedule, table.days[leaf])
        # The default partition has what came in the meantime.
        within = f"{table.time} < {until}" + ("" if since == "MINVALUE" else f" AND {table.time} >= {since}")
        columns = ", ".join(table.columns)
        self.add(f"INSERT INTO {part} ({columns}) SELECT {columns} FROM {rest} WHERE {within}"
                 f"{' ON CONFLICT DO NOTHING' if table.unique else ''};",
                 f"DELETE FROM {rest} WHERE {within};",
                 f"ALTER TABLE {self.table(table.name)} ATTACH PARTITION {part} FOR VALUES FROM ({since}) TO ({until});")

    def detach(self, table, leaf):
        self.add(f"ALTER TABLE {self.table(table.name)} DETACH PARTITION {self.table(f'{table.name}_{leaf}')};")

    def do_offline(self, operation):
        """A partition is changed while it is detached, or gives way to a changed copy, and is back before anybody looks."""
        table = self.schedule.tables[operation.table]
        if self.prepared or not table.partitioned:
            return
        self.known.clear()
        if (table.name, operation.leaf) not in self.detached:
            self.detach(table, operation.leaf)
        self.detached.discard((table.name, operation.leaf))
        leaf = f"{table.name}_{operation.leaf}"
        if operation.ending == "copy" and operation.leaf != "p2":
            columns = ", ".join(table.columns)
            self.add(f"CREATE TABLE {self.table('copied')} (LIKE {self.table(table.name)} INCLUDING ALL);",
                     f"INSERT INTO {self.table('copied')} ({columns}) SELECT {columns} FROM {self.table(leaf)};",
                     f"DROP TABLE {self.table(leaf)};", f"ALTER TABLE {self.table('copied')} RENAME TO {quote(leaf)};")
        self.add(*(self.write(replace(write, leaf=leaf)) for write in operation.writes))
        self.attach(table, operation.leaf)
        self.unseen()

    # The end

    def retention(self):
        """Partitions go at their time, and no decision with them; no row of a conversion before the horizon makes another."""
        schedule, before = self.schedule, self.schedule.retention
        tables = [table for table in schedule.tables.values() if table.partitioned]
        if before is None or not tables:
            return
        self.step("retention")
        place = quote(schedule.schema)
        for rule in self.rules:
            self.add(checks.keep(schedule, rule))
            self.now += interval_micros(rule.settlement)
        for table in tables:
            horizon = literal(time_text(schedule.day + before * DAY))
            self.add(f"INSERT INTO attribution.partitioning (relation, granularity)"
                     f" VALUES ('{place}.{table.name}', '1 day') ON CONFLICT DO NOTHING;")
            self.call("drop_partitions", {"relation": f"'{place}.{table.name}'", "before": horizon})
            if not table.is_touch:
                self.add(self.repeated(horizon))
        for rule in self.rules:
            self.called("run", rule)
            self.add(f"CALL attribution.reconcile({literal(rule.name)});")
            self.called("reattribute", rule)
            self.now += interval_micros(rule.lateness) + DAY
            self.called("run", rule)
            self.add(checks.closed(schedule, rule, "open after retention"), checks.unchanged(schedule, rule, "retention"),
                     checks.sound(schedule, rule, self.check))

    def repeated(self, horizon):
        """Rows of conversions that all rules have decided, whose own rows are gone."""
        place, table = quote(self.schedule.schema), self.schedule.conversions
        gone = " INTERSECT ".join(
            f"SELECT conversion_id FROM {checks.Stored(self.schedule, rule).decisions} WHERE conversion_time <"
            f" (SELECT horizon FROM attribution.partitioning WHERE relation = '{place}.conversions'::regclass)"
            for rule in self.rules)
        return (f"INSERT INTO {place}.conversions (conversion_id, happened_at, kind, score)"
                f" SELECT conversion_id, {horizon}::timestamptz + interval '1 hour', 'install', 5 FROM ({gone}) AS gone"
                f"{' ON CONFLICT DO NOTHING' if table.unique else ''};")

    def finish(self):
        """Everything that is open is closed; then the decisions are those of the final data, whatever the way there."""
        self.step("end")
        while self.prepared:
            name, _ = self.prepared.pop()
            self.add(f"COMMIT PREPARED {literal(name)};")
        schedule, now = self.schedule, self.now
        for n, rule in enumerate(self.rules):
            self.step(f"end of rule {n}")
            self.now = now + interval_micros(rule.settlement) + HOUR
            self.called("reattribute" if schedule.mode == "free" else "run", rule)
            self.after_run(rule)
            self.now += interval_micros(rule.lateness) + DAY
            self.called("run", rule)
            self.after_run(rule)
            self.add(checks.closed(schedule, rule, "open at the end"))
            if schedule.mode == "closing":
                self.add(changes.right(schedule, rule, "what closed after the last change"))
                self.called("reattribute", rule)
                self.after_run(rule)
            self.add(checks.right(schedule, rule, "final"),
                     checks.recorded(schedule, rule, "as of"),
                     checks.keep(schedule, rule))
            self.now += DAY
            self.called("run", rule)
            self.add(f"CALL attribution.reconcile({literal(rule.name)});")
            self.called("reattribute", rule)
            self.add(checks.closed(schedule, rule, "open after a repetition"),
                     checks.unchanged(schedule, rule, "repetition"))
        self.retention()
        self.step("drop")
        for rule in self.rules:
            self.call("drop_rule", {"rule": literal(rule.name), "keep_decisions": "false"})
        self.add(f"DROP SCHEMA {quote(self.schedule.schema)} CASCADE;",
                 f"DROP SCHEMA IF EXISTS {quote(self.schedule.schema + ' kept')};")

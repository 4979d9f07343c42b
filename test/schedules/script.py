"""The psql script of one schedule: make it, do the operations, check what is stored.

Its output: `check|name` as a step begins, `diff|check|...` for everything that is wrong, `done|check|...` for a check
that has ended. Nothing is timed, and nobody sleeps.
"""

import copy
from dataclasses import replace

import changes
import checks
import rules
from clock import DAY, HOUR, interval_micros, interval_text, time_text
from schedule import literal, quote
from sessions import sessions
from tables import Tables

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
SET lock_timeout = '20s';
-- For the other sessions.
\setenv PGDATABASE :DBNAME
\setenv PGOPTIONS '-c client_min_messages=error -c lock_timeout=20s -c statement_timeout=60s -c timezone=UTC'
"""


def script(schedule, prepared=True):
    """`prepared`: the server takes prepared transactions; otherwise they end at once."""
    return _Script(schedule, prepared).text()


class _Script:
    def __init__(self, schedule, prepared):
        self.schedule = schedule
        self.tables = Tables(schedule)
        self.rules = copy.deepcopy(schedule.rules)        # as they are at this point of the script
        self.can_prepare = prepared
        self.prepared = []                                # (name, table -> ids it may have locked)
        self.now = 0                                      # the virtual clock: microseconds ahead of the real one
        self.ran_at = 0                                   # that clock at the last run
        self.known = set()                                # numbers of rules that have seen all tables as they are
        self.parts = [PRELUDE]

    def add(self, *sql):
        self.parts.extend(part if part.endswith("\n") else part + "\n" for part in sql if part)

    def text(self):
        schedule = self.schedule
        self.step("setup")
        self.add(checks.SETUP, f"CREATE SCHEMA {quote(schedule.schema)};")
        self.add(*(self.tables.make(table) for table in schedule.tables.values()))
        if schedule.mode == "closing":
            self.add(changes.setup(schedule))
        self.add(*(self.write(write) for write in schedule.before))
        self.add(*(rules.make(schedule, rule) for rule in self.rules))
        for n, operation in enumerate(schedule.operations):
            self.step(f"{n} {operation.kind} {operation.ending}".rstrip())
            getattr(self, "do_" + operation.kind)(operation)
        self.finish()
        if schedule.retention is not None and any(table.partitioned for table in schedule.tables.values()):
            self.retention()
        self.step("drop")
        self.add(*(rules.drop(rule) for rule in self.rules), f"DROP SCHEMA {quote(schedule.schema)} CASCADE;",
                 f"DROP SCHEMA IF EXISTS {quote(schedule.schema + ' kept')};")
        return "".join(self.parts)

    def step(self, name):
        self.add(f"\\echo check|{name}")
        self.check = name

    # Writes

    def write(self, write, of_session=False):
        """SQL of a write; nothing if it would wait for a prepared transaction."""
        if any(write.ids() & locked.get(write.table, set()) for _, locked in self.prepared):
            return ""
        return self.tables.write(write, of_session)

    def do_write(self, operation):
        self.add(*(self.write(write) for write in operation.writes))

    def do_transaction(self, operation):
        """Some writes in one transaction. `ending` is how it ends; during: a run of another session comes before."""
        writes = [sql for sql in map(self.write, operation.writes) if sql]
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
            rule = self.rules[operation.rule]
            self.note(rule, self.as_of())
            self.add("BEGIN;", *writes, sessions(self.check, [self.run_commands("run", rule, "10000")]), "COMMIT;")
        else:
            self.add("BEGIN;", *writes, "ROLLBACK;" if ending == "rollback" else "COMMIT;")

    def settle(self):
        """Rules look through tables that they don't know; what they find there may have to wait for its writer."""
        for n in set(range(len(self.rules))) - self.known:
            if not self.prepared:
                self.call("run", self.rules[n])

    def do_resolve(self, operation):
        """The oldest prepared transaction is committed or rolled back."""
        if self.prepared:
            name, _ = self.prepared.pop(0)
            self.add(f"{operation.ending} PREPARED {literal(name)};")

    # Runs

    def as_of(self):
        return f"now() + interval {literal(interval_text(self.now))}"

    def note(self, rule, as_of):
        """A run begins: what has changed so far has changed before it."""
        if self.schedule.mode == "closing":
            self.add(changes.note_run(self.schedule, rule, as_of))

    def call(self, procedure, rule, *arguments):
        """A run of some kind, at the virtual time."""
        self.known.add(self.rules.index(rule))
        self.ran_at = self.now
        self.note(rule, self.as_of())
        self.add(f"SELECT {self.as_of()} AS as_of \\gset",
                 f"CALL attribution.{procedure}({', '.join([literal(rule.name), *arguments])}, as_of => :'as_of');")

    def call_and_check(self, procedure, rule, *arguments):
        self.call(procedure, rule, *arguments)
        self.after_run(rule)

    def after_run(self, rule):
        if not self.prepared:
            self.add(checks.decided(self.schedule, rule, f"{self.check}: still due", ":'as_of'"))
            if self.ran_at >= interval_micros(rule.settlement):
                self.add(checks.seen(self.schedule, rule, f"{self.check}: own rows"))
        self.add(checks.sound(self.schedule, rule, self.check), checks.record(self.schedule, rule))

    def reconcile(self, rule):
        self.note(rule, "clock_timestamp()")
        self.add(f"CALL attribution.reconcile({literal(rule.name)});")

    def do_run(self, operation):
        """A run at the virtual time; if that doesn't move on, at the clock's."""
        self.now += operation.later
        rule = self.rules[operation.rule]
        if operation.later:
            self.call_and_check("run", rule)
            return
        self.known.add(operation.rule)
        self.ran_at = 0
        self.note(rule, "clock_timestamp()")
        self.add("SELECT clock_timestamp() AS as_of \\gset", f"CALL attribution.run({literal(rule.name)});")
        self.after_run(rule)

    def run_commands(self, procedure, rule, batch_size):
        return [f"SET attribution.batch_size = {batch_size};",
                f"CALL attribution.{procedure}({literal(rule.name)}, as_of => {self.as_of()});"]

    def do_together(self, operation):
        """Runs at the same time, of which one may be killed; sometimes one that truncates a leaf, then writes."""
        self.now += operation.later
        commands = []
        for procedure, n, batch_size in operation.parts:
            # Of what a prepared transaction has locked it would wait for the end.
            procedure = "run" if self.prepared else procedure
            self.note(self.rules[n], self.as_of())
            commands.append(self.run_commands(procedure, self.rules[n], batch_size))
        writer = []
        if operation.leaf and not self.prepared:
            self.known.clear()
            writer.append(f"TRUNCATE {self.tables.part(self.schedule.conversions, operation.leaf)};")
        if writes := "".join(self.write(write, True) for write in operation.writes):
            writer += ["BEGIN;", *writes.strip().split("\n"), "COMMIT;"]
        self.add(sessions(self.check, commands + ([writer] if writer else []), operation.value))
        for rule in self.rules:
            self.add(checks.sound(self.schedule, rule, self.check), checks.record(self.schedule, rule))

    def do_reattribute(self, operation):
        """Of a range of time."""
        if not self.prepared:
            self.now += operation.later
            since, until = map(literal, operation.times)
            self.call_and_check("reattribute", self.rules[operation.rule], f"since => {since}", f"until => {until}")

    def do_reconcile(self, operation):
        if not self.prepared:
            self.reconcile(self.rules[operation.rule])

    def do_checkpoint(self, operation):
        """Everything decided anew is what a batch over the data of this moment gives."""
        if not self.prepared:
            rule = self.rules[operation.rule]
            # What has just arrived has settled by then.
            self.now += operation.later + interval_micros(rule.settlement)
            self.call_and_check("reattribute", rule)
            self.add(checks.right(self.schedule, rule, self.check))

    def do_setting(self, operation):
        self.add(f"SET attribution.{operation.value};")

    def do_version(self, operation):
        """A setting changes, the new version is activated, and everything is attributed anew."""
        if not self.prepared:
            self.add(rules.change(self.rules[operation.rule], operation.change))
            self.known.clear()
            self.do_checkpoint(operation)

    # What no trigger sees

    def change_unseen(self, *sql):
        self.known.clear()
        self.add(*sql)
        if self.schedule.mode == "closing":
            self.add(changes.note_change(self.schedule))

    def do_truncate(self, operation):
        """A leaf is emptied, or a whole table that has none; something may come in the same transaction."""
        if not self.prepared:
            table = self.schedule.tables[operation.table]
            self.change_unseen("BEGIN;", f"TRUNCATE {self.tables.part(table, operation.leaf)};",
                               *map(self.write, operation.writes),
                               "ROLLBACK;" if operation.ending == "rollback" else "COMMIT;")

    def do_rewrite(self, operation):
        """All the rows of a table move to another file."""
        if not self.prepared:
            table = self.schedule.tables[operation.table]
            self.change_unseen(f"VACUUM FULL {self.tables.part(table, operation.leaf)};")

    def do_partition(self, operation):
        """A partition is detached or dropped; or one that is not attached is, with what it holds."""
        table, leaf = self.schedule.tables[operation.table], operation.leaf
        if self.prepared or not table.partitioned:
            return
        if (table.name, leaf) in self.tables.detached:
            sql = self.tables.attach(table, leaf)
        elif operation.ending == "drop" and not self.tables.is_divided(table, leaf):
            sql = self.tables.drop(table, leaf)
        else:
            sql = self.tables.detach(table, leaf)
        if operation.ending != "rollback":
            self.tables.detached ^= {(table.name, leaf)}
        self.change_unseen("BEGIN;", sql, "ROLLBACK;" if operation.ending == "rollback" else "COMMIT;")

    def do_offline(self, operation):
        """A partition is changed while it is detached, or gives way to a changed copy; and is back before a run."""
        table, leaf = self.schedule.tables[operation.table], operation.leaf
        if self.prepared or not table.partitioned:
            return
        writes = (self.write(replace(write, leaf=f"{table.name}_{leaf}")) for write in operation.writes)
        self.change_unseen(
            "" if (table.name, leaf) in self.tables.detached else self.tables.detach(table, leaf),
            self.tables.replace(table, leaf) if operation.ending == "copy" and not self.tables.is_divided(table, leaf)
            else "", *writes, self.tables.attach(table, leaf))
        self.tables.detached.discard((table.name, leaf))

    # The end

    def finish(self):
        """Everything that is open is closed; then the decisions are those of the final data, whatever the way there."""
        schedule = self.schedule
        self.step("end")
        self.add(*(f"COMMIT PREPARED {literal(name)};" for name, _ in self.prepared))
        self.prepared = []
        now = self.now
        for n, rule in enumerate(self.rules):
            self.step(f"end of rule {n}")
            self.now = now + interval_micros(rule.settlement) + HOUR
            self.call_and_check("reattribute" if schedule.mode == "free" else "run", rule)
            self.close(rule, "open at the end")
            if schedule.mode == "closing":
                self.add(changes.right(schedule, rule, "what closed after the last change"))
                self.call_and_check("reattribute", rule)
            self.add(checks.right(schedule, rule, "final"), checks.recorded(schedule, rule, "as of"),
                     checks.keep(schedule, rule))
            self.call("run", rule)
            self.reconcile(rule)
            self.call("reattribute", rule)
            self.close(rule, "open after a repetition")
            self.add(checks.unchanged(schedule, rule, "repetition"))

    def close(self, rule, check):
        self.now += interval_micros(rule.lateness) + DAY
        self.call_and_check("run", rule)
        self.add(checks.closed(self.schedule, rule, check))

    def retention(self):
        """Partitions go when their time is over, and no decision with them."""
        schedule = self.schedule
        self.step("retention")
        self.add(*(checks.keep(schedule, rule) for rule in self.rules))
        horizon = literal(time_text(schedule.day + schedule.retention * DAY))
        for table in schedule.tables.values():
            if table.partitioned:
                name = literal(self.tables.table(table.name)) + "::regclass"
                self.add(f"INSERT INTO attribution.partitioning (relation, granularity) VALUES ({name}, '1 day');",
                         rules.call("drop_partitions", {"relation": name, "before": horizon}))
        if schedule.conversions.partitioned:
            self.add(self.repeated(horizon))
        for rule in self.rules:
            self.now += interval_micros(rule.settlement)
            self.call("run", rule)
            self.reconcile(rule)
            self.call("reattribute", rule)
            self.now += interval_micros(rule.lateness) + DAY
            self.call("run", rule)
            self.add(checks.closed(schedule, rule, "open after retention"),
                     checks.unchanged(schedule, rule, "retention"), checks.sound(schedule, rule, self.check))

    def repeated(self, horizon):
        """Conversions that all rules have decided and whose rows are gone come again: that is no other conversion."""
        conversions = self.schedule.conversions
        name = self.tables.table(conversions.name)
        gone = " INTERSECT ".join(
            f"SELECT conversion_id FROM {checks.Stored(self.schedule, rule).decisions} WHERE conversion_time <"
            f" (SELECT horizon FROM attribution.partitioning WHERE relation = {literal(name)}::regclass)"
            for rule in self.rules)
        return (f"INSERT INTO {name} (conversion_id, happened_at, kind, score)"
                f" SELECT conversion_id, {horizon}::timestamptz + interval '1 hour', 'install', 5 FROM ({gone}) AS gone"
                f"{' ON CONFLICT DO NOTHING' if conversions.unique else ''};")

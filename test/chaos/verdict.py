"""What must be true once the faults are over, of the tables and of the server."""

import contextlib
import re

import psycopg2

import checks
import oracle
import probe
from checks import CREDIT, HEADER, Stored, difference, found
from client import FAULTS
from oracle import CARRIED
from schedule import literal
from script import PRELUDE
from server import Stuck, await_that
from world import EVER, LIVE, OWNER, RULES, SCHEMA, TABLES, concerns, gone, psql
from writer import WRITING, resolve

DECISION = HEADER + CREDIT + CARRIED
LEAK_ROUNDS = 8
MEMORY_LIMIT = 200 << 20     # of a process, without shared memory; attribution.work_mem is 64 MB
LEAK_LIMIT = 8 << 20
# The rows of days that were dropped are not decided again.
STILL = "conversion_time >= (SELECT coalesce(max(day), '-infinity') FROM chaos.dropped)"


class Verdict:
    def __init__(self, world, server, faults, partitions, surprises):
        self.world = world
        self.server = server
        self.faults = faults
        self.partitions = partitions
        self.passed = 0
        self.failed = 0
        self.check("errors: only what a fault explains", surprises)

    def check(self, name, differences):
        if differences:
            self.failed += 1
            print(f"FAILED {name}")
            for line in list(differences)[:12]:
                print(f"    {line}")
        else:
            self.passed += 1

    def give(self):
        """Returns how many checks failed."""
        with contextlib.closing(psycopg2.connect(application_name="verdict")) as connection:
            connection.autocommit = True
            with connection.cursor() as cursor:
                self.settle(cursor)
                self.await_empty(cursor)
                self.transactions(cursor)
                self.touch_indexes(cursor)
                self.stored("under fire", lambda rule: own_rows(rule) + promised(rule) + consistent(rule))
                for rule in RULES:
                    cursor.execute("CALL attribution.reattribute(%s)", (rule.name,))
                self.await_empty(cursor)
                self.stored("decided again", lambda rule: own_rows(rule) + final(rule) + consistent(rule))
                self.memory(cursor)
                self.await_empty(cursor)
                self.stored("decided once more", lambda rule: own_rows(rule) + final(rule) + consistent(rule))
                self.processes(cursor)
        self.log()
        print(f"{self.passed} passed, {self.failed} failed")
        return self.failed

    # What is still to come

    def settle(self, cursor):
        """Prepared transactions end, what was detached comes back, and all that is pending then is noted."""
        cursor.execute("SELECT gid FROM pg_prepared_xacts ORDER BY gid")
        for number, (gid,) in enumerate(cursor.fetchall()):
            resolve(self.world, cursor, gid, "COMMIT" if number % 2 else "ROLLBACK")
        await_that("partitions to come back", lambda: self.attached(cursor))
        for rule in RULES:
            probe.look(cursor, rule)

    def attached(self, cursor):
        try:
            self.partitions.attach(cursor)
            return True
        except psycopg2.Error:
            cursor.execute("ROLLBACK")
            return False

    def await_empty(self, cursor):
        """The worker decides and closes everything; nobody helps."""
        for rule in RULES:
            def is_done(rule=rule):
                cursor.execute("SELECT attribution._is_reconciled(%s, '{}') AND NOT EXISTS"
                               f" (SELECT FROM {Stored(LIVE, rule).pending} WHERE due < 'infinity')", (rule.name,))
                return cursor.fetchone()[0]
            await_that(f"rule {rule.name} to have nothing pending", is_done, 600)

    # The tables

    def transactions(self, cursor):
        cursor.execute("SELECT writer, number FROM chaos.ledger")
        there = set(cursor.fetchall())
        self.check("what was acknowledged is there", self.world.acknowledged - there)
        self.check("what was undone is not", self.world.undone & there)
        ids = list(self.world.undone_ids)
        self.check("something was undone", [] if ids and self.world.undone else ["nothing"])
        for rule in RULES:
            stored = Stored(LIVE, rule)
            for table in (stored.decisions, stored.decisions_history, stored.pending):
                cursor.execute(f"SELECT conversion_id FROM {table} WHERE conversion_id = ANY (%s)", (ids,))
                self.check(f"nothing undone is in {table}", cursor.fetchall())

    def stored(self, when, sql):
        for rule in RULES:
            done = psql(PRELUDE + "SET statement_timeout = 0;\nSET work_mem = '256MB';\n" + sql(rule), "-At")
            differences, names, name = {}, [], "start"
            for line in done.stdout.decode().splitlines():
                word, _, rest = line.partition("|")
                if word == "check":
                    name = rest
                    names.append(name)
                elif word == "diff":
                    differences.setdefault(name, []).append(rest)
                elif word == "told":
                    print(f"{when}, rule {rule.name}: {rest}")
            if done.returncode:
                differences.setdefault(name, []).extend(done.stderr.decode().splitlines()[:10])
                names.append(name)
            for name in dict.fromkeys(names):
                self.check(f"{when}, rule {rule.name}: {name}", differences.get(name))
            self.stories(rule, [line for lines in differences.values() for line in lines])

    @staticmethod
    def stories(rule, lines):
        """All that is known of some conversions that are wrong."""
        ids = list(dict.fromkeys(re.findall(r"\bco-\d+-\d+\b", " ".join(lines))))
        for id_ in ids[:3]:
            done = psql(story(rule, id_))
            print(done.stdout.decode() or done.stderr.decode())

    # The server

    def touch_indexes(self, cursor):
        cursor.execute("SELECT index::text, problem FROM attribution.touch_indexes"
                       " LEFT JOIN LATERAL attribution.touch_index_check(index) ON true")
        found = cursor.fetchall()
        self.check("there are touch indexes", [] if len(found) > 4 else ["there are not"])
        self.check("touch indexes are sound", [f"{index}: {problem}" for index, problem in found if problem])

    def memory(self, cursor):
        """The worker takes no more memory when it decides everything again and again."""
        taken = []
        for number in range(LEAK_ROUNDS):
            agent = "agent || '+'" if number % 2 == 0 else "rtrim(agent, '+')"
            cursor.execute(f"UPDATE {SCHEMA}.conversions SET agent = {agent}")
            for rule in RULES:
                def is_done(rule=rule):
                    cursor.execute(f"SELECT NOT EXISTS (SELECT FROM {Stored(LIVE, rule).pending} WHERE arrived_at IS NULL)")
                    return cursor.fetchone()[0]
                await_that(f"rule {rule.name} to have everything decided", is_done, 600)
            pid, _ = await_that("the worker", lambda: self.faults.processes("worker"))[0]
            taken.append((pid, self.server.private_memory(pid)))
        self.faults.note_memory()
        most = self.faults.most_memory
        print("memory: " + ", ".join(f"{name} {most[name] >> 20} MB at most" for name in sorted(most))
              + f"; the worker, round by round: {', '.join(f'{size / (1 << 20):.1f}' for _, size in taken)} MB")
        self.check("memory is bounded", [f"{name}: {size}" for name, size in most.items() if size > MEMORY_LIMIT])
        # The first rounds fill its caches.
        early, late = taken[LEAK_ROUNDS // 2 - 1], taken[-1]
        self.check("the worker is still the same", [] if early[0] == late[0] else [f"{early[0]} became {late[0]}"])
        self.check("memory does not leak", [] if late[1] - early[1] < LEAK_LIMIT else [f"{early[1]} became {late[1]} bytes"])

    def processes(self, cursor):
        """No locks, no sessions and no workers but those that belong there."""
        self.comes_true("no locks are left", cursor, """
            SELECT count(*) = 0 FROM pg_locks AS l LEFT JOIN pg_stat_activity AS a USING (pid)
            WHERE l.pid IS DISTINCT FROM pg_backend_pid() AND coalesce(backend_type, '') <> 'autovacuum worker'""")
        self.comes_true("no sessions are left", cursor, """
            SELECT count(*) = 1 FROM pg_stat_activity WHERE backend_type = 'client backend' AND application_name <> 'faults'""")
        self.comes_true("there are one launcher and one worker", cursor, """
            SELECT coalesce(string_agg(backend_type, ', ' ORDER BY backend_type), '') = 'attribution launcher, attribution worker'
            FROM pg_stat_activity WHERE backend_type LIKE 'attribution%'""")
        self.comes_true("nothing is prepared", cursor, "SELECT count(*) = 0 FROM pg_prepared_xacts")
        cursor.execute("""
            SELECT run, rule, procedure, pid FROM attribution.run_log AS l
            WHERE finished_at IS NULL AND procedure <> 'worker' AND EXISTS (SELECT FROM pg_stat_activity AS a WHERE a.pid = l.pid
                AND a.backend_start <= l.started_at)""")
        self.check("no run goes on", cursor.fetchall())
        cursor.execute("SELECT * FROM attribution.dead_letters")
        self.check("there are no dead letters", cursor.fetchall())

    def comes_true(self, name, cursor, query):
        def is_true():
            cursor.execute(query)
            return cursor.fetchone()[0]
        try:
            await_that(name, is_true, 60)
            self.check(name, [])
        except Stuck as stuck:
            self.check(name, [str(stuck)])

    def log(self):
        """The server's log has no errors but those that faults and locks explain, and no crash that nobody caused."""
        strange, crashes = [], []
        line_of = re.compile(r"^\S+ \S+ \S+ \[\d+\] ([^|]*)\|([^|]*)\|(\w{5}) (ERROR|FATAL|PANIC): ")
        for line in (self.server.directory / "log").read_text(errors="replace").splitlines():
            if match := line_of.match(line):
                process, _, code, severity = match.groups()
                known = FAULTS if process.startswith("attribution") else WRITING
                if process == "postmaster":
                    known = known | {"F0001"}      # the shared memory of one that was killed is still in use
                elif process == "parallel worker":
                    known = known | {"55000"}      # the one that it was to help is gone, with the memory they were to share
                if code not in known or severity == "PANIC":
                    strange.append(line)
            elif "TRAP:" in line or re.search(r"terminated by signal (?!9\b|3\b)", line):
                crashes.append(line)
        self.check("the log: only errors that a fault explains", strange)
        self.check("the log: no crash but those that were meant", crashes)


# The checks of a rule, as SQL for psql


def step(name, sql):
    return f"\\echo check|{name}\n{sql}"


def own_rows(rule):
    """Each conversion has one header, that of its row as it is now; and there is no other."""
    value = "amount::text" if rule.value else "NULL::text"
    id_ = 'conversion_id COLLATE "C" AS conversion_id'
    return step("one header for each conversion", oracle.DROP_TABLES + oracle.conversions(EVER, rule) + difference(
        "headers", f"SELECT {id_}, happened_at AS conversion_time, {value} AS value FROM oracle_conversion",
        f"SELECT {id_}, conversion_time, value::text FROM {Stored(LIVE, rule).decisions}"))


def oracle_of(rule):
    """The oracle's tables, and which of its decisions are promised: all changes that concern them were changes of their own
    rows as well, which queue them; or were there when they were last seen pending, or could be seen before they closed."""
    return oracle.sql(EVER, rule) + f"""
DROP TABLE IF EXISTS promised;
CREATE TEMP TABLE promised AS
SELECT id AS conversion_id FROM chaos.seen WHERE rule = {literal(rule.name)}
EXCEPT
SELECT c.conversion_id FROM oracle_conversion AS c JOIN chaos.seen ON rule = {literal(rule.name)} AND id = c.conversion_id
CROSS JOIN LATERAL unnest({concerns('c')}) AS concern(key)
JOIN chaos.change ON change.key = concern.key
WHERE NOT pg_visible_in_snapshot(change.xid, seen.snapshot)
    AND NOT coalesce((SELECT pg_visible_in_snapshot(change.xid, glance.snapshot) FROM chaos.glance
                      WHERE glance.at <= seen.open_until ORDER BY glance.at DESC LIMIT 1), false)
    AND (change.xid, c.conversion_id) NOT IN (SELECT xid, substr(key, 4) FROM chaos.change WHERE key LIKE 'id %');
"""


def promised(rule):
    columns = ", ".join(DECISION)
    in_question = 'conversion_id COLLATE "C" IN (SELECT conversion_id FROM promised)'
    return step("what closed after the last change is right", oracle_of(rule) + difference(
        "promised", f"SELECT {columns} FROM oracle_decision WHERE {in_question}",
        f"SELECT {columns} FROM ({Stored(LIVE, rule).rows()}) AS stored WHERE {in_question}")) + f"""
SELECT 'told|' || count(*) || ' conversions, ' || count(*) FILTER (WHERE {in_question}) || ' closed after the last change, '
    || count(touch_id) || ' attributed, ' || count(nullif(kind, 'new')) || ' reinstalls' FROM oracle_decision;
""" + step("enough closed after the last change", found("promised", f"""
SELECT count(*) AS decisions, count(*) FILTER (WHERE {in_question}) AS promised FROM oracle_decision
HAVING count(*) FILTER (WHERE {in_question}) < count(*) / 10 OR count(touch_id) < 10""")) + checks.record(LIVE, rule)


def final(rule):
    """After everything has been decided again it is all right; what was dropped is as it was. (To diff() a second row of a
    conversion looks like the first one, once that is dropped.)"""
    stored, columns, name = Stored(LIVE, rule), ", ".join(DECISION), literal(rule.name)
    said = ('conversion_id COLLATE "C" AS conversion_id, conversion_time, outcome, kind, tier, touch_id COLLATE "C" AS touch_id,'
            " touch_time, credit_position, credit")
    # Where the last word on a dropped conversion came too soon, so may be the word on who was new after it.
    misled = ("SELECT o.key FROM oracle_decision AS o JOIN " + gone(rule) + " AS g USING (conversion_id)"
              " WHERE o.kind <> g.kind AND o.key IS NOT NULL")
    compared = f"{STILL} AND (key IS NULL OR key NOT IN ({misled}))"
    ids = f"(SELECT conversion_id FROM oracle_decision WHERE {compared})"
    return oracle_of(rule) + step("all is right", difference(
        "final", f"SELECT {columns} FROM oracle_decision WHERE {compared}",
        f'SELECT {columns} FROM ({stored.rows()}) AS stored WHERE conversion_id COLLATE "C" IN {ids}'
    )) + step("as attribute() says", difference(
        "attribute()", f"SELECT {said} FROM oracle_decision WHERE {compared}",
        f'SELECT {said} FROM attribution.attribute({name}) WHERE conversion_id COLLATE "C" IN {ids}'
    )) + step("diff() finds nothing", found("diff()", f"""
SELECT * FROM (SELECT sum(conversions) AS conversions FROM attribution.diff({name})) AS moves
WHERE conversions > (SELECT count(*) FROM {SCHEMA}.conversions WHERE {rule.filter} AND conversion_id IN (SELECT conversion_id FROM {gone(rule)}))""")
    ) + step("what was dropped is kept", difference(
        "dropped", f"SELECT {columns} FROM {gone(rule)}",
        f"SELECT {columns} FROM ({stored.rows()}) AS stored WHERE NOT ({STILL})")
    ) + step("as of then is what there was", checks.recorded(LIVE, rule, "as of"))


def consistent(rule):
    stored, name = Stored(LIVE, rule), literal(rule.name)
    log = f"attribution.run_log WHERE rule = {name}"
    return step("tables are consistent", checks.consistent(LIVE, rule, "tables")) + step(
        "as of now is what there is", difference("as of", stored.as_of_rows(), f"SELECT {', '.join(checks.AS_OF)}"
                                                 f" FROM attribution.decisions_as_of({name}, clock_timestamp())")
    ) + step("nothing is pending", checks.closed(LIVE, rule, "pending")
    ) + step("the log counts what was written", found("counts", f"""
SELECT * FROM (SELECT (SELECT count(*) FROM {stored.decisions}) AS now, (SELECT count(*) FROM {stored.decisions_history}) AS past,
        (SELECT sum(changed) FROM {log}) AS written, (SELECT sum(restated + withdrawn) FROM {log}) AS superseded) AS counts
WHERE written <> now + past OR superseded <> past""")
    ) + step("the log is sane", found("log", f"""
SELECT run, procedure, error, sqlstate FROM {log} AND (
    finished_at < started_at OR changed > decided OR restated > changed OR decided > 0 AND batches = 0
    OR decided <> (SELECT coalesce(sum(value::bigint), 0) FROM jsonb_each_text(outcomes))
    OR (error IS NULL) <> (sqlstate IS NULL) OR error IS NOT NULL AND finished_at IS NULL
    OR sqlstate <> ALL (ARRAY[{', '.join(map(literal, sorted(FAULTS)))}]))"""))


def story(rule, id_):
    stored, id_ = Stored(LIVE, rule), literal(id_)
    touches = " UNION ALL ".join(
        f"SELECT '{table.name}' AS relation, t.* FROM {SCHEMA}.{table.name} AS t, conversion AS c WHERE (t.app, t.gadget) = (c.app, c.device)"
        " OR (t.app, t.ip, t.agent) = (c.app, c.ip, c.agent)" for table in TABLES.values() if table.is_touch)
    return f"""
\\pset null -
\\echo --- {id_}
SELECT tableoid::regclass, xmin, * FROM {SCHEMA}.conversions WHERE conversion_id = {id_};
SELECT * FROM {SCHEMA}.conversions_gone WHERE conversion_id = {id_};
SELECT * FROM {stored.decisions} WHERE conversion_id = {id_};
SELECT * FROM {stored.credits} WHERE conversion_id = {id_};
SELECT * FROM {stored.decisions_history} WHERE conversion_id = {id_} ORDER BY decided_at;
SELECT * FROM {stored.pending} WHERE conversion_id = {id_};
WITH conversion AS (SELECT * FROM {SCHEMA}.conversions WHERE conversion_id = {id_}) {touches};
SELECT key, xid, pg_xact_commit_timestamp(xid::xid) FROM chaos.change WHERE key IN (
    SELECT unnest({concerns('c')}) FROM {SCHEMA}.conversions AS c WHERE conversion_id = {id_}) ORDER BY 2;
SELECT * FROM chaos.seen WHERE rule = {literal(rule.name)} AND id = {id_};
"""

-- A conversion that can't be decided is set aside, and the others go on.
\set SHOW_CONTEXT never
CREATE EXTENSION attribution;
SET client_min_messages = warning;
CREATE SCHEMA dead;
CREATE TABLE dead.clicks (id int, at timestamptz, device int);
CREATE TABLE dead.installs (id text PRIMARY KEY, at timestamptz, device int, price text);
INSERT INTO dead.clicks SELECT i, '2026-01-01', i FROM generate_series(1, 200) AS i;
SELECT attribution.create_rule('installs', 'dead.installs', 'id', 'at', value_column => 'price', allowed_lateness => '0');
SELECT attribution.add_tier('installs', 'click', 'dead.clicks', '{device}', '7 days');
SELECT attribution.activate('installs');

-- Three of two hundred have a price that is none. Each is found by halving the batch that fails.
INSERT INTO dead.installs SELECT 'i' || i, '2026-01-02', i, CASE WHEN i IN (7, 8, 150) THEN 'n/a' ELSE '1.50' END FROM generate_series(1, 200) AS i;
CALL attribution.run('installs');
SELECT count(*), sum(value) FROM dead.installs_decisions;
SELECT rule, conversion_id, conversion_time, failed_at > now() - interval '1 hour' AS recent, sqlstate, message FROM attribution.dead_letters ORDER BY conversion_id;
SELECT undecided, open, due, oldest_pending, dead FROM attribution.backlog;
SELECT procedure, decided, dead, error FROM attribution.run_log;
-- They stay aside.
CALL attribution.run('installs');
SELECT decided, dead FROM attribution.run_log ORDER BY run DESC LIMIT 1;
-- They do not hold up retention.
SELECT attribution._oldest_pending('installs');

-- A change queues one again; the others can be retried, one by one or all together, by who may run the rule.
UPDATE dead.installs SET price = '2' WHERE id = 'i7';
CALL attribution.run('installs');
SELECT value FROM dead.installs_decisions WHERE conversion_id = 'i7';
SELECT attribution.retry_dead_letters('installs', 'i8');
SELECT attribution.retry_dead_letters('installs', 'i9');
CALL attribution.run('installs');
SELECT conversion_id FROM attribution.dead_letters ORDER BY 1;
DELETE FROM dead.installs WHERE id = 'i150';
CALL attribution.run('installs');
SELECT conversion_id FROM attribution.dead_letters ORDER BY 1;
SELECT attribution.alter_rule('installs', value_column => '');
SELECT attribution.activate('installs');
SELECT attribution.retry_dead_letters('installs');
CALL attribution.run('installs');
SELECT (SELECT count(*) FROM dead.installs_decisions), (SELECT count(*) FROM dead.installs), (SELECT count(*) FROM dead.installs_pending);
CREATE ROLE regress_dead;
GRANT attribution_writer TO regress_dead;
SET ROLE regress_dead;
SELECT attribution.retry_dead_letters('installs');
SELECT * FROM attribution.dead_letters;
RESET ROLE;
SELECT attribution.retry_dead_letters('no such rule');

-- An earlier decision stands while its conversion can't be decided again.
SELECT attribution.alter_rule('installs', value_column => 'price');
SELECT attribution.activate('installs');
UPDATE dead.installs SET price = '3';
CALL attribution.run('installs');
UPDATE dead.installs SET price = 'free' WHERE id = 'i1';
CALL attribution.run('installs');
SELECT value FROM dead.installs_decisions WHERE conversion_id = 'i1';
-- reattribute() tries all of its range again.
ALTER TABLE dead.installs DISABLE TRIGGER attribution_installs;
UPDATE dead.installs SET price = NULL WHERE id = 'i1';
ALTER TABLE dead.installs ENABLE ALWAYS TRIGGER attribution_installs;
SELECT count(*) FROM attribution.dead_letters;
CALL attribution.reattribute('installs', '2026-01-02', '2026-01-03');
SELECT value IS NULL AS no_value FROM dead.installs_decisions WHERE conversion_id = 'i1';
SELECT count(*) FROM attribution.dead_letters;

-- A path that does not fit into the memory is one conversion's fault too.
SELECT attribution.create_rule('paths', 'dead.installs', 'id', 'at', path => 'all', model => 'first_touch', allowed_lateness => '0');
SELECT attribution.add_tier('paths', 'click', 'dead.clicks', '{device}', '7 days');
SELECT attribution.activate('paths');
INSERT INTO dead.clicks SELECT 1000 + i, '2026-01-01', 200 FROM generate_series(1, 5000) AS i;
INSERT INTO dead.installs SELECT 'p' || i, '2026-01-02', i FROM generate_series(195, 200) AS i;
SET attribution.work_mem = '64kB';
CALL attribution.run('paths');
SELECT conversion_id, sqlstate FROM attribution.dead_letters WHERE rule = 'paths' ORDER BY 1;
RESET attribution.work_mem;
SELECT attribution.retry_dead_letters('paths');
CALL attribution.run('paths');
SELECT count(*) FROM dead.paths_decisions WHERE conversion_id LIKE 'p%';

-- What is wrong with all of them ends the run, and sets none aside.
ALTER TABLE dead.clicks RENAME COLUMN device TO gadget;
INSERT INTO dead.installs VALUES ('last', '2026-01-02', 5, '1');
CALL attribution.run('paths');
SELECT error, sqlstate, dead FROM attribution.run_log WHERE rule = 'paths' ORDER BY run DESC LIMIT 1;
SELECT count(*) FROM attribution.dead_letters;


-- Rows from before the rule that can be no conversions are passed over, and said to be.
CREATE TABLE dead.old (id int, at timestamptz, device int);
INSERT INTO dead.old VALUES (1, '2026-01-02', 1), (NULL, '2026-01-02', 1), (2, 'infinity', 1), (3, NULL, 1), (4, '-infinity', 1);
ALTER TABLE dead.clicks RENAME COLUMN gadget TO device;
SELECT attribution.create_rule('old', 'dead.old', 'id', 'at');
SELECT attribution.add_tier('old', 'click', 'dead.clicks', '{device}', '7 days');
SELECT attribution.activate('old');
CALL attribution.run('old');
SELECT conversion_id FROM dead.old_decisions;

DROP EXTENSION attribution;
DROP SCHEMA dead CASCADE;
DROP ROLE regress_dead;

-- The queue and its runs: what is queued and what is not, the ladder, restatements, horizons.
-- run() commits, so there is no transaction around it all: the file takes away at its end what it has made.
SET client_min_messages = warning;
CREATE EXTENSION IF NOT EXISTS pgtap;
CREATE EXTENSION IF NOT EXISTS attribution;
SET timezone = 'UTC';
SELECT no_plan();

CREATE SCHEMA queue;
CREATE TABLE queue.clicks (click_id text, clicked_at timestamptz NOT NULL, device integer, network text) PARTITION BY RANGE (clicked_at);
CREATE INDEX ON queue.clicks (device, clicked_at);
CREATE TABLE queue.events (id integer, at timestamptz, device integer, kind text, revenue numeric, note text) PARTITION BY RANGE (at);
CREATE TABLE queue.events_rest PARTITION OF queue.events DEFAULT;
CREATE TABLE queue.events_january PARTITION OF queue.events FOR VALUES FROM ('2026-01-01 00:00+00') TO ('2026-02-01 00:00+00');
SELECT ok(attribution.make_partitions('queue.clicks', '2026-01-01', '2026-02-01') = 31, 'clicks by day');
INSERT INTO attribution.partitioning (relation) VALUES ('queue.clicks'), ('queue.events');

-- Each device has one click, at 9 o'clock of its day of January.
INSERT INTO queue.clicks SELECT 'c' || d, '2026-01-01 09:00+00'::timestamptz + (d - 1) * interval '24 hours', d, 'n' || d % 2 FROM generate_series(1, 31) d;

SELECT lives_ok($$SELECT attribution.create_rule('tap_installs', 'queue.events', 'id', 'at', filter => 'kind = ''install''',
  value_column => 'revenue', carry => '{network}', allowed_lateness => '0')$$, 'a rule whose conversions close at once');
SELECT attribution.add_tier('tap_installs', 'click', 'queue.clicks', '{device}', '7 days', id_column => 'click_id', time_column => 'clicked_at') \g /dev/null
SELECT attribution.activate('tap_installs') \g /dev/null

CREATE FUNCTION queue.queued() RETURNS integer[] LANGUAGE sql AS $$
  SELECT coalesce(array_agg(conversion_id ORDER BY conversion_id) FILTER (WHERE arrived_at IS NULL), '{}') FROM queue.tap_installs_pending $$;
CREATE FUNCTION queue.decided() RETURNS integer[] LANGUAGE sql AS $$
  SELECT coalesce(array_agg(conversion_id ORDER BY conversion_id), '{}') FROM queue.tap_installs_decisions $$;
CREATE FUNCTION queue.touch(id integer) RETURNS text LANGUAGE sql AS $$
  SELECT coalesce(touch_id, outcome) FROM queue.tap_installs_attribution WHERE conversion_id = $1 $$;
-- What is stored is what attribute() computes from scratch.
CREATE FUNCTION queue.wrong(rule text) RETURNS SETOF text LANGUAGE plpgsql AS $$
BEGIN
  RETURN QUERY EXECUTE format($query$
    WITH fresh AS (SELECT conversion_id, conversion_time, outcome, kind, credit_position, tier, touch_id, touch_time, credit FROM queue.%1$I()),
         stored AS (SELECT d.conversion_id, d.conversion_time, d.outcome, d.kind, c.credit_position, c.tier, c.touch_id, c.touch_time, c.credit
                      FROM queue.%2$I d JOIN queue.%3$I c USING (conversion_id, conversion_time))
    SELECT 'missing ' || m::text FROM (TABLE fresh EXCEPT ALL TABLE stored) m
    UNION ALL SELECT 'stored ' || s::text FROM (TABLE stored EXCEPT ALL TABLE fresh) s $query$,
    rule || '_attribute', rule || '_decisions', rule || '_credits');
END $$;

------------------------------------------------------------------------------------------------------------ what is queued

INSERT INTO queue.events VALUES (1, '2026-01-02 12:00+00', 1, 'install', 10);
SELECT is(queue.queued(), '{1}', 'a row through the parent');
INSERT INTO queue.events_january VALUES (2, '2026-01-02 12:00+00', 2, 'install', 20);
SELECT is(queue.queued(), '{1,2}', 'a row straight into a partition');
COPY queue.events (id, at, device, kind) FROM STDIN;
3	2026-01-03 12:00+00	3	install
4	2026-03-03 12:00+00	4	install
5	2026-01-03 12:00+00	5	open
\.
SELECT is(queue.queued(), '{1,2,3,4}', 'COPY, into two partitions; what the filter rules out is not queued');
MERGE INTO queue.events e USING (VALUES (6), (7)) AS v (id) ON e.id = v.id
  WHEN NOT MATCHED THEN INSERT (id, at, device, kind) VALUES (v.id, '2026-01-07 12:00+00', v.id, 'install');
SELECT is(queue.queued(), '{1,2,3,4,6,7}', 'MERGE');
BEGIN;
INSERT INTO queue.events VALUES (8, '2026-01-08 12:00+00', 8, 'install');
ROLLBACK;
BEGIN;
SAVEPOINT taken_back;
INSERT INTO queue.events VALUES (9, '2026-01-09 12:00+00', 9, 'install');
ROLLBACK TO taken_back;
SAVEPOINT kept;
INSERT INTO queue.events VALUES (10, '2026-01-10 12:00+00', 10, 'install');
RELEASE kept;
COMMIT;
SELECT is(queue.queued(), '{1,2,3,4,6,7,10}', 'what is rolled back is not queued, whole or in part');
INSERT INTO queue.events VALUES (11, '2026-01-11 12:00+00', 11, NULL), (NULL, '2026-01-11 12:00+00', 11, 'open'), (NULL, 'infinity', 11, 'open');
SELECT is(queue.queued(), '{1,2,3,4,6,7,10}', 'a filter that is NULL does not hold; what is no conversion may lack anything');
SET session_replication_role = replica;
INSERT INTO queue.events VALUES (12, '2026-01-12 12:00+00', 12, 'install');
INSERT INTO queue.events_january VALUES (13, '2026-01-13 12:00+00', 13, 'install');
RESET session_replication_role;
SELECT is(queue.queued(), '{1,2,3,4,6,7,10,12,13}', 'a replica queues');

CREATE ROLE tap_queue_writer;
GRANT USAGE ON SCHEMA queue TO tap_queue_writer;
GRANT INSERT ON queue.events TO tap_queue_writer;
SET ROLE tap_queue_writer;
SELECT lives_ok($$INSERT INTO queue.events VALUES (14, '2026-01-14 12:00+00', 14, 'install')$$, 'a writer needs INSERT');
SELECT throws_ok($$SELECT FROM queue.tap_installs_pending$$, '42501', NULL, 'and sees nothing of the queue');
SELECT throws_ok($$CALL attribution.run('tap_installs')$$, '42501', NULL, 'nor runs it');
RESET ROLE;
SELECT is(queue.queued(), '{1,2,3,4,6,7,10,12,13,14}', 'its rows are queued');

SELECT throws_ok($$INSERT INTO queue.events VALUES (NULL, '2026-01-14 12:00+00', 14, 'install')$$, '23502', NULL, 'a conversion has an id');
SELECT throws_ok($$INSERT INTO queue.events VALUES (15, 'infinity', 14, 'install')$$, '22008', NULL, 'and not all the time in the world');
SELECT throws_ok($$INSERT INTO queue.events VALUES (15, '-infinity', 14, 'install')$$, '22008', NULL, 'in either direction');
SELECT throws_ok($$UPDATE queue.events SET id = NULL WHERE id = 1$$, '23502', NULL, 'nor does it lose its id');
SELECT lives_ok($$INSERT INTO queue.events VALUES (15, NULL, 14, 'install')$$, 'a row without a time is none yet');
SELECT is(queue.queued(), '{1,2,3,4,6,7,10,12,13,14}', 'and not queued');

SELECT throws_ok($$CALL attribution.run('tap_installs')$$, '25001', NULL, 'run() commits, and can''t within a transaction');
SELECT throws_ok($$CALL attribution.run('tap_nothing')$$, NULL, NULL, 'there is such a rule');
CALL attribution.run('tap_installs');
SELECT is(queue.queued(), '{}', 'a run leaves nothing behind');
SELECT is((SELECT count(*)::integer FROM queue.tap_installs_pending), 0, 'with no lateness allowed nothing stays open');
SELECT is(queue.decided(), '{1,2,3,4,6,7,10,12,13,14}', 'all are decided');
SELECT is_empty($$SELECT queue.wrong('tap_installs')$$, 'as they should be');
SELECT results_eq($$SELECT conversion_time, outcome, kind, tier, lookback, value, rule_version, touch_id, touch_time, network
                      FROM queue.tap_installs_attribution JOIN queue.tap_installs_credits USING (conversion_id, conversion_time, tier, touch_id, touch_time, network)
                     WHERE conversion_id = 1$$,
                  $$VALUES ('2026-01-02 12:00+00'::timestamptz, 'attributed', NULL::text, 'click', '7 days'::interval, 10::numeric, 1, 'c1',
                            '2026-01-01 09:00+00'::timestamptz, 'n1')$$, 'a decision says it all');
SELECT results_eq($$SELECT outcome, d.tier, c.tier, touch_id, touch_time, credit, credit_position, network
                      FROM queue.tap_installs_decisions d JOIN queue.tap_installs_credits c USING (conversion_id, conversion_time) WHERE conversion_id = 4$$,
                  $$VALUES ('organic', NULL::text, NULL::text, NULL::text, NULL::timestamptz, 1::float8, 1, NULL::text)$$,
                  'no click is a decision, too');

UPDATE queue.events SET note = 'looked at';
SELECT is(queue.queued(), '{}', 'a column that the rule does not use may change');
UPDATE queue.events SET device = 1 WHERE id = 3;
SELECT is(queue.queued(), '{3}', 'a key may not, unnoticed');
UPDATE queue.events SET revenue = 11 WHERE id = 1;
SELECT is(queue.queued(), '{1,3}', 'nor a value');
UPDATE queue.events SET at = '2026-02-04 12:00+00' WHERE id = 4;
UPDATE queue.events SET at = '2026-04-06 12:00+00' WHERE id = 6;
SELECT is(queue.queued(), '{1,3,4,6}', 'nor a time, within a partition or to another');
UPDATE queue.events SET id = 70 WHERE id = 7;
SELECT is(queue.queued(), '{1,3,4,6,7,70}', 'nor an id: the old one is gone, the new one is new');
UPDATE queue.events SET kind = 'open' WHERE id = 10;
UPDATE queue.events SET kind = 'install' WHERE id = 5;
DELETE FROM queue.events WHERE id = 12;
UPDATE queue.events SET at = NULL WHERE id = 13;
UPDATE queue.events SET at = '2026-01-15 12:00+00' WHERE id = 15;
SELECT is(queue.queued(), '{1,3,4,5,6,7,10,12,13,15,70}', 'nor whether it is a conversion at all');
CALL attribution.run('tap_installs');
SELECT is(queue.queued(), '{}', 'all of that is looked at');
SELECT is(queue.decided(), '{1,2,3,4,5,6,14,15,70}', 'what came is decided, what went is withdrawn');
SELECT is_empty($$SELECT queue.wrong('tap_installs')$$, 'as they should be');
SELECT is(queue.touch(3), 'c1', 'the new key counts');
SELECT is((SELECT value FROM queue.tap_installs_decisions WHERE conversion_id = 1), 11::numeric, 'and the new value');
SELECT results_eq($$SELECT conversion_id, conversion_time, value, rule_version FROM queue.tap_installs_decisions_history ORDER BY 1$$,
  $$VALUES (1, '2026-01-02 12:00+00'::timestamptz, 10::numeric, 1), (3, '2026-01-03 12:00+00', NULL, 1), (4, '2026-03-03 12:00+00', NULL, 1),
           (6, '2026-01-07 12:00+00', NULL, 1), (7, '2026-01-07 12:00+00', NULL, 1), (10, '2026-01-10 12:00+00', NULL, 1),
           (12, '2026-01-12 12:00+00', NULL, 1), (13, '2026-01-13 12:00+00', NULL, 1)$$, 'what was decided before is history');
SELECT is_empty($$SELECT FROM queue.tap_installs_decisions_history h LEFT JOIN queue.tap_installs_credits_history c USING (conversion_id, conversion_time, decided_at)
                   WHERE c.credit IS DISTINCT FROM 1 OR h.superseded_at < h.decided_at$$, 'with its credits');
SELECT is((SELECT count(*)::integer FROM queue.tap_installs_credits), 9, 'no credit is left behind');

-- One id, several rows: the earliest in time is the conversion.
INSERT INTO queue.events VALUES (2, '2026-01-20 12:00+00', 20, 'install'), (14, '2026-01-13 12:00+00', 13, 'install');
SELECT is(queue.queued(), '{2,14}', 'an id that comes once more is looked at');
CALL attribution.run('tap_installs');
SELECT is(queue.touch(2), 'c2', 'the later row changes nothing');
SELECT results_eq($$SELECT conversion_time, touch_id FROM queue.tap_installs_attribution WHERE conversion_id = 14$$,
                  $$VALUES ('2026-01-13 12:00+00'::timestamptz, 'c13')$$, 'the earlier row is the conversion');
DELETE FROM queue.events WHERE id = 2 AND device = 2;
CALL attribution.run('tap_installs');
SELECT is(queue.touch(2), 'c20', 'and when it goes, the later one is');
DELETE FROM queue.events WHERE id = 2;
CALL attribution.run('tap_installs');
SELECT is(queue.touch(2), NULL, 'until there is none');
SELECT is_empty($$SELECT queue.wrong('tap_installs')$$, 'as they should be');

-- In one transaction: there and gone, gone and there.
BEGIN;
INSERT INTO queue.events VALUES (16, '2026-01-16 12:00+00', 16, 'install');
DELETE FROM queue.events WHERE id = 16;
DELETE FROM queue.events WHERE id = 1;
INSERT INTO queue.events VALUES (1, '2026-01-02 12:00+00', 1, 'install', 11);
COMMIT;
CREATE TEMP TABLE before AS SELECT xmin::text AS written, * FROM queue.tap_installs_decisions;
CALL attribution.run('tap_installs');
SELECT is(queue.queued(), '{}', 'what came and went leaves nothing');
SELECT set_eq($$SELECT xmin::text AS written, * FROM queue.tap_installs_decisions$$, $$SELECT * FROM before$$, 'what went and came changes nothing');
DROP TABLE before;

-------------------------------------------------------------------------------------------------------------------- two rules

SELECT attribution.create_rule('tap_opens', 'queue.events', 'id', 'at', filter => 'kind = ''open''', decisions => 'opened', credits => 'opened_by') \g /dev/null
SELECT attribution.add_tier('tap_opens', 'click', 'queue.clicks', '{device}', '1 day', id_column => 'click_id', time_column => 'clicked_at') \g /dev/null
SELECT attribution.activate('tap_opens') \g /dev/null
DELETE FROM queue.events WHERE id IS NULL;
INSERT INTO queue.events VALUES (17, '2026-01-17 12:00+00', 17, 'install'), (18, '2026-01-20 12:00+00', 18, 'open');
SELECT is(queue.queued(), '{17}', 'each rule queues its own');
SELECT is((SELECT array_agg(conversion_id) FROM queue.tap_opens_pending), '{18}', 'whoever else there is');
UPDATE queue.events SET kind = 'open' WHERE id = 17;
SELECT is((SELECT array_agg(conversion_id ORDER BY conversion_id) FROM queue.tap_opens_pending), '{17,18}', 'a row that passes from one to the other');
CALL attribution.run('tap_installs');
SELECT is(queue.touch(17), NULL, 'leaves the one');
SELECT is((SELECT count(*)::integer FROM queue.tap_opens_pending WHERE arrived_at IS NULL), 2, 'whose run is not the other''s');
CALL attribution.run('tap_opens', as_of => now() + interval '2 days');
SELECT results_eq($$SELECT conversion_id, outcome, touch_id FROM queue.opened JOIN queue.opened_by USING (conversion_id, conversion_time) ORDER BY 1$$,
  $$VALUES (10, 'attributed', 'c10'), (17, 'attributed', 'c17'), (18, 'organic', NULL)$$, 'what was there before the rule is decided, too');
SELECT is((SELECT array_agg(conversion_id ORDER BY conversion_id) FROM queue.tap_opens_pending), '{17,18}', 'and closed: it came long ago');

------------------------------------------------------------------------------------------------------ what triggers do not see

CREATE TABLE queue.events_may (LIKE queue.events);
INSERT INTO queue.events_may VALUES (51, '2026-05-02 12:00+00', 1, 'install'), (52, '2026-05-03 12:00+00', 2, 'install');
ALTER TABLE queue.events ATTACH PARTITION queue.events_may FOR VALUES FROM ('2026-05-01 00:00+00') TO ('2026-06-01 00:00+00');
SELECT is(queue.queued(), '{}', 'a partition that is attached tells nobody');
CALL attribution.run('tap_installs');
SELECT ok(queue.decided() @> '{51,52}', 'a run finds it');
INSERT INTO queue.events_may VALUES (53, '2026-05-03 12:00+00', 3, 'install');
SELECT is(queue.queued(), '{53}', 'from then on it has the trigger');
UPDATE queue.events SET device = 2 WHERE id = 51;
ALTER TABLE queue.events DETACH PARTITION queue.events_may;
CALL attribution.run('tap_installs');
SELECT ok(NOT queue.decided() && '{51,52,53}', 'with a partition that is detached its decisions go');
ALTER TABLE queue.events ATTACH PARTITION queue.events_may FOR VALUES FROM ('2026-05-01 00:00+00') TO ('2026-06-01 00:00+00');
CALL attribution.run('tap_installs');
SELECT ok(queue.decided() @> '{51,52,53}', 'and come back with it');

-- A run that began while it was away goes by what was then: it was back since, and is away again.
CREATE PROCEDURE queue.detach_may() LANGUAGE sql AS $$ ALTER TABLE queue.events DETACH PARTITION queue.events_may $$;
CREATE PROCEDURE queue.attach_may() LANGUAGE sql AS $$
  ALTER TABLE queue.events ATTACH PARTITION queue.events_may FOR VALUES FROM ('2026-05-01 00:00+00') TO ('2026-06-01 00:00+00') $$;
-- As far as looking through tables goes, without what is concluded from it.
CREATE FUNCTION queue.look_through(run bigint) RETURNS bigint LANGUAGE sql AS $$
  SELECT count(attribution._step(run, '-infinity')) FROM generate_series(1, (
    SELECT count(*) FROM attribution.run_log AS l, jsonb_array_elements(l.work) AS w WHERE l.run = $1 AND w ? 'relation')) $$;
CALL queue.detach_may();
SELECT attribution._start_run('run', 'tap_installs', NULL) AS early \gset
CALL queue.attach_may();
SELECT ok(queue.look_through(:early) > 0, 'it looks for decisions without a conversion while all have one');
CALL queue.detach_may();
CALL attribution._work(:early);
CALL attribution.run('tap_installs');
SELECT is_empty($$SELECT queue.wrong('tap_installs')$$, 'decisions go though it was back for a moment');
CALL queue.attach_may();
CALL attribution.run('tap_installs');
CALL queue.detach_may();
SELECT attribution._start_run('run', 'tap_installs', NULL) AS early \gset
SELECT ok(queue.look_through(:early) > 0, 'another has found them all');
CALL queue.attach_may();
CALL attribution.run('tap_installs');
SELECT ok(queue.decided() @> '{51,52,53}', 'while it was back they were decided again');
CALL queue.detach_may();
CALL attribution._work(:early);
CALL attribution.run('tap_installs');
SELECT is_empty($$SELECT queue.wrong('tap_installs')$$, 'and go all the same');
CALL queue.attach_may();
CALL attribution.run('tap_installs');
SELECT ok(queue.decided() @> '{51,52,53}', 'it can come and go as often as it likes');

-- reconcile() begins while it is away, and is overtaken.
INSERT INTO queue.events VALUES (51, '2026-06-02 12:00+00', 1, 'install');
CALL attribution.run('tap_installs');
CALL queue.detach_may();
SELECT attribution._start_run('reconcile', 'tap_installs', NULL) AS early \gset
CALL attribution.run('tap_installs');
SELECT is_empty($$SELECT queue.wrong('tap_installs')$$, 'a run beside reconcile() knows as well that decisions are without a conversion');
CALL attribution._work(:early);
SELECT is_empty($$SELECT queue.wrong('tap_installs')$$, 'and both come to the same');
CALL queue.attach_may();
DELETE FROM queue.events WHERE at >= '2026-06-01' AND id = 51;
CALL attribution.run('tap_installs');
SELECT ok(queue.decided() @> '{51,52,53}', 'with its own decisions again');

-- A run that passes over tables, as it does if open transactions hold what they queue, decides all the same.
CREATE PROCEDURE queue.pass_over(run bigint) LANGUAGE plpgsql AS $$
BEGIN
  WHILE (SELECT l.work -> 0 ? 'relation' FROM attribution.run_log AS l WHERE l.run = $1) LOOP
    PERFORM attribution._recover($1, 0, '55P03');
  END LOOP;
END $$;
CREATE TABLE queue.events_july PARTITION OF queue.events FOR VALUES FROM ('2026-07-01 00:00+00') TO ('2026-08-01 00:00+00');
INSERT INTO queue.events VALUES (61, '2026-07-02 12:00+00', 1, 'install');
CALL attribution.run('tap_installs');
CALL queue.detach_may();
SELECT attribution._start_run('run', 'tap_installs', NULL) AS early \gset
CALL queue.pass_over(:early);
ALTER TABLE queue.events DETACH PARTITION queue.events_july;
SELECT attribution._step(:early, '-infinity') FROM generate_series(1, 2) \g /dev/null
SELECT ok((SELECT work -> 0 ? 'relation' FROM attribution.run_log WHERE run = :early), 'it looks again when another table goes');
CALL queue.pass_over(:early);
CALL attribution._work(:early);
CALL attribution.run('tap_installs');
SELECT is_empty($$SELECT queue.wrong('tap_installs')$$, 'what it has passed over twice, the next run looks through');
CALL queue.attach_may();
SELECT attribution._start_run('run', 'tap_installs', now() + interval '1 hour') AS early \gset
CALL queue.pass_over(:early);
CALL queue.detach_may();
CALL attribution.run('tap_installs');
CALL queue.attach_may();
UPDATE queue.events SET device = 1 - device WHERE id = 51;
CALL attribution._work(:early);
SELECT ok(queue.decided() @> '{51}', 'rows of what it has passed over are decided, also if it was gone in between');
CALL queue.detach_may();
CALL attribution.run('tap_installs');
SELECT is_empty($$SELECT queue.wrong('tap_installs')$$, 'and another finds it when it goes again');
DROP TABLE queue.events_july;
CALL queue.attach_may();
CALL attribution.run('tap_installs');

-- The last look at decisions passes over what is queued; a conversion that is queued at another time is not.
INSERT INTO queue.tap_installs_pending (conversion_id, conversion_time, queued_at, due) VALUES (51, '2026-06-02 12:00+00', now(), 'infinity');
CALL queue.detach_may();
SELECT attribution._queue('tap_installs', tableoid, true, true, true, true, NULL, NULL, '-infinity', 'infinity', now()) > 0 AS found
  FROM queue.tap_installs_decisions WHERE conversion_id = 51 \gset
SELECT results_eq('SELECT conversion_time, elsewhere FROM queue.tap_installs_pending WHERE conversion_id = 51',
  $$VALUES ('2026-05-02 12:00+00'::timestamptz, true)$$, 'its decision is');
CALL attribution.run('tap_installs');
SELECT is_empty($$SELECT queue.wrong('tap_installs')$$, 'and goes');
CALL queue.attach_may();
CALL attribution.run('tap_installs');

TRUNCATE queue.events_may;
CALL attribution.run('tap_installs');
SELECT ok(NOT queue.decided() && '{51,52,53}', 'TRUNCATE is noticed as well');
SELECT is_empty($$SELECT queue.wrong('tap_installs')$$, 'the others are as they were');
ALTER TABLE queue.events DISABLE TRIGGER ALL;
INSERT INTO queue.events VALUES (54, '2026-05-02 12:00+00', 1, 'install');
DELETE FROM queue.events WHERE id = 1;
ALTER TABLE queue.events ENABLE ALWAYS TRIGGER attribution_tap_installs;
ALTER TABLE queue.events ENABLE ALWAYS TRIGGER attribution_tap_opens;
CALL attribution.run('tap_installs');
SELECT isnt_empty($$SELECT queue.wrong('tap_installs')$$, 'behind a disabled trigger''s back things do happen');
CALL attribution.reconcile('tap_installs');
CALL attribution.run('tap_installs');
SELECT is_empty($$SELECT queue.wrong('tap_installs')$$, 'which reconcile() finds');

SELECT attribution.drop_rule('tap_opens') \g /dev/null
SELECT has_table('queue', 'opened', 'decisions outlive their rule');
SELECT hasnt_table('queue', 'tap_opens_pending', 'its queue does not');
SELECT hasnt_trigger('queue', 'events', 'attribution_tap_opens', 'nor the trigger');
SELECT hasnt_trigger('queue', 'events_january', 'attribution_tap_opens', 'not on a partition either');
SELECT lives_ok($$INSERT INTO queue.events VALUES (19, '2026-01-19 12:00+00', 17, 'open')$$, 'writers don''t miss it');
DROP TABLE queue.opened, queue.opened_by CASCADE;

------------------------------------------------------------------------------------------------------------------- the ladder

CREATE TABLE queue.orders (id text PRIMARY KEY, at timestamptz NOT NULL, device integer);
SELECT attribution.create_rule('tap_orders', 'queue.orders', 'id', 'at') \g /dev/null
SELECT attribution.add_tier('tap_orders', 'click', 'queue.clicks', '{device}', '7 days', id_column => 'click_id', time_column => 'clicked_at') \g /dev/null
SELECT attribution.activate('tap_orders') \g /dev/null
CREATE VIEW queue.orders_state AS
  SELECT p.conversion_id, p.arrived_at, p.due - p.arrived_at AS step, d.written, d.decided_at, d.touch_id
    FROM queue.tap_orders_pending p LEFT JOIN (SELECT h.xmin::text AS written, h.conversion_id, h.decided_at, c.touch_id
      FROM queue.tap_orders_decisions h JOIN queue.tap_orders_credits c USING (conversion_id, conversion_time)) d USING (conversion_id);
-- Times of runs are counted from a time that has not come yet, so that the clock of this machine does not matter.
\set t '''2100-01-01 00:00+00'''
CREATE TEMP TABLE climb (run serial, step interval, written text, touch_id text);
INSERT INTO queue.orders VALUES ('a', '2026-01-05 12:00+00', 5);
SELECT results_eq('SELECT arrived_at, touch_id FROM queue.orders_state', 'VALUES (NULL::timestamptz, NULL::text)', 'queued');
CALL attribution.run('tap_orders', as_of => '2020-01-01 00:00+00');
SELECT results_eq('SELECT arrived_at, touch_id FROM queue.orders_state', 'VALUES (NULL::timestamptz, NULL::text)', 'not due before it came');
CALL attribution.run('tap_orders', as_of => :t);
INSERT INTO climb (step, written, touch_id) SELECT step, written, touch_id FROM queue.orders_state;
SELECT is((SELECT arrived_at FROM queue.orders_state), :t, 'its arrival is the time of its first decision');
-- Each rung, and a microsecond before it.
CALL attribution.run('tap_orders', as_of => :t::timestamptz + interval '0.999999 s');
INSERT INTO climb (step, written, touch_id) SELECT step, written, touch_id FROM queue.orders_state;
CALL attribution.run('tap_orders', as_of => :t::timestamptz + interval '1 s');
INSERT INTO climb (step, written, touch_id) SELECT step, written, touch_id FROM queue.orders_state;
CALL attribution.run('tap_orders', as_of => :t::timestamptz + interval '10 s');
INSERT INTO climb (step, written, touch_id) SELECT step, written, touch_id FROM queue.orders_state;
CALL attribution.run('tap_orders', as_of => :t::timestamptz + interval '59.999999 s');
INSERT INTO climb (step, written, touch_id) SELECT step, written, touch_id FROM queue.orders_state;
CALL attribution.run('tap_orders', as_of => :t::timestamptz + interval '1 min');
INSERT INTO climb (step, written, touch_id) SELECT step, written, touch_id FROM queue.orders_state;
CALL attribution.run('tap_orders', as_of => :t::timestamptz + interval '10 min');
INSERT INTO climb (step, written, touch_id) SELECT step, written, touch_id FROM queue.orders_state;
CALL attribution.run('tap_orders', as_of => :t::timestamptz + interval '1 hour');
INSERT INTO climb (step, written, touch_id) SELECT step, written, touch_id FROM queue.orders_state;
CALL attribution.run('tap_orders', as_of => :t::timestamptz + interval '6 hours');
INSERT INTO climb (step, written, touch_id) SELECT step, written, touch_id FROM queue.orders_state;
CALL attribution.run('tap_orders', as_of => :t::timestamptz + interval '23:59:59.999999');
INSERT INTO climb (step, written, touch_id) SELECT step, written, touch_id FROM queue.orders_state;
SELECT is((SELECT array_agg(step ORDER BY run) FROM climb),
  '{1 s,1 s,10 s,1 min,1 min,10 min,1 hour,6 hours,24 hours,24 hours}'::interval[], 'the ladder: 1 s, 10 s, 1 min, 10 min, 1 h, 6 h, 24 h');
SELECT is((SELECT count(DISTINCT (written, touch_id))::integer FROM climb), 1, 'where nothing has changed nothing is written');
CALL attribution.run('tap_orders', as_of => :t::timestamptz + interval '24 hours');
SELECT is_empty('SELECT FROM queue.orders_state', 'and then it is closed');
SELECT is((SELECT xmin::text FROM queue.tap_orders_decisions), (SELECT min(written) FROM climb), 'as it was decided first');
SELECT is((SELECT count(*)::integer FROM queue.tap_orders_decisions_history), 0, 'without a history');

-- Runs that come late pass over rungs: the next one is counted from the arrival, not from the run.
INSERT INTO queue.orders VALUES ('b', '2026-01-06 12:00+00', 6);
CALL attribution.run('tap_orders', as_of => :t);
CALL attribution.run('tap_orders', as_of => :t::timestamptz + interval '5 min');
SELECT is((SELECT step FROM queue.orders_state), '10 min'::interval, 'rungs that have passed are passed over');
CALL attribution.run('tap_orders', as_of => :t::timestamptz + interval '7 days');
SELECT is_empty('SELECT FROM queue.orders_state', 'to the last');

-- A late click restates, on the next rung, and the former decision is history.
INSERT INTO queue.orders VALUES ('c', '2026-01-07 12:00+00', 7);
CALL attribution.run('tap_orders', as_of => :t);
SELECT decided_at AS first_decided FROM queue.orders_state \gset
INSERT INTO queue.clicks VALUES ('late', '2026-01-07 11:00+00', 7, 'n');
CALL attribution.run('tap_orders', as_of => :t);
SELECT is((SELECT touch_id FROM queue.orders_state), 'c7', 'a late click is not seen before the next rung');
CALL attribution.run('tap_orders', as_of => :t::timestamptz + interval '1 s');
SELECT is((SELECT touch_id FROM queue.orders_state), 'late', 'where it wins');
SELECT is((SELECT step FROM queue.orders_state), '10 s'::interval, 'the ladder goes on as before');
SELECT decided_at AS then_decided FROM queue.orders_state \gset
SELECT results_eq($$SELECT conversion_id, decided_at, superseded_at, touch_id FROM queue.tap_orders_decisions_history h
                      JOIN queue.tap_orders_credits_history c USING (conversion_id, conversion_time, decided_at)$$,
                  format('VALUES (%L, %L::timestamptz, %L::timestamptz, %L)', 'c', :'first_decided', :'then_decided', 'c7'),
                  'what it replaces is history, without a gap');
SELECT results_eq(format('SELECT conversion_id, touch_id, credit FROM attribution.decisions_as_of(%L, %L) WHERE conversion_id = %L', 'tap_orders', :'first_decided', 'c'),
                  $$VALUES ('c', 'c7', 1::float8)$$, 'what was known at a time');
SELECT results_eq(format('SELECT conversion_id, touch_id FROM queue.tap_orders_decisions_as_of(%L) WHERE conversion_id = %L', :'then_decided', 'c'),
                  $$VALUES ('c', 'late')$$, 'and what is known');
SELECT is((SELECT count(*)::integer FROM attribution.decisions_as_of('tap_orders', '2020-01-01')), 0, 'before all times nothing was');
SELECT is((SELECT count(*)::integer FROM attribution.decisions_as_of('tap_orders', now() + interval '1 hour')), 3, 'one decision a conversion');
CALL attribution.run('tap_orders', as_of => :t::timestamptz + interval '24 hours');
-- After the end nothing restates, but a change of the conversion itself.
INSERT INTO queue.clicks VALUES ('later', '2026-01-07 11:30+00', 7, 'n');
CALL attribution.run('tap_orders', as_of => :t::timestamptz + interval '24 hours');
SELECT is((SELECT touch_id FROM queue.tap_orders_attribution WHERE conversion_id = 'c'), 'late', 'what is closed is closed');
UPDATE queue.orders SET at = at + interval '1 minute' WHERE id = 'c';
CALL attribution.run('tap_orders', as_of => :t::timestamptz + interval '24 hours');
SELECT results_eq($$SELECT conversion_time, touch_id FROM queue.tap_orders_attribution WHERE conversion_id = 'c'$$,
                  $$VALUES ('2026-01-07 12:01+00'::timestamptz, 'later')$$, 'unless it changes itself');
SELECT is((SELECT step FROM queue.orders_state), '1 s'::interval, 'then it starts anew');
UPDATE queue.orders SET at = at - interval '1 minute' WHERE id = 'c';
SELECT is((SELECT arrived_at FROM queue.orders_state), NULL, 'an open one, too');
CALL attribution.run('tap_orders', as_of => :t::timestamptz + interval '48 hours');
SELECT is((SELECT array_agg(conversion_time::time ORDER BY decided_at) FROM queue.tap_orders_decisions_history), '{12:00,12:00,12:01}', 'each is remembered');
CALL attribution.run('tap_orders', as_of => :t::timestamptz + interval '96 hours');
SELECT is_empty($$SELECT queue.wrong('tap_orders')$$, 'at the end all is as it should be');

-- A longer or shorter wait.
SELECT attribution.alter_rule('tap_orders', allowed_lateness => '2 min', settlement => '1 hour') \g /dev/null
SELECT attribution.activate('tap_orders') \g /dev/null
INSERT INTO queue.orders VALUES ('d', '2026-01-08 12:00+00', 8);
SELECT is((SELECT due - queued_at FROM queue.tap_orders_pending), '1 hour'::interval, 'settlement is a wait before the first decision');
CALL attribution.run('tap_orders');
SELECT is((SELECT touch_id FROM queue.tap_orders_attribution WHERE conversion_id = 'd'), NULL, 'nothing is decided before');
CALL attribution.run('tap_orders', as_of => :t);
SELECT is((SELECT touch_id FROM queue.tap_orders_attribution WHERE conversion_id = 'd'), 'c8', 'it is afterwards');
CALL attribution.run('tap_orders', as_of => :t::timestamptz + interval '1 min');
SELECT is((SELECT step FROM queue.orders_state), '2 min'::interval, 'a rule''s lateness ends the ladder');
CALL attribution.run('tap_orders', as_of => :t::timestamptz + interval '2 min');
SELECT is_empty('SELECT FROM queue.orders_state', 'where it says');
SELECT results_eq($$SELECT error IS NULL, started_at <= finished_at, as_of, decided, changed, withdrawn, kept, closed FROM attribution.run_log WHERE rule = 'tap_orders' ORDER BY run DESC LIMIT 1$$,
                  format($$VALUES (true, true, %L::timestamptz + interval '2 min', 1::bigint, 0::bigint, 0::bigint, 0::bigint, 1::bigint)$$, :t), 'the log tells');

--------------------------------------------------------------------------------------------------------------- reattribution

-- A shorter window: it changes the decision of those whose click is older, and of no other.
UPDATE queue.orders SET at = '2026-01-07 08:00+00' WHERE id = 'b';
CALL attribution.run('tap_orders', as_of => :t);
CALL attribution.run('tap_orders', as_of => :t::timestamptz + interval '2 min');
SELECT is((SELECT touch_id FROM queue.tap_orders_attribution WHERE conversion_id = 'b'), 'c6', 'a click of the day before');
SELECT attribution.alter_tier('tap_orders', 'click', lookback => '12 hours') \g /dev/null
SELECT results_eq($$SELECT from_tier, to_tier, conversions, value FROM attribution.diff('tap_orders')$$,
                  $$VALUES ('click', 'organic', 1::bigint, NULL::numeric)$$, 'what a draft would move, before it is in force');
SELECT results_eq($$SELECT from_tier, to_tier, conversions FROM attribution.diff('tap_orders', overrides => '{"version": 1, "lookback": {"click": "1 hour"}}')$$,
                  $$VALUES ('click', 'organic', 3::bigint)$$, 'or what else might');
SELECT is_empty($$SELECT FROM attribution.diff('tap_orders', overrides => '{"version": 1}')$$, 'nothing, if it is what was');
CREATE TEMP TABLE before AS SELECT d.xmin::text AS written, c.xmin::text AS credit_written, d.*, c.touch_id FROM queue.tap_orders_decisions d JOIN queue.tap_orders_credits c USING (conversion_id, conversion_time);
SELECT attribution.activate('tap_orders') \g /dev/null
CALL attribution.run('tap_orders', as_of => :t::timestamptz + interval '1 year');
SELECT is((SELECT touch_id FROM queue.tap_orders_attribution WHERE conversion_id = 'b'), 'c6', 'a new version changes nothing by itself');
CALL attribution.reattribute('tap_orders', '2026-01-08 00:00+00');
SELECT is((SELECT touch_id FROM queue.tap_orders_attribution WHERE conversion_id = 'b'), 'c6', 'reattribution is for a span');
CALL attribution.reattribute('tap_orders', '2026-01-07 00:00+00', '2026-01-08 00:00+00');
SELECT results_eq($$SELECT outcome, touch_id, rule_version FROM queue.tap_orders_attribution WHERE conversion_id = 'b'$$, $$VALUES ('organic', NULL::text, 3)$$, 'of which it restates what differs');
SELECT set_eq($$SELECT d.xmin::text AS written, c.xmin::text AS credit_written, d.*, c.touch_id FROM queue.tap_orders_decisions d JOIN queue.tap_orders_credits c USING (conversion_id, conversion_time) WHERE conversion_id <> 'b'$$,
              $$SELECT * FROM before WHERE conversion_id <> 'b'$$, 'and leaves the rest alone');
SELECT results_eq($$SELECT rule_version, touch_id FROM queue.tap_orders_decisions_history JOIN queue.tap_orders_credits_history USING (conversion_id, conversion_time, decided_at)
                     WHERE conversion_id = 'b' ORDER BY decided_at DESC LIMIT 1$$, $$VALUES (2, 'c6')$$, 'by which version it was, is history');
SELECT is((SELECT count(*)::integer FROM queue.tap_orders_pending), 0, 'what was closed is closed again');
SELECT is_empty($$SELECT FROM attribution.diff('tap_orders')$$, 'nothing is left to move');
DROP TABLE before;

------------------------------------------------------------------------------------------------------------------ the horizon

-- Back to a window of seven days; then clicks before the 6th go, unseen by any run.
SELECT attribution.alter_tier('tap_orders', 'click', lookback => '7 days') \g /dev/null
SELECT attribution.activate('tap_orders') \g /dev/null
INSERT INTO queue.orders VALUES ('e', '2026-01-20 12:00+00', 20);
CALL attribution.reattribute('tap_orders', as_of => :t);
CALL attribution.run('tap_orders', as_of => :t::timestamptz + interval '1 day');
CREATE TEMP TABLE before AS SELECT conversion_id, conversion_time, outcome, touch_id FROM queue.tap_orders_attribution;
SELECT is((SELECT count(*)::integer FROM before WHERE outcome = 'attributed'), 5, 'all have a click');
DELETE FROM queue.clicks WHERE clicked_at < '2026-01-09 00:00+00';
UPDATE attribution.partitioning SET horizon = '2026-01-09 00:00+00' WHERE relation = 'queue.clicks'::regclass;
CALL attribution.reattribute('tap_orders', as_of => :t);
SELECT set_eq('SELECT conversion_id, conversion_time, outcome, touch_id FROM queue.tap_orders_attribution', 'TABLE before',
              'what was decided by clicks that retention took stays decided');
SELECT results_eq($$SELECT decided, changed, withdrawn, kept FROM attribution.run_log WHERE rule = 'tap_orders' ORDER BY run DESC LIMIT 1$$,
                  $$VALUES (5::bigint, 0::bigint, 0::bigint, 4::bigint)$$, 'and is counted as kept');
-- A decision whose window lies behind the horizon as a whole is open to change.
DELETE FROM queue.clicks WHERE device = 20;
CALL attribution.reattribute('tap_orders', as_of => :t);
SELECT is((SELECT outcome FROM queue.tap_orders_attribution WHERE conversion_id = 'e'), 'organic', 'what the data still covers is decided by the data');
-- A conversion that somebody deletes is withdrawn, however old its clicks.
DELETE FROM queue.orders WHERE id = 'a';
CALL attribution.run('tap_orders', as_of => :t);
SELECT is((SELECT count(*)::integer FROM queue.tap_orders_decisions WHERE conversion_id = 'a'), 0, 'a conversion that is deleted has no decision');
DROP TABLE before;

-- The same for conversions that retention took.
INSERT INTO queue.events VALUES (61, '2026-01-11 12:00+00', 11, 'install'), (62, '2026-02-11 12:00+00', 12, 'install');
CALL attribution.run('tap_installs');
CREATE TEMP TABLE before AS SELECT * FROM queue.tap_installs_decisions;
TRUNCATE queue.events_january;
UPDATE attribution.partitioning SET horizon = '2026-02-01 00:00+00' WHERE relation = 'queue.events'::regclass;
CALL attribution.run('tap_installs');
SELECT set_eq('SELECT * FROM queue.tap_installs_decisions', 'TABLE before', 'decisions outlive their conversions');
CALL attribution.reattribute('tap_installs');
SELECT set_eq('SELECT * FROM queue.tap_installs_decisions', 'TABLE before', 'reattribution does not change that');
CALL attribution.reconcile('tap_installs');
CALL attribution.run('tap_installs');
SELECT set_eq('SELECT * FROM queue.tap_installs_decisions', 'TABLE before', 'nor does reconcile()');
DELETE FROM queue.events WHERE id = 62;
CALL attribution.run('tap_installs');
SELECT is(queue.touch(62), NULL, 'after the horizon what is deleted is withdrawn');
DROP TABLE before;

-- Retention leaves what is still to be decided, or decided again.
INSERT INTO queue.orders VALUES ('f', '2026-01-17 08:00+00', 10);
SELECT is(attribution.drop_partitions('queue.clicks', '2026-01-12 00:00+00'), 9, 'partitions that a queued conversion may need are kept');
SELECT is((SELECT horizon FROM attribution.partitioning WHERE relation = 'queue.clicks'::regclass), '2026-01-10 00:00+00', 'the horizon is where they begin');
CALL attribution.run('tap_orders', as_of => :t);
SELECT is((SELECT touch_id FROM queue.tap_orders_attribution WHERE conversion_id = 'f'), 'c10', 'so that it finds its click');
SELECT is(attribution.drop_partitions('queue.clicks', '2026-01-12 00:00+00'), 0, 'also while it is open');
CALL attribution.run('tap_orders', as_of => :t::timestamptz + interval '1 day');
SELECT is(attribution.drop_partitions('queue.clicks', '2026-01-12 00:00+00'), 2, 'when it is closed they go');
INSERT INTO queue.events VALUES (63, '2026-02-12 12:00+00', 12, 'install');
DELETE FROM queue.events WHERE at IS NULL;
SELECT lives_ok($$SELECT attribution.maintain_partitions('queue.events')$$, 'rows move from the default partition into their own');
SELECT is((SELECT tableoid::regclass::text FROM queue.events WHERE id = 63), 'queue.events_20260212', 'among them one that is queued');
SELECT is(queue.queued(), '{63}', 'which changes nothing of the queue');
SELECT is(attribution.drop_partitions('queue.events', '2026-02-20 00:00+00'), 2, 'older partitions go');
SELECT is((SELECT count(*)::integer FROM queue.events WHERE id = 63), 1, 'a partition of conversions that are queued is kept, too');
CALL attribution.run('tap_installs');
SELECT is(queue.touch(63), 'organic', 'to be decided');

------------------------------------------------------------------------------------------------------------------ what there is

SELECT results_eq($$SELECT undecided, open FROM attribution.backlog WHERE rule = 'tap_orders'$$, $$VALUES (0::bigint, 0::bigint)$$, 'no backlog');
INSERT INTO queue.orders VALUES ('g', '2026-01-29 12:00+00', 29), ('h', '2026-01-29 12:00+00', 29);
SELECT results_eq($$SELECT undecided, open FROM attribution.backlog WHERE rule = 'tap_orders'$$, $$VALUES (2::bigint, 0::bigint)$$, 'two wait');
CALL attribution.run('tap_orders', as_of => :t);
SELECT results_eq($$SELECT undecided, open FROM attribution.backlog WHERE rule = 'tap_orders'$$, $$VALUES (0::bigint, 2::bigint)$$, 'two may still change');
SELECT results_eq($$SELECT outcome, tier, conversions FROM attribution.outcomes WHERE rule = 'tap_orders' ORDER BY 1$$,
                  $$SELECT outcome, tier, count(*) FROM queue.tap_orders_decisions GROUP BY 1, 2 ORDER BY 1$$, 'outcomes are the sum of the decisions');

---------------------------------------------------------------------------------------------------------------------- the end

DROP VIEW queue.orders_state;
SELECT attribution.drop_rule('tap_orders', keep_decisions => false) \g /dev/null
SELECT is((SELECT array_agg(relname ORDER BY relname) FROM pg_class WHERE relnamespace = 'queue'::regnamespace AND relname LIKE 'tap\_orders%'), NULL,
          'a rule that is dropped with its decisions leaves nothing');
SELECT attribution.create_rule('tap_empty', 'queue.orders', 'id', 'at') \g /dev/null
SELECT attribution.add_tier('tap_empty', 'click', 'queue.clicks', '{device}', '7 days', id_column => 'click_id', time_column => 'clicked_at') \g /dev/null
SELECT attribution.activate('tap_empty') \g /dev/null
SELECT attribution.drop_rule('tap_empty') \g /dev/null
SELECT is((SELECT array_agg(relname ORDER BY relname) FROM pg_class WHERE relnamespace = 'queue'::regnamespace AND relname LIKE 'tap\_empty%'), NULL,
          'nor does one that has decided nothing');
SELECT attribution.drop_rule('tap_installs') \g /dev/null
SELECT has_table('queue', 'tap_installs_decisions', 'decisions stay');
SELECT has_table('queue', 'tap_installs_credits', 'with their credits');
SELECT has_table('queue', 'tap_installs_decisions_history', 'and their history');
DROP TABLE climb;
DROP SCHEMA queue CASCADE;
DROP ROLE tap_queue_writer;
SELECT * FROM finish();

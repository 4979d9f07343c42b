-- Decisions that are stored: where, with what, and what changes them.
\set SHOW_CONTEXT never
CREATE EXTENSION attribution;
SET client_min_messages = warning;
SET timezone = 'UTC';
CREATE SCHEMA shop;
CREATE SCHEMA "the ""books";
CREATE TABLE shop.orders (order_id int PRIMARY KEY, ordered_at timestamptz, user_id int, device text, amount numeric(10,2), state text);
CREATE TABLE shop.clicks (click_id bigint, clicked_at timestamptz, user_id int, network text, cost numeric);
CREATE TABLE shop.views (click_id bigint, clicked_at timestamptz, user_id int, network text);
CREATE INDEX ON shop.clicks (user_id, clicked_at);
CREATE INDEX ON shop.views (user_id, clicked_at);

-- Names and schema are the user's choice.
SELECT attribution.create_rule('orders', 'shop.orders', 'order_id', 'ordered_at', filter => $$state = 'paid'$$,
  value_column => 'amount', carry => '{network,cost}', installation_key => '{user_id,lower(device)}',
  decisions => '"the ""books"."Who"', credits => 'credit_lines', allowed_lateness => '2 hours');
SELECT attribution.add_tier('orders', 'click', 'shop.clicks', '{user_id}', '1 day', id_column => 'click_id', time_column => 'clicked_at');
SELECT attribution.add_tier('orders', 'view', 'shop.views', '{user_id}', '1 day', id_column => 'click_id', time_column => 'clicked_at');
-- Nothing runs before the rule is in force.
CALL attribution.run('orders');
SELECT attribution.activate('orders');
SELECT relname, relkind FROM pg_class AS c WHERE relnamespace = '"the ""books"'::regnamespace AND relkind IN ('p', 'r', 'v') AND NOT relispartition ORDER BY 1;
SELECT attname, format_type(atttypid, atttypmod) FROM pg_attribute WHERE attrelid = '"the ""books".credit_lines'::regclass AND attnum > 0 ORDER BY attnum;
SELECT attname, format_type(atttypid, atttypmod) FROM pg_attribute WHERE attrelid = '"the ""books".orders_installations'::regclass AND attnum > 0 ORDER BY attnum;

INSERT INTO shop.clicks VALUES (1, '2026-01-01 10:00', 7, 'acme', 0.5), (2, '2026-01-01 11:00', 7, 'bolt', 0.7);
INSERT INTO shop.views VALUES (3, '2026-01-01 11:30', 8, 'view net');
INSERT INTO shop.orders VALUES (1, '2026-01-01 12:00', 7, 'A', 10.50, 'paid'), (2, '2026-01-01 12:00', 8, 'B', 20, 'paid'),
  (3, '2026-01-01 12:00', 9, 'C', NULL, 'paid'), (4, '2026-01-01 12:00', 9, 'C', 1, 'draft'), (5, '2026-03-01 12:00', 7, 'a', 3, 'paid');
SELECT conversion_id, elsewhere, arrived_at IS NULL AS undecided FROM "the ""books".orders_pending ORDER BY 1;
CALL attribution.run('orders');
SELECT conversion_id, outcome, kind, tier, touch_id, credit, lookback, value, rule_version, network, cost FROM "the ""books".orders_attribution ORDER BY 1;
SELECT key1, key2, conversion_id FROM "the ""books".orders_installations ORDER BY 3;
SELECT conversion_id, arrived_at IS NULL AS undecided, due - arrived_at AS rung FROM "the ""books".orders_pending ORDER BY 1;
-- Again: nothing changes.
CALL attribution.run('orders', now() + interval '2 s');
SELECT count(*) FROM "the ""books"."Who_history";
SELECT conversion_id, due - arrived_at AS rung FROM "the ""books".orders_pending ORDER BY 1;
SELECT rule, outcome, kind, tier, conversions, value FROM attribution.outcomes;
SELECT rule, undecided, open FROM attribution.backlog;

-- A late click, a late view, a change of the order, and one that is no order any more.
INSERT INTO shop.clicks VALUES (10, '2026-01-01 11:59', 7, 'late', NULL);
INSERT INTO shop.views VALUES (11, '2026-01-01 11:59', 9, NULL);
UPDATE shop.orders SET amount = 21 WHERE order_id = 2;
UPDATE shop.orders SET state = 'cancelled' WHERE order_id = 5;
SELECT clock_timestamp() AS before \gset
CALL attribution.run('orders', now() + interval '1 hour');
SELECT conversion_id, outcome, tier, touch_id, value, network FROM "the ""books".orders_attribution ORDER BY 1;
SELECT conversion_id, outcome, tier, value, superseded_at = (SELECT decided_at FROM "the ""books"."Who" AS d WHERE d.conversion_id = h.conversion_id) AS seamless
FROM "the ""books"."Who_history" AS h ORDER BY 1;
SELECT conversion_id, touch_id, network FROM "the ""books".credit_lines_history ORDER BY 1;
SELECT conversion_id, touch_id, value FROM attribution.decisions_as_of('orders', :'before') ORDER BY 1;
SELECT conversion_id, touch_id, value FROM "the ""books".orders_decisions_as_of(clock_timestamp()) ORDER BY 1;
-- They close; what comes later changes them no more, until somebody asks for it.
CALL attribution.run('orders', now() + interval '2 hours 1 minute');
SELECT count(*) FROM "the ""books".orders_pending;
INSERT INTO shop.clicks VALUES (12, '2026-01-01 11:59:59', 7, 'too late', NULL);
CALL attribution.run('orders', now() + interval '3 hours');
SELECT conversion_id, touch_id FROM "the ""books".orders_attribution ORDER BY 1;
CALL attribution.reattribute('orders', '2026-01-01 12:00:00.000001');
SELECT conversion_id, touch_id FROM "the ""books".orders_attribution ORDER BY 1;
CALL attribution.reattribute('orders', '2026-01-01 12:00', '2026-01-01 12:00:00.000001');
SELECT conversion_id, touch_id, network FROM "the ""books".orders_attribution ORDER BY 1;
SELECT count(*) FROM "the ""books".orders_pending;

-- What would move, before a new version is activated.
SELECT attribution.alter_tier('orders', 'click', lookback => '0.5 seconds');
SELECT * FROM attribution.diff('orders');
SELECT * FROM attribution.diff('orders', by => '{network}');
SELECT * FROM attribution.diff('orders', overrides => '{"version": 1}');
SELECT * FROM attribution.diff('orders', overrides => '{"version": 1, "without_tiers": ["view"]}', by => '{cost,network}');
SELECT * FROM attribution.diff('orders', by => '{amount}');
SELECT attribution.activate('orders');
CALL attribution.run('orders');
SELECT conversion_id, touch_id, rule_version FROM "the ""books".orders_attribution ORDER BY 1;
CALL attribution.reattribute('orders');
SELECT conversion_id, touch_id, rule_version FROM "the ""books".orders_attribution ORDER BY 1;

-- New or reinstalled, in any order of arrival.
INSERT INTO shop.orders VALUES (20, '2026-02-01', 70, 'x', 1, 'paid'), (21, '2026-04-20', 70, 'X', 1, 'paid'), (22, '2026-05-10', 70, 'x', 1, 'paid'),
  (23, '2026-02-01', NULL, 'x', 1, 'paid'), (24, '2026-02-02', NULL, 'x', 1, 'paid'), (25, '2026-02-02', 71, '', 1, 'paid'), (26, '2026-02-03', 71, '', 1, 'paid');
CALL attribution.run('orders');
SELECT conversion_id, kind FROM "the ""books"."Who" WHERE conversion_id BETWEEN 20 AND 29 ORDER BY 1;
INSERT INTO shop.orders VALUES (27, '2026-01-25', 70, 'x', 1, 'paid');
CALL attribution.run('orders', now() + interval '2 s');
SELECT conversion_id, kind FROM "the ""books"."Who" WHERE conversion_id BETWEEN 20 AND 29 ORDER BY 1;
UPDATE shop.orders SET device = 'another' WHERE order_id = 21;
CALL attribution.run('orders', now() + interval '20 s');
SELECT conversion_id, kind FROM "the ""books"."Who" WHERE conversion_id BETWEEN 20 AND 29 ORDER BY 1;
SELECT key1, key2, conversion_id FROM "the ""books".orders_installations WHERE conversion_id BETWEEN 20 AND 29 ORDER BY 3;
SELECT conversion_id, kind FROM attribution.attribute('orders') WHERE conversion_id::int BETWEEN 20 AND 29 ORDER BY 1;

-- One id at two times is one conversion: the earliest; a deleted one makes way.
CREATE TABLE shop.events (uid text, at timestamptz, user_id int);
SELECT attribution.create_rule('events', 'shop.events', 'uid', 'at', allowed_lateness => '0');
SELECT attribution.add_tier('events', 'click', 'shop.clicks', '{user_id}', '1 day', id_column => 'click_id', time_column => 'clicked_at');
SELECT attribution.activate('events');
INSERT INTO shop.events VALUES ('a', '2026-01-01 12:00', 7), ('b', '2026-01-01 12:00', 7);
CALL attribution.run('events');
INSERT INTO shop.events VALUES ('a', '2026-01-02 12:00', 8), ('a', '2025-12-02 12:00', 8), ('b', '2026-01-03', 8);
CALL attribution.run('events');
SELECT conversion_id, conversion_time, tier FROM shop.events_decisions ORDER BY 1;
DELETE FROM shop.events WHERE uid = 'a' AND at < '2026-01-02' OR uid = 'b' AND at < '2026-01-02';
CALL attribution.run('events');
SELECT conversion_id, conversion_time, tier FROM shop.events_decisions ORDER BY 1;
SELECT conversion_id, conversion_time, tier FROM shop.events_decisions_history ORDER BY 1, 2, decided_at;
DELETE FROM shop.events;
CALL attribution.run('events');
SELECT count(*) FROM shop.events_decisions;

-- What can't be kept.
SELECT attribution.create_rule('x', 'shop.orders', 'order_id', 'ordered_at', carry => '{tier}');
SELECT attribution.create_rule('x', 'shop.orders', 'order_id', 'ordered_at', carry => '{a,a}');
SELECT attribution.create_rule('x', 'shop.orders', 'order_id', 'ordered_at', value_column => 'nope');
SELECT attribution.create_rule('x', 'shop.orders', 'order_id', 'ordered_at', value_column => 'ordered_at');
SELECT attribution.create_rule('x', 'shop.orders', 'order_id', 'ordered_at', installation_key => '{random()}');
SELECT attribution.create_rule('x', 'shop.orders', 'order_id', 'ordered_at', installation_key => '{nope}');
SELECT attribution.create_rule('x', 'shop.orders', 'order_id', 'ordered_at', installation_key => '{"point(1,1)"}');
SELECT attribution.create_rule('x', 'shop.orders', 'order_id', 'ordered_at', allowed_lateness => '1 month');
SELECT attribution.create_rule('x', 'shop.orders', 'order_id', 'ordered_at', decisions => 'a.b.c');
SELECT attribution.create_rule('x', 'shop.orders', 'order_id', 'ordered_at', decisions => 'orders');
SELECT attribution.create_rule('x', 'shop.orders', 'order_id', 'ordered_at', carry => '{nowhere}');
SELECT attribution.add_tier('x', 'click', 'shop.clicks', '{user_id}', '1 day', id_column => 'click_id', time_column => 'clicked_at');
SELECT attribution.activate('x');
SELECT attribution.drop_rule('x');
CREATE VIEW shop.shown AS SELECT * FROM shop.orders;
SELECT attribution.create_rule('shown', 'shop.shown', 'order_id', 'ordered_at', decisions => 'kept');
SELECT attribution.create_rule('shown', 'shop.shown', 'order_id', 'ordered_at');
SELECT attribution.add_tier('shown', 'click', 'shop.clicks', '{user_id}', '1 day', id_column => 'click_id', time_column => 'clicked_at');
SELECT attribution.activate('shown');
CALL attribution.run('shown');
CALL attribution.run('nope');
CALL attribution.run(NULL);
CALL attribution.run('orders', 'infinity');
CALL attribution.reattribute('orders', '2026-01-02', '2026-01-01');
BEGIN;
CALL attribution.run('orders');
ROLLBACK;
SET default_transaction_isolation = 'repeatable read';
CALL attribution.run('orders');
RESET default_transaction_isolation;
-- What is refused at the door.
INSERT INTO shop.events VALUES (NULL, now(), 1);
INSERT INTO shop.events VALUES ('i', 'infinity', 1);
INSERT INTO shop.events VALUES ('n', NULL, 1);
-- Ids of another type, with decisions there.
DROP VIEW shop.shown;
ALTER TABLE shop.orders ALTER order_id TYPE bigint;
SELECT attribution.alter_rule('orders', model => 'first_touch');

-- A batch costs what it is, not what the tables hold: few of many are decided again, and no table is read as a whole.
CREATE TABLE shop.parcels (id int PRIMARY KEY, at timestamptz, user_id int);
SELECT attribution.create_rule('parcels', 'shop.parcels', 'id', 'at');
SELECT attribution.add_tier('parcels', 'click', 'shop.clicks', '{user_id}', '1 day', id_column => 'click_id', time_column => 'clicked_at');
SELECT attribution.activate('parcels');
INSERT INTO shop.parcels SELECT i, '2026-01-05', i FROM generate_series(1, 5000) AS i;
CALL attribution.run('parcels', now() + interval '25 hours');
UPDATE shop.parcels SET user_id = 0 WHERE id % 50 = 0;
SELECT pg_stat_force_next_flush();
CREATE TABLE shop.before AS SELECT relid, seq_tup_read FROM pg_stat_user_tables WHERE relname LIKE 'parcels%';
CALL attribution.run('parcels', now() + interval '25 hours');
SELECT pg_stat_force_next_flush();
SELECT relid::regclass, a.seq_tup_read - b.seq_tup_read AS read FROM pg_stat_user_tables AS a JOIN shop.before AS b USING (relid) WHERE a.seq_tup_read > b.seq_tup_read;
SELECT decided FROM attribution.run_log ORDER BY run DESC LIMIT 1;
DROP TABLE shop.before;
SELECT attribution.drop_rule('parcels', keep_decisions => false);
DROP TABLE shop.parcels;
-- Nor is one if a few of its installation keys are others' as well. Each is decided once, however long that takes.
CREATE TABLE shop.openings (id int, at timestamptz, user_id int, PRIMARY KEY (id, at));
CREATE INDEX ON shop.openings USING touch (user_id, at);
SELECT attribution.create_rule('openings', 'shop.openings', 'id', 'at', installation_key => '{user_id}', allowed_lateness => '0');
SELECT attribution.add_tier('openings', 'click', 'shop.clicks', '{user_id}', '1 day', id_column => 'click_id', time_column => 'clicked_at');
SELECT attribution.activate('openings');
INSERT INTO shop.openings SELECT i, '2026-01-05', i FROM generate_series(1, 20000) AS i;
CALL attribution.run('openings');
INSERT INTO shop.openings SELECT i, '2026-01-06', i - 300 FROM generate_series(20001, 21000) AS i;
VACUUM ANALYZE shop.openings;
SELECT pg_stat_force_next_flush();
CREATE TABLE shop.before AS SELECT idx_tup_read FROM pg_stat_user_indexes WHERE indexrelname = 'openings_pkey';
CALL attribution.run('openings');
SELECT pg_stat_force_next_flush();
SELECT a.idx_tup_read - b.idx_tup_read < 10000 AS few FROM pg_stat_user_indexes AS a, shop.before AS b WHERE indexrelname = 'openings_pkey';
SELECT kind, count(*) FROM shop.openings_decisions GROUP BY 1 ORDER BY 1;
DROP TABLE shop.before;
-- A batch that ends for want of memory is not the last, though it had claimed all that was due.
INSERT INTO shop.openings SELECT i, '2026-01-07', i FROM generate_series(30001, 31000) AS i;
SET attribution.work_mem = '64kB';
CALL attribution.run('openings');
RESET attribution.work_mem;
SELECT decided, batches > 1 AS several FROM attribution.run_log ORDER BY run DESC LIMIT 1;
SELECT attribution.drop_rule('openings', keep_decisions => false);
DROP TABLE shop.openings;

-- Dropping a rule leaves its decisions, or not.
SELECT attribution.drop_rule('orders');
SELECT relname FROM pg_class AS c WHERE relnamespace = '"the ""books"'::regnamespace AND relkind IN ('p', 'r', 'v') AND NOT relispartition ORDER BY 1;
SELECT attribution.drop_rule('events');
SELECT attribution.create_rule('events', 'shop.events', 'uid', 'at');
DROP VIEW shop.events_attribution;
DROP TABLE shop.events_decisions, shop.events_credits, shop.events_decisions_history, shop.events_credits_history;
SELECT attribution.create_rule('events', 'shop.events', 'uid', 'at');
SELECT attribution.drop_rule('events', keep_decisions => false);
SELECT relname FROM pg_class AS c WHERE relnamespace = 'shop'::regnamespace AND relkind IN ('p', 'r', 'v') AND NOT relispartition ORDER BY 1;
SELECT tgname FROM pg_trigger WHERE tgname LIKE 'attribution%';
SELECT count(*) FROM attribution.partitioning WHERE relation::text LIKE 'shop.%';
-- DROP EXTENSION takes triggers and functions along, not the data.
SELECT attribution.create_rule('events', 'shop.events', 'uid', 'at');
SELECT attribution.add_tier('events', 'click', 'shop.clicks', '{user_id}', '1 day', id_column => 'click_id', time_column => 'clicked_at');
SELECT attribution.activate('events');
INSERT INTO shop.events VALUES ('z', now(), 1);
CALL attribution.run('events');
DROP EXTENSION attribution;
SELECT count(*) FROM shop.events_decisions;
SELECT count(*) FROM pg_trigger WHERE tgname LIKE 'attribution%';
INSERT INTO shop.events VALUES ('zz', now(), 1);
DROP SCHEMA shop CASCADE;
DROP SCHEMA "the ""books" CASCADE;

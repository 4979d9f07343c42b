-- One big table: a view for BI tools; and what decisions keep of the path.
\set SHOW_CONTEXT never
CREATE EXTENSION attribution;
SET client_min_messages = warning;
SET timezone = 'UTC';
SET datestyle = 'ISO';
CREATE SCHEMA b;
CREATE TABLE b.touches (id int, at timestamptz, person int, network text, medium text);
CREATE INDEX ON b.touches USING touch (person, at);
CREATE TABLE b.orders (gone int, id text, at timestamptz, person int, amount numeric(8, 2), kind text, "the ""note" text, PRIMARY KEY (id, at));
ALTER TABLE b.orders DROP COLUMN gone;
CREATE TABLE b.people (person int PRIMARY KEY, name text);
INSERT INTO b.people VALUES (1, 'ann');
INSERT INTO b.touches VALUES (1, '2026-01-01', 1, 'n1', 'mail'), (2, '2026-01-02', 1, 'n2', 'social'), (3, '2026-01-03', 1, NULL, NULL), (4, '2026-01-03', 2, 'n1', 'mail');
SELECT attribution.create_rule('orders', 'b.orders', 'id', 'at', value_column => 'amount', carry => '{network}', channel => 'touch.medium', path_summary => true);
SELECT attribution.add_tier('orders', 'click', 'b.touches', '{person}', '7 days');
SELECT attribution.set_enrichment('orders', 'person', 'b.people', '{person}', '{name}');
SELECT attribution.activate('orders');
SELECT attribution.create_one_big_table('orders');
INSERT INTO b.orders VALUES ('three', '2026-01-04', 1, 10, 'web', 'x'), ('one', '2026-01-04', 2, NULL, 'app', NULL), ('none', '2026-01-04', 3, 5, NULL, NULL);
CALL attribution.run('orders');
\d b.orders_one_big_table
\x
SELECT conversion_id, outcome, value, touch_id, network, name, path_length, path_first, path_first_time, path_last, path_last_time, path_channels, credited, credited_touchpoints, person, amount, conversion_kind, "the ""note"
  FROM b.orders_one_big_table ORDER BY 1;
\x
-- The summary is of the whole path, also where the model credits one: it is restated when a touchpoint comes that wins nothing.
INSERT INTO b.touches VALUES (5, '2026-01-01 12:00', 1, 'n5', 'push');
CALL attribution.reattribute('orders');
SELECT conversion_id, touch_id, path_length, path_channels FROM b.orders_attribution ORDER BY 1;
SELECT conversion_id, path_length, path_channels FROM b.orders_decisions_history ORDER BY 1;
-- Several touchpoints share the credit; without a channel of the rule's the tiers are the channels.
SELECT attribution.alter_rule('orders', model => 'linear', channel => '');
SELECT attribution.activate('orders');
CALL attribution.reattribute('orders');
SELECT conversion_id, touch_id, credited, credited_touchpoints -> 1 AS second, path_channels FROM b.orders_one_big_table ORDER BY 1;
-- What comes later comes at the end; a name that would mean something else is refused.
ALTER TABLE b.orders ADD country text;
SELECT attribution.alter_rule('orders', carry => '{network,medium}');
SELECT attname FROM pg_attribute WHERE attrelid = 'b.orders_one_big_table'::regclass ORDER BY attnum DESC LIMIT 3;
ALTER TABLE b.touches ADD country text;
SELECT attribution.alter_rule('orders', carry => '{network,country}');
DROP VIEW b.orders_one_big_table;
SELECT attribution.alter_rule('orders', carry => '{network,country}');
SELECT attribution.create_one_big_table('orders');
SELECT attname FROM pg_attribute WHERE attrelid = 'b.orders_one_big_table'::regclass AND attname LIKE '%country' ORDER BY attnum;
-- The conversion's row may be gone, or there several times: the decision is there once.
ALTER TABLE b.orders DROP CONSTRAINT orders_pkey;
SELECT attribution.activate('orders');
INSERT INTO b.orders VALUES ('one', '2026-01-04', 2, NULL, 'again', NULL);
CALL attribution.run('orders');
SELECT conversion_id, conversion_kind FROM b.orders_one_big_table ORDER BY 1;
ALTER TABLE b.orders DISABLE TRIGGER attribution_orders;
DELETE FROM b.orders;
SELECT conversion_id, outcome, path_length, name, person FROM b.orders_one_big_table ORDER BY 1;
-- Who may read the view needs no right on what is below it.
CREATE ROLE attribution_bi;
GRANT USAGE ON SCHEMA b TO attribution_bi;
GRANT SELECT ON b.orders_one_big_table TO attribution_bi;
SET ROLE attribution_bi;
SELECT conversion_id, credited_touchpoints -> 0 ->> 'touch_id' AS touch FROM b.orders_one_big_table ORDER BY 1;
SELECT attribution.create_one_big_table('orders');
RESET ROLE;
SELECT attribution.create_one_big_table('nosuch');
CREATE VIEW b.shown AS SELECT * FROM b.orders;
SELECT attribution.create_rule('shown', 'b.shown', 'id', 'at');
SELECT attribution.create_one_big_table('shown');
-- It goes with the rule's tables; it outlives the extension as they do.
DROP INDEX b.touches_person_at_idx;
DROP EXTENSION attribution;
SELECT count(*) FROM b.orders_one_big_table;
CREATE EXTENSION attribution;
DROP SCHEMA b CASCADE;
CREATE SCHEMA b;
CREATE TABLE b.orders (id text, at timestamptz, person int);
SELECT attribution.create_rule('orders', 'b.orders', 'id', 'at');
SELECT attribution.create_one_big_table('orders');
SELECT attribution.drop_rule('orders', keep_decisions => false);
SELECT to_regclass('b.orders_one_big_table');
DROP SCHEMA b CASCADE;
DROP ROLE attribution_bi;
DROP EXTENSION attribution;

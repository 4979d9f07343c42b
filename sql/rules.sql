-- A rule is made, listed, changed, activated and dropped; a change is a new version.
\set SHOW_CONTEXT never
CREATE EXTENSION attribution;
CREATE SCHEMA shop;
CREATE TABLE shop.orders (order_id bigint PRIMARY KEY, ordered_at timestamptz NOT NULL, user_id int, product text, note text);
CREATE TABLE shop.clicks (click_id bigint, clicked_at timestamptz, user_id bigint, product varchar(40));
CREATE INDEX ON shop.clicks (user_id, product, clicked_at);
INSERT INTO shop.orders VALUES (1, '2026-01-08 12:00+00', 7, 'lamp', 'web'), (2, '2026-01-08 13:00+00', 7, 'chair', 'phone');
INSERT INTO shop.clicks VALUES (10, '2026-01-08 11:00+00', 7, 'lamp'), (11, '2026-01-08 11:30+00', 7, 'lamp');

SELECT attribution.create_rule('orders', conversions => 'shop.orders', id_column => 'order_id', time_column => 'ordered_at',
                               filter => $$note <> 'phone'$$);
SELECT rule, version, state, conversions, filter, path, model FROM attribution.rules;
-- A rule that was never activated is read at its draft; one without tiers finds everything organic.
SELECT conversion_id, outcome, credit FROM attribution.attribute('orders');
SELECT attribution.activate('orders');
SELECT attribution.add_tier('orders', 'click', touchpoints => 'shop.clicks', match => '{user_id,product}', lookback => '1 hour',
                            id_column => 'click_id', time_column => 'clicked_at');
SELECT attribution.activate('orders');
SELECT conversion_id, outcome, tier, touch_id FROM attribution.attribute('orders');

-- Changes go into a draft, the active version stays as it is.
SELECT attribution.alter_rule('orders', filter => '', model => 'first_touch');
SELECT attribution.alter_tier('orders', 'click', lookback => '2 hours');
SELECT rule, version, state, filter, model FROM attribution.rules ORDER BY version;
SELECT version, state, strength, tier, lookback FROM attribution.tiers ORDER BY version;
SELECT conversion_id, touch_id FROM attribution.attribute('orders');
SELECT conversion_id, touch_id FROM attribution.attribute('orders', overrides => '{"version": 2}');
SELECT attribution.activate('orders');
SELECT attribution.activate('orders');
SELECT conversion_id, touch_id FROM attribution.attribute('orders');
SELECT version, state FROM attribution.rules ORDER BY version;

-- Tiers have an order, which before and drop_tier change.
SELECT attribution.add_tier('orders', 'any click', touchpoints => 'shop.clicks', match => '{user_id}', lookback => '1 day',
                            id_column => 'click_id', time_column => 'clicked_at');
SELECT attribution.add_tier('orders', 'click by note', touchpoints => 'shop.clicks', match => '{product}', conversion_match => '{note}',
                            lookback => '1 day', id_column => 'click_id', time_column => 'clicked_at', before => 'click');
SELECT tier FROM attribution.tiers WHERE version = 3 ORDER BY strength;
SELECT attribution.alter_tier('orders', 'any click', before => 'click');
SELECT tier FROM attribution.tiers WHERE version = 3 ORDER BY strength;
SELECT attribution.drop_tier('orders', 'click by note');
SELECT tier, match, conversion_match FROM attribution.tiers WHERE version = 3 ORDER BY strength;

-- Dropping a rule leaves the tables.
SELECT attribution.drop_rule('orders');
SELECT count(*) FROM attribution.rules;
SELECT proname FROM pg_proc WHERE pronamespace = 'shop'::regnamespace;
SELECT count(*) FROM shop.orders;

-- Nothing is left open: a table can be altered in the transaction that has just read it.
BEGIN;
SELECT attribution.create_rule('orders', 'shop.orders', 'order_id', 'ordered_at');
SELECT count(*) FROM shop.orders_attribute();
SELECT count(*) FROM shop.orders_explain(1);
SELECT count(*) FROM pg_cursors WHERE name <> '';
ALTER TABLE shop.orders ALTER order_id TYPE text;
-- Another type of id makes other functions; those of the old one go.
SELECT attribution.alter_rule('orders', model => 'first_touch');
SELECT p.oid::regprocedure FROM pg_proc AS p WHERE pronamespace = 'shop'::regnamespace ORDER BY 1;
ALTER SCHEMA shop RENAME TO bazaar;
SELECT attribution.alter_rule('orders', model => 'last_touch');
SELECT attribution.drop_rule('orders');
SELECT count(*) FROM pg_proc WHERE proname LIKE 'orders\_%';
ROLLBACK;

-- Every object of the extension has a comment.
SELECT d.classid::regclass, d.objid FROM pg_depend AS d JOIN pg_extension AS e ON e.oid = d.refobjid
WHERE e.extname = 'attribution' AND d.deptype = 'e' AND obj_description(d.objid, d.classid::regclass::name) IS NULL
  AND d.classid IN ('pg_proc'::regclass, 'pg_class'::regclass, 'pg_type'::regclass)
  AND NOT EXISTS (SELECT FROM pg_class AS c WHERE c.oid = d.objid AND c.relkind = 'c')
  AND NOT EXISTS (SELECT FROM pg_type AS t LEFT JOIN pg_class AS c ON c.oid = t.typrelid WHERE t.oid = d.objid AND (c.relkind <> 'c' OR t.typcategory = 'A'));
-- Nothing is PUBLIC but what wakes the worker.
SELECT p.oid::regprocedure FROM pg_proc AS p, aclexplode(coalesce(p.proacl, acldefault('f', p.proowner))) AS a
WHERE p.pronamespace = 'attribution'::regnamespace AND a.grantee = 0;
-- Dropping the extension takes a rule's functions along, and no data.
SELECT attribution.create_rule('orders', 'shop.orders', 'order_id', 'ordered_at');
DROP EXTENSION attribution;
SELECT count(*) FROM pg_proc WHERE pronamespace = 'shop'::regnamespace;
SET client_min_messages = warning;
DROP SCHEMA shop CASCADE;

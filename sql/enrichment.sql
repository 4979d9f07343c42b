-- What decisions keep of dimension tables.
\set SHOW_CONTEXT never
CREATE EXTENSION attribution;
SET client_min_messages = warning;
SET timezone = 'UTC';
SET datestyle = 'ISO';
CREATE SCHEMA e;
CREATE TABLE e.clicks (id int, at timestamptz, dev int, campaign text);
CREATE INDEX ON e.clicks (dev, at);
CREATE TABLE e.orders (id text PRIMARY KEY, at timestamptz, dev int, person text, product bigint);
INSERT INTO e.clicks VALUES (1, '2026-01-05 12:00', 1, 'spring'), (2, '2026-01-05 12:00', 2, 'gone'), (3, '2026-01-05 12:00', 3, NULL);

-- History, with a gap, an overlap, rows without ends, and two rows of one time.
CREATE TABLE e.people (person text, name text, valid_from timestamptz, valid_to timestamptz);
CREATE INDEX ON e.people (person);
INSERT INTO e.people VALUES
  ('gap', 'before', NULL, '2026-01-02'), ('gap', 'after', '2026-01-04', NULL),
  ('overlap', 'wide', '2026-01-01', '2026-01-10'), ('overlap', 'narrow', '2026-01-03', '2026-01-04'), ('overlap', 'narrower', '2026-01-03', '2026-01-03 12:00'),
  ('tie', 'b', '2026-01-01', NULL), ('tie', 'a', '2026-01-01', NULL), ('tie', NULL, '2026-01-01', NULL),
  ('', 'nobody', NULL, NULL), (NULL, 'null', NULL, NULL);
-- Current.
CREATE TABLE e.products (id int PRIMARY KEY, "the ""name" varchar(20), price numeric(6, 2));
INSERT INTO e.products VALUES (7, 'seven', 7.70);
-- A range, of what a touchpoint carries.
CREATE TABLE e.campaigns (campaign text, holds tstzrange, owner text, tag text, tags text[]);
CREATE INDEX ON e.campaigns (campaign);
INSERT INTO e.campaigns VALUES ('spring', '[2026-01-01,2026-01-06)', 'ann', 'a', '{a,b}'), ('spring', '[2026-01-06,)', 'bob', 'b', '{}');

SELECT attribution.create_rule('orders', 'e.orders', 'id', 'at', carry => '{campaign}');
SELECT attribution.add_tier('orders', 'click', 'e.clicks', '{dev}', '7 days');
SELECT attribution.set_enrichment('orders', 'person', 'e.people', '{person}', '{name}', valid_from => 'valid_from', valid_to => 'valid_to', names => '{person_name}');
SELECT attribution.set_enrichment('orders', 'product', 'e.products', '{id}', '{"the \"name",price}', conversion_match => '{product}', names => '{"the \"name",list_price}');
SELECT attribution.set_enrichment('orders', 'campaign', 'e.campaigns', '{campaign}', '{owner,tag}', touch_match => '{campaign}', valid_during => 'holds');
SELECT attribution.activate('orders');
SELECT enrichment, state, dimension, match, conversion_match, touch_match, columns, names, valid_from, valid_to, valid_during FROM attribution.enrichments ORDER BY 1;
\d e.orders_attribution

INSERT INTO e.orders VALUES
  ('gap 1', '2026-01-01 12:00', 9, 'gap', 7), ('gap 2', '2026-01-02 00:00', 9, 'gap', 8), ('gap 3', '2026-01-03 23:59:59.999999', 9, 'gap', NULL), ('gap 4', '2026-01-04', 9, 'gap', 7),
  ('overlap 1', '2026-01-02', 9, 'overlap', 7), ('overlap 2', '2026-01-03 11:00', 9, 'overlap', 7), ('overlap 3', '2026-01-03 12:00', 9, 'overlap', 7), ('overlap 4', '2026-01-04', 9, 'overlap', 7),
  ('tie', '2026-01-02', 9, 'tie', 7), ('unknown', '2026-01-02', 9, 'stranger', 7), ('empty', '2026-01-02', 9, '', 7), ('null', '2026-01-02', 9, NULL, 7),
  ('campaign 1', '2026-01-05 23:00', 1, 'gap', 7), ('campaign 2', '2026-01-06', 1, 'gap', 7), ('campaign 3', '2026-01-06', 2, 'gap', 7), ('campaign 4', '2026-01-06', 3, 'gap', 7);
CALL attribution.run('orders');
SELECT conversion_id, person_name, "the ""name", list_price, campaign, owner, tag FROM e.orders_attribution ORDER BY 1;

-- Nothing changed: nothing is written.
CALL attribution.reattribute('orders');
SELECT count(*) FROM e.orders_decisions_history;
-- A correction is picked up when a conversion is decided again; what was said before is history.
UPDATE e.people SET name = 'corrected' WHERE name = 'before';
INSERT INTO e.people VALUES ('stranger', 'known now', NULL, NULL);
DELETE FROM e.products;
UPDATE e.campaigns SET tag = 'c' WHERE owner = 'bob';
SELECT conversion_id, person_name, "the ""name", tag FROM e.orders_attribution WHERE conversion_id IN ('gap 1', 'unknown', 'campaign 2') ORDER BY 1;
CALL attribution.reattribute('orders', '2026-01-01', '2026-01-03');
SELECT conversion_id, person_name, "the ""name", list_price FROM e.orders_attribution WHERE conversion_id IN ('gap 1', 'unknown', 'gap 4') ORDER BY 1;
SELECT conversion_id, person_name, "the ""name", list_price FROM e.orders_decisions_history WHERE conversion_id IN ('gap 1', 'unknown', 'gap 4') ORDER BY 1;
CALL attribution.reattribute('orders', '2026-01-06');
SELECT d.conversion_id, c.owner, c.tag, h.tag AS earlier FROM e.orders_decisions AS d JOIN e.orders_credits AS c USING (conversion_id)
  LEFT JOIN e.orders_credits_history AS h USING (conversion_id, credit_position) WHERE d.conversion_id LIKE 'campaign%' ORDER BY 1;
-- A conversion whose key changes is decided anew, though no tier matches on it.
UPDATE e.orders SET person = 'stranger' WHERE id = 'null';
CALL attribution.run('orders');
SELECT person_name FROM e.orders_attribution WHERE conversion_id = 'null';

-- Versions: the draft is set apart until it is in force; a dropped one leaves its columns.
SELECT attribution.drop_enrichment('orders', 'product');
SELECT attribution.set_enrichment('orders', 'person', 'e.people', '{person}', '{name,valid_from}', names => '{person_name,since}', valid_from => 'valid_from');
SELECT version, state, enrichment, names, valid_to FROM attribution.enrichments ORDER BY 1, 3;
CALL attribution.reattribute('orders');
SELECT conversion_id, person_name, since FROM e.orders_attribution WHERE conversion_id LIKE 'overlap%' ORDER BY 1;
SELECT attribution.activate('orders');
CALL attribution.reattribute('orders');
SELECT conversion_id, person_name, since, list_price FROM e.orders_attribution WHERE conversion_id LIKE 'overlap%' ORDER BY 1;
SELECT attribution.set_enrichment('orders', 'product', 'e.products', '{id}', '{price}', conversion_match => '{product}', names => '{list_price}');
SELECT attribution.alter_rule('orders', carry => '{campaign,dev}');
SELECT attribution.activate('orders');
SELECT attname FROM pg_attribute WHERE attrelid = 'e.orders_attribution'::regclass ORDER BY attnum DESC LIMIT 6;

-- What makes no enrichment.
SELECT attribution.set_enrichment('nosuch', 'x', 'e.people', '{person}', '{name}');
SELECT attribution.set_enrichment('orders', '', 'e.people', '{person}', '{name}');
SELECT attribution.set_enrichment('orders', 'x', NULL, '{person}', '{name}');
SELECT attribution.set_enrichment('orders', 'x', 'e.people', '{}', '{name}');
SELECT attribution.set_enrichment('orders', 'x', 'e.people', '{person}', '{name,name}');
SELECT attribution.set_enrichment('orders', 'x', 'e.people', '{person}', '{name}', names => '{a,b}');
SELECT attribution.set_enrichment('orders', 'x', 'e.people', '{person}', '{name}', names => '{value}');
SELECT attribution.set_enrichment('orders', 'x', 'e.people', '{person}', '{name}', names => '{list_price}');
SELECT attribution.set_enrichment('orders', 'x', 'e.people', '{person}', '{name}', names => '{campaign}');
SELECT attribution.alter_rule('orders', carry => '{campaign,list_price}');
SELECT attribution.set_enrichment('orders', 'x', 'e.people', '{person}', '{nosuch}');
SELECT attribution.set_enrichment('orders', 'x', 'e.campaigns', '{campaign}', '{tags}', touch_match => '{campaign}');
SELECT attribution.set_enrichment('orders', 'x', 'e.people', '{nosuch}', '{name}');
SELECT attribution.set_enrichment('orders', 'x', 'e.people', '{person}', '{name}', conversion_match => '{nosuch}');
SELECT attribution.set_enrichment('orders', 'x', 'e.people', '{person}', '{name}', conversion_match => '{product}');
SELECT attribution.set_enrichment('orders', 'x', 'e.people', '{person}', '{name}', touch_match => '{product}');
SELECT attribution.set_enrichment('orders', 'x', 'e.people', '{person}', '{name}', touch_match => '{campaign}', conversion_match => '{person}');
SELECT attribution.set_enrichment('orders', 'x', 'e.people', '{person}', '{name}', valid_from => 'name');
SELECT attribution.set_enrichment('orders', 'x', 'e.people', '{person}', '{name}', valid_during => 'valid_from');
SELECT attribution.set_enrichment('orders', 'x', 'e.campaigns', '{campaign}', '{owner}', touch_match => '{campaign}', valid_during => 'holds', valid_from => 'holds');
SELECT attribution.set_enrichment('orders', 'person', 'e.products', '{id}', '{price}', conversion_match => '{product}', names => '{person_name}');
SELECT attribution.drop_enrichment('orders', 'nosuch');
CREATE VIEW e.dice AS SELECT person, random() AS number FROM e.people;
SELECT attribution.set_enrichment('orders', 'x', 'e.dice', '{person}', '{number}');
SELECT enrichment FROM attribution.enrichments WHERE state <> 'past' ORDER BY 1;
SET client_min_messages = warning;
CREATE TABLE e.unserved (person text, nick text);
SELECT attribution.set_enrichment('orders', 'nick', 'e.unserved', '{person}', '{nick}');
SELECT attribution.drop_enrichment('orders', 'nick');
SELECT attname FROM pg_attribute WHERE attrelid = 'e.orders_attribution'::regclass ORDER BY attnum DESC LIMIT 1;
SELECT attribution.activate('orders');

-- Columns that are no more, and tables, are said to be; decisions stay as they are meanwhile.
ALTER TABLE e.people RENAME name TO full_name;
CALL attribution.reattribute('orders');
ALTER TABLE e.people RENAME full_name TO name;
ALTER TABLE e.people ALTER name TYPE varchar(30);
CALL attribution.reattribute('orders');
ALTER TABLE e.people ALTER name TYPE text;
ALTER TABLE e.products RENAME TO things;
CALL attribution.reattribute('orders');
DROP TABLE e.campaigns;
DO $$ BEGIN
  PERFORM attribution.attribute('orders');
EXCEPTION WHEN undefined_table THEN
  RAISE WARNING '%', regexp_replace(SQLERRM, '[0-9]+$', 'N');
END $$;
SELECT attribution.drop_enrichment('orders', 'campaign');
SELECT attribution.activate('orders');
CALL attribution.reattribute('orders');
SELECT conversion_id, person_name, owner FROM e.orders_attribution WHERE conversion_id LIKE 'campaign%' ORDER BY 1;

-- It is read with the rights of the rule's owner, and of who makes the rule.
CREATE ROLE attribution_enriching IN ROLE attribution_admin;
GRANT USAGE, CREATE ON SCHEMA e TO attribution_enriching;
GRANT SELECT ON e.clicks TO attribution_enriching;
CREATE TABLE e.secrets (person text PRIMARY KEY, secret text);
INSERT INTO e.secrets VALUES ('gap', 'hidden');
SET ROLE attribution_enriching;
CREATE TABLE e.sales (id text PRIMARY KEY, at timestamptz, dev int, person text);
SELECT attribution.create_rule('sales', 'e.sales', 'id', 'at');
SELECT attribution.add_tier('sales', 'click', 'e.clicks', '{dev}', '7 days');
SELECT attribution.set_enrichment('sales', 'secret', 'e.secrets', '{person}', '{secret}');
SELECT attribution.set_enrichment('orders', 'x', 'e.secrets', '{person}', '{secret}');
RESET ROLE;
GRANT SELECT ON e.secrets TO attribution_enriching;
SET ROLE attribution_enriching;
SELECT attribution.set_enrichment('sales', 'secret', 'e.secrets', '{person}', '{secret}');
SELECT attribution.activate('sales');
INSERT INTO e.sales VALUES ('s', '2026-01-06', 1, 'gap');
RESET ROLE;
REVOKE SELECT ON e.secrets FROM attribution_enriching;
CALL attribution.run('sales');
SELECT * FROM e.sales_attribution;
-- Row security holds for the owner of the rule.
GRANT SELECT ON e.secrets TO attribution_enriching;
ALTER TABLE e.secrets ENABLE ROW LEVEL SECURITY;
CALL attribution.run('sales');
SELECT conversion_id, secret FROM e.sales_attribution;
CREATE POLICY open ON e.secrets USING (true);
CALL attribution.reattribute('sales');
SELECT conversion_id, secret FROM e.sales_attribution;

SELECT attribution.drop_rule('sales', keep_decisions => false);
SELECT attribution.drop_rule('orders');
SELECT count(*) FROM attribution.enrichments;
DROP SCHEMA e CASCADE;
DROP OWNED BY attribution_enriching;
DROP ROLE attribution_enriching;
DROP EXTENSION attribution;

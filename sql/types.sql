-- Match columns of any type with a hashable equality, with differing names and widths on the two sides; ids keep theirs.
\set SHOW_CONTEXT never
CREATE EXTENSION attribution;
CREATE EXTENSION citext;
CREATE SCHEMA mix;
CREATE TYPE mix.store AS ENUM ('apple', 'google');
CREATE DOMAIN mix.device AS uuid CHECK (VALUE IS NOT NULL);
CREATE COLLATION mix.german (provider = icu, locale = 'de');
CREATE COLLATION mix.loose (provider = icu, locale = 'und-u-ks-level2', deterministic = false);
CREATE TABLE mix.conversions ("Order" text COLLATE mix.german PRIMARY KEY, "at, it" timestamptz NOT NULL, small smallint, big bigint,
  name varchar(20), mail citext, kind mix.store, device uuid, addr inet, raw bytea, num numeric, loose text COLLATE mix.loose, extra int);
CREATE TABLE mix.touches ("Id" text COLLATE mix.german, "at, it" timestamptz, wide bigint, narrow smallint,
  label text COLLATE "C", email citext, kind mix.store, dev mix.device, host inet, raw bytea, num numeric, loose text COLLATE mix.loose);
INSERT INTO mix.conversions VALUES ('Ä', '2026-01-02', 7, 9, 'shop', 'Ann@Example.org', 'google', '11111111-1111-1111-1111-111111111111',
  '10.0.0.1', '\x00ff', 1.0, 'Strasse', 1);
INSERT INTO mix.touches
  SELECT id, '2026-01-01', 7, 9, 'shop', 'ann@EXAMPLE.org', 'google', '11111111-1111-1111-1111-111111111111', '10.0.0.1', '\x00ff', 1.00, 'STRASSE'
  FROM unnest('{a,B,Ä,z}'::text[]) AS id;
SELECT attribution.create_rule('mix', 'mix.conversions', 'Order', 'at, it');
SET client_min_messages = error;
-- One tier a type: each must find the touchpoint, and ids are compared under C: 'Ä' is the greatest.
SELECT attribution.add_tier('mix', m || ' = ' || c, 'mix.touches', ARRAY[m]::name[], '7 days', conversion_match => ARRAY[c]::name[], id_column => 'Id')
FROM (VALUES ('wide', 'small'), ('narrow', 'big'), ('label', 'name'), ('email', 'mail'), ('kind', 'kind'), ('dev', 'device'),
             ('host', 'addr'), ('raw', 'raw'), ('num', 'num'), ('loose', 'loose')) AS v(m, c);
RESET client_min_messages;
SELECT t.tier, a.outcome, a.touch_id
FROM attribution.tiers AS t,
  attribution.attribute('mix', overrides => jsonb_build_object('without_tiers',
    (SELECT jsonb_agg(o.tier) FROM attribution.tiers AS o WHERE o.tier <> t.tier))) AS a
ORDER BY t.strength;
-- Ids have the types of their columns.
SELECT pg_typeof(conversion_id), pg_typeof(touch_id) FROM mix.mix_attribute();
SELECT pg_get_function_arguments('mix.mix_explain'::regproc);
SELECT count(*) FROM mix.conversions AS c JOIN mix.mix_attribute('2026-01-01', '2026-01-03') AS a ON a.conversion_id = c."Order"
  JOIN mix.touches AS t ON t."Id" = a.touch_id;
SELECT conversion_id, touch_id, touch_position, path_length FROM mix.mix_touchpoints() ORDER BY touch_position;

-- Anything that can be read is a touch relation: views, inheritance trees, foreign tables; conversions too.
CREATE TABLE mix.old_touches () INHERITS (mix.touches);
INSERT INTO mix.old_touches SELECT 'zz', "at, it", wide, narrow, label, email, kind, dev, host, raw, num, loose FROM mix.touches LIMIT 1;
CREATE VIEW mix.seen AS SELECT "Id" || '!' AS id, "at, it" AS at, wide FROM mix.touches;
CREATE EXTENSION file_fdw;
CREATE SERVER files FOREIGN DATA WRAPPER file_fdw;
CREATE FOREIGN TABLE mix.filed (id text, at timestamptz, wide bigint) SERVER files
  OPTIONS (program $$printf 'f,2026-01-01 10:00+00,7\n'$$, format 'csv');
CREATE VIEW mix.sales AS SELECT "Order" AS id, "at, it" AS at, small FROM mix.conversions;
SELECT attribution.create_rule('sales', 'mix.sales', 'id', 'at', path => 'all');
SET client_min_messages = error;
SELECT attribution.add_tier('sales', 'tree', 'mix.touches', '{wide}', '7 days', conversion_match => '{small}', id_column => 'Id', time_column => 'at, it');
RESET client_min_messages;
SELECT attribution.add_tier('sales', 'view', 'mix.seen', '{wide}', '7 days', conversion_match => '{small}');
SELECT attribution.add_tier('sales', 'foreign', 'mix.filed', '{wide}', '7 days', conversion_match => '{small}');
SELECT tier, touch_position, touch_id FROM attribution.touchpoints('sales') ORDER BY touch_position;

-- A predicate compares under the columns' own collations, wherever the conversion's values come from.
SELECT attribution.alter_tier('mix', 'wide = small', predicate => 'touch.loose = conversion.loose');
SELECT touch_id FROM attribution.attribute('mix', overrides => '{"without_tiers": ["loose = loose"]}');
-- Blanks that pad char(n) are no key.
CREATE TABLE mix.padded (id int, at timestamptz, code char(8), nick "char");
INSERT INTO mix.padded VALUES (1, '2026-01-01', '', ''), (2, '2026-01-01', 'a', 'b');
CREATE INDEX ON mix.padded (code);
CREATE INDEX ON mix.padded (nick);
SELECT attribution.create_rule('padded', 'mix.padded', 'id', 'at');
SELECT attribution.add_tier('padded', 'code', 'mix.padded', '{code}', '1 day');
SELECT attribution.add_tier('padded', 'nick', 'mix.padded', '{nick}', '1 day');
SELECT conversion_id, tier, touch_id FROM attribution.attribute('padded', overrides => '{"without_tiers": ["nick"]}');
SELECT conversion_id, tier, touch_id FROM attribution.attribute('padded', overrides => '{"without_tiers": ["code"]}');
-- Other mixtures are refused, by name.
SELECT attribution.add_tier('mix', 'x', 'mix.touches', '{label}', '7 days', conversion_match => '{small}', id_column => 'Id');
SELECT attribution.add_tier('mix', 'x', 'mix.touches', '{label}', '7 days', conversion_match => '{mail}', id_column => 'Id');
SELECT attribution.add_tier('mix', 'x', 'mix.touches', '{label}', '7 days', conversion_match => '{loose}', id_column => 'Id');
SELECT attribution.add_tier('mix', 'x', 'mix.touches', '{num}', '7 days', conversion_match => '{small}', id_column => 'Id');
SELECT attribution.add_tier('sales', 'number', 'mix.touches', '{wide}', '7 days', conversion_match => '{small}', id_column => 'wide', time_column => 'at, it');
-- The function that an installation key names may be another one by the next call, with a result of another type.
CREATE TABLE mix.again (id int PRIMARY KEY, at timestamptz NOT NULL, device int);
INSERT INTO mix.again VALUES (1, '2026-01-08 12:00+00', 7), (2, '2026-01-08 13:00+00', 7);
CREATE FUNCTION mix.device_key(bigint) RETURNS bigint LANGUAGE sql IMMUTABLE AS 'SELECT $1';
SELECT attribution.create_rule('again', 'mix.again', 'id', 'at', installation_key => '{mix.device_key(conversion.device)}');
SELECT conversion_id, kind FROM mix.again_attribute();
CREATE FUNCTION mix.device_key(int) RETURNS text LANGUAGE sql IMMUTABLE AS $$SELECT 'device ' || $1$$;
SELECT conversion_id, kind FROM mix.again_attribute();
SET client_min_messages = warning;
DROP SCHEMA mix CASCADE;
DROP SERVER files CASCADE;
DROP EXTENSION attribution, citext, file_fdw;

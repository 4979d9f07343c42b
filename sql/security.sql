-- Who may do what: readers read with their own rights on the tables, a rule runs as its owner, owners guard their rules.
\set SHOW_CONTEXT never
CREATE EXTENSION attribution;
CREATE ROLE regress_owner;
CREATE ROLE regress_reader;
CREATE ROLE regress_nobody;
CREATE ROLE regress_other_admin;
GRANT attribution_admin TO regress_owner, regress_other_admin;
GRANT attribution_reader TO regress_reader;
CREATE SCHEMA game AUTHORIZATION regress_owner;
GRANT USAGE ON SCHEMA game TO PUBLIC;
SET ROLE regress_owner;
CREATE TABLE game.installs (uid int PRIMARY KEY, at timestamptz NOT NULL, ifa text, secret text);
CREATE TABLE game.clicks (uid int, at timestamptz, ifa text, network text, secret text);
CREATE INDEX ON game.clicks (ifa, at);
INSERT INTO game.installs VALUES (1, '2026-01-08 12:00+00', 'd');
INSERT INTO game.clicks VALUES (10, '2026-01-08 11:00+00', 'd', 'x');
SELECT attribution.create_rule('installs', 'game.installs', 'uid', 'at');
SELECT attribution.add_tier('installs', 'device', 'game.clicks', '{ifa}', '7 days', filter => $$network = 'x'$$);
SELECT rule, owner FROM attribution.rule;

-- Whoever is no reader reads nothing.
SET ROLE regress_nobody;
SELECT conversion_id FROM attribution.attribute('installs');
SELECT conversion_id FROM game.installs_attribute();
SELECT * FROM attribution.rules;
-- A reader needs SELECT on every column that is used.
SET ROLE regress_reader;
SELECT conversion_id FROM attribution.attribute('installs');
SET ROLE regress_owner;
GRANT SELECT (uid, at, ifa) ON game.installs TO regress_reader;
SET ROLE regress_reader;
SELECT conversion_id FROM attribution.attribute('installs');
SET ROLE regress_owner;
GRANT SELECT (uid, at, ifa) ON game.clicks TO regress_reader;
SET ROLE regress_reader;
SELECT conversion_id FROM attribution.attribute('installs');
SET ROLE regress_owner;
GRANT SELECT (network) ON game.clicks TO regress_reader;
SET ROLE regress_reader;
SELECT conversion_id, touch_id FROM attribution.attribute('installs');
SELECT conversion_id, touch_id FROM game.installs_attribute();
SELECT touch_id, reason FROM attribution.explain('installs', 1);
SELECT current_user, current_setting('search_path');
-- The columns of a record are the callee's to say.
SELECT * FROM attribution._attribute('installs', NULL, NULL, NULL) AS x(a int);
SELECT * FROM attribution._attribute('installs', NULL, NULL, NULL) AS x(a int, b timestamptz, c text, d text, e text, f int, g text, h text, i text);
SELECT * FROM attribution._explain('installs', 1, NULL) AS x(a text, b bigint, c timestamptz, d text, e text, f float8, g text);
-- A reader changes nothing.
SELECT attribution.create_rule('mine', 'game.installs', 'uid', 'at');
SELECT attribution.activate('installs');
DELETE FROM attribution.rule;
-- Another admin changes nobody else's rules, by function or by hand.
SET ROLE regress_other_admin;
SELECT attribution.alter_rule('installs', model => 'first_touch');
SELECT attribution.drop_rule('installs');
UPDATE attribution.tier SET filter = 'true';
INSERT INTO attribution.rule VALUES ('forged', 'regress_owner', NULL);
UPDATE attribution.rule SET owner = 'regress_other_admin';
-- Nor does anybody write versions of a rule that somebody may yet make.
INSERT INTO attribution.rule_version VALUES ('yet to come', 1, 'game.installs', 'uid', 'at', 'true', 'all', 'last_touch', '{}');
-- An admin's rule runs with the admin's rights: here there are none.
CREATE TEMP TABLE mine (uid int, at timestamptz, ifa text);
SELECT attribution.create_rule('mine', 'game.installs', 'uid', 'at');

-- A rule's SQL runs as the owner, whoever calls, and restricted.
SET ROLE regress_owner;
CREATE FUNCTION game.who() RETURNS text LANGUAGE sql STABLE AS $$ SELECT current_user::text $$;
GRANT SELECT ON game.installs, game.clicks TO regress_reader;
SELECT attribution.alter_rule('installs', filter => $$game.who() = 'regress_owner'$$);
SET ROLE regress_reader;
SELECT conversion_id FROM attribution.attribute('installs');
-- search_path does not reach it.
RESET ROLE;
CREATE SCHEMA regress_evil AUTHORIZATION regress_reader;
SET ROLE regress_reader;
CREATE FUNCTION regress_evil.eq(text, text) RETURNS boolean LANGUAGE plpgsql AS $$ BEGIN RAISE EXCEPTION 'caught by %', current_user; END $$;
CREATE OPERATOR regress_evil.= (LEFTARG = text, RIGHTARG = text, FUNCTION = regress_evil.eq);
SET search_path = regress_evil, pg_catalog;
SELECT conversion_id FROM attribution.attribute('installs');
RESET search_path;

-- Row security that would hide rows from the reader, but not from the owner: refused.
SET ROLE regress_owner;
ALTER TABLE game.clicks ENABLE ROW LEVEL SECURITY;
SELECT conversion_id, touch_id FROM attribution.attribute('installs');
SET ROLE regress_reader;
SELECT conversion_id, touch_id FROM attribution.attribute('installs');
RESET ROLE;
SELECT conversion_id, touch_id FROM attribution.attribute('installs');

-- An owner who sees a table through policies runs rules over what they show.
CREATE TABLE public.regress_rows (uid int, at timestamptz, who name);
INSERT INTO public.regress_rows VALUES (1, '2026-01-01', 'regress_owner'), (2, '2026-01-01', 'somebody');
ALTER TABLE public.regress_rows ENABLE ROW LEVEL SECURITY;
CREATE POLICY mine ON public.regress_rows USING (who = current_user);
GRANT SELECT ON public.regress_rows TO regress_owner;
GRANT CREATE ON SCHEMA public TO regress_owner;
SET ROLE regress_owner;
SELECT attribution.create_rule('rows', 'public.regress_rows', 'uid', 'at');
SELECT conversion_id FROM attribution.attribute('rows');
SELECT attribution.drop_rule('rows');
-- Functions that are there already are nobody's to replace.
CREATE FUNCTION game.theirs_explain(int, jsonb) RETURNS int LANGUAGE sql AS 'SELECT 1';
SELECT attribution.create_rule('theirs', 'game.installs', 'uid', 'at');
DROP FUNCTION game.theirs_explain(int, jsonb);
-- A rule changes hands, and with it what it may read.
RESET ROLE;
SELECT attribution.set_owner('installs', 'regress_other_admin');
GRANT USAGE, CREATE ON SCHEMA game TO regress_other_admin;
GRANT SELECT ON game.clicks, game.installs TO regress_other_admin;
ALTER TABLE game.clicks DISABLE ROW LEVEL SECURITY;
SELECT attribution.alter_rule('installs', filter => '');
SELECT attribution.set_owner('installs', 'regress_other_admin');
SELECT DISTINCT proowner::regrole FROM pg_proc WHERE proname LIKE 'installs\_%';
SET ROLE regress_owner;
SELECT attribution.alter_rule('installs', filter => 'true');
RESET ROLE;

-- A view is read with its owner's rights, as ever.
SET ROLE regress_owner;
CREATE TABLE game.hidden (uid int, at timestamptz, ifa text);
CREATE VIEW game.shown AS SELECT uid, at, ifa FROM game.hidden;
GRANT SELECT ON game.shown TO regress_reader;
SELECT attribution.create_rule('shown', 'game.shown', 'uid', 'at');
SET ROLE regress_reader;
SELECT count(*) FROM attribution.attribute('shown');
-- But not with his rights on what a function in it reads, which is whoever asks's own to read: as by the view itself.
SET ROLE regress_owner;
CREATE FUNCTION game.reveal() RETURNS SETOF game.hidden LANGUAGE sql STABLE AS 'SELECT * FROM game.hidden';
GRANT EXECUTE ON FUNCTION game.reveal() TO regress_reader;
CREATE VIEW game.revealed AS SELECT uid, at, ifa FROM game.reveal();
GRANT SELECT ON game.revealed TO regress_reader;
SELECT attribution.create_rule('revealed', 'game.revealed', 'uid', 'at');
SET ROLE regress_reader;
SELECT count(*) FROM game.revealed;
SELECT count(*) FROM attribution.attribute('revealed');

RESET ROLE;
SET client_min_messages = warning;
DROP SCHEMA game CASCADE;
DROP SCHEMA regress_evil CASCADE;
DROP TABLE public.regress_rows;
DROP EXTENSION attribution;
DROP OWNED BY regress_owner, regress_reader, regress_nobody, regress_other_admin;
DROP ROLE regress_owner, regress_reader, regress_nobody, regress_other_admin;

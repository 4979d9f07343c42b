-- What must not happen to stored decisions: each case was once a fault.
\set SHOW_CONTEXT never
CREATE EXTENSION attribution;
SET client_min_messages = warning;
SET timezone = 'UTC';
SET datestyle = 'ISO';
CREATE SCHEMA k;
CREATE TABLE k.clicks (id int, at timestamptz, dev int, tag char(3)) PARTITION BY RANGE (at);
CREATE INDEX ON k.clicks (dev, at);
INSERT INTO attribution.partitioning (relation) VALUES ('k.clicks');
SELECT attribution.make_partitions('k.clicks', '2026-01-01', '2026-01-10');
INSERT INTO k.clicks VALUES (1, '2026-01-05 12:00', 1, 'de');

-- Ids of types whose name says a length: char(n), bit(n); under a collation that takes different texts for equal.
CREATE COLLATION k.nocase (provider = icu, locale = 'und-u-ks-level2', deterministic = false);
CREATE TABLE k.padded (id char(5), at timestamptz, dev int);
CREATE TABLE k.bits (id bit(4), at timestamptz, dev int);
CREATE TABLE k.nocase (id text COLLATE k.nocase, at timestamptz, dev int);
SELECT attribution.create_rule(r, ('k.' || r)::regclass, 'id', 'at', carry => '{tag}', installation_key => '{dev}') FROM unnest('{padded,bits,nocase}'::text[]) AS r;
SELECT attribution.add_tier(r, 'click', 'k.clicks', '{dev}', '7 days') FROM unnest('{padded,bits,nocase}'::text[]) AS r;
SELECT attribution.activate(r) FROM unnest('{padded,bits,nocase}'::text[]) AS r;
INSERT INTO k.padded VALUES ('a', '2026-01-06', 1), ('abcde', '2026-01-06', 1);
INSERT INTO k.bits VALUES (B'0101', '2026-01-06', 1);
INSERT INTO k.nocase VALUES ('A', '2026-01-06', 1), ('a', '2026-01-06', 1), ('a', '2026-01-07', 1);
CALL attribution.run('padded', now() + interval '2 s');
CALL attribution.run('bits', now() + interval '2 s');
CALL attribution.run('nocase', now() + interval '2 s');
CALL attribution.run('nocase', now() + interval '2 days');
SELECT conversion_id, kind, touch_id, tag FROM k.padded_attribution ORDER BY 1;
SELECT conversion_id, kind, touch_id, tag FROM k.bits_attribution ORDER BY 1;
SELECT conversion_id, conversion_time, kind, touch_id FROM k.nocase_attribution ORDER BY conversion_id COLLATE "C";
SELECT count(*) FROM k.nocase_decisions_history;
-- Types that can't be kept are refused at once; so is what is no column of the row.
CREATE TYPE k.pair AS (a int, b int);
CREATE TABLE k.odd (id k.pair, at timestamptz, dev int, tags text[]);
SELECT attribution.create_rule('odd', 'k.odd', 'id', 'at');
SELECT attribution.create_rule('odd', 'k.odd', 'dev', 'at', filter => 'ctid IS NOT NULL');
SELECT attribution.create_rule(repeat('y', 37), 'k.odd', 'dev', 'at');
SELECT attribution.drop_rule(repeat('y', 37));

-- A filter may look at the row as a whole.
CREATE TABLE k.events (id text, at timestamptz, dev int, kind text) PARTITION BY RANGE (at);
CREATE TABLE k.events_default PARTITION OF k.events DEFAULT;
INSERT INTO attribution.partitioning (relation) VALUES ('k.events');
SELECT attribution.create_rule('events', 'k.events', 'id', 'at', filter => $$to_jsonb(conversion) ->> 'kind' <> 'open'$$, allowed_lateness => '0');
SELECT attribution.add_tier('events', 'click', 'k.clicks', '{dev}', '7 days');
SELECT attribution.activate('events');
INSERT INTO k.events VALUES ('whole', '2026-01-06', 1, 'open');
CALL attribution.run('events');
UPDATE k.events SET kind = 'install' WHERE id = 'whole';
CALL attribution.run('events');
SELECT conversion_id, touch_id FROM k.events_attribution ORDER BY 1;

-- Another filter: no second decision for an id whose first one stands on a row that is no conversion any more.
INSERT INTO k.events VALUES ('twice', '2026-01-06', 2, 'view'), ('twice', '2026-01-08', 2, 'install'), ('gone', '2026-01-06', 2, 'view');
CALL attribution.run('events');
SELECT attribution.alter_rule('events', filter => $$kind = 'install'$$);
SELECT attribution.activate('events');
UPDATE k.events SET dev = 3 WHERE kind = 'install';
DELETE FROM k.events WHERE id = 'gone';
CALL attribution.run('events');
SELECT conversion_id, conversion_time FROM k.events_decisions ORDER BY 1, 2;
CALL attribution.reattribute('events');
SELECT refiltered_at FROM attribution.storage WHERE rule = 'events';

-- Rows that maintenance moves out of the default partition are not decided again.
UPDATE k.events SET dev = 4;
CALL attribution.run('events');
INSERT INTO k.clicks VALUES (2, '2026-01-05 13:00', 4, 'x');
SELECT made, moved FROM attribution.maintain_partitions('k.events');
CALL attribution.run('events');
SELECT conversion_id, outcome FROM k.events_decisions ORDER BY 1, 2;

-- A conversion that a trigger on its own decision changes is decided again: the change came after it was read.
CREATE TABLE k.mended (id int, at timestamptz, dev int);
SELECT attribution.create_rule('mended', 'k.mended', 'id', 'at', allowed_lateness => '0');
SELECT attribution.add_tier('mended', 'click', 'k.clicks', '{dev}', '7 days');
SELECT attribution.activate('mended');
CREATE FUNCTION k.mend() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  UPDATE k.mended SET dev = 1 WHERE id = NEW.conversion_id AND dev = 99;
  RETURN NULL;
END
$$;
CREATE TRIGGER mend AFTER INSERT ON k.mended_decisions FOR EACH ROW EXECUTE FUNCTION k.mend();
INSERT INTO k.mended VALUES (1, '2026-01-06', 99), (2, '2026-01-06', 98);
CALL attribution.run('mended');
CALL attribution.run('mended');
SELECT conversion_id, outcome, touch_id FROM k.mended_attribution ORDER BY 1;
SELECT count(*) FROM k.mended_pending;

-- What lies beyond the horizon stays paid: also through a view, and when its time is corrected.
CREATE VIEW k.seen AS SELECT * FROM k.clicks;
CREATE TABLE k.installs (id int, at timestamptz, dev int);
SELECT attribution.create_rule('installs', 'k.installs', 'id', 'at', allowed_lateness => '0');
SELECT attribution.add_tier('installs', 'click', 'k.seen', '{dev}', '7 days');
SELECT attribution.activate('installs');
INSERT INTO k.installs VALUES (1, '2026-01-06', 1), (2, '2026-01-06', 1), (3, '2026-01-06', 1);
CALL attribution.run('installs');
-- Pending conversions hold up retention, through the view too; not in a snapshot that may not show them.
UPDATE k.installs SET dev = 1 WHERE id = 2;
UPDATE k.installs SET at = at + interval '1 second' WHERE id = 2;
SELECT attribution.drop_partitions('k.clicks', '2026-01-08');
BEGIN ISOLATION LEVEL REPEATABLE READ;
SELECT attribution.drop_partitions('k.clicks', '2026-01-08');
ROLLBACK;
CALL attribution.run('installs');
CALL attribution.run('padded', now() + interval '5 days');
CALL attribution.run('bits', now() + interval '5 days');
CALL attribution.run('nocase', now() + interval '5 days');
SELECT attribution.drop_partitions('k.clicks', '2026-01-08');
UPDATE k.installs SET at = at + interval '1 second' WHERE id = 1;
DELETE FROM k.installs WHERE id = 3;
CALL attribution.reattribute('installs');
SELECT conversion_id, conversion_time, outcome FROM k.installs_decisions ORDER BY 1;

-- What is remembered of installations outlives their rows: a second row of a conversion that is gone changes nothing. A
-- reader who may not see what is stored reads on.
CREATE TABLE k.opens (id text, at timestamptz, who int) PARTITION BY RANGE (at);
INSERT INTO attribution.partitioning (relation) VALUES ('k.opens');
SELECT attribution.make_partitions('k.opens', '2026-01-08', '2026-01-11');
SELECT attribution.create_rule('opens', 'k.opens', 'id', 'at', installation_key => '{who}', reattribution_window => '6 hours', allowed_lateness => '0');
SELECT attribution.add_tier('opens', 'click', 'k.clicks', '{dev}', '1 hour', conversion_match => '{who}');
SELECT attribution.activate('opens');
INSERT INTO k.opens VALUES ('x', '2026-01-08 20:00', 1), ('x', '2026-01-09 01:00', 1), ('y', '2026-01-09 02:30', 1), ('z', '2026-01-09 08:00', 1);
CALL attribution.run('opens');
SELECT conversion_id, conversion_time, kind FROM k.opens_decisions ORDER BY 1;
SELECT attribution.drop_partitions('k.opens', '2026-01-09');
CALL attribution.reattribute('opens');
SELECT conversion_id, conversion_time, kind FROM k.opens_decisions ORDER BY 1;
CREATE ROLE regress_reader;
GRANT attribution_reader TO regress_reader;
GRANT USAGE ON SCHEMA k TO regress_reader;
GRANT SELECT ON k.opens, k.clicks TO regress_reader;
SET ROLE regress_reader;
SELECT conversion_id, kind FROM attribution.attribute('opens') ORDER BY conversion_id;
SELECT * FROM attribution.decisions_as_of('opens', now());
RESET ROLE;

-- A row that moves to other pages while the table is looked through.
CREATE TABLE k.big (id int, at timestamptz, dev int, note text);
INSERT INTO k.big SELECT g, '2026-01-09', 9, repeat('x', 1000) FROM generate_series(1, 7500) AS g;
DELETE FROM k.big WHERE id <= 50;
VACUUM k.big;
SELECT attribution.create_rule('big', 'k.big', 'id', 'at');
SELECT attribution.add_tier('big', 'click', 'k.clicks', '{dev}', '7 days');
SELECT attribution.activate('big');
SELECT attribution._start_run('run', 'big', NULL) AS run \gset
SELECT attribution._step(:run, '-infinity');
UPDATE k.big SET note = repeat('y', 1000) WHERE id = 7499;
SELECT count(attribution._step(:run, '-infinity')) FROM generate_series(1, 3);
CALL attribution.run('big');
SELECT count(*), count(*) FILTER (WHERE conversion_id = 7499) FROM k.big_decisions;

-- The tables of a rule are its owner's; whoever reads them runs none of the owner's code.
CREATE ROLE regress_bad;
GRANT attribution_admin TO regress_bad;
CREATE SCHEMA bad AUTHORIZATION regress_bad;
CREATE TABLE k.victim (x int);
GRANT USAGE ON SCHEMA k TO regress_bad;
GRANT SELECT ON k.clicks TO regress_bad;
SET ROLE regress_bad;
CREATE TABLE bad.installs (id int, at timestamptz, dev int);
SELECT attribution.create_rule('bad', 'bad.installs', 'id', 'at');
SELECT attribution.add_tier('bad', 'click', 'k.clicks', '{dev}', '7 days');
SELECT attribution.activate('bad');
UPDATE attribution.storage SET installations = 'k.victim' WHERE rule = 'bad';
CREATE TABLE bad.log (who name);
CREATE TYPE bad.t AS (x int);
CREATE FUNCTION bad.f(bad.t) RETURNS timestamptz LANGUAGE plpgsql AS $$ BEGIN INSERT INTO bad.log VALUES (current_user); RETURN now(); END $$;
CREATE CAST (bad.t AS timestamptz) WITH FUNCTION bad.f(bad.t) AS IMPLICIT;
ALTER TABLE bad.bad_pending DROP COLUMN due;
ALTER TABLE bad.bad_pending ADD due bad.t;
INSERT INTO bad.bad_pending (conversion_id, conversion_time, queued_at, due) VALUES (1, now(), now(), ROW(1));
RESET ROLE;
SELECT rule, undecided FROM attribution.backlog WHERE rule = 'bad';
SELECT DISTINCT who FROM bad.log;
SELECT count(*) FROM attribution._agenda('-infinity', true, '{}') WHERE rule = 'bad';
SELECT DISTINCT who FROM bad.log;
CALL attribution.run('bad');
-- A rule's owner gets a trigger on another's table only by the privilege for it.
CREATE TABLE k.theirs (id int, at timestamptz, dev int);
GRANT SELECT ON k.theirs TO regress_bad;
GRANT CREATE ON SCHEMA k TO regress_bad;
SET ROLE regress_bad;
SELECT attribution.create_rule('theirs', 'k.theirs', 'id', 'at', decisions => 'bad.theirs');
SELECT attribution.add_tier('theirs', 'click', 'k.clicks', '{dev}', '7 days');
SELECT attribution.activate('theirs');
CALL attribution.run('theirs');
RESET ROLE;
SELECT attribution.activate('theirs');
GRANT TRIGGER ON k.theirs TO regress_bad;
SELECT attribution.activate('theirs');
CREATE ROLE regress_writer;
GRANT USAGE ON SCHEMA k TO regress_writer;
GRANT INSERT ON k.theirs TO regress_writer;
SET ROLE regress_writer;
INSERT INTO k.theirs VALUES (1, '2026-01-09', 1);
CALL attribution.run('theirs');
RESET ROLE;
CALL attribution.run('theirs');
SELECT conversion_id, outcome FROM bad.theirs;

DROP EXTENSION attribution;
DROP SCHEMA k CASCADE;
DROP OWNED BY regress_bad, regress_writer, regress_reader CASCADE;
DROP ROLE regress_bad, regress_writer, regress_reader;

-- Why: each candidate and near miss with its reason.
\set SHOW_CONTEXT never
CREATE EXTENSION attribution;
CREATE SCHEMA game;
SET timezone = 'UTC';
CREATE TABLE game.installs (uid bigint PRIMARY KEY, at timestamptz NOT NULL, kind text, app text, ifa text, ip inet, begun timestamptz);
CREATE TABLE game.clicks (uid bigint, at timestamptz, app text, ifa text, ip inet, network text);
CREATE INDEX ON game.clicks (app, ifa, at);
CREATE INDEX ON game.clicks (app, ip, at);
SELECT attribution.create_rule('installs', 'game.installs', 'uid', 'at', filter => $$kind = 'install'$$);
SELECT attribution.add_tier('installs', 'device', 'game.clicks', '{app,ifa}', '7 days', filter => $$network <> 'banned'$$,
  predicate => $$conversion.begun IS NULL OR touch.at <= conversion.begun$$);
SELECT attribution.add_tier('installs', 'fingerprint', 'game.clicks', '{app,ip}', '24 hours', conflict => '{ifa}');
INSERT INTO game.installs VALUES
  (1, '2026-01-08 12:00+00', 'install', 'a', 'D1', '10.0.0.1', NULL),
  (2, '2026-01-08 12:00+00', 'install', 'a', 'D2', '10.0.0.2', '2026-01-08 11:00+00'),
  (3, '2026-01-08 12:00+00', 'install', 'a', '', NULL, NULL),
  (4, '2026-01-08 12:00+00', 'open', 'a', 'D1', NULL, NULL);
INSERT INTO game.clicks VALUES
  (10, '2026-01-08 11:00+00', 'a', 'D1', '10.0.0.1', 'x'),
  (11, '2026-01-08 10:00+00', 'a', 'D1', '10.0.0.1', 'x'),
  (12, '2026-01-08 11:00+00', 'a', 'D1', NULL, 'x'),
  (12, '2026-01-08 11:00+00', 'a', 'D1', NULL, 'x'),
  (13, '2026-01-08 12:00:05+00', 'a', 'D1', NULL, 'x'),
  (14, '2025-12-28 12:00+00', 'a', 'D1', NULL, 'x'),
  (15, '2026-01-08 11:30+00', 'a', NULL, '10.0.0.1', 'x'),
  (16, '2026-01-08 11:30+00', 'a', 'D9', '10.0.0.1', 'x'),
  (20, '2025-12-31 11:59:59.999999+00', 'a', 'D2', NULL, 'x'),
  (21, '2026-01-08 09:00+00', 'a', 'D2', NULL, 'banned'),
  (22, '2026-01-08 11:00:00.5+00', 'a', 'D2', NULL, 'x'),
  (30, '2026-01-08 11:00+00', 'a', '', NULL, 'x'),
  (31, '2025-12-20 11:00+00', 'a', 'D2', NULL, 'x');
SELECT * FROM attribution.explain('installs', 1);
SELECT * FROM attribution.explain('installs', 2);
SELECT * FROM attribution.explain('installs', 3);
SELECT * FROM attribution.explain('installs', 4);
-- The id comes in its own type, as text, or as a literal.
SELECT reason FROM attribution.explain('installs', 3::bigint);
SELECT reason FROM attribution.explain('installs', '3'::text);
SELECT reason FROM attribution.explain('installs', '3');
SELECT reason FROM game.installs_explain(3);
SELECT i.uid, e.tier, e.touch_id, e.reason FROM game.installs AS i, game.installs_explain(i.uid) AS e WHERE e.credit = 1;
-- A predicate may rely on the tier's filter.
SELECT attribution.alter_tier('installs', 'device', filter => 'uid <> 13', predicate => '1 / (touch.uid - 13) IS NOT NULL');
SELECT reason FROM attribution.explain('installs', 1) WHERE touch_id = '13';
SELECT attribution.alter_tier('installs', 'device', filter => $$network <> 'banned'$$, predicate => $$conversion.begun IS NULL OR touch.at <= conversion.begun$$);
-- First touch, and under overrides.
SELECT tier, touch_id, reason, verdict FROM attribution.explain('installs', 1, '{"model": "first_touch", "path": "all"}') WHERE credit IS NOT NULL LIMIT 4;
SELECT tier, touch_id, reason, verdict FROM attribution.explain('installs', 2, '{"lookback": {"device": "8 days"}, "without_tiers": ["fingerprint"]}');
-- A busy key: the nearest hundred, and the winner all the same.
INSERT INTO game.clicks SELECT 1000 + i, '2026-01-08 11:30+00'::timestamptz - i * interval '1 s', 'a', 'D1', NULL, 'x' FROM generate_series(1, 300) AS i;
SELECT reason, count(*), min(touch_id), max(touch_time) FROM attribution.explain('installs', 1) WHERE touch_id IS NOT NULL GROUP BY reason ORDER BY reason;
SELECT reason, touch_id FROM attribution.explain('installs', 1, '{"model": "first_touch"}') LIMIT 2;
-- Clicks that retention has dropped.
CREATE TABLE game.views (uid bigint, at timestamptz, app text, ifa text) PARTITION BY RANGE (at);
CREATE INDEX ON game.views (app, ifa, at);
INSERT INTO attribution.partitioning (relation, horizon) VALUES ('game.views', '2026-01-08 00:00+00');
SELECT attribution.add_tier('installs', 'view', 'game.views', '{app,ifa}', '24 hours');
SELECT tier, reason, verdict FROM attribution.explain('installs', 2) WHERE tier = 'view';
SET client_min_messages = warning;
DROP SCHEMA game CASCADE;
DROP EXTENSION attribution;

-- What if: other windows, tiers, paths and models, without changing the rule. Values and built-in names, never SQL.
\set SHOW_CONTEXT never
CREATE EXTENSION attribution;
CREATE SCHEMA game;
CREATE TABLE game.installs (uid int PRIMARY KEY, at timestamptz NOT NULL, ifa text, ip text);
CREATE TABLE game.clicks (uid int, at timestamptz, ifa text, ip text);
CREATE INDEX ON game.clicks (ifa);
CREATE INDEX ON game.clicks (ip);
INSERT INTO game.installs VALUES (1, '2026-01-08 12:00+00', 'd', 'i');
INSERT INTO game.clicks VALUES (10, '2026-01-01 12:00+00', 'd', NULL), (11, '2026-01-06 12:00+00', 'd', NULL),
  (12, '2026-01-08 11:00+00', NULL, 'i'), (13, '2025-12-30 12:00+00', 'd', NULL);
SELECT attribution.create_rule('installs', 'game.installs', 'uid', 'at');
SELECT attribution.add_tier('installs', 'device', 'game.clicks', '{ifa}', '7 days');
SELECT attribution.add_tier('installs', 'ip', 'game.clicks', '{ip}', '24 hours');
SELECT attribution.activate('installs');
SELECT o.overrides, a.tier, a.touch_id
FROM (VALUES ('{}'::jsonb), ('{"model": "first_touch"}'), ('{"path": "all"}'), ('{"path": "all", "model": "first_touch"}'),
  ('{"lookback": {"device": "1 day"}}'), ('{"lookback": {"device": "10 days"}, "model": "first_touch"}'),
  ('{"without_tiers": ["device"]}'), ('{"without_tiers": ["device", "ip"]}'), ('{"version": 1}'),
  ('{"lookback": {"device": "1 day", "ip": "1 hour"}}'), ('{"lookback": {"device": "1 day", "ip": "59 min 59.999999 s"}}'))
  AS o(overrides), attribution.attribute('installs', overrides => o.overrides) AS a;
SELECT conversion_id, tier, touch_id, touch_position, path_length FROM attribution.touchpoints('installs', overrides => '{"path": "all"}') ORDER BY touch_position;
SELECT outcome, touch_id FROM game.installs_attribute(overrides => '{"without_tiers": ["device", "ip"]}');
SELECT count(*) FROM game.installs_explain(1, '{"without_tiers": ["device", "ip"]}');
SELECT count(*) FROM attribution.rules;

\set VERBOSITY terse
SELECT * FROM attribution.attribute('installs', overrides => '[]');
SELECT * FROM attribution.attribute('installs', overrides => '{"models": "first_touch"}');
SELECT * FROM attribution.attribute('installs', overrides => '{"model": "best"}');
SELECT * FROM attribution.attribute('installs', overrides => '{"model": null}');
SELECT * FROM attribution.attribute('installs', overrides => '{"path": "1=1"}');
SELECT * FROM attribution.attribute('installs', overrides => '{"lookback": {"devices": "1 day"}}');
SELECT * FROM attribution.attribute('installs', overrides => '{"lookback": {"device": 7}}');
SELECT * FROM attribution.attribute('installs', overrides => '{"lookback": {"device": "soon"}}');
SELECT * FROM attribution.attribute('installs', overrides => '{"lookback": {"device": "1 month"}}');
SELECT * FROM attribution.attribute('installs', overrides => '{"lookback": {"device": "-1 day"}}');
SELECT * FROM attribution.attribute('installs', overrides => '{"without_tiers": "device"}');
SELECT * FROM attribution.attribute('installs', overrides => '{"without_tiers": [7]}');
SELECT * FROM attribution.attribute('installs', overrides => '{"version": 9}');
SELECT * FROM attribution.attribute('installs', overrides => '{"version": 1.5}');
SET client_min_messages = warning;
DROP SCHEMA game CASCADE;
DROP EXTENSION attribution;

-- What was believed of an install before a click of it came late, and after. Read by demo/game.py: `install`, `before`.
\set ON_ERROR_STOP on
\set QUIET on
SET timezone = 'UTC';
\pset linestyle unicode
\pset border 1
\pset footer off
\pset null '·'
PREPARE believed (timestamptz) AS
  SELECT left(conversion_id::text, 8) AS install, outcome, tier, left(touch_id::text, 8) AS touch, decided_at
    FROM game.installs_decisions_as_of($1) WHERE conversion_id = :'install';
\pset title 'decisions_as_of before the click came'
EXECUTE believed (:'before');
\pset title 'decisions_as_of now'
EXECUTE believed (clock_timestamp());
\pset title

\echo 'Try next:'
\echo '  what if clicks counted for one day only?'
\echo '    SELECT outcome, count(*) FROM game.installs_attribute(overrides => ''{"lookback": {"click by device": "1 day"}}'') GROUP BY 1;'
\echo '  first touch instead of last, over all tiers:'
\echo '    SELECT tier, count(*) FROM game.installs_attribute(overrides => ''{"path": "all", "model": "first_touch"}'') GROUP BY 1;'
\echo '  without fingerprints:'
\echo '    SELECT tier, count(*) FROM game.installs_attribute(overrides => ''{"without_tiers": ["click by fingerprint", "impression by fingerprint"]}'') GROUP BY 1;'
\echo '  clocks that are a few seconds off, for good:'
\echo '    SELECT attribution.alter_tier(''installs'', ''click by device'', skew => ''5 seconds''); SELECT attribution.activate(''installs'');'
\echo '  every touchpoint of the path: SELECT * FROM game.installs_touchpoints(''2026-01-06'', ''2026-01-07'') LIMIT 20;'
\echo '  what would move, in installs and networks, if fingerprints no longer counted?'
\echo '    SELECT * FROM attribution.diff(''installs'', ''{"without_tiers": ["click by fingerprint", "impression by fingerprint"]}'', by => ''{network}'');'
\echo '  what waits, and what was done: SELECT * FROM attribution.backlog; SELECT * FROM attribution.run_log;'
\echo '  keep four weeks of impressions: UPDATE attribution.partitioning SET retention = ''28 days'' WHERE relation = ''game.impressions''::regclass;'

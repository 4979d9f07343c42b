-- What a user acquisition manager looks at first, over the tour's week. Read by demo/game.py when all of it has come.
\set ON_ERROR_STOP on
\set QUIET on
SET timezone = 'UTC';
SET client_min_messages = warning;
\pset linestyle unicode
\pset border 1
\pset footer off
\pset null '·'
\set since '''2026-01-05 00:00+00'''
\set until '''2026-01-12 00:00+00'''

-- ---------------------------------------------------------------------------------------------------------------------
-- Each install was decided as it came, and again as what explains it came after it. All of them once more, in one go: what it
-- writes is what had yet to be found.

CALL attribution.reattribute('installs', :since, :until);
SELECT trim(to_char(decided, '999,999,999')) AS installs,
       trim(to_char((SELECT count(*) FROM game.clicks), '999,999,999')) AS clicks,
       trim(to_char((SELECT count(*) FROM game.impressions), '999,999,999')) AS impressions,
       trim(to_char(extract(epoch FROM finished_at - started_at), '990.00')) AS seconds,
       trim(to_char(restated, '999,999,999')) AS restated
  FROM attribution.run_log WHERE procedure = 'reattribute' ORDER BY run DESC LIMIT 1 \gset
\echo 'CALL attribution.reattribute(''installs'', ''2026-01-05'', ''2026-01-12'');'
\echo :installs 'installs decided against' :clicks 'clicks and' :impressions 'impressions in' :seconds 'seconds;' :restated 'are not what they were.'

-- The decisions with what they keep of the winning touchpoint. Everything below only counts these rows.
CREATE TEMP TABLE attributed AS
  SELECT d.*, e.store_id,
         CASE WHEN d.tier LIKE 'click%' THEN 'click' WHEN d.tier LIKE 'impression%' THEN 'impression' END AS way
    FROM game.installs_attribution d
    JOIN game.events e ON (e.event_uid, e.event_time) = (d.conversion_id, d.conversion_time)
   WHERE d.conversion_time >= :since AND d.conversion_time < :until;
ANALYZE attributed;

-- ---------------------------------------------------------------------------------------------------------------------

\echo
\pset title 'Installs by day and app'
SELECT coalesce(to_char(date_trunc('day', conversion_time), 'Dy DD Mon'), 'the week') AS day,
       to_char(count(*) FILTER (WHERE store_id = 'com.example.castles'), '999,999') AS castles,
       to_char(count(*) FILTER (WHERE store_id = 'com.example.bubbles'), '999,999') AS bubbles,
       to_char(count(*) FILTER (WHERE store_id = 'id1000000001'), '999,999') AS "dragons (iOS)",
       to_char(count(*), '999,999') AS "all",
       to_char(100.0 * count(*) FILTER (WHERE outcome = 'organic') / count(*), '990.0') || ' %' AS organic
  FROM attributed
 GROUP BY ROLLUP (date_trunc('day', conversion_time))
 ORDER BY date_trunc('day', conversion_time) NULLS LAST;

\echo
\pset title 'How installs were matched, strongest tier first'
SELECT coalesce(tier, 'organic') AS tier, to_char(count(*), '999,999') AS installs,
       to_char(100.0 * count(*) / sum(count(*)) OVER (), '990.0') || ' %' AS share,
       repeat('█', round(60.0 * count(*) / sum(count(*)) OVER ())::integer) AS " "
  FROM attributed
 GROUP BY tier
 ORDER BY (SELECT t.strength FROM attribution.tiers t
            WHERE t.rule = 'installs' AND t.state = 'active' AND t.tier = attributed.tier) NULLS LAST;

\echo
\pset title 'Networks (CTR: clicks per impression; CVR: click installs per click; IPM: installs per 1,000 impressions)'
WITH impressions AS (
  SELECT network, count(*) AS n FROM game.impressions WHERE event_time >= :since AND event_time < :until GROUP BY network
), clicks AS (
  SELECT network, count(*) AS n FROM game.clicks WHERE event_time >= :since AND event_time < :until GROUP BY network
), installs AS (
  SELECT network, count(*) AS n, count(*) FILTER (WHERE way = 'click') AS of_clicks
    FROM attributed WHERE outcome = 'attributed' GROUP BY network
)
SELECT network, to_char(impressions.n, '9,999,999') AS impressions, to_char(clicks.n, '99,999') AS clicks,
       to_char(100.0 * clicks.n / impressions.n, '990.00') || ' %' AS ctr,
       to_char(installs.n, '9,999') AS installs,
       to_char(100.0 * installs.n / (SELECT count(*) FROM attributed), '990.0') || ' %' AS "of all",
       to_char(installs.n - of_clicks, '9,999') AS "by view",
       to_char(100.0 * of_clicks / clicks.n, '990.0') || ' %' AS cvr,
       to_char(1000.0 * installs.n / impressions.n, '990.00') AS ipm
  FROM impressions JOIN clicks USING (network) JOIN installs USING (network)
 ORDER BY installs.n DESC;

\echo
\pset title 'Campaigns that brought most'
SELECT network, campaign_name AS campaign, to_char(count(*), '9,999') AS installs,
       to_char(percentile_cont(0.5) WITHIN GROUP (ORDER BY conversion_time - touch_time) FILTER (WHERE way = 'click'),
               'HH24:MI:SS') AS "median click to install"
  FROM attributed WHERE outcome = 'attributed'
 GROUP BY network, campaign_name
 ORDER BY count(*) DESC, network, campaign_name LIMIT 6;

\echo
\echo 'SELECT * FROM attribution.compare_models(''installs'', ''2026-01-05'', ''2026-01-12'', ''{first_touch,last_touch,linear,position_based}'', ''{"path": "all"}'');'
\pset title 'What each network gets by which model, all touchpoints competing'
SELECT coalesce(channel, '(organic)') AS network, to_char(sum(conversions) FILTER (WHERE model = 'first_touch'), '99,999') AS first_touch,
       to_char(sum(conversions) FILTER (WHERE model = 'last_touch'), '99,999') AS last_touch,
       to_char(sum(conversions) FILTER (WHERE model = 'linear'), '99,990.0') AS linear,
       to_char(sum(conversions) FILTER (WHERE model = 'position_based'), '99,990.0') AS position_based
  FROM attribution.compare_models('installs', :since, :until, '{first_touch,last_touch,linear,position_based}', '{"path": "all"}')
 GROUP BY channel ORDER BY sum(conversions) FILTER (WHERE model = 'linear') DESC;

\echo
\pset title 'From click to install'
WITH bucket (n, label, upper_end) AS (
  VALUES (1, 'up to 1 min', interval '1 minute'), (2, '5 min', '5 minutes'), (3, '15 min', '15 minutes'),
         (4, '1 hour', '1 hour'), (5, '6 hours', '6 hours'), (6, '24 hours', '24 hours'), (7, '3 days', '72 hours'),
         (8, '7 days', '168 hours')
), counted AS (
  SELECT b.n, b.label, count(a.conversion_id) AS installs
    FROM bucket b
    LEFT JOIN attributed a
      ON a.way = 'click' AND a.conversion_time - a.touch_time <= b.upper_end
     AND a.conversion_time - a.touch_time > coalesce((SELECT p.upper_end FROM bucket p WHERE p.n = b.n - 1), '-1 day')
   GROUP BY b.n, b.label
)
SELECT label AS time, to_char(installs, '9,999') AS installs,
       to_char(100 * sum(installs) OVER (ORDER BY n) / sum(installs) OVER (), '990.0') || ' %' AS "so far",
       repeat('█', round(60.0 * installs / max(installs) OVER ())::integer) AS " "
  FROM counted ORDER BY n;

-- ---------------------------------------------------------------------------------------------------------------------
-- Why? One install that several networks wanted, and one that nobody gets.

SELECT conversion_id AS wanted
  FROM game.installs_touchpoints(:since, :until) p
  JOIN attributed a USING (conversion_id)
 WHERE a.tier = 'click by click id'
 GROUP BY conversion_id
HAVING count(*) BETWEEN 6 AND 10
 ORDER BY count(DISTINCT p.tier) DESC, conversion_id LIMIT 1 \gset

-- Without an advertising id, and with a click of the same address and phone that is too old for a fingerprint.
SELECT a.conversion_id AS lonely
  FROM attributed a
  JOIN game.events e ON (e.event_uid, e.event_time) = (a.conversion_id, a.conversion_time)
  JOIN game.clicks c ON (c.store_id, c.client_ip, c.user_agent) = (e.store_id, e.client_ip, e.user_agent)
 WHERE a.outcome = 'organic' AND e.ifa = '00000000-0000-0000-0000-000000000000'
   AND c.event_time < a.conversion_time - interval '24 hours' AND c.event_time > a.conversion_time - interval '47 hours'
 ORDER BY a.conversion_id LIMIT 1 \gset

PREPARE explained (uuid) AS
  WITH x AS (
    SELECT * FROM game.installs_explain($1) WITH ORDINALITY
      AS x (tier, touch_id, touch_time, reason, verdict, credit, found_by, n)
  )
  SELECT x.tier, left(x.touch_id::text, 8) AS touch, t.network, to_char(x.touch_time, 'DD Mon HH24:MI:SS') AS "time (UTC)",
         x.reason, x.verdict, x.credit
    FROM x
    LEFT JOIN LATERAL (SELECT network FROM game.clicks c WHERE (c.link_uid, c.event_time) = (x.touch_id, x.touch_time)
                       UNION ALL
                       SELECT network FROM game.impressions i WHERE (i.link_uid, i.event_time) = (x.touch_id, x.touch_time)
                       LIMIT 1) t ON true
   ORDER BY x.n;

\echo
\pset title 'Why is install ':wanted' attributed?'
EXECUTE explained (:'wanted');
\echo
\pset title 'Why is install ':lonely' organic?'
EXECUTE explained (:'lonely');
\pset title

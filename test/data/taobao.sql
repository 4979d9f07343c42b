-- Taobao: 84,475 shop events of 815 users. Page views, favourites and carts are touches, purchases are conversions;
-- what first and last touch give to each kind of touch was computed by two other programs.
--
-- Read so, the numbers come out: one key, the user; a window of 7 days, closed at both ends; touches of a purchase's
-- own second count; touches of the same second are in the file's order, which is that of their ids.
SET client_min_messages = error;
CREATE EXTENSION attribution;

-- id is the line's number.
CREATE TABLE events (
    id bigint GENERATED ALWAYS AS IDENTITY, person int, item int, category int, type text, epoch bigint,
    time timestamptz GENERATED ALWAYS AS (to_timestamp(epoch::float8)) STORED
);
\copy events (person, item, category, type, epoch) FROM PROGRAM 'cat "$ATTRIBUTION_DATA/taobao/userbehavior_815users.csv"' (FORMAT csv)
CREATE INDEX ON events USING touch (person, time);
ANALYZE events;

CREATE TABLE expected (model text, channel text, conversions numeric);
\copy expected FROM PROGRAM 'cat "$ATTRIBUTION_DATA/taobao/expected_815users_lookback7d.csv"' (FORMAT csv, HEADER)

-- One table holds both sides.
\o /dev/null
SELECT attribution.create_rule('purchases', 'events', 'id', 'time', filter => $$type = 'buy'$$);
SELECT attribution.add_tier('purchases', 'visit', 'events', '{person}', '7 days',
                            filter => $$type IN ('pv', 'fav', 'cart')$$);
\o

CREATE TABLE found AS
SELECT m.model, e.type AS channel, count(*) AS conversions
FROM (VALUES ('first', '{"model": "first_touch"}'::jsonb), ('last', '{"model": "last_touch"}')) AS m (model, overrides)
CROSS JOIN LATERAL purchases_attribute(overrides => m.overrides) AS d
LEFT JOIN events AS e ON e.id = d.touch_id
GROUP BY m.model, e.type;

SELECT format('taobao: %s touch: %s', model,
              string_agg(format('%s %s', coalesce(channel, 'organic'), conversions), ', ' ORDER BY channel))
FROM found GROUP BY model ORDER BY model;
SELECT format('  %s, %s: %s expected, %s found', model, channel, e.conversions, f.conversions)
FROM (SELECT * FROM found WHERE channel IS NOT NULL) AS f
FULL JOIN (SELECT * FROM expected WHERE model IN ('first', 'last')) AS e USING (model, channel)
WHERE e.conversions IS DISTINCT FROM f.conversions;

DO $$
BEGIN
    ASSERT (SELECT count(*) FROM expected WHERE model IN ('first', 'last')) = 6, 'six numbers are expected';
    ASSERT NOT EXISTS ((SELECT model, channel, conversions FROM expected WHERE model IN ('first', 'last')
                        EXCEPT ALL SELECT model, channel, conversions FROM found)
                       UNION ALL
                       (SELECT model, channel, conversions FROM found WHERE channel IS NOT NULL
                        EXCEPT ALL SELECT model, channel, conversions FROM expected)),
        'the numbers are the expected ones';
    ASSERT (SELECT bool_and(total = 1750) FROM (SELECT sum(conversions) AS total FROM found GROUP BY model) AS t),
        'each purchase has one decision';
END $$;

-- Taobao: 84,475 shop events of 815 users. Page views, favourites and carts are touches, purchases are conversions;
-- what each model gives to each kind of touch was computed by two other programs.
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
SELECT attribution.create_rule('purchases', 'events', 'id', 'time', filter => $$type = 'buy'$$, channel => 'touch.type');
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

-- All models in one pass, by the rule's channel. The file has 12 digits.
CREATE TABLE compared AS
SELECT e.model, m.channel, m.conversions
FROM (VALUES ('first', 'first_touch'), ('last', 'last_touch'), ('last_non_pv', 'last_non_direct(pv)'), ('linear', 'linear'),
             ('linear_unique', 'linear_distinct'), ('position', 'position_based'), ('time_decay_h1d', 'time_decay(1 day)')) AS e (model, written)
JOIN attribution.compare_models('purchases', '-infinity', 'infinity',
  '{first_touch,last_touch,last_non_direct(pv),linear,linear_distinct,position_based,time_decay(1 day)}') AS m ON m.model = e.written;
SELECT format('  %s, %s: %s expected, %s found', model, channel, e.conversions, f.conversions)
FROM (SELECT * FROM compared WHERE channel IS NOT NULL) AS f FULL JOIN expected AS e USING (model, channel)
WHERE abs(e.conversions - f.conversions::numeric) > 1e-8 OR e.conversions IS NULL OR f.conversions IS NULL;

DO $$
BEGIN
    ASSERT (SELECT count(*) FROM compared JOIN expected AS e USING (model, channel)
            WHERE abs(e.conversions - compared.conversions::numeric) <= 1e-8) = (SELECT count(*) FROM expected),
        'every model gives the expected numbers';
    ASSERT (SELECT bool_and(abs(total - 1750) < 1e-9) FROM (SELECT sum(conversions) AS total FROM compared GROUP BY model) AS t),
        'each model shares all purchases';
    ASSERT (SELECT count(*) FROM attribution.shapley_of('purchases') AS s JOIN expected AS e USING (channel)
            WHERE e.model = 'linear_unique' AND abs(e.conversions - s.conversions::numeric) <= 1e-8) = 3,
        'Shapley values are those of linear over distinct channels';
END $$;

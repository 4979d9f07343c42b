-- Taobao, two hours in the order of time: views, favourites and carts are clicks of a shop, purchases are its checkouts, told to
-- the checkout preset in the file's order and while it decides. Each purchase has one row; the last touch, and the first, are what
-- a plain query finds.
SET client_min_messages = error;
SET timezone = 'UTC';
CREATE EXTENSION attribution;
\o /dev/null
SELECT attribution.create_checkout();
SELECT attribution.alter_rule('checkouts', model => 'last_touch');
SELECT attribution.activate('checkouts');
SELECT attribution.make_partitions(r, '2017-11-25', '2017-11-27') FROM unnest('{commerce.clicks,commerce.checkouts}'::regclass[]) AS r;
\o

-- line is the line's number.
CREATE TABLE events (
    line bigint GENERATED ALWAYS AS IDENTITY, person int, item text, category int, type text, epoch bigint
);
\copy events (person, item, category, type, epoch) FROM PROGRAM 'cat "$ATTRIBUTION_DATA/taobao/userbehavior_2h_timesorted.csv"' (FORMAT csv)

CREATE PROCEDURE bring(since bigint, until bigint) LANGUAGE sql AS $$
INSERT INTO commerce.clicks (click_id, user_id, product_id, product, datetime_occured)
SELECT line, person, item, type, to_timestamp(epoch) FROM events WHERE line > since AND line <= until AND type <> 'buy';
INSERT INTO commerce.checkouts (checkout_id, user_id, product_id, datetime_occured)
SELECT line, person, item, to_timestamp(epoch) FROM events WHERE line > since AND line <= until AND type = 'buy';
$$;
SELECT format('CALL bring(%s, %s)', n, n + 10000), 'CALL attribution.run(''checkouts'', now() + interval ''1 second'')'
FROM generate_series(0, (SELECT max(line) FROM events), 10000) AS n ORDER BY n \gexec
-- Clicks of a purchase's own second may have come after it.
CALL attribution.run('checkouts', now() + interval '2 days');

CREATE TABLE expected AS
SELECT b.line::text AS checkout_id, l.line::text AS last, f.line::text AS first
FROM events AS b
LEFT JOIN LATERAL (SELECT t.line FROM events AS t WHERE t.type <> 'buy' AND t.person = b.person AND t.item = b.item
                      AND t.epoch BETWEEN b.epoch - 3600 AND b.epoch ORDER BY t.epoch DESC, t.line::text COLLATE "C" DESC LIMIT 1) AS l ON true
LEFT JOIN LATERAL (SELECT t.line FROM events AS t WHERE t.type <> 'buy' AND t.person = b.person AND t.item = b.item
                      AND t.epoch BETWEEN b.epoch - 3600 AND b.epoch ORDER BY t.epoch, t.line::text COLLATE "C" LIMIT 1) AS f ON true
WHERE b.type = 'buy';

SELECT format('checkouts: %s purchases, %s after a click on the product', count(*), count(last)) FROM expected;
SELECT format('  purchase %s: %s expected, %s found', e.checkout_id, e.last, a.click_id)
FROM expected AS e FULL JOIN commerce.attributed_checkouts AS a USING (checkout_id) WHERE e.last IS DISTINCT FROM a.click_id LIMIT 10;

DO $$
BEGIN
    ASSERT (SELECT count(*) FROM expected) = 2144, 'there are 2,144 purchases';
    ASSERT (SELECT count(last) FROM expected) > 100, 'clicks led to many of them';
    ASSERT NOT EXISTS ((SELECT checkout_id, last FROM expected EXCEPT ALL SELECT checkout_id, click_id FROM commerce.attributed_checkouts)
                       UNION ALL
                       (SELECT checkout_id, click_id FROM commerce.attributed_checkouts EXCEPT ALL SELECT checkout_id, last FROM expected)),
        'each has one row, with the last click';
    ASSERT NOT EXISTS (SELECT conversion_id, path_first, path_last FROM commerce.checkouts_attribution
                       EXCEPT SELECT checkout_id, first, last FROM expected), 'the path begins and ends as it should';
    ASSERT NOT EXISTS (SELECT conversion_id, touch_id FROM commerce.checkouts_attribute(overrides => '{"model": "first_touch"}')
                       EXCEPT SELECT checkout_id, first FROM expected), 'the first click is the first';
END $$;

-- What the checkout preset must have found in the events of the two hours, by a plain query. For checkouts.sql and test/checkout/replay.
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

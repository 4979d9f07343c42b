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

\ir checkouts_events.sql

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

\ir checkouts_expected.sql

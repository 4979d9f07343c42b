-- The checkout preset, and what streaming joins get wrong: a checkout of the same product again, checkouts without a click,
-- of unknown users, of large amounts.
\set SHOW_CONTEXT never
CREATE EXTENSION attribution;
SET client_min_messages = warning;
SET timezone = 'UTC';
SET datestyle = 'ISO';
SELECT attribution.create_checkout();
INSERT INTO commerce.users (id, username, password) VALUES (1, 'ann', 'x'), (2, 'bob', 'y');
INSERT INTO commerce.products (id, name, price) VALUES ('p1', 'Kettle', 42.17);

-- Five checkouts: k1 and k2 of the same user and product after two clicks, two that no click led to, one of a user who does not
-- exist. Numbered by the click's user and product, as a streaming job would, two of the five are left.
INSERT INTO commerce.clicks (click_id, user_id, product_id, datetime_occured) VALUES
  ('c1', 1, 'p1', '2026-01-05 12:00:00'), ('c2', 1, 'p1', '2026-01-05 12:01:00');
INSERT INTO commerce.checkouts (checkout_id, user_id, product_id, payment_method, total_amount, datetime_occured) VALUES
  ('k1', 1, 'p1', 'VISA 16 digit', 523.19, '2026-01-05 12:02:00'), ('k2', 1, 'p1', 'VISA 16 digit', 523.19, '2026-01-05 12:03:00'),
  ('k3', 1, 'p2', 'JCB 15 digit', 12.00, '2026-01-05 12:04:00'), ('k4', 2, 'p1', 'Maestro', 1234567.89, '2026-01-05 12:05:00'),
  ('k5', 100, 'p1', 'Maestro', 1.00, '2026-01-05 12:06:00');
SELECT count(*) FROM (
  SELECT row_number() OVER (PARTITION BY cl.user_id, cl.product_id ORDER BY cl.datetime_occured) AS n
    FROM commerce.checkouts AS co JOIN commerce.users AS u ON u.id = co.user_id
    LEFT JOIN commerce.clicks AS cl ON cl.user_id = co.user_id AND cl.product_id = co.product_id
      AND co.datetime_occured BETWEEN cl.datetime_occured AND cl.datetime_occured + interval '1 hour') AS joined WHERE n = 1;
CALL attribution.run('checkouts', now() + interval '1 second');
SELECT checkout_id, click_id, checkout_time, click_time, user_name FROM commerce.attributed_checkouts ORDER BY checkout_time DESC LIMIT 5;
\d commerce.attributed_checkouts
SELECT checkout_id, user_name, click_id, product_id, payment_method, total_amount, shipping_address, ip_address FROM commerce.attributed_checkouts ORDER BY 1;

-- Ends of the window count, a click after the checkout does not; of two clicks at once the least id; a click that comes late leads.
INSERT INTO commerce.clicks (click_id, user_id, product_id, datetime_occured) VALUES
  ('hour', 2, 'p3', '2026-01-05 12:00:00'), ('after', 2, 'p4', '2026-01-05 13:00:00.001'), ('too old', 2, 'p5', '2026-01-05 11:59:59.999'),
  ('same', 2, 'p6', '2026-01-05 13:00:00'), ('b', 2, 'p7', '2026-01-05 12:30:00'), ('a', 2, 'p7', '2026-01-05 12:30:00'), ('other', 1, 'p7', '2026-01-05 12:00:00'),
  ('null', NULL, 'p8', '2026-01-05 12:30:00'), ('null', 2, NULL, '2026-01-05 12:30:00');
INSERT INTO commerce.checkouts (checkout_id, user_id, product_id, datetime_occured, shipping_address)
  SELECT 'at ' || p, 2, p, '2026-01-05 13:00:00', E'1 Main St\nTown' FROM unnest('{p3,p4,p5,p6,p7}'::text[]) AS p;
INSERT INTO commerce.checkouts (checkout_id, user_id, product_id, datetime_occured) VALUES ('no user', NULL, 'p8', '2026-01-05 13:00:00'), ('no product', 2, NULL, '2026-01-05 13:00:00');
-- Delivered twice, and with another time.
INSERT INTO commerce.checkouts (checkout_id, user_id, product_id, datetime_occured) VALUES ('at p3', 2, 'p3', '2026-01-05 13:00:00.001');
CALL attribution.run('checkouts', now() + interval '1 second');
SELECT checkout_id, click_id, click_time FROM commerce.attributed_checkouts WHERE checkout_time >= '2026-01-05 13:00' ORDER BY 1;
INSERT INTO commerce.clicks (click_id, user_id, product_id, datetime_occured) VALUES ('c0', 1, 'p1', '2026-01-05 11:30:00');
INSERT INTO commerce.users (id, username) VALUES (100, 'late');
CALL attribution.reattribute('checkouts');
SELECT checkout_id, click_id, user_name FROM commerce.attributed_checkouts WHERE checkout_time < '2026-01-05 13:00' ORDER BY 1;
SELECT conversion_id, product_name, path_length, path_first, path_last, path_channels FROM commerce.checkouts_attribution WHERE conversion_time < '2026-01-05 13:00' ORDER BY 1;

-- The newest are found by an index.
SET enable_sort = off;
SET enable_hashjoin = off;
SET enable_seqscan = off;
CREATE FUNCTION pg_temp.plan() RETURNS SETOF text LANGUAGE plpgsql AS $$ BEGIN
  RETURN QUERY EXECUTE 'EXPLAIN (COSTS off) SELECT checkout_id, click_id, checkout_time, click_time, user_name FROM commerce.attributed_checkouts ORDER BY checkout_time DESC LIMIT 5';
END $$;
SELECT count(*) FILTER (WHERE line ~ 'Sort$') AS sorts, bool_or(line ~ 'Index Scan Backward using .*conversion_time_idx') AS by_index FROM pg_temp.plan() AS line;
RESET enable_sort;
RESET enable_hashjoin;
RESET enable_seqscan;

-- What the preset refuses.
SELECT attribution.create_checkout();
SELECT attribution.create_checkout(rule => 'other');
SELECT attribution.create_checkout('shop', 'other', 'Mars/Olympus');
SELECT attribution.create_checkout(NULL);
-- Another beside it, under odd names.
SELECT attribution.create_checkout('a "shop', 'it''s "one"', 'Europe/Berlin');
INSERT INTO "a ""shop".checkouts (checkout_id, datetime_occured) VALUES ('x', '2026-01-05 13:00:00');
CALL attribution.run('it''s "one"', now() + interval '1 second');
SELECT checkout_id, click_id FROM "a ""shop".attributed_checkouts;

DROP SCHEMA commerce CASCADE;
DROP SCHEMA "a ""shop" CASCADE;
DROP EXTENSION attribution;

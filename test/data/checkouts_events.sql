-- The events of the two hours, for checkouts.sql and for test/checkout/replay.
-- line is the line's number.
CREATE TABLE events (
    line bigint GENERATED ALWAYS AS IDENTITY, person int, item text, category int, type text, epoch bigint
);
\copy events (person, item, category, type, epoch) FROM PROGRAM 'cat "$ATTRIBUTION_DATA/taobao/userbehavior_2h_timesorted.csv"' (FORMAT csv)
CREATE INDEX ON events (person, item);
ANALYZE events;

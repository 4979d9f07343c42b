-- TalkingData AdTracking: 100,000 mobile ad clicks. A click that led to an install carries the time of the install, so
-- the true click of each of the 227 installs is known.
SET client_min_messages = error;
CREATE EXTENSION attribution;

-- id is the line's number, the first row of data being 1.
CREATE TABLE clicks (
    id bigint GENERATED ALWAYS AS IDENTITY, ip int, app int, device int, os int, channel int,
    click_time timestamptz, attributed_time timestamptz, is_attributed boolean
);
SET TimeZone = 'UTC';
\copy clicks (ip, app, device, os, channel, click_time, attributed_time, is_attributed) FROM PROGRAM 'cat "$ATTRIBUTION_DATA/talkingdata/train_sample.csv"' (FORMAT csv, HEADER)
CREATE INDEX ON clicks USING touch (ip, device, os, app, click_time);

CREATE TABLE installs AS
SELECT id AS install_id, attributed_time AS install_time, ip, device, os, app
FROM clicks WHERE is_attributed;
ANALYZE clicks, installs;

\o /dev/null
SELECT attribution.create_rule('installs', 'installs', 'install_id', 'install_time');
SELECT attribution.add_tier('installs', 'click', 'clicks', '{ip,device,os,app}', '7 days',
                            id_column => 'id', time_column => 'click_time');
\o

CREATE TABLE decisions AS
SELECT i.install_id, d.outcome, d.touch_id, d.touch_time, t.click_time AS true_time,
    (SELECT count(*) FROM clicks AS c
     WHERE (c.ip, c.device, c.os, c.app) = (i.ip, i.device, i.os, i.app)
       AND c.click_time <= i.install_time AND i.install_time - c.click_time <= interval '7 days') AS competing
FROM installs AS i
JOIN clicks AS t ON t.id = i.install_id
LEFT JOIN installs_attribute() AS d ON d.conversion_id = i.install_id;

SELECT format('talkingdata: %s installs, %s attributed, %s to their true click; %s had several clicks to choose from',
              count(*), count(*) FILTER (WHERE outcome = 'attributed'), count(*) FILTER (WHERE touch_id = install_id),
              count(*) FILTER (WHERE competing > 1))
FROM decisions;
SELECT format('  install %s: click %s at %s won, the true one was at %s; of %s', install_id, touch_id, touch_time,
              true_time, competing)
FROM decisions WHERE touch_id IS DISTINCT FROM install_id OR competing > 1
ORDER BY install_id LIMIT 20;

DO $$
BEGIN
    ASSERT (SELECT count(*) FROM decisions) = 227, 'each install has one decision';
    ASSERT (SELECT bool_and(touch_id IS NOT DISTINCT FROM install_id) FROM decisions),
        'each install is its true click''s';
END $$;

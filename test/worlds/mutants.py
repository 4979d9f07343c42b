"""Wrong oracles, to see that the worlds tell them from the right one.

Each is the oracle's SQL with a rule misread. The extension has no part in this.
"""

import re

import layout
from oracle import Oracle
from script import PRELUDE

# name -> (what the oracle's SQL has, what the mutant's has instead)
MUTANTS = {
    "window open at its far end": (r"> (interval|least)", r">= \1"),
    "window longer by a microsecond": (r"(conversion\.\".*?\" - touch\.\".*?\") > (least\(.*?\"\)|interval '.*?')",
                                       r"\1 > \2 + interval '1 microsecond'"),
    "own lookback ignored": (r"least\((interval '.*?'), touch\.\"(?:[^\"]|\"\")*\"\)", r"\1"),
    "own lookback not capped": (r"least\((interval '.*?'), (touch\.\"(?:[^\"]|\"\")*\")\)", r"coalesce(\2, \1)"),
    "a touch at the conversion's time is after it": (r"> interval ('.*?')\n", r">= interval \1\n"),
    "strict lets equal times pass": (r"(touch\.\S+|touch\.\".*?\") >= (conversion\..*)\n", r"\1 > \2\n"),
    "the empty values are keys": (r"ARRAY\[.*?\]::text\[\]", "'{}'::text[]"),
    "conflict ignored": (r".* AS conflict,", "false AS conflict,"),
    "an empty column conflicts": (
        r"\(NOT worlds\.is_empty\(.*?\) AND NOT worlds\.is_empty\(.*?\) AND NOT (.*?)\)(?= OR| AS)",
        r"(NOT coalesce(\1, false))"),
    "a NULL predicate holds": (r"NOT coalesce\(\((.*)\), false\)\n", r"NOT coalesce((\1), true)\n"),
    "a NULL filter passes": (r"coalesce\(\((.*)\), false\) AS oracle_passes", r"coalesce((\1), true) AS oracle_passes"),
    "filter ignored": (r"coalesce\(\((.*)\), false\) AS oracle_passes", r"true AS oracle_passes"),
    "first_match is all": (r"tier_number = min.*? AS in_path", "true AS in_path"),
    "all is first_match": (r"true AS in_path",
                           "tier_number = min(tier_number) OVER (PARTITION BY conversion_id) AS in_path"),
    "ties go to the weaker tier": (r"touch_time, tier_number DESC", "touch_time, tier_number"),
    "ids in reverse": (r"tier_number DESC, touch_rank", "tier_number DESC, touch_rank DESC"),
    "ids in the database's collation": (r"(dense_rank\(\) OVER \(ORDER BY .*?) COLLATE \"C\"", r'\1 COLLATE "en-x-icu"'),
    "a touch at its weakest tier": (r"touch_time, tier_number\n", "touch_time, tier_number DESC\n"),
    "each row is a touch": (r"DISTINCT ON \(conversion_id, relation, touch_id, touch_time\)", ""),
    "the same id is one touch": (r"DISTINCT ON \(conversion_id, relation, touch_id, touch_time\)",
                                 "DISTINCT ON (conversion_id, relation, touch_id)"),
    "touches of two relations meet": (r"(DISTINCT ON \(conversion_id|ORDER BY conversion_id), relation,", r"\1,"),
    "the latest of a conversion's rows": (r"\n(ORDER BY .*?, conversion\.\"(?:[^\"]|\"\")*\")(, worlds|;)", r"\n\1 DESC\2"),
    "conversion ties the other way": (r" COLLATE \"C\" NULLS LAST", " COLLATE \"C\" DESC NULLS FIRST"),
    "conversion ties by the column's collation": (r" COLLATE \"C\" NULLS LAST", " COLLATE \"en-x-icu\" NULLS LAST"),
    "conversion ties with NULL first": (r" COLLATE \"C\" NULLS LAST", " COLLATE \"C\" NULLS FIRST"),
    "text by the session's settings": (r"SET TimeZone = 'UTC'",
                                       "SET DateStyle = 'SQL, DMY'; SET TimeZone = 'America/New_York'"),
    "an inet's text has its width": (r"worlds\.is_empty\((\S+|\w+\.\".*?\"), ", r"worlds.is_empty(\1::text, "),
    "the conversions' filter comes after identity": (
        r"WHERE \(.*\) AND (conversion\.\"(?:[^\"]|\"\")*\" IS NOT NULL)", r"WHERE \1"),
    "first touch is last touch": (r"touch_position = 1 THEN", "touch_position = path_length THEN"),
}


def script(rng, family):
    """SQL that prints `mutant|name|n` for each mutant, n being the number of decisions and touchpoints that differ."""
    right = Oracle(family.rule, family.schema).sql()
    parts = [PRELUDE, layout.build(rng, family, family.schema), right,
             "ALTER TABLE oracle_decision RENAME TO right_decision;\n"
             "ALTER TABLE oracle_touchpoint RENAME TO right_touchpoint;\nDROP TABLE oracle_conversion, oracle_pair, oracle_path;\n"]
    for name, (found, put) in MUTANTS.items():
        wrong = re.sub(found, put, right)
        if wrong == right:
            continue
        parts.append(f"""{wrong}
SELECT 'mutant|' || $name${name}$name$ || '|' ||
    (SELECT count(*) FROM (TABLE right_decision EXCEPT ALL TABLE oracle_decision) AS d)
  + (SELECT count(*) FROM (TABLE right_touchpoint EXCEPT ALL TABLE oracle_touchpoint) AS t);
DROP TABLE oracle_conversion, oracle_pair, oracle_touchpoint, oracle_decision, oracle_path;
RESET DateStyle;
""")
    return "".join(parts)

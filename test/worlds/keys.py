"""The kinds of columns that worlds are matched on, and the kinds of ids their rows have.

Every value is its text form, as COPY reads it.
"""

from dataclasses import dataclass, field
from typing import Callable

ZERO_UUID = "00000000-0000-0000-0000-000000000000"
LONG = "long key " * 330      # wider than a page allows inline: toasted

# The schema `worlds` of a test database: types, a collation and what the oracle's SQL calls.
SETUP = r"""
CREATE SCHEMA worlds;
CREATE EXTENSION IF NOT EXISTS citext SCHEMA worlds;
CREATE DOMAIN worlds.label AS text;
CREATE DOMAIN worlds.number AS bigint CHECK (VALUE > -1000000);
CREATE TYPE worlds.colour AS ENUM ('red', 'none', 'green', 'blue');
CREATE COLLATION worlds.caseless (provider = icu, locale = 'und-u-ks-level2', deterministic = false);
-- What the type's output function prints; NULL for NULL.
CREATE FUNCTION worlds.shown(anyelement) RETURNS text LANGUAGE sql STABLE
    AS $$ SELECT CASE WHEN $1 IS NOT NULL THEN format('%s', $1) COLLATE "C" END $$;
-- Whether a value is no key: NULL, or one of the rule's empty values by its text form.
CREATE FUNCTION worlds.is_empty(anyelement, text[]) RETURNS boolean LANGUAGE sql STABLE
    AS $$ SELECT $1 IS NULL OR format('%s', $1) COLLATE "C" = ANY ($2) $$;
"""


@dataclass(frozen=True)
class Kind:
    """A kind of key. `types` are (conversion side, touch side) pairs that compare as equal with `=`."""
    name: str
    types: list
    value: Callable                       # (world, k) -> text
    blanks: list = field(default_factory=list)     # values an empty list may name
    variant: Callable = lambda value: value         # another spelling; the same key or not, as the type has it
    bakes: bool = True                    # whether `value` differs from world to world
    collation: str = ""                   # the collation the oracle compares under


def _number(world, k):
    return str(world * 8 + k + 1)


def _text(world, k):
    return f"Key{world}.{k}"


def _flip(text):
    return text.swapcase()


def _network(world, k):
    return f"10.{world // 200}.{world % 200}.{k + 1}"


TEXT_BLANKS = ["", " ", "none", "NULL", ZERO_UUID, '{a,"b\\c"}']
DEFAULT, C, ICU, DUTCH = "text", 'text COLLATE "C"', 'text COLLATE "en-x-icu"', 'text COLLATE "nl-x-icu"'
CASELESS = "text COLLATE worlds.caseless"

KINDS = [
    Kind("uuid", [("uuid", "uuid")], lambda w, k: f"{w:08x}-00aa-4000-8000-{k:012x}", [ZERO_UUID], str.upper),
    Kind("text", [(DEFAULT, DEFAULT), (C, C), (ICU, ICU), (DUTCH, DUTCH), ("varchar", DEFAULT),
                  (DEFAULT, "varchar(60)"), ("varchar(40)", "varchar")],
         _text, TEXT_BLANKS, _flip, collation='COLLATE "C"'),
    Kind("text of two collations", [(C, DEFAULT), (DEFAULT, C), (ICU, C), (ICU, DUTCH), ("varchar", ICU)],
         _text, TEXT_BLANKS, _flip, collation='COLLATE "C"'),
    Kind("caseless text", [(CASELESS, CASELESS)], _text, TEXT_BLANKS, _flip, collation="COLLATE worlds.caseless"),
    Kind("citext", [("worlds.citext", "worlds.citext")], _text, TEXT_BLANKS, _flip),
    Kind("long text", [("text", "text"), (C, C)], lambda w, k: f"{LONG}{w}.{k}", ["", "none"],
         lambda v: v[:-1] + "x", collation='COLLATE "C"'),
    Kind("integer", [("int", "int"), ("bigint", "bigint"), ("smallint", "smallint"), ("int", "bigint"),
                     ("bigint", "int"), ("smallint", "bigint"), ("int", "smallint"), ("bigint", "smallint")],
         _number, ["0", "-1"]),
    Kind("inet", [("inet", "inet")], _network, ["0.0.0.0", "::", "0.0.0.0/0"], lambda v: v.split("/")[0] + "/24"),
    Kind("network", [("inet", "cidr"), ("cidr", "inet"), ("cidr", "cidr")], _network, ["0.0.0.0"],
         lambda v: v.split("/")[0] + "/32"),
    Kind("domain", [("worlds.label", "worlds.label"), ("worlds.label", "text"), ("text", "worlds.label")],
         _text, TEXT_BLANKS, _flip, collation='COLLATE "C"'),
    Kind("number domain", [("worlds.number", "worlds.number"), ("worlds.number", "bigint"), ("int", "worlds.number")],
         _number, ["0", "-1"]),
    Kind("bytea", [("bytea", "bytea")], lambda w, k: rf"\x{w:04x}{k:02x}", [r"\x", r"\x00"]),
    Kind("numeric", [("numeric", "numeric")], _number, ["0", "0.00"], lambda v: v + ("0" if "." in v else ".0")),
    Kind("date", [("date", "date")], lambda w, k: f"{2000 + w}-0{k + 1}-28", ["2000-01-01", "infinity"]),
    Kind("boolean", [("boolean", "boolean")], lambda w, k: "tf"[k % 2], ["f"], bakes=False),
    Kind("enum", [("worlds.colour", "worlds.colour")],
         lambda w, k: ("red", "green", "blue")[k % 3], ["none"], bakes=False),
    Kind("float", [("float8", "float8")],
         lambda w, k: ("0.1", "1e300", "-2.5")[k % 3], ["0", "-0", "NaN"], bakes=False),
    Kind("small integer", [("smallint", "int"), ("bigint", "smallint"), ("int", "int")],
         lambda w, k: str(k + 1), ["0", "-1"], bakes=False),
]

# Which world a row is of, for the tiers whose other columns don't tell.
WORLD = Kind("world", [("int", "int"), ("int", "bigint"), ("bigint", "smallint"), ("text", "text"),
                       ("smallint", "int")],
             lambda w, k: str(w + 1))


@dataclass(frozen=True)
class Id:
    """A kind of id: type, order, and a few values, some of them close to each other or zero."""
    type: str
    pool: Callable      # number -> text, injective
    collation: str = ""
    zero: str = None


_WORDS = ["a", "A", "B", "b", "é", "Z", "z", "_", "a-b", "ab", "10", "9", "ß", "aa", " a", "Ä"]


def _word(n):
    return _WORDS[n % len(_WORDS)] + (str(n // len(_WORDS)) if n >= len(_WORDS) else "")


IDS = [Id("uuid", lambda n: f"{n * 2654435761 % 2**32:08x}-0000-4000-a000-{n:012x}", "", ZERO_UUID),
       Id("bigint", lambda n: str((n if n % 2 else -n) * 3_000_000_019), "", "0"),
       Id("int", lambda n: str(n if n % 3 else -n - 1), "", "0"),
       Id("worlds.number", lambda n: str(n * 10 + 1), "", "0"),
       ] + [Id(t, _word, 'COLLATE "C"', "") for t in
            ("text", C, ICU, CASELESS, "varchar", "worlds.label", 'varchar(80) COLLATE "en-x-icu"')]

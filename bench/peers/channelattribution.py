"""Markov models by ChannelAttribution, at its defaults. Reads paths.csv of a directory, then answers each line of its input, the
order of the model, by {seconds, credits}."""

import json
import sys
import time

import pandas

answers, sys.stdout = sys.stdout, sys.stderr            # the package prints when it is imported
from ChannelAttribution import markov_model

directory, _ = sys.argv[1:]
paths = pandas.read_csv(f"{directory}/paths.csv")
print(json.dumps("ready"), file=answers, flush=True)

for order in sys.stdin:
    began = time.monotonic()
    found = markov_model(paths, "path", "conversions", var_value="value", var_null="nulls", order=int(order), verbose=False,
                         flg_pro=False)
    seconds = time.monotonic() - began
    credits = dict(zip(found["channel_name"], found["total_conversions"].astype(float)))
    print(json.dumps({"seconds": seconds, "credits": credits}), file=answers, flush=True)

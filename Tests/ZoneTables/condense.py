#!/usr/bin/env python3
# Call Scheduler
# SPDX-License-Identifier: Apache-2.0
"""Condenses two independent tables to what ZoneTableTests compares with Schemas/Numbers/zones.json.

    pip install --target DIR phonenumbers==9.0.43 zipcodes==3.0.0
    PYTHONPATH=DIR Tests/ZoneTables/condense.py

Neither is needed to run the tests.
"""

import json
import pathlib
from collections import defaultdict

import zipcodes
from phonenumbers.tzdata import TIMEZONE_DATA

here = pathlib.Path(__file__).parent
document = json.loads((here / "../../Schemas/Numbers/zones.json").read_text())
ours = {p["code"] + x for p in document["numbers"] for a in p["areas"] for x in a["prefixes"]}


def theirs(prefix):
    """All zones of numbers that begin so, without those of a longer prefix of ours; of the entry above if there is no equal one."""
    longer = [x for x in ours if x != prefix and x.startswith(prefix)]
    zones = set()
    for key, names in TIMEZONE_DATA.items():
        if key.startswith(prefix) and not any(key.startswith(x) for x in longer):
            zones.update(names)
    if prefix not in TIMEZONE_DATA:
        above = [prefix[:n] for n in range(len(prefix) - 1, 0, -1) if prefix[:n] in TIMEZONE_DATA]
        # One that knows only the country says nothing.
        if above and len(above[0]) > 1 or not zones:
            zones.update(TIMEZONE_DATA[above[0]])
    return sorted(z for z in zones if "/" in z and not z.startswith("Etc/"))


numbers = {p: theirs(p) for p in sorted(ours)}
# An area code that their table lacks has the zones of all of North America.
numbers = {p: z for p, z in numbers.items() if len(z) < 12}
north_america = sorted({k[:4] for k in TIMEZONE_DATA if len(k) > 3 and k[0] == "1"})

codes = defaultdict(set)
for place in zipcodes.list_all():
    zone = place["timezone"] or ""
    if "/" in zone and place["state"] not in ("AA", "AE", "AP"):
        codes[place["zip_code"][:3]].add(zone)
        codes["US-" + place["state"]].add(zone)


def write(name, value):
    lines = ",\n".join(f"    {json.dumps(k)}: {json.dumps(v)}" for k, v in value.items())
    (here / name).write_text("{\n" + lines + "\n}\n")


write(
    "phonenumbers.json",
    {"source": ["phonenumbers 9.0.43"], "area_codes": north_america} | numbers,
)
write("zipcodes.json", {"source": ["zipcodes 3.0.0"]} | {k: sorted(v) for k, v in sorted(codes.items())})

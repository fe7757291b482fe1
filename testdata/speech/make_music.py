"""Writes 18 pieces of instrumental music (wav) into a folder, to see that no voice is found in them.

    apt install fluidsynth fluid-soundfont-gm; pip install mido==1.3.3
    python testdata/speech/make_music.py OUT
    demeanor speech --json OUT

Chords, bass, a melody and drums, made up by a fixed sequence of chance and played by the FluidR3 sound font.
"""

import pathlib
import random
import subprocess
import sys

import mido

FONT = "/usr/share/sounds/sf2/FluidR3_GM.sf2"
CHORDS = [[57, 60, 64], [53, 57, 60], [48, 52, 55], [55, 59, 62]]
# name: General MIDI program, drums, beats a minute
BANDS = {
    "piano": (0, 0, 90), "piano_drums": (0, 1, 110), "strings": (48, 0, 80), "guitar": (25, 1, 120),
    "loud_guitar": (30, 1, 130), "pad": (89, 0, 70), "organ": (19, 0, 90), "flute": (73, 0, 100),
    "saxophone": (66, 1, 100), "brass": (61, 1, 110), "violin": (40, 0, 80), "synthesizer": (81, 1, 125),
    "choir": (52, 0, 80),
}
SOLOS = {"solo_piano": (0, 120), "solo_violin": (40, 90), "solo_saxophone": (66, 90), "solo_flute": (73, 90)}


def play(folder, name, program, drums, tempo, melody=True, band=True):
    events = []

    def note(at, length, channel, key, strength):
        events.append((at, 1, mido.Message("note_on", channel=channel, note=key, velocity=strength)))
        events.append((at + length, 0, mido.Message("note_off", channel=channel, note=key)))

    for bar in range(16):
        chord, start = CHORDS[bar % 4], bar * 1920
        if band:
            for key in chord:
                note(start, 1800, 0, key, 70)
            for beat in range(4):
                note(start + beat * 480, 400, 2, chord[0] - 24, 80)
        at = start
        while melody and at < start + 1920:
            length = random.choice([240, 240, 480, 720])
            note(at, length - 20, 1, random.choice(chord) + 12 + random.choice([0, 0, 2, -1]), 90)
            at += length
        for beat in range(8 * drums):
            note(start + beat * 240, 100, 9, 42, 70)
            if beat % 2 == 0:
                note(start + beat * 240, 100, 9, 36 if beat % 4 == 0 else 38, 100)
    track = mido.MidiTrack([mido.MetaMessage("set_tempo", tempo=mido.bpm2tempo(tempo))])
    track += [mido.Message("program_change", channel=c, program=p) for c, p in ((0, program), (1, program), (2, 33))]
    last = 0
    for at, _, message in sorted(events, key=lambda e: e[:2]):
        track.append(message.copy(time=at - last))
        last = at
    song = mido.MidiFile(ticks_per_beat=480)
    song.tracks.append(track)
    midi = folder / f"{name}.mid"
    song.save(midi)
    subprocess.run(
        ["fluidsynth", "-ni", "-F", folder / f"{name}.wav", "-r", "44100", FONT, midi], check=True, capture_output=True
    )
    midi.unlink()


def main():
    folder = pathlib.Path(sys.argv[1])
    folder.mkdir(parents=True, exist_ok=True)
    random.seed(1)
    for name, (program, drums, tempo) in BANDS.items():
        play(folder, name, program, drums, tempo)
    for name, (program, tempo) in SOLOS.items():
        play(folder, name, program, 0, tempo, band=False)
    play(folder, "drums", 0, 1, 120, melody=False, band=False)


main()

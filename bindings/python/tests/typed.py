"""A program of a user, for mypy alone."""

import numpy

import demeanor


def main() -> None:
    reader = demeanor.FaceReader(threads=2)
    faces = reader.read("portrait.png")
    emotion: str = faces[0].emotion
    x, y, w, h = faces[0].box
    landmarks = faces[0].landmarks
    eye: float = landmarks.right_eye.x if landmarks is not None else x + y + w + h
    many: list[list[demeanor.Face]] = reader.read(["a.png", "b.png"])
    one: list[demeanor.Face] = reader.read(numpy.zeros((48, 48, 3), numpy.uint8))
    score: float = demeanor.SpeechReader().read(numpy.zeros(16000), 16000).segments[0].score
    video = demeanor.read_video("film.mp4", progress=lambda done_s, of_s: None)
    text: str = video.to_csv()
    estimate: demeanor.Estimate = video.estimates[0]
    print(emotion, eye, many, one, score, text, estimate)

#!/bin/sh
# Makes the recordings of this folder once. Needs espeak-ng 1.52 and ffmpeg; tests need neither.
# The voice is synthetic: espeak-ng puts no conditions on what it speaks, so the files are free to use and pass on.
set -e
cd "$(dirname "$0")"
dir=$(mktemp -d)
espeak-ng -v en-us -s 150 -w "$dir/one.wav" "The weather turned suddenly, and nobody had brought a coat."
espeak-ng -v en-gb+f3 -s 165 -p 65 -w "$dir/two.wav" "What a wonderful surprise this is!"
q="ffmpeg -hide_banner -loglevel error -y"
# Low noise all through, half a second before and after the first voice, one and a half before the second.
$q -i "$dir/one.wav" -i "$dir/two.wav" -f lavfi -i "anoisesrc=r=48000:a=0.0005:c=pink:s=7" -filter_complex "
  [0]aresample=48000,adelay=500,apad=pad_dur=1.5[a];[1]aresample=48000,volume=0.6,apad=pad_dur=0.5[b];
  [a][b]concat=n=2:v=0:a=1[v];[v][2]amix=inputs=2:duration=first:normalize=0[out]" \
  -map "[out]" -ac 1 -c:a pcm_s16le -bitexact "$dir/48k.wav"
$q -i "$dir/48k.wav" -ar 16000 -bitexact two_voices.wav
$q -i "$dir/48k.wav" -ar 44100 -ac 2 -b:a 64k -bitexact two_voices.mp3
$q -i "$dir/48k.wav" -ar 44100 -ac 2 -c:a aac -b:a 64k -bitexact two_voices.m4a
$q -i "$dir/48k.wav" -ar 48000 -c:a libvorbis -q:a 1 -bitexact two_voices.ogg
$q -i "$dir/48k.wav" -ar 16000 -c:a flac -bitexact two_voices.flac
$q -i "$dir/48k.wav" -t 1 -c:a libopus -b:a 16k -bitexact opus.ogg
# One voice between silence, for the goldens of librosa.
$q -ss 0.1 -t 3 -i two_voices.wav -c copy -bitexact voice.wav
rm -r "$dir"

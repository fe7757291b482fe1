//! Cameras and microphones: which there are, and how `ffmpeg` opens them on each system.

use std::ffi::{OsStr, OsString};
use std::path::Path;
use std::process::{Command, Stdio};

use demeanor::{Error, ErrorKind, Result};

use crate::capture::{self, Inputs, is_url};

/// What a command opens: named devices, files, defaults, or nothing.
#[derive(Debug, Clone, Default)]
pub struct Wanted {
    /// `--camera`.
    pub camera: Option<OsString>,
    /// `--mic`.
    pub mic: Option<OsString>,
}

/// A device.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Device {
    /// What `--camera` or `--mic` takes.
    pub name: String,
    /// What it is called.
    pub title: String,
}

impl Wanted {
    /// The inputs to try, the best first: where nothing was named, one sense alone is better than none.
    pub fn inputs(&self) -> Vec<Inputs> {
        let off = |name: &Option<OsString>| name.as_deref() == Some(OsStr::new("none"));
        let file = |name: &Option<OsString>| name.clone().filter(|n| is_file(n));
        match (file(&self.camera), file(&self.mic)) {
            (Some(film), None) if self.mic.is_none() => return vec![Inputs::film(&film, true)],
            (Some(film), None) if off(&self.mic) => {
                return vec![Inputs { sound: None, ..Inputs::film(&film, true) }];
            }
            (None, Some(sound)) if off(&self.camera) => {
                return vec![Inputs { picture: None, ..Inputs::film(&sound, true) }];
            }
            (Some(film), Some(sound)) => {
                let mut both = Inputs::film(&film, true);
                if film == sound {
                    return vec![both];
                }
                both.list.extend(Inputs::film(&sound, true).list);
                both.sound = Some(1);
                both.name = format!("{} and {}", film.to_string_lossy(), sound.to_string_lossy());
                return vec![both];
            }
            _ => {}
        }
        let camera = (!off(&self.camera)).then(|| self.camera.clone());
        let mic = (!off(&self.mic)).then(|| self.mic.clone());
        let mut tries = Vec::new();
        if let (Some(camera), Some(mic)) = (&camera, &mic) {
            tries.push(open(Some(camera.as_deref()), Some(mic.as_deref())));
        }
        // what was named must be there; what was not may be missing
        if let Some(camera) = &camera
            && self.mic.as_ref().is_none_or(|_| mic.is_none())
        {
            tries.push(open(Some(camera.as_deref()), None));
        }
        if let Some(mic) = &mic
            && self.camera.as_ref().is_none_or(|_| camera.is_none())
        {
            tries.push(open(None, Some(mic.as_deref())));
        }
        tries
    }
}

fn is_file(name: &OsStr) -> bool {
    let text = name.to_string_lossy();
    is_url(&text) || (Path::new(name).is_file() && !text.starts_with("/dev/"))
}

/// The inputs for a camera and a microphone; `Some(None)` is the default one.
fn open(camera: Option<Option<&OsStr>>, mic: Option<Option<&OsStr>>) -> Inputs {
    let mut inputs = Inputs { live: true, ..Inputs::default() };
    let mut names = Vec::new();
    let text = |name: &OsStr| name.to_string_lossy().into_owned();
    let os = |args: &[&str]| args.iter().map(OsString::from).collect::<Vec<_>>();
    if cfg!(target_os = "macos") {
        let camera = camera.map(|c| c.map_or("0".to_owned(), text));
        let mic = mic.map(|m| m.map_or("0".to_owned(), text));
        let which = format!("{}:{}", camera.as_deref().unwrap_or("none"), mic.as_deref().unwrap_or("none"));
        let mut args = os(&["-f", "avfoundation", "-thread_queue_size", "512"]);
        if let Some(camera) = &camera {
            args.extend(os(&["-framerate", "30", "-video_size", "640x480"]));
            names.push(format!("camera {camera}"));
            inputs.picture = Some(0);
        }
        if let Some(mic) = &mic {
            names.push(format!("microphone {mic}"));
            inputs.sound = Some(0);
        }
        args.extend(os(&["-i", &which]));
        inputs.list.push(args);
    } else if cfg!(windows) {
        let first = |devices: Vec<Device>| devices.into_iter().next().map_or("default".to_owned(), |d| d.name);
        let mut which = Vec::new();
        let mut args = os(&["-f", "dshow", "-thread_queue_size", "512"]);
        if let Some(camera) = camera {
            let name = camera.map_or_else(|| first(cameras().unwrap_or_default()), text);
            args.extend(os(&["-framerate", "30", "-video_size", "640x480"]));
            which.push(format!("video={name}"));
            names.push(format!("camera {name}"));
            inputs.picture = Some(0);
        }
        if let Some(mic) = mic {
            let name = mic.map_or_else(|| first(microphones().unwrap_or_default()), text);
            which.push(format!("audio={name}"));
            names.push(format!("microphone {name}"));
            inputs.sound = Some(0);
        }
        args.extend(os(&["-i", &which.join(":")]));
        inputs.list.push(args);
    } else {
        if let Some(camera) = camera {
            let mut name = camera.map_or("/dev/video0".to_owned(), text);
            if name.parse::<u32>().is_ok() {
                name.insert_str(0, "/dev/video");
            }
            inputs.picture = Some(inputs.list.len());
            inputs.list.push(if is_file(OsStr::new(&name)) {
                Inputs::film(OsStr::new(&name), true).list.remove(0)
            } else {
                os(&[
                    "-f",
                    "v4l2",
                    "-thread_queue_size",
                    "64",
                    "-framerate",
                    "30",
                    "-video_size",
                    "640x480",
                    "-i",
                    &name,
                ])
            });
            names.push(format!("camera {name}"));
        }
        if let Some(mic) = mic {
            let name = mic.map_or("default".to_owned(), text);
            inputs.sound = Some(inputs.list.len());
            inputs.list.push(if is_file(OsStr::new(&name)) {
                Inputs::film(OsStr::new(&name), true).list.remove(0)
            } else {
                let system = if has_pulse() { "pulse" } else { "alsa" };
                os(&["-f", system, "-thread_queue_size", "1024", "-i", &name])
            });
            names.push(format!("microphone {name}"));
        }
    }
    inputs.name = names.join(" and ");
    inputs
}

/// Whether this `ffmpeg` records from PulseAudio (and PipeWire).
fn has_pulse() -> bool {
    said(&["-hide_banner", "-devices"]).is_ok_and(|text| text.split_whitespace().any(|word| word == "pulse"))
}

/// What `ffmpeg` says with these arguments, on both its outputs.
fn said(args: &[&str]) -> Result<String> {
    let mut command = Command::new(capture::program());
    command.args(args).stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let output = capture::spawn(&mut command)?
        .wait_with_output()
        .map_err(|e| Error::new(ErrorKind::Device, format!("waiting for ffmpeg: {e}")).with_source(e))?;
    let mut text = String::from_utf8_lossy(&output.stdout).into_owned();
    text.push_str(&String::from_utf8_lossy(&output.stderr));
    Ok(text)
}

/// The cameras.
///
/// # Errors
/// [`ErrorKind::Device`] when `ffmpeg` is needed to ask and not there.
pub fn cameras() -> Result<Vec<Device>> {
    if cfg!(target_os = "macos") {
        return Ok(section(
            &said(&["-hide_banner", "-f", "avfoundation", "-list_devices", "true", "-i", ""])?,
            "video devices",
        ));
    }
    if cfg!(windows) {
        let text = said(&["-hide_banner", "-f", "dshow", "-list_devices", "true", "-i", "dummy"])?;
        return Ok(quoted(&text, "(video)"));
    }
    let mut found = Vec::new();
    for entry in std::fs::read_dir("/dev").into_iter().flatten().flatten() {
        let name = entry.file_name().to_string_lossy().into_owned();
        if let Some(number) = name.strip_prefix("video").and_then(|n| n.parse::<u32>().ok()) {
            let title = std::fs::read_to_string(format!("/sys/class/video4linux/{name}/name")).unwrap_or_default();
            found.push((number, Device { name: format!("/dev/{name}"), title: title.trim().to_owned() }));
        }
    }
    found.sort_by_key(|(number, _)| *number);
    Ok(found.into_iter().map(|(_, device)| device).collect())
}

/// The microphones.
///
/// # Errors
/// [`ErrorKind::Device`] when `ffmpeg` is not there.
pub fn microphones() -> Result<Vec<Device>> {
    if cfg!(target_os = "macos") {
        return Ok(section(
            &said(&["-hide_banner", "-f", "avfoundation", "-list_devices", "true", "-i", ""])?,
            "audio devices",
        ));
    }
    if cfg!(windows) {
        let text = said(&["-hide_banner", "-f", "dshow", "-list_devices", "true", "-i", "dummy"])?;
        return Ok(quoted(&text, "(audio)"));
    }
    Ok(sources(&said(&["-hide_banner", "-sources", if has_pulse() { "pulse" } else { "alsa" }])?))
}

/// `[AVFoundation indev @ 0x1] [0] FaceTime HD Camera` after a line that names the section.
fn section(text: &str, title: &str) -> Vec<Device> {
    let mut inside = false;
    let mut found = Vec::new();
    for line in text.lines() {
        if line.contains("devices:") {
            inside = line.contains(title);
        } else if inside
            && let Some((_, rest)) = line.split_once("] [")
            && let Some((number, title)) = rest.split_once("] ")
        {
            found.push(Device { name: number.to_owned(), title: title.trim().to_owned() });
        }
    }
    found
}

/// `[dshow @ 0x1]  "Integrated Camera" (video)`.
fn quoted(text: &str, kind: &str) -> Vec<Device> {
    let name = |line: &str| Some(line.split_once('"')?.1.rsplit_once('"')?.0.to_owned());
    let names = text.lines().filter(|l| l.trim_end().ends_with(kind)).filter_map(name);
    names.map(|name| Device { title: name.clone(), name }).collect()
}

/// `* alsa_input.pci [Built-in Audio]`.
fn sources(text: &str) -> Vec<Device> {
    let parse = |line: &str| {
        let line = line.strip_prefix("* ").or_else(|| line.strip_prefix("  "))?;
        let (name, rest) = line.split_once(" [")?;
        let title = rest.split_once(']')?.0;
        Some(Device { name: name.trim().to_owned(), title: title.to_owned() })
    };
    text.lines().filter_map(parse).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn device(name: &str, title: &str) -> Device {
        Device { name: name.into(), title: title.into() }
    }

    #[test]
    fn lists_of_devices_are_understood() {
        let mac = "[AVFoundation indev @ 0x7f] AVFoundation video devices:\n[AVFoundation indev @ 0x7f] [0] FaceTime HD Camera\n\
                   [AVFoundation indev @ 0x7f] AVFoundation audio devices:\n[AVFoundation indev @ 0x7f] [0] MacBook Microphone\n";
        assert_eq!(section(mac, "video devices"), [device("0", "FaceTime HD Camera")]);
        assert_eq!(section(mac, "audio devices"), [device("0", "MacBook Microphone")]);
        let windows = "[dshow @ 01] \"Integrated Camera\" (video)\n[dshow @ 01]   Alternative name \"@device\"\n\
                       [dshow @ 01] \"Microphone (Realtek)\" (audio)\n";
        assert_eq!(quoted(windows, "(video)"), [device("Integrated Camera", "Integrated Camera")]);
        assert_eq!(quoted(windows, "(audio)"), [device("Microphone (Realtek)", "Microphone (Realtek)")]);
        let pulse = "Auto-detected sources for pulse:\n* alsa_input.pci-0 [Built-in Audio] (audio)\n  usb.mono [USB Mic] (audio)\n";
        assert_eq!(sources(pulse), [device("alsa_input.pci-0", "Built-in Audio"), device("usb.mono", "USB Mic")]);
    }

    #[test]
    fn what_was_named_decides_what_is_tried() {
        let wanted = |camera: Option<&str>, mic: Option<&str>| {
            let wanted = Wanted { camera: camera.map(Into::into), mic: mic.map(Into::into) };
            wanted.inputs().iter().map(|i| (i.picture.is_some(), i.sound.is_some())).collect::<Vec<_>>()
        };
        let film = concat!(env!("CARGO_MANIFEST_DIR"), "/Cargo.toml");
        assert_eq!(wanted(Some(film), None), [(true, true)]);
        assert_eq!(wanted(Some(film), Some("none")), [(true, false)]);
        assert_eq!(wanted(Some("none"), Some(film)), [(false, true)]);
        assert_eq!(wanted(Some("none"), Some("none")), []);
        if cfg!(target_os = "linux") {
            assert_eq!(wanted(None, None), [(true, true), (true, false), (false, true)]);
            assert_eq!(wanted(Some("none"), None), [(false, true)]);
            assert_eq!(wanted(None, Some("none")), [(true, false)]);
            // a camera that was named must be there
            assert_eq!(wanted(Some("3"), None), [(true, true), (true, false)]);
        }
    }
}

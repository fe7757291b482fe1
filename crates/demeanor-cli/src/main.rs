//! The program `demeanor`: files, cameras, microphones and the terminal around the library.

fn main() {}

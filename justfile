# `just check` is for a commit, on this machine; `just check-all` is what CI runs.

# lists the recipes
default:
    @just --list

# everything that a commit must pass; the tests last
check: lint deny test

# what CI runs; the tests last
check-all: lint deny test

# format, lints and documentation, warnings as errors
lint:
    cargo fmt --all --check
    cargo clippy --workspace --all-targets -- -D warnings
    RUSTDOCFLAGS="-D warnings" cargo doc --workspace --no-deps

# all tests
test:
    cargo test --workspace

# docs/paper.md, from the files of metrics that docs/paper/rows.toml names
paper:
    cargo run -q -p demeanor-train --no-default-features --example paper

# the cards of all models, from their about.toml, metrics.json and report.json
cards:
    cargo run -q -p demeanor-cli -- model card $(dirname crates/demeanor-models/*/about.toml)

# the Python package: wheel, clean environment, types, tests; needs python3-venv and ffmpeg
python *args:
    bindings/python/check {{args}}

# Ray with one actor, and docs/notebook.ipynb executed; after `just python`
integrations:
    bindings/python/integrations

# the server and the page under load for so many minutes: latencies, memory; docs/stream.md says what came out
soak minutes="10":
    testdata/bench/soak {{minutes}}

# other processors and systems, which CI does not do yet: needs node, qemu-user, gcc-aarch64-linux-gnu and libc6-dev-arm64-cross
targets: wasm arm windows

# WebAssembly: the library without warnings, with and without relaxed instructions; kernels and networks tested under node
wasm:
    rustup target add wasm32-unknown-unknown wasm32-wasip1
    RUSTFLAGS="-D warnings -C target-feature=+simd128" cargo clippy --target wasm32-unknown-unknown -p demeanor
    RUSTFLAGS="-D warnings -C target-feature=+simd128,+relaxed-simd" cargo clippy --target wasm32-unknown-unknown -p demeanor
    CARGO_TARGET_WASM32_WASIP1_RUNNER="node --no-warnings {{justfile_directory()}}/testdata/targets/wasi.mjs" \
        RUSTFLAGS="-C target-feature=+simd128" cargo test --target wasm32-wasip1 -p demeanor --lib -- simd nn

# the page and the npm package: built, typed, and tested under node and in chromium
web:
    ./bindings/web/check

# 64-bit Arm: the library without warnings; kernels, networks and speech tested under qemu
arm:
    rustup target add aarch64-unknown-linux-gnu
    RUSTFLAGS="-D warnings" cargo clippy --target aarch64-unknown-linux-gnu -p demeanor
    CARGO_TARGET_AARCH64_UNKNOWN_LINUX_GNU_LINKER=aarch64-linux-gnu-gcc \
        CARGO_TARGET_AARCH64_UNKNOWN_LINUX_GNU_RUNNER="qemu-aarch64 -L /usr/aarch64-linux-gnu" \
        cargo test --target aarch64-unknown-linux-gnu -p demeanor --lib -- simd nn speech

# Windows: the library and the readers of files without warnings
windows:
    rustup target add x86_64-pc-windows-gnu
    RUSTFLAGS="-D warnings" cargo clippy --target x86_64-pc-windows-gnu -p demeanor -p demeanor-models -p demeanor-media

# licences, sources and versions of the dependencies
deny:
    cargo deny --all-features check bans licenses sources

# known weaknesses of the dependencies; fetches the advisory database
audit:
    cargo deny --all-features check advisories

# each parser for a minute (or as many seconds as you say) on broken input
fuzz seconds="60":
    ./fuzz/run {{seconds}}

# `just check` is what CI runs.

# lists the recipes
default:
    @just --list

# everything that a commit must pass; the tests last
check: lint deny test

# format, lints and documentation, warnings as errors
lint:
    cargo fmt --all --check
    cargo clippy --workspace --all-targets -- -D warnings
    RUSTDOCFLAGS="-D warnings" cargo doc --workspace --no-deps

# all tests
test:
    cargo test --workspace

# licences, sources and versions of the dependencies
deny:
    cargo deny --all-features check bans licenses sources

# known weaknesses of the dependencies; fetches the advisory database
audit:
    cargo deny --all-features check advisories

# each parser for a minute (or as many seconds as you say) on broken input
fuzz seconds="60":
    ./fuzz/run {{seconds}}

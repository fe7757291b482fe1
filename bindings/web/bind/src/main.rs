//! `bind INPUT.wasm OUTPUT NAME`: writes NAME.js, NAME.d.ts and NAME_bg.wasm into the folder OUTPUT.

use anyhow::{Context, Result};
use wasm_bindgen_cli_support::Bindgen;

fn main() -> Result<()> {
    let [input, output, name] =
        std::env::args().skip(1).collect::<Vec<_>>().try_into().ok().context("expected INPUT.wasm OUTPUT NAME")?;
    Bindgen::new()
        .input_path(input)
        .web(true)?
        .typescript(true)
        .omit_default_module_path(true)
        .out_name(&name)
        .generate(output)
}

//! Training recipes: from text to settings that are within their ranges, and back.
#![no_main]

use demeanor_train::recipe::Recipe;

libfuzzer_sys::fuzz_target!(|text: &str| {
    let Ok(recipe) = Recipe::parse(text) else { return };
    let again = Recipe::parse(&recipe.to_toml().unwrap()).unwrap();
    assert_eq!(again, recipe);
});

//! The built-in models. Each has a folder of its own with a card, metrics and the recipe that made it.

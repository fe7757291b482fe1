"""The shapes of other packages, for programs that have them."""

//! The only code that sees labels: data sets, splits, augmentation, losses, training, metrics and reports.

pub mod engine;
pub mod layout;

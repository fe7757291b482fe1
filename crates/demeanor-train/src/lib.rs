//! The only code that sees labels: data sets, splits, augmentation, losses, training, metrics and reports.

#![forbid(unsafe_code)]
#![warn(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::print_stdout, clippy::print_stderr)]

pub mod data;

pub mod augment;

pub mod recipe;
pub mod recipes;

#[cfg(feature = "burn")]
pub mod burn_engine;
pub mod engine;
pub mod layout;
pub mod native;

pub mod loss;
pub mod optimise;
pub mod schedule;

pub mod checkpoint;
pub mod curve;
pub mod trainer;
pub mod trial;

pub mod calibrate;
pub mod card;
pub mod classic;
pub mod export;
pub mod folds;
mod grown;
pub mod predictions;
pub mod prior;
pub mod produce;

pub mod evaluate;
pub mod measured;
pub mod metrics;
pub mod paper;
pub mod report;
pub mod robust;
pub mod seen;
pub mod statistics;
pub mod together;

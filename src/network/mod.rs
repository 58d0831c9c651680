//! Link models.

pub mod settings;

//! Whole files: what is read, what is refused, and how the refusal looks.

//! How large a trial will be, before it runs.

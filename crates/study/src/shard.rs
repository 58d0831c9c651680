//! Shards: the parts of a study that run on several machines.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};
use thiserror::Error;

/// One of the parts of a study: of all its trials in order, each `count`-th from the `index`-th.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Shard {
    /// The number of the part, from 0.
    index: u32,
    /// How many parts there are; at least one.
    count: u32,
}

/// The reason why a shard cannot be determined.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum ShardError {
    /// The text has another form.
    #[error("`{0}` is no shard: write it as in `3/64`, the third of 64")]
    Malformed(String),
    /// There is no such shard.
    #[error("there is no shard {number} of {count}: shards count from 1 to {count}")]
    OutOfRange {
        /// The number that was asked for, from 1.
        number: u64,
        /// How many there are.
        count: u32,
    },
    /// No scheduler says which shard this is.
    #[error(
        "neither SLURM_ARRAY_TASK_ID nor JOB_COMPLETION_INDEX is set: write the shard as in `3/64`"
    )]
    NoScheduler,
    /// A scheduler's variable is missing.
    #[error("{0} is not set, and without it nobody knows how many shards there are")]
    MissingVariable(&'static str),
    /// A scheduler's variable is no number that fits.
    #[error("{name} is `{value}`, which is no number of a shard")]
    InvalidVariable {
        /// The variable's name.
        name: &'static str,
        /// Its value.
        value: String,
    },
}

impl Shard {
    /// The shard with this number, from 1, of that many.
    ///
    /// # Errors
    /// If there is none.
    pub fn new(number: u64, count: u32) -> Result<Self, ShardError> {
        let index = number.checked_sub(1).filter(|index| *index < u64::from(count));
        let index = index.and_then(|index| u32::try_from(index).ok());
        index.map(|index| Self { index, count }).ok_or(ShardError::OutOfRange { number, count })
    }

    /// The shard that a scheduler gives to this process, by its environment's variables: an array
    /// job of Slurm (`SLURM_ARRAY_TASK_ID`, with `_MIN`, `_COUNT` and `_STEP`), or an indexed job
    /// of Kubernetes (`JOB_COMPLETION_INDEX`; it does not give the number of completions, so
    /// `JOB_COMPLETIONS` is the user's to set).
    ///
    /// # Errors
    /// If no scheduler's variables are set, or they make no shard.
    pub fn from_environment(variable: impl Fn(&str) -> Option<String>) -> Result<Self, ShardError> {
        let number = |name: &'static str| {
            let read = |value: String| {
                value.trim().parse::<u32>().map_err(|_| ShardError::InvalidVariable { name, value })
            };
            variable(name).map(read).transpose()
        };
        if let Some(task) = number("SLURM_ARRAY_TASK_ID")? {
            const COUNT: &str = "SLURM_ARRAY_TASK_COUNT";
            let count = number(COUNT)?.ok_or(ShardError::MissingVariable(COUNT))?;
            let first = number("SLURM_ARRAY_TASK_MIN")?.unwrap_or(0);
            let step = number("SLURM_ARRAY_TASK_STEP")?.unwrap_or(1).max(1);
            let name = "SLURM_ARRAY_TASK_ID";
            let within = task.checked_sub(first).filter(|beyond| beyond.is_multiple_of(step));
            let within =
                within.ok_or(ShardError::InvalidVariable { name, value: task.to_string() })?;
            return Self::new(u64::from(within / step) + 1, count);
        }
        if let Some(index) = number("JOB_COMPLETION_INDEX")? {
            const COUNT: &str = "JOB_COMPLETIONS";
            let count = number(COUNT)?.ok_or(ShardError::MissingVariable(COUNT))?;
            return Self::new(u64::from(index) + 1, count);
        }
        Err(ShardError::NoScheduler)
    }

    /// Its number, from 1.
    #[must_use]
    pub const fn number(self) -> u32 {
        self.index + 1
    }

    /// How many shards there are.
    #[must_use]
    pub const fn count(self) -> u32 {
        self.count
    }

    /// Whether it holds the study's `nth` trial, from 0.
    #[must_use]
    pub const fn has_trial(self, nth: usize) -> bool {
        nth as u64 % self.count as u64 == self.index as u64
    }
}

impl FromStr for Shard {
    type Err = ShardError;

    fn from_str(text: &str) -> Result<Self, ShardError> {
        let wrong = || ShardError::Malformed(text.to_owned());
        let (number, count) = text.split_once('/').ok_or_else(wrong)?;
        let (number, count) = (number.parse().ok(), count.parse().ok());
        Self::new(number.ok_or_else(wrong)?, count.ok_or_else(wrong)?)
    }
}

impl fmt::Display for Shard {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.number(), self.count)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shard_from(variables: &[(&str, &str)]) -> Result<String, ShardError> {
        let find = |name: &str| variables.iter().find(|(known, _)| *known == name);
        let shard = Shard::from_environment(|name| find(name).map(|(_, it)| (*it).to_owned()));
        shard.map(|shard| shard.to_string())
    }

    #[test]
    fn shards_count_from_one() {
        assert_eq!("3/64".parse::<Shard>().map(|it| it.to_string()), Ok("3/64".to_owned()));
        for wrong in ["0/4", "5/4", "1/0"] {
            assert!(
                matches!(wrong.parse::<Shard>(), Err(ShardError::OutOfRange { .. })),
                "{wrong}"
            );
        }
        for wrong in ["", "3", "a/b", "3/", "-1/4"] {
            assert!(matches!(wrong.parse::<Shard>(), Err(ShardError::Malformed(_))), "{wrong}");
        }
    }

    #[test]
    fn each_trial_is_in_one_shard() {
        let shards = [1, 2, 3].map(|number| Shard::new(number, 3).unwrap());
        for nth in 0..10 {
            assert_eq!(shards.iter().filter(|shard| shard.has_trial(nth)).count(), 1);
        }
        assert!(shards[0].has_trial(0) && shards[2].has_trial(5));
    }

    #[test]
    fn schedulers_say_which_shard_it_is() {
        let slurm = [
            ("SLURM_ARRAY_TASK_ID", "7"),
            ("SLURM_ARRAY_TASK_MIN", "3"),
            ("SLURM_ARRAY_TASK_STEP", "2"),
            ("SLURM_ARRAY_TASK_COUNT", "4"),
        ];
        assert_eq!(shard_from(&slurm), Ok("3/4".to_owned()));
        assert!(matches!(shard_from(&slurm[..1]), Err(ShardError::MissingVariable(_))));
        let kubernetes = [("JOB_COMPLETION_INDEX", "0"), ("JOB_COMPLETIONS", "5")];
        assert_eq!(shard_from(&kubernetes), Ok("1/5".to_owned()));
        assert_eq!(
            shard_from(&kubernetes[..1]),
            Err(ShardError::MissingVariable("JOB_COMPLETIONS"))
        );
        assert_eq!(shard_from(&[]), Err(ShardError::NoScheduler));
        let odd = [("JOB_COMPLETION_INDEX", "x"), ("JOB_COMPLETIONS", "5")];
        assert!(matches!(shard_from(&odd), Err(ShardError::InvalidVariable { .. })));
    }
}

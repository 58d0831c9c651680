//! Threads on which trials run in parallel, with results in the order of what was asked.
//!
//! Without the feature `parallel` everything runs on the caller's thread: results are the same.

use thiserror::Error;

/// Threads for trials.
#[derive(Debug)]
pub struct ThreadPool {
    #[cfg(feature = "parallel")]
    threads: rayon::ThreadPool,
}

/// The reason why there are no threads, in the system's words.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("{0}")]
pub struct ThreadPoolError(String);

#[cfg(feature = "parallel")]
impl ThreadPool {
    /// A pool of that many threads, or as many as there are processors.
    ///
    /// # Errors
    /// If they cannot be started.
    pub fn new(jobs: Option<u16>) -> Result<Self, ThreadPoolError> {
        // Zero leaves the number to rayon: one for each processor.
        let builder = rayon::ThreadPoolBuilder::new().num_threads(jobs.map_or(0, usize::from));
        let threads = builder.build().map_err(|error| ThreadPoolError(error.to_string()))?;
        Ok(Self { threads })
    }

    /// The number of items that run at one time.
    #[must_use]
    pub fn jobs(&self) -> usize {
        self.threads.current_num_threads()
    }

    /// Returns the results of `f` for all items; each is taken by a thread that is free.
    pub(crate) fn map<T, R>(&self, items: Vec<T>, f: impl Fn(T) -> R + Sync + Send) -> Vec<R>
    where
        T: Send,
        R: Send,
    {
        use rayon::prelude::*;
        self.threads.install(|| items.into_par_iter().with_max_len(1).map(f).collect())
    }

    /// As [`Self::map`], for many small items: threads take stretches of them, each with a state of
    /// its own.
    #[cfg(feature = "studies")]
    pub(crate) fn map_with_state<T, S, R>(
        &self,
        items: &[T],
        new_state: impl Fn() -> S + Sync + Send,
        f: impl Fn(&mut S, &T) -> R + Sync + Send,
    ) -> Vec<R>
    where
        T: Sync,
        R: Send,
    {
        use rayon::prelude::*;
        self.threads.install(|| items.par_iter().map_init(new_state, f).collect())
    }
}

#[cfg(not(feature = "parallel"))]
impl ThreadPool {
    /// The caller's thread, regardless of `jobs`.
    ///
    /// # Errors
    /// None.
    pub const fn new(_jobs: Option<u16>) -> Result<Self, ThreadPoolError> {
        Ok(Self {})
    }

    /// The number of items that run at one time: one.
    #[must_use]
    pub const fn jobs(&self) -> usize {
        1
    }

    /// Returns the results of `f` for all items.
    #[expect(clippy::unused_self, reason = "as with threads")]
    pub(crate) fn map<T, R>(&self, items: Vec<T>, f: impl Fn(T) -> R) -> Vec<R> {
        items.into_iter().map(f).collect()
    }
}

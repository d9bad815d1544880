//! The locks of the books: the system's, or those of the model that tries orders of threads (`tests/model`). The only
//! place that knows the difference.

#[cfg(not(all(test, onionkeep_model)))]
pub(super) use std::sync::{Condvar, Mutex, MutexGuard};

#[cfg(all(test, onionkeep_model))]
pub(super) use shuttle::sync::{Condvar, Mutex, MutexGuard};

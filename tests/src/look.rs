//! Whether a frontend can be told from an ordinary C tor service: the rows, samples of both, and a classifier that tries.

pub mod collect;
pub mod judge;
pub mod moment;
pub mod rows;
pub mod sample;
mod setup;
pub mod spoil;
pub mod uploads;

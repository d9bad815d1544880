//! Whether a frontend can be told from an ordinary C tor service: the rows, samples of both, and a classifier that tries.

pub mod judge;
pub mod rows;

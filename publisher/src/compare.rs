//! Whether a live frontend can be told from a plain C tor service: row by row, with what anybody sees who knows the address.
//!
//! No key is needed. The rows and their numbers are those of `docs/LOOK.md`. What cannot be seen from here, because it
//! takes time, another place in the network or a backend's address, is said so and not passed over.

mod collect;
mod copies;
mod copy;
mod sheet;

pub use collect::{CompareError, compare};
pub use sheet::{Finding, Outcome};

use crate::consensus::Fingerprint;
use crate::descriptor::Layers;
use copies::{over_time, together};
use onionkeep_common::UnixTime;
use sheet::Sheet;

/// What the HSDirs gave at one time.
#[derive(Clone, Debug)]
pub struct Look {
    /// When.
    pub at: UnixTime,
    /// The copies that could be read.
    pub copies: Vec<(Fingerprint, Layers)>,
    /// Copies that clients could not use, with the reason.
    pub unreadable: Vec<(Fingerprint, String)>,
    /// Responsible HSDirs that have none.
    pub without: Vec<Fingerprint>,
    /// Responsible HSDirs that did not answer.
    pub silent: usize,
}

impl Look {
    /// The copies of the newest revision.
    fn newest(&self) -> impl Iterator<Item = &Layers> {
        let newest = self.copies.iter().map(|(_hsdir, layers)| layers.revision).max();
        self.copies
            .iter()
            .map(|(_hsdir, layers)| layers)
            .filter(move |layers| Some(layers.revision) == newest)
    }
}

/// What the network's consensus says about the descriptor.
#[derive(Clone, Copy, Debug)]
pub struct Network {
    /// Start of the protocol run that its counter counts from.
    pub run_start: UnixTime,
    /// The flow-control line that C tor writes under this consensus; `None` if it writes none.
    pub sendme_inc: Option<u8>,
}

/// Judges one look, or two with some time between them.
#[must_use]
pub fn judge(network: &Network, first: &Look, second: Option<&Look>) -> Vec<Finding> {
    let mut sheet = Sheet::default();
    for look in [Some(first), second].into_iter().flatten() {
        together(look, &mut sheet);
        for layers in look.newest() {
            copy::judge(network, look.at, layers, &mut sheet);
        }
    }
    if let Some(second) = second {
        over_time(network, first, second, &mut sheet);
    }
    sheet.findings()
}

#[cfg(test)]
mod tests;

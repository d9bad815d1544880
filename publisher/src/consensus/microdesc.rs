//! Reads microdescriptors that arrive in chunks, matches them to HSDirs by digest, keeps only the Ed25519 identity.

use super::relay::Wanted;
use super::{Consensus, ConsensusError, HsDir, RelayEd25519};
use crate::netdoc::{LineSplitter, base64_array};
use sha2::{Digest, Sha256};

/// Takes concatenated microdescriptors in chunks and completes the consensus.
///
/// Line ends must be single line feeds.
#[derive(Debug)]
pub struct MicrodescReader {
    /// Cuts the chunks into lines.
    lines: LineSplitter,
    /// What has been read.
    state: State,
    /// The consensus, still without HSDirs.
    consensus: Consensus,
}

/// What has been read so far.
#[derive(Debug)]
struct State {
    /// HSDirs, sorted by the digest of their microdescriptor.
    wanted: Vec<Wanted>,
    /// The microdescriptor being read.
    open: Option<Open>,
}

/// A microdescriptor whose end has not come yet.
#[derive(Debug)]
struct Open {
    /// Hash over its text so far.
    hash: Sha256,
    /// Arguments of its `id ed25519` lines; a second one spoils it.
    ed25519: Identity,
}

/// The Ed25519 identity in a microdescriptor.
#[derive(Clone, Copy, Debug)]
enum Identity {
    /// No line yet.
    None,
    /// One good line.
    One([u8; 32]),
    /// A malformed line, or two.
    Bad,
}

impl MicrodescReader {
    /// A reader for the HSDirs of a consensus.
    pub(super) fn new(consensus: Consensus, mut wanted: Vec<Wanted>) -> Self {
        wanted.sort_unstable_by_key(|wanted| wanted.digest);
        Self { lines: LineSplitter::default(), state: State { wanted, open: None }, consensus }
    }

    /// Takes the next octets of the text, cut anywhere.
    ///
    /// # Errors
    /// [`ConsensusError::LineTooLong`]. Text that is no microdescriptor is skipped: it has no wanted digest.
    pub fn push(&mut self, chunk: &[u8]) -> Result<(), ConsensusError> {
        let state = &mut self.state;
        self.lines.push(chunk, |_number, line| {
            state.take_line(line);
            Ok(())
        })
    }

    /// Ends the text. A microdescriptor that is cut off counts as not known.
    ///
    /// # Errors
    /// None at present; kept so that a caller handles the end of both texts alike.
    pub fn end(self) -> Result<Consensus, ConsensusError> {
        let Self { lines, mut state, mut consensus } = self;
        if lines.unfinished().is_none() {
            state.close();
        }
        let known = |wanted: &Wanted| {
            let ed25519 = RelayEd25519(wanted.ed25519?);
            Some(HsDir { fingerprint: wanted.fingerprint, ed25519 })
        };
        consensus.hsdirs = state.wanted.iter().filter_map(known).collect();
        consensus.hsdirs.sort_unstable();
        consensus.hsdirs_without_microdesc = state.wanted.len().saturating_sub(consensus.hsdirs.len());
        Ok(consensus)
    }
}

impl State {
    /// Takes one line.
    ///
    /// Spec: dir-spec, 3.3 (a microdescriptor starts with `onion-key`); C tor, `find_start_of_next_microdesc`.
    fn take_line(&mut self, line: &[u8]) {
        if line == b"onion-key" || line.starts_with(b"onion-key ") {
            self.close();
            self.open = Some(Open { hash: Sha256::new(), ed25519: Identity::None });
        } else if line.starts_with(b"@") {
            self.close();
        }
        if let Some(open) = &mut self.open {
            open.hash.update(line);
            open.hash.update(b"\n");
            if let Some(key) = line.strip_prefix(b"id ed25519 ") {
                open.ed25519 = open.ed25519.with(key);
            }
        }
    }

    /// Ends the open microdescriptor and gives its identity to the HSDirs that name its digest.
    fn close(&mut self) {
        let Some(Open { hash, ed25519: Identity::One(key) }) = self.open.take() else { return };
        let digest: [u8; 32] = hash.finalize().into();
        let start = self.wanted.partition_point(|wanted| wanted.digest < digest);
        let rest = self.wanted.get_mut(start..).unwrap_or_default();
        rest.iter_mut()
            .take_while(|wanted| wanted.digest == digest)
            .for_each(|wanted| wanted.ed25519 = Some(key));
    }
}

impl Identity {
    /// The state after one more `id ed25519` line.
    fn with(self, argument: &[u8]) -> Self {
        let word = argument.split(|octet| *octet == b' ').next().unwrap_or_default();
        let key = core::str::from_utf8(word).ok().and_then(base64_array);
        match (self, key) {
            (Self::None, Some(key)) => Self::One(key),
            (Self::None | Self::One(_) | Self::Bad, _) => Self::Bad,
        }
    }
}

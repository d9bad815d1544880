//! The file with the private halves of standby keys: written once for a safe, never into the publisher's own state.

use super::seal::Seal;
use super::slot::{SlotKey, seed};
use super::{CeremonyError, usage};
use crate::state::file;
use data_encoding::HEXLOWER;
use onionkeep_common::paper::lines::hex;
use onionkeep_common::paper::{FileDigest, RequestId};
use onionkeep_common::{OnionAddress, PeriodNumber};
use std::path::Path;
use zeroize::Zeroizing;

/// First line of the file.
const HEAD: &str = "onionkeep-publisher standby 1";
/// What to do about a file that is no good.
const ADVICE: &str =
    "name the file that `request new --standby FILE` has written with the request that the bundle answers";

/// Standby keys and the request that they belong to.
pub struct Standby {
    /// The frontend.
    pub onion: OnionAddress,
    /// The request.
    pub request: RequestId,
    /// The digest of its file.
    pub digest: FileDigest,
    /// One key for each of its periods.
    pub keys: Vec<SlotKey>,
    /// How they are to be sealed when they are moved into the publisher's state; the file itself is not.
    pub seal: Seal,
}

impl Standby {
    /// Writes the file, which must not be there yet; nobody else may read it.
    ///
    /// # Errors
    /// [`CeremonyError`] if the system refuses.
    pub fn write(&self, path: &Path) -> Result<(), CeremonyError> {
        // Reserved at once, so that no copy of a secret stays where the text would have grown.
        let mut text =
            Zeroizing::new(String::with_capacity(self.keys.len().saturating_mul(96).saturating_add(512)));
        text.push_str(&format!("{HEAD}\nonion {}\nrequest {} {}\n", self.onion, self.request, self.digest));
        for key in &self.keys {
            let hex = Zeroizing::new(HEXLOWER.encode(key.seed()));
            text.push_str(&Zeroizing::new(format!("slot {} {}\n", key.period, *hex)));
        }
        Ok(file::write_fresh(path, &[text.as_bytes(), file::checksum(&text).as_bytes()], file::OURS_ALONE)?)
    }

    /// Reads the file.
    ///
    /// # Errors
    /// [`CeremonyError`] if it is not there, damaged, or something else.
    pub fn read(path: &Path) -> Result<Self, CeremonyError> {
        let name = path.display();
        let text = file::read(path).map_err(|why| usage(why.to_string(), ADVICE))?;
        let text = text.ok_or_else(|| usage(format!("there is no file {name}"), ADVICE))?;
        Self::parse(&text).ok_or_else(|| usage(format!("{name} is no file of standby keys"), ADVICE))
    }

    /// Reads the text.
    fn parse(text: &str) -> Option<Self> {
        let mut lines = text.lines();
        if lines.next() != Some(HEAD) {
            return None;
        }
        let onion = lines.next()?.strip_prefix("onion ")?.parse().ok()?;
        let (request, digest) = lines.next()?.strip_prefix("request ")?.split_once(' ')?;
        let (request, digest) = (RequestId(hex(request)?), FileDigest(hex(digest)?));
        let key = |line: &str| {
            let (period, text) = line.strip_prefix("slot ")?.split_once(' ')?;
            SlotKey::from_seed(PeriodNumber(period.parse().ok()?), seed(text)?).ok()
        };
        let keys = lines.map(key).collect::<Option<_>>()?;
        Some(Self { onion, request, digest, keys, seal: Seal::default() })
    }
}

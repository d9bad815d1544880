//! What is public about one backup: the verifier file, by which a share is checked without any secret.
//!
//! ```text
//! onionkeep backup verifier v1
//! onion ADDRESS.onion
//! generation 1
//! threshold 3
//! shares 5
//! commitment 64 hexadecimal characters, `threshold` times
//! set 64 hexadecimal characters: SHA-512/256 bits of all that is before
//! ```

use super::shamir::{Commitments, Plan, Share};
use super::text::{self, GENERATION_MAX, Tag};
use super::{BackupError, ShareError, WrappedKey};
use data_encoding::HEXLOWER;
use onionkeep_common::OnionAddress;
use onionkeep_core::ExpandedKey;
use sha2::{Digest, Sha512};
use zeroize::Zeroizing;

/// The verifier file's first line.
const TITLE: &str = "onionkeep backup verifier v1";
/// Octets of a set's digest.
pub const SET_LEN: usize = 32;

/// The public facts about one backup of one onion's key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BackupSet {
    /// Whose key.
    onion: OnionAddress,
    /// Counts the backups of this onion, from 1.
    generation: u16,
    /// How many shares there are and how many restore.
    plan: Plan,
    /// To the polynomial.
    commitments: Commitments,
    /// Names the set: the digest of everything above.
    digest: [u8; SET_LEN],
}

impl BackupSet {
    /// Puts the facts together.
    ///
    /// # Errors
    /// [`BackupError::Generations`] if the number does not fit into a share.
    pub fn new(
        onion: OnionAddress,
        generation: u16,
        plan: Plan,
        commitments: Commitments,
    ) -> Result<Self, BackupError> {
        if !(1..=GENERATION_MAX).contains(&generation) {
            return Err(BackupError::Generations);
        }
        let mut set = Self { onion, generation, plan, commitments, digest: [0; SET_LEN] };
        set.digest = digest(set.head().as_bytes());
        Ok(set)
    }

    /// Everything before the digest, as it stands in the file.
    fn head(&self) -> String {
        let Self { onion, generation, plan, .. } = self;
        let (threshold, shares) = (plan.threshold(), plan.shares());
        let mut text = format!(
            "{TITLE}\nonion {onion}\ngeneration {generation}\nthreshold {threshold}\nshares {shares}\n"
        );
        for point in self.commitments.octets() {
            text.push_str(&format!("commitment {}\n", HEXLOWER.encode(point)));
        }
        text
    }

    /// The verifier file.
    #[must_use]
    pub fn to_text(&self) -> String {
        format!("{}set {}\n", self.head(), self.name())
    }

    /// Reads a verifier file. Only the one text that [`BackupSet::to_text`] writes is one.
    ///
    /// # Errors
    /// [`BackupError::NotAVerifier`] for anything else.
    pub fn from_text(text: &str) -> Result<Self, BackupError> {
        let set = parse(text).ok_or(BackupError::NotAVerifier)?;
        // Numbers and points can be written in several ways, and a changed one has another digest.
        if set.to_text() == text { Ok(set) } else { Err(BackupError::NotAVerifier) }
    }

    /// Whose key.
    #[must_use]
    pub const fn onion(&self) -> OnionAddress {
        self.onion
    }

    /// Counts the backups of this onion, from 1.
    #[must_use]
    pub const fn generation(&self) -> u16 {
        self.generation
    }

    /// How many shares there are and how many restore.
    #[must_use]
    pub const fn plan(&self) -> Plan {
        self.plan
    }

    /// The digest that names the set.
    #[must_use]
    pub const fn digest(&self) -> &[u8; SET_LEN] {
        &self.digest
    }

    /// The set's name in full.
    #[must_use]
    pub fn name(&self) -> String {
        HEXLOWER.encode(&self.digest)
    }

    /// The set's name for people: its first eight characters.
    #[must_use]
    pub fn short_name(&self) -> String {
        self.name().chars().take(8).collect()
    }

    /// What each of its shares says about itself.
    fn tag(&self) -> Tag {
        Tag {
            set: first_fives(&self.digest),
            generation: self.generation,
            threshold: self.plan.threshold(),
            onion: Tag::onion_check(&self.onion),
        }
    }

    /// The text of one of its shares.
    #[must_use]
    pub fn write_share(&self, share: &Share) -> Zeroizing<String> {
        text::write(&self.tag(), share)
    }

    /// Reads a share and checks that it belongs to this set and is the one that was handed out.
    ///
    /// # Errors
    /// [`ShareError`]: which of the checks failed, in words for the custodian.
    pub fn read_share(&self, text: &str) -> Result<Share, ShareError> {
        let (tag, share) = text::read(text).map_err(ShareError::Text)?;
        let own = self.tag();
        if tag.onion != own.onion {
            return Err(ShareError::OtherOnion);
        }
        if tag.generation != own.generation {
            return Err(ShareError::OtherGeneration { share: tag.generation, set: own.generation });
        }
        if tag != own || share.index() > self.plan.shares() {
            return Err(ShareError::OtherSet);
        }
        if self.commitments.fits(&share) { Ok(share) } else { Err(ShareError::Wrong(share.index())) }
    }
}

impl BackupSet {
    /// Puts checked shares together and opens the blob with them.
    ///
    /// # Errors
    /// [`BackupError::Combine`] if the shares do not give the secret; [`BackupError`] if the blob does not open.
    pub fn open(&self, wrapped: &WrappedKey, shares: &[Share]) -> Result<ExpandedKey, BackupError> {
        let secret = self.commitments.combine(shares).ok_or(BackupError::Combine)?;
        wrapped.unwrap_key(self, &secret)
    }
}

/// The first 25 bits as five values.
fn first_fives(digest: &[u8; SET_LEN]) -> [u8; 5] {
    let [a, b, c, d, ..] = *digest;
    let bits = u32::from_be_bytes([a, b, c, d]);
    [27_u32, 22, 17, 12, 7].map(|shift| u8::try_from((bits >> shift) & 31).unwrap_or(0))
}

/// The first half of SHA-512.
fn digest(octets: &[u8]) -> [u8; SET_LEN] {
    let whole = Sha512::digest(octets);
    let mut half = [0; SET_LEN];
    half.iter_mut().zip(whole).for_each(|(to, from)| *to = from);
    half
}

/// Reads the lines in their order; the digest is compared by the caller.
fn parse(text: &str) -> Option<BackupSet> {
    let mut lines = text.lines();
    lines.next().filter(|title| *title == TITLE)?;
    let onion = field(lines.next()?, "onion")?.parse().ok()?;
    let generation = field(lines.next()?, "generation")?.parse().ok()?;
    let threshold = field(lines.next()?, "threshold")?.parse().ok()?;
    let shares = field(lines.next()?, "shares")?.parse().ok()?;
    let plan = Plan::new(threshold, shares).ok()?;
    let points: Option<Vec<_>> =
        lines.by_ref().take(usize::from(threshold)).map(|line| hex32(field(line, "commitment")?)).collect();
    let points = points.filter(|points| points.len() == usize::from(threshold))?;
    field(lines.next()?, "set")?;
    let commitments = Commitments::from_octets(&points)?;
    BackupSet::new(onion, generation, plan, commitments).ok().filter(|_set| lines.next().is_none())
}

/// The value of a line.
pub(super) fn field<'a>(line: &'a str, name: &str) -> Option<&'a str> {
    line.strip_prefix(name)?.strip_prefix(' ')
}

/// 32 octets in hexadecimal.
fn hex32(text: &str) -> Option<[u8; 32]> {
    HEXLOWER.decode(text.as_bytes()).ok()?.try_into().ok()
}

#[cfg(test)]
mod tests;

//! Owns the token's session and does what needs the secret: unseal, certify, wipe. Speaks typed messages to the gate.
//!
//! The gate knows only [`Ask`], [`Answer`] and [`Certifier`]: plain data without secret, handle or pointer. The vault
//! runs in a process of its own (`serve/vault_role.rs`); the gate's end of the pair is `vault/client.rs`.

use crate::seal::{Head, Kek, SealError, SealKind, SealedKey};
use crate::token::{Token, TokenError};
use onionkeep_common::{
    DescSigningKey, EncodedCert, ExpirationHours, IdentityKey, OnionAddress, PeriodLength, PeriodNumber,
    TimePeriod,
};
use onionkeep_core::{CertTerms, ExpandedKey, Hedge, Ladder};
use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::io;
use std::path::{Path, PathBuf};
use zeroize::Zeroizing;

mod audit;
pub mod client;
mod error;
mod files;
mod making;
pub mod message;
pub(crate) mod random;
pub(crate) mod scrub;

pub use error::VaultError;
pub use message::{Answer, Ask};

/// Who answers the gate.
pub trait Certifier: Send + Sync {
    /// Answers within a deadline of its own.
    fn ask(&self, ask: Ask) -> Answer;
}

impl<C: Certifier> Certifier for std::sync::Arc<C> {
    fn ask(&self, ask: Ask) -> Answer {
        self.as_ref().ask(ask)
    }
}

/// Where a sealed key is stored.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Place {
    /// On the token, as a private object.
    Token,
    /// In a file of the state directory.
    File(PathBuf),
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Token => f.write_str("token"),
            Self::File(path) => write!(f, "{}", path.display()),
        }
    }
}

/// One sealed key and where it is.
#[derive(Clone, Debug)]
struct Stored {
    /// The sealed key.
    sealed: SealedKey,
    /// Where it is.
    place: Place,
}

/// One line of `key show`.
#[derive(Debug)]
pub struct Shown {
    /// Whose key.
    pub onion: OnionAddress,
    /// By which primitive it is sealed.
    pub kind: SealKind,
    /// Where it is.
    pub place: Place,
    /// Whether it opens and is the onion's key.
    pub opens: Result<(), VaultError>,
}

/// A token's session and the sealed keys that were found.
pub struct Vault<T: Token> {
    /// The token.
    token: T,
    /// What was found, by identity key.
    keys: BTreeMap<IdentityKey, Vec<Stored>>,
    /// Objects that are no sealed key of this version.
    unreadable: Vec<(Place, SealError)>,
    /// Where files are.
    state_dir: PathBuf,
    /// By which primitive new keys are sealed.
    seal: SealKind,
}

impl<T: Token> Vault<T> {
    /// Reads all sealed keys from the token and the state directory. Nothing is opened yet.
    ///
    /// # Errors
    /// [`VaultError`] if the token or the directory cannot be read.
    pub fn open(mut token: T, state_dir: &Path) -> Result<Self, VaultError> {
        let mut found: Vec<_> = token.sealed()?.into_iter().map(|octets| (Place::Token, octets)).collect();
        for (path, octets) in files::read(state_dir)? {
            found.push((Place::File(path), octets));
        }
        let mut vault = Self {
            token,
            keys: BTreeMap::new(),
            unreadable: Vec::new(),
            state_dir: state_dir.to_owned(),
            seal: SealKind::HmacSha256,
        };
        for (place, octets) in found {
            match SealedKey::from_octets(&octets) {
                Ok(sealed) => vault.add(sealed, place),
                Err(error) => vault.unreadable.push((place, error)),
            }
        }
        Ok(vault)
    }

    /// Seals new keys by `seal` instead of HMAC; keys that are there open by what they were sealed with.
    #[must_use]
    pub const fn sealing_by(mut self, seal: SealKind) -> Self {
        self.seal = seal;
        self
    }

    /// Notes a sealed key.
    fn add(&mut self, sealed: SealedKey, place: Place) {
        let key = *sealed.onion().identity();
        self.keys.entry(key).or_default().push(Stored { sealed, place });
    }

    /// Whether nothing was found at all.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.keys.is_empty() && self.unreadable.is_empty()
    }

    /// Checks the attributes of the root key of every kind of seal that is in use, and that its value is refused.
    ///
    /// # Errors
    /// [`VaultError::Token`] if it is missing or not guarded.
    pub fn check_root(&mut self) -> Result<(), VaultError> {
        let mut kinds: BTreeSet<_> =
            self.keys.values().flatten().map(|stored| stored.sealed.kind()).collect();
        if kinds.is_empty() {
            kinds.insert(self.seal);
        }
        kinds.into_iter().try_for_each(|kind| Ok(self.token.check_seal_key(kind)?))
    }

    /// Opens the seal of one onion once, to see that it opens.
    ///
    /// # Errors
    /// [`VaultError`] if it is missing, there twice, or does not open.
    pub fn check(&mut self, onion: OnionAddress) -> Result<(), VaultError> {
        scrub::after(|| self.unseal(onion).map(drop))
    }

    /// Unseals, certifies, wipes.
    ///
    /// # Errors
    /// [`VaultError`] if the token is away or the seal does not open.
    pub fn certify(&mut self, onion: OnionAddress, terms: &CertTerms) -> Result<EncodedCert, VaultError> {
        scrub::after(|| {
            let hedge = Hedge::new(random::octets()?);
            let key = self.unseal(onion)?;
            key.certify(terms, &hedge).map_err(|why| VaultError::Core { onion, why })
        })
    }

    /// Unseals once, makes all certificates of some ladders, wipes. `each` is told how many there are after each ladder.
    ///
    /// # Errors
    /// [`VaultError`] if the token is away or the seal does not open: then there is no certificate at all.
    pub fn ladders(
        &mut self,
        onion: OnionAddress,
        ladders: &[Ladder],
        each: &mut dyn FnMut(usize),
    ) -> Result<Vec<Vec<EncodedCert>>, VaultError> {
        scrub::after(|| {
            let key = self.unseal(onion)?;
            let mut made = 0_usize;
            let one = |ladder: &Ladder| {
                let mut rungs = Vec::new();
                let hedge = Hedge::new(random::octets()?);
                key.certify_ladder(ladder, &hedge, |cert| rungs.push(cert))
                    .map_err(|why| VaultError::Core { onion, why })?;
                made = made.saturating_add(rungs.len());
                each(made);
                Ok(rungs)
            };
            ladders.iter().map(one).collect()
        })
    }

    /// Lends the key of an onion to `use_it`, for wrapping it in a backup or sealing it to another token.
    ///
    /// What `use_it` returns must hold no secret.
    ///
    /// # Errors
    /// [`VaultError`] if it is missing, there twice, or does not open.
    pub fn lend<R>(
        &mut self,
        onion: OnionAddress,
        use_it: impl FnOnce(&ExpandedKey) -> R,
    ) -> Result<R, VaultError> {
        scrub::after(|| Ok(use_it(&self.unseal(onion)?)))
    }

    /// Whether a sealed key of the onion was found.
    #[must_use]
    pub fn knows(&self, onion: OnionAddress) -> bool {
        self.keys.contains_key(onion.identity())
    }

    /// The key of an onion; checked to be its key. It lives as short as the caller lets it.
    fn unseal(&mut self, onion: OnionAddress) -> Result<ExpandedKey, VaultError> {
        let stored = match self.keys.get(onion.identity()).map(Vec::as_slice) {
            Some([one]) => one.clone(),
            Some([]) | None => return Err(VaultError::Unknown { onion, notes: self.notes() }),
            Some(many) => {
                let places: Vec<_> = many.iter().map(|stored| stored.place.to_string()).collect();
                return Err(VaultError::Twice { onion, places: places.join(", ") });
            }
        };
        self.open_seal(&stored.sealed)
    }

    /// Has the token derive the KEK, and opens one seal.
    fn open_seal(&mut self, sealed: &SealedKey) -> Result<ExpandedKey, VaultError> {
        let onion = sealed.onion();
        let kek = self.kek(sealed.head())?;
        sealed.open(&kek, self.token.name()).map_err(|why| VaultError::Seal { onion, why })
    }

    /// The KEK of one seal.
    fn kek(&mut self, head: &Head) -> Result<Kek, VaultError> {
        match head.kind {
            SealKind::HmacSha256 => Ok(Kek::new(self.token.mac(&head.derivation())?)),
            SealKind::RsaOaep | SealKind::EcdhP256 => {
                Ok(Kek::from_secret(&self.token.secret(head.kind, &head.material)?, head))
            }
        }
    }

    /// About objects that could not be read, for an error.
    fn notes(&self) -> String {
        let notes = self.unreadable.iter().map(|(place, why)| format!("; one on {place}: {why}"));
        notes.collect()
    }

    /// Every sealed key, each opened once to see whether it opens.
    pub fn show(&mut self) -> Vec<Shown> {
        let all: Vec<Stored> = self.keys.values().flatten().cloned().collect();
        let show = |stored: Stored| Shown {
            onion: stored.sealed.onion(),
            kind: stored.sealed.kind(),
            opens: self.open_seal(&stored.sealed).map(drop),
            place: stored.place,
        };
        all.into_iter().map(show).collect()
    }

    /// Objects that are no sealed key, with their place.
    #[must_use]
    pub fn unreadable(&self) -> &[(Place, SealError)] {
        &self.unreadable
    }

    /// Answers the gate.
    pub fn answer(&mut self, ask: &Ask) -> Answer {
        let result = match ask {
            Ask::Certify { onion, terms } => self.certify(*onion, terms).map(Answer::Certificate),
            Ask::SelfTest { onion } => self.self_test(*onion).map(|()| Answer::Well),
            Ask::SignHead { seq, head } => self.sign_head(*seq, *head).map(Answer::HeadSignature),
            Ask::DeviceLog => self.device_log().map(Answer::DeviceLog),
        };
        result.unwrap_or_else(|error| match error {
            VaultError::Token(TokenError::Away { why, retry_after }) => Answer::Away { why, retry_after },
            VaultError::Token(error) => Answer::Away { why: error.to_string(), retry_after: 30 },
            error @ (VaultError::Seal { .. }
            | VaultError::Unknown { .. }
            | VaultError::Twice { .. }
            | VaultError::Known(_)
            | VaultError::Core { .. }
            | VaultError::File { .. }
            | VaultError::Random(_)) => Answer::Failed(error.to_string()),
        })
    }

    /// Does all that a certificate of `onion` needs, and drops the result.
    ///
    /// The certificate would be of no use: for a period and an end in 1970, and for a key whose private half never
    /// leaves this function.
    ///
    /// # Errors
    /// [`VaultError`] if a certificate could not be had either.
    pub fn self_test(&mut self, onion: OnionAddress) -> Result<(), VaultError> {
        let seed: Zeroizing<[u8; 32]> = random::octets()?;
        let nobody = |_never| VaultError::Random(io::Error::other("no key for the self test"));
        let key = *ExpandedKey::from_seed(&seed).map_err(nobody)?.public().as_bytes();
        let key =
            DescSigningKey::from_bytes(key).map_err(|_never| VaultError::Random(io::Error::other("key")))?;
        let period = TimePeriod { number: PeriodNumber(1), length: PeriodLength::DAY };
        let terms = CertTerms { period, key, expires: ExpirationHours(1) };
        self.certify(onion, &terms).map(drop)
    }
}

#[cfg(test)]
mod tests;

//! What the ledger says about where a key is: backups, restores, copies, changed PINs. The only place that spells these.
//!
//! These lines are written by commands, never while serving; what a backup is, is the matter of `backup.rs`.

use super::event::Words;
use super::line::Head;
use onionkeep_common::OnionAddress;
use std::fmt;

/// A backup that was handed out. The set is the digest in its verifier file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BackupMade {
    /// Whose key.
    pub onion: OnionAddress,
    /// Counts the backups of this onion.
    pub generation: u16,
    /// Names the set of shares.
    pub set: Head,
    /// How many shares restore.
    pub threshold: u8,
    /// How many there are.
    pub shares: u8,
}

/// A serial number as one word: what is no letter, digit or common sign stands as `_`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Serial(String);

/// A key came to a token, or the token's PIN was changed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Custody {
    /// A key was restored from shares to this signer's token.
    Restored {
        /// Whose key.
        onion: OnionAddress,
        /// Which backup.
        generation: u16,
        /// Which set of shares.
        set: Head,
    },
    /// A key of this signer's token was sealed to another token too.
    Copied {
        /// Whose key.
        onion: OnionAddress,
        /// The other token.
        serial: Serial,
    },
    /// The PIN of a token was changed.
    Pin {
        /// The token.
        serial: Serial,
    },
}

impl BackupMade {
    /// Reads a backup's words.
    pub(super) fn parse(words: &mut Words<'_>) -> Result<Self, &'static str> {
        let (onion, generation, set) = (words.onion()?, words.number()?, words.next()?.parse()?);
        let (threshold, shares) = (words.number()?, words.number()?);
        if generation == 0 || threshold < 2 || threshold > shares {
            return Err("there can be no such backup");
        }
        Ok(Self { onion, generation, set, threshold, shares })
    }

    /// Whether a backup that is known makes this one dead, or says the same.
    #[must_use]
    pub const fn is_before(&self, other: &Self) -> bool {
        self.generation < other.generation
    }
}

impl fmt::Display for BackupMade {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { onion, generation, set, threshold, shares } = self;
        write!(f, "{} {generation} {set} {threshold} {shares}", onion.bare())
    }
}

/// What may stand in a serial number.
fn plain(character: char) -> bool {
    character.is_ascii_alphanumeric() || ".-+:".contains(character)
}

impl Serial {
    /// The word of a token's serial number.
    #[must_use]
    pub fn new(serial: &str) -> Self {
        let word: String = serial.chars().take(64).map(|one| if plain(one) { one } else { '_' }).collect();
        Self(if word.is_empty() { "_".to_owned() } else { word })
    }

    /// Reads the word.
    fn parse(word: &str) -> Result<Self, &'static str> {
        let serial = Self::new(word);
        if serial.0 == word { Ok(serial) } else { Err("the serial number is not good") }
    }
}

impl Custody {
    /// Reads the words.
    pub(super) fn parse(words: &mut Words<'_>) -> Result<Self, &'static str> {
        match words.next()? {
            "restored" => Ok(Self::Restored {
                onion: words.onion()?,
                generation: words.number()?,
                set: words.next()?.parse()?,
            }),
            "copied" => Ok(Self::Copied { onion: words.onion()?, serial: Serial::parse(words.next()?)? }),
            "pin" => Ok(Self::Pin { serial: Serial::parse(words.next()?)? }),
            _ => Err("what happened to the key is not known"),
        }
    }
}

impl fmt::Display for Custody {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Restored { onion, generation, set } => {
                write!(f, "restored {} {generation} {set}", onion.bare())
            }
            Self::Copied { onion, serial } => write!(f, "copied {} {}", onion.bare(), serial.0),
            Self::Pin { serial } => write!(f, "pin {}", serial.0),
        }
    }
}
